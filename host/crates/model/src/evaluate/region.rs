//! The packets that share a packet's fate: a box, as wide as the rules on the way allow.
//!
//! The conditions of every rule that decided or changed something hold; of every earlier rule that
//! could have done otherwise, one condition fails, chosen so that the box stays wide. Every packet
//! in the box ends at the same place with the same verdict by the same rule; nothing is said of the
//! packets outside it, which may share that fate for other reasons.

mod because;
mod follow;
mod text;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::RuleRef;
use super::journey::Journey;
use crate::field::Field;
use crate::intervals::Intervals;
use crate::packet::{Loaded, Packet};
use crate::tables::{Set, Tables};

/// The packets for which every field is as said; what is not named may be anything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Region<'a> {
    extents: BTreeMap<Field, Extent<'a>>,
}

/// What a field is in a region.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extent<'a> {
    /// Its values; none when the packets do not have the field.
    pub values: Option<Intervals>,
    /// The named sets that the values are in, or not in: together they say the same, if they do.
    pub sets: Vec<Membership<'a>>,
    /// Whether the sets say all that the values do.
    pub by_sets: bool,
}

/// Whether a value is in a named set.
#[derive(Clone, Copy, Debug)]
pub struct Membership<'a> {
    /// The set.
    pub set: &'a Set,
    /// Whether the value is *not* in it.
    pub negated: bool,
}

impl PartialEq for Membership<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.set, other.set) && self.negated == other.negated
    }
}

impl Eq for Membership<'_> {}

/// Why no region is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inexact<'a> {
    /// It is not certain what a rule does, by the part at this position.
    Rule(RuleRef<'a>, usize),
    /// It is not certain which way the packet goes, or which chains see it.
    Way,
}

impl<'a> Region<'a> {
    /// The fields that matter, with what they are.
    pub fn extents(&self) -> impl Iterator<Item = (Field, &Extent<'a>)> {
        self.extents.iter().map(|(field, extent)| (*field, extent))
    }

    /// Whether `packet` is in the region. Its hook is not asked for.
    #[must_use]
    pub fn contains(&self, packet: &Packet) -> bool {
        self.extents.iter().all(
            |(field, extent)| match (packet.load(*field), &extent.values) {
                (Loaded::Value(value), Some(values)) => values.contains(value),
                (Loaded::Absent, None) => true,
                (Loaded::Value(_), None) | (Loaded::Absent | Loaded::Unknown, _) => false,
            },
        )
    }
}

/// The packets that share the fate of `packet` on its `journey` through `tables`: of those that
/// name the same hook.
///
/// # Errors
/// When something on the way is not certain.
pub fn region<'a>(
    tables: &'a Tables,
    packet: &Packet,
    journey: &Journey<'a>,
) -> Result<Region<'a>, Inexact<'a>> {
    let mut found = Found::default();
    for stop in &journey.stops {
        follow::stop(tables, packet, stop, &mut found)?;
        if !stop.certain {
            return Err(Inexact::Way);
        }
    }
    Ok(found.region())
}

/// A condition on one field of a packet as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Condition<'a> {
    field: Field,
    /// None: the packet does not have the field.
    values: Option<Intervals>,
    /// The named set that says the same.
    set: Option<Membership<'a>>,
}

impl Condition<'_> {
    /// That the field has one of these values.
    const fn within(field: Field, values: Intervals) -> Self {
        Self {
            field,
            values: Some(values),
            set: None,
        }
    }

    /// That the packets do not have the field.
    const fn absent(field: Field) -> Self {
        Self {
            field,
            values: None,
            set: None,
        }
    }
}

/// Conditions that hold together.
type Together<'a> = Vec<Condition<'a>>;

/// What must hold of the packets, and of what one in each group must.
#[derive(Debug, Default)]
struct Found<'a> {
    all: Vec<Condition<'a>>,
    /// Groups of alternatives, each of which is conditions that hold together.
    one_of: Vec<Vec<Together<'a>>>,
}

impl<'a> Found<'a> {
    /// Chooses from each group so that the region stays wide.
    fn region(self) -> Region<'a> {
        let mut region = Region::default();
        for condition in self.all {
            region.narrow(condition);
        }
        let mut groups = self.one_of;
        // Where there is no choice, there is nothing to weigh.
        groups.sort_by_key(Vec::len);
        for group in groups {
            let implied = |alternative: &Together<'a>| {
                alternative
                    .iter()
                    .all(|condition| region.implies(condition))
            };
            if group.iter().any(implied) {
                continue;
            }
            let best = group.into_iter().min_by(|a, b| {
                let (a, b) = (region.cost(a), region.cost(b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
            for condition in best.into_iter().flatten() {
                region.narrow(condition);
            }
        }
        region.without_the_obvious()
    }
}

impl<'a> Region<'a> {
    fn values(&self, field: Field) -> Option<&Intervals> {
        self.extents.get(&field)?.values.as_ref()
    }

    fn implies(&self, condition: &Condition<'_>) -> bool {
        let Some(extent) = self.extents.get(&condition.field) else {
            return false;
        };
        match (&extent.values, &condition.values) {
            (Some(have), Some(wanted)) => wanted.includes(have),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// How much the region loses by conditions: first fields that it says nothing of so far, then
    /// the share of values that are gone.
    fn cost(&self, conditions: &[Condition<'_>]) -> (usize, f64) {
        let (mut fields, mut lost) = (0, 0.0);
        for condition in conditions {
            let have = self.values(condition.field);
            fields += usize::from(have.is_none());
            let Some(wanted) = &condition.values else {
                lost += 1.0;
                continue;
            };
            let (before, after) = match have {
                Some(have) => (have.count(), have.intersection(wanted).count()),
                None => (condition.field.max().saturating_add(1), wanted.count()),
            };
            lost += 1.0 - after as f64 / before as f64;
        }
        (fields, lost)
    }

    /// Takes the packets away for which the condition does not hold; with it goes everything that
    /// a packet must be to have the field at all.
    fn narrow(&mut self, condition: Condition<'a>) {
        let field = condition.field;
        if condition.values.is_some() {
            if let Some(family) = field.family() {
                self.narrow_to(Field::Nfproto, family.number());
            }
            if let Some(protocol) = field.protocol() {
                self.narrow_to(Field::L4proto, protocol);
            }
        }
        let extent = self.extents.entry(field).or_insert_with(|| Extent {
            values: None,
            sets: Vec::new(),
            by_sets: true,
        });
        let Some(wanted) = condition.values else {
            return;
        };
        let narrowed = match &extent.values {
            Some(have) => have.intersection(&wanted),
            None => wanted,
        };
        if extent.values.as_ref() == Some(&narrowed) {
            return;
        }
        extent.values = Some(narrowed);
        match condition.set {
            Some(set) if !extent.sets.contains(&set) => extent.sets.push(set),
            Some(_) => {}
            None => extent.by_sets = false,
        }
    }

    fn narrow_to(&mut self, field: Field, number: u8) {
        let only = core::iter::once(crate::intervals::Interval::single(number.into()));
        self.narrow(Condition::within(field, only.collect()));
    }

    /// Without the family and the protocol where another field says them.
    fn without_the_obvious(mut self) -> Self {
        let said: Vec<Field> = self.extents.keys().copied().collect();
        let has = |field: Field| self.values(field).is_some();
        let family = said.iter().any(|it| it.family().is_some() && has(*it));
        let protocol = said.iter().any(|it| it.protocol().is_some() && has(*it));
        if family {
            self.extents.remove(&Field::Nfproto);
        }
        if protocol {
            self.extents.remove(&Field::L4proto);
        }
        self
    }
}
