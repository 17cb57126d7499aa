//! The space of all packets: variables, their atoms, and diagrams over them.
//!
//! A [`Survey`] is told every set of values that will be spoken of; then the [`Space`] has the atoms
//! of each variable, and every question is one about diagrams.

mod diagram;
mod level;
mod outcome;
mod partition;

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PortProtocol, icmp_protocol, interface};
use portreeve_model::intervals::Intervals;
use portreeve_model::packet::{CtState, Loaded, Packet};

pub use self::diagram::{Budget, OverBudget};
pub(crate) use self::diagram::{EVERYTHING, Fates, NOTHING, Node, Region, Store, Within};
pub(crate) use self::level::only;
pub(crate) use self::level::{Level, Slice};
pub use self::outcome::{Certainty, Changed, Outcome, Outcomes};
pub(crate) use self::partition::{Atom, SetId};
use self::partition::{Partition, Sets};

/// Values of one variable: a test that a diagram can ask.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    /// The variable.
    pub(crate) level: Level,
    /// The values.
    pub(crate) set: SetId,
}

/// What will be spoken of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    levels: BTreeMap<(u8, Level), Sets>,
    /// What is not known, in the order found.
    unknown: Vec<String>,
    /// The names that rule sets have for sets.
    names: BTreeMap<((u8, Level), SetId), String>,
}

impl Survey {
    /// That a variable has one of these values.
    pub(crate) fn test(&mut self, level: Level, values: &Arc<Intervals>) -> Test {
        if level == Level::Field(Field::CtState) {
            // Before conntrack the same is asked of another variable.
            self.levels
                .entry(Level::EarlyCtState.rank())
                .or_default()
                .add(values);
        }
        let set = self.levels.entry(level.rank()).or_default().add(values);
        Test { level, set }
    }

    /// That a variable has this value.
    pub(crate) fn value(&mut self, level: Level, value: u128) -> Test {
        self.test(level, &only(value))
    }

    /// The name of the set that a test asks for; the first that is told is kept.
    pub(crate) fn name(&mut self, test: Test, name: &str) {
        let key = (test.level.rank(), test.set);
        self.names.entry(key).or_insert_with(|| name.to_owned());
    }

    /// The variable of something that is not known, by how a listing says it.
    pub(crate) fn unknown(&mut self, text: &str) -> Level {
        let at = self.unknown.iter().position(|it| it == text);
        Level::Unknown(at.unwrap_or_else(|| {
            self.unknown.push(text.to_owned());
            self.unknown.len() - 1
        }) as u32)
    }

    /// The atoms of everything.
    pub(crate) fn space(mut self, budget: Budget) -> Space {
        for (field, values) in always_told_apart() {
            for value in values {
                self.value(Level::Field(field), value);
            }
        }
        for (field, value) in told_apart_if_asked() {
            let level = Level::Field(field);
            if self.levels.contains_key(&level.rank()) {
                self.value(level, value);
            }
        }
        let levels: Vec<Level> = self.levels.keys().map(|(_, level)| *level).collect();
        let partition =
            |(level, sets): (Level, Sets)| sets.partition(&level.domain(), level.may_be_absent());
        let sets = levels.iter().copied().zip(self.levels.into_values());
        Space {
            partitions: sets.map(partition).collect(),
            levels,
            unknown: self.unknown,
            names: self.names,
            passing: BTreeMap::new(),
            store: Store::new(budget),
        }
    }
}

/// What the way of a packet depends on, whatever the rules say.
fn always_told_apart() -> [(Field, Vec<u128>); 4] {
    let icmp = Family::BOTH.map(icmp_protocol);
    let with_ports = PortProtocol::ALL.map(PortProtocol::number);
    let protocols = icmp.into_iter().chain(with_ports).map(u128::from);
    let families = Family::BOTH.map(|family| family.number().into());
    [
        (Field::Nfproto, families.into()),
        (
            Field::Iifname,
            interface::number("lo").into_iter().collect(),
        ),
        (
            Field::CtState,
            CtState::ALL.map(|state| state as u128).into(),
        ),
        (Field::L4proto, protocols.collect()),
    ]
}

/// Where rules ask for an interface by its number or its name, `lo` is told apart: one says the
/// other.
fn told_apart_if_asked() -> impl Iterator<Item = (Field, u128)> {
    let lo = interface::number("lo").map(|lo| (Field::Oifname, lo));
    [(Field::Iif, 1), (Field::Oif, 1)].into_iter().chain(lo)
}

/// All packets, as far as what is spoken of tells them apart.
#[derive(Debug)]
pub(crate) struct Space {
    /// The variables, in the order in which diagrams ask for them.
    levels: Vec<Level>,
    partitions: Vec<Partition>,
    unknown: Vec<String>,
    names: BTreeMap<((u8, Level), SetId), String>,
    /// The tests that were asked before.
    passing: BTreeMap<(u16, SetId), Region>,
    pub(crate) store: Store,
}

impl Space {
    /// Every variable.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The position of a variable, if any rule or goal asks for it.
    pub(crate) fn position(&self, level: Level) -> Option<u16> {
        let found = self
            .levels
            .binary_search_by_key(&level.rank(), |it| it.rank());
        found.ok().map(|at| at as u16)
    }

    /// The atoms of a variable.
    pub(crate) fn partition(&self, position: u16) -> &Partition {
        &self.partitions[usize::from(position)]
    }

    /// How a listing says something that is not known.
    pub(crate) fn unknown_text(&self, number: u32) -> &str {
        self.unknown.get(number as usize).map_or("", String::as_str)
    }

    /// The sets of a variable that have names.
    pub(crate) fn named_sets(&self, position: u16) -> impl Iterator<Item = (SetId, &str)> {
        let rank = self.levels[usize::from(position)].rank();
        let named = self.names.range((rank, SetId(0))..=(rank, SetId(u32::MAX)));
        named.map(|((_, set), name)| (*set, name.as_str()))
    }

    /// The packets that pass a test.
    pub(crate) fn passing(&mut self, test: Test) -> Within<Region> {
        let at = self.position(test.level).expect("surveyed: the variable");
        if let Some(known) = self.passing.get(&(at, test.set)) {
            return Ok(*known);
        }
        let partition = &self.partitions[usize::from(at)];
        let count = partition.len();
        let region = self
            .store
            .atoms(at, count, |atom| partition.is_in(atom, test.set))?;
        self.passing.insert((at, test.set), region);
        Ok(region)
    }

    /// The packets that have a variable at all.
    pub(crate) fn having(&mut self, level: Level) -> Within<Region> {
        let Some(at) = self.position(level) else {
            return Ok(EVERYTHING);
        };
        let partition = &self.partitions[usize::from(at)];
        let (count, absent) = (partition.len(), partition.absent());
        self.store.atoms(at, count, |atom| Some(atom) != absent)
    }

    /// The packets of which a variable is this value; all of them when nobody asks for it.
    pub(crate) fn at_value(&mut self, level: Level, value: u128) -> Within<Region> {
        let apart = self.position(level).is_none_or(|at| {
            let partition = &self.partitions[usize::from(at)];
            let atom = partition.atom_of(value);
            atom.is_none_or(|atom| partition.count(atom) == 1)
        });
        debug_assert!(apart, "surveyed: {level:?} {value}");
        self.like_value(level, value)
    }

    /// The packets of which nobody tells the value of a variable from this one.
    pub(crate) fn like_value(&mut self, level: Level, value: u128) -> Within<Region> {
        let Some(at) = self.position(level) else {
            return Ok(EVERYTHING);
        };
        let partition = &self.partitions[usize::from(at)];
        let Some(wanted) = partition.atom_of(value) else {
            return Ok(NOTHING);
        };
        let count = partition.len();
        self.store.atoms(at, count, |atom| atom == wanted)
    }

    /// What becomes of packets when a variable is given a value.
    pub(crate) fn given(&mut self, fates: Fates, level: Level, value: u128) -> Within<Fates> {
        let Some(at) = self.position(level) else {
            return Ok(fates);
        };
        match self.partitions[usize::from(at)].atom_of(value) {
            Some(atom) => self.store.fix(fates.0, at, atom).map(Fates),
            None => self.store.forget(fates, at),
        }
    }

    /// What may become of packets of which a variable is not known any more.
    pub(crate) fn forgetting(&mut self, fates: Fates, level: Level) -> Within<Fates> {
        match self.position(level) {
            Some(at) => self.store.forget(fates, at),
            None => Ok(fates),
        }
    }

    /// The packets that would be in a region with some value of a variable.
    pub(crate) fn for_some_value(&mut self, region: Region, level: Level) -> Within<Region> {
        match self.position(level) {
            Some(at) => self.store.shadow(region, at),
            None => Ok(region),
        }
    }

    /// What becomes of one packet; of one that is not known in full, all that may.
    pub(crate) fn of_packet(&self, fates: Fates, packet: &Packet) -> Outcomes {
        let mut all: Option<Outcomes> = None;
        self.follow(fates.0, packet, &mut |end| {
            let outcomes = self.store.outcomes_at(end).expect("fates end in outcomes");
            all = Some(match all.take() {
                Some(so_far) => so_far.union(outcomes),
                None => outcomes.clone(),
            });
        });
        all.expect("every way ends")
    }

    fn follow(&self, node: Node, packet: &Packet, see: &mut impl FnMut(Node)) {
        let Some((level, edges)) = self.store.open(node) else {
            see(node);
            return;
        };
        let partition = self.partition(level);
        let loaded = match self.levels[usize::from(level)] {
            Level::Field(field) => packet.load(field),
            Level::Slice(slice) => match packet.load(slice.field) {
                Loaded::Value(value) => Loaded::Value(slice.read(value)),
                other => other,
            },
            Level::EarlyCtState | Level::Unknown(_) => Loaded::Unknown,
        };
        let atom = match loaded {
            Loaded::Value(value) => partition.atom_of(value),
            Loaded::Absent => partition.absent(),
            Loaded::Unknown => None,
        };
        match atom {
            Some(atom) => self.follow(self.store.follow(node, atom), packet, see),
            // Whatever is not known is there all the same: the atom of absence, which is the last, is
            // not meant, nor an edge that is for it alone.
            None => edges
                .filter(|(first, _)| Some(*first) != partition.absent())
                .for_each(|(_, to)| self.follow(to, packet, see)),
        }
    }
}
