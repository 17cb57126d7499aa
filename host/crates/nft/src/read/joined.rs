//! Conditions that nft joins into one, and lists as two.
//!
//! nft loads neighbouring fields of a header together, and compares them with one constant
//! (`payload_try_merge` in nft's `rule.c`). For `!=` that is another meaning: `tcp sport != 1 tcp
//! dport != 2` becomes "not both", and the listing shows the two conditions again. Somebody who
//! wrote the kernel's program without nft may have meant both. So a packet that is equal in all
//! of the fields fails, one that is equal in none passes, and of any other it is not known.

use portreeve_model::address::Family;
use portreeve_model::field::Field;
use portreeve_model::intervals::Interval;
use portreeve_model::tables::{
    Data, Elements, Expression, Lookup, Match, Opaque, Operand, Part, Row, Rows, Scope,
};
use serde_json::Value;

use super::values::only_entry;

/// The header that a field lies in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Layer {
    Link,
    Network(Family),
    Transport,
}

/// Where a field lies: its header, its first bit and how many there are.
#[derive(Clone, Copy)]
struct Place {
    layer: Layer,
    first: u32,
    bits: u32,
}

impl Place {
    /// The place of a field that is whole bytes of a header.
    fn of(field: Field) -> Option<Self> {
        let (layer, first) = match field {
            Field::EtherDaddr => (Layer::Link, 0),
            Field::EtherSaddr => (Layer::Link, 48),
            Field::EtherType => (Layer::Link, 96),
            Field::NetworkLength(Family::Ip) => (Layer::Network(Family::Ip), 16),
            Field::IpId => (Layer::Network(Family::Ip), 32),
            Field::IpFragOff => (Layer::Network(Family::Ip), 48),
            Field::HopLimit(Family::Ip) => (Layer::Network(Family::Ip), 64),
            Field::NextHeader(Family::Ip) => (Layer::Network(Family::Ip), 72),
            Field::Saddr(Family::Ip) => (Layer::Network(Family::Ip), 96),
            Field::Daddr(Family::Ip) => (Layer::Network(Family::Ip), 128),
            Field::NetworkLength(Family::Ip6) => (Layer::Network(Family::Ip6), 32),
            Field::NextHeader(Family::Ip6) => (Layer::Network(Family::Ip6), 48),
            Field::HopLimit(Family::Ip6) => (Layer::Network(Family::Ip6), 56),
            Field::Saddr(Family::Ip6) => (Layer::Network(Family::Ip6), 64),
            Field::Daddr(Family::Ip6) => (Layer::Network(Family::Ip6), 192),
            Field::Sport(_) | Field::ThSport | Field::IcmpType(_) => (Layer::Transport, 0),
            Field::IcmpCode(_) => (Layer::Transport, 8),
            Field::Dport(_) | Field::ThDport => (Layer::Transport, 16),
            Field::IcmpId(_) => (Layer::Transport, 32),
            Field::IcmpSequence(_) => (Layer::Transport, 48),
            Field::TcpFlags => (Layer::Transport, 104),
            _ => return None,
        };
        let bits = field.bits();
        Some(Self { layer, first, bits })
    }

    /// Whether nft loads both together, in either order (`payload_can_merge` in nft's
    /// `payload.c`): 32 bits the kernel loads at once, longer ones not until one is longer itself.
    fn is_loaded_with(self, other: Self) -> bool {
        let touches =
            self.first + self.bits == other.first || other.first + other.bits == self.first;
        let together = self.bits + other.bits;
        let is_worth_it = together <= 32
            || together <= 128 && (self.layer == Layer::Link || self.bits.max(other.bits) > 32);
        self.layer == other.layer && touches && is_worth_it
    }
}

/// The header of a field that is not known, if a condition says that it is not some value.
pub(super) fn strange_unequal(json: &Value) -> Option<Layer> {
    let ("match", body) = only_entry(json)? else {
        return None;
    };
    let ("payload", left) = only_entry(body.get("left")?)? else {
        return None;
    };
    let unequal = body.get("op")? == "!=";
    let layer = match left
        .get("protocol")
        .or_else(|| left.get("base"))?
        .as_str()?
    {
        "ether" | "vlan" | "ll" => Layer::Link,
        "ip" | "nh" => Layer::Network(Family::Ip),
        "ip6" => Layer::Network(Family::Ip6),
        _ => Layer::Transport,
    };
    unequal.then_some(layer)
}

/// The parts of a listed rule with what nft may have joined taken as that; `strange` has for each
/// part what [`strange_unequal`] says of it.
pub(super) fn taken_as_joined(parts: Vec<Part>, strange: &[Option<Layer>]) -> Vec<Part> {
    let mut taken = Vec::with_capacity(parts.len());
    let mut at = 0;
    while at < parts.len() {
        let Some(first) = unequal(&parts[at]) else {
            taken.push(parts[at].clone());
            at += 1;
            continue;
        };
        let mut group = vec![first];
        let next = |group: &[Unequal]| {
            let candidate = unequal(parts.get(at + group.len())?)?;
            let last = group.last()?;
            last.place
                .is_loaded_with(candidate.place)
                .then_some(candidate)
        };
        while let Some(more) = next(&group) {
            group.push(more);
        }
        let end = at + group.len();
        let neighbours = [at.checked_sub(1), Some(end)].into_iter().flatten();
        let has_strange = neighbours
            .filter_map(|neighbour| *strange.get(neighbour)?)
            .any(|layer| layer == first.place.layer);
        match (group.len(), has_strange) {
            (1, false) => taken.push(parts[at].clone()),
            (_, true) => taken.push(perhaps(&group)),
            (_, false) => taken.extend([not_all(&group), perhaps(&group)]),
        }
        at = end;
    }
    taken
}

/// A condition that a field is not one value.
#[derive(Clone, Copy)]
struct Unequal {
    field: Field,
    place: Place,
    value: u128,
}

fn unequal(part: &Part) -> Option<Unequal> {
    let Part::Match(Match {
        left: Expression::Field(field),
        negated: true,
        right: Operand::Numbers(numbers),
    }) = part
    else {
        return None;
    };
    Some(Unequal {
        field: *field,
        place: Place::of(*field)?,
        value: numbers.single()?,
    })
}

/// That not all of the fields are equal.
fn not_all(group: &[Unequal]) -> Part {
    let key = group.iter().map(|it| Interval::single(it.value)).collect();
    unless(group, None, vec![key])
}

/// That none of the fields is equal, or something that is not known.
fn perhaps(group: &[Unequal]) -> Part {
    let not_known = Expression::Opaque(Opaque {
        text: "whether nft has joined them".to_owned(),
        scope: Scope::Test,
    });
    let any = |it: &Unequal| Interval::new(0, it.field.max()).expect("0 is not above any number");
    let keys = group.iter().enumerate().map(|(at, equal)| {
        let mut key: Vec<Interval> = group.iter().map(any).collect();
        key[at] = Interval::single(equal.value);
        key.push(Interval::single(0));
        key
    });
    unless(group, Some(not_known), keys.collect())
}

/// That the fields, and what else there is, are none of the keys.
fn unless(group: &[Unequal], besides: Option<Expression>, keys: Vec<Vec<Interval>>) -> Part {
    let fields = group.iter().map(|it| Expression::Field(it.field));
    let rows = keys.into_iter().map(|key| Row {
        key,
        data: Data::None,
    });
    Part::Match(Match {
        left: Expression::Concatenation(fields.chain(besides).collect()),
        negated: true,
        right: Operand::Elements(Lookup::Anonymous(Elements::Rows(Rows::new(rows.collect())))),
    })
}
