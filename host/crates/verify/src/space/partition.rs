//! Atoms: the coarsest classes of a field's values of which every set in use is a union.
//!
//! A set of a million prefixes is met here, once, in one linear sweep; everything after it speaks
//! of a handful of atoms. Two values of one atom cannot be told apart by any rule or goal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::Hasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use portreeve_model::intervals::{Interval, Intervals};
use rustc_hash::FxHasher;

/// A set of one field's values, by its position among those in use.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct SetId(pub(crate) u32);

/// An atom of one field.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Atom(pub(crate) u32);

/// The sets of one field that are in use, each once, whoever says it.
///
/// They are told apart by what they hold and never by where they lie in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sets {
    all: Vec<Arc<Intervals>>,
    by_digest: BTreeMap<u64, Vec<SetId>>,
}

impl Sets {
    /// The set with these values.
    pub(crate) fn add(&mut self, values: &Arc<Intervals>) -> SetId {
        // Both are alive here, so one place in memory is one set.
        if let Some(at) = self.all.iter().position(|it| Arc::ptr_eq(it, values)) {
            return SetId(at as u32);
        }
        let alike = self.by_digest.entry(digest(values)).or_default();
        if let Some(same) = alike.iter().find(|it| self.all[it.0 as usize] == *values) {
            return *same;
        }
        let id = SetId(self.all.len() as u32);
        alike.push(id);
        self.all.push(Arc::clone(values));
        id
    }

    /// The atoms of the values in `domain` under these sets.
    pub(crate) fn partition(self, domain: &Intervals, may_be_absent: bool) -> Partition {
        let mut signs = Signs::new(self.all.len());
        let mut sweep = Sweep::new(&self.all);
        let (mut segments, mut count) = (Vec::new(), 0);
        for stretch in domain {
            sweep.stretch(*stretch, &mut |segment, members| {
                let atom = signs.see(segment, members);
                count += 1;
                if count <= SEGMENTS_KEPT {
                    segments.push((segment, atom));
                }
            });
        }
        Partition {
            sets: self.all,
            domain: domain.clone(),
            signs,
            segments: (count <= SEGMENTS_KEPT).then_some(segments),
            may_be_absent,
        }
    }
}

/// Segments that a partition keeps; of more, it goes over the sets again.
const SEGMENTS_KEPT: usize = 16_384;

fn digest(values: &Intervals) -> u64 {
    let mut hasher = FxHasher::default();
    for interval in values {
        hasher.write_u128(interval.first());
        hasher.write_u128(interval.last());
    }
    hasher.finish()
}

/// The atoms of one field, and the sets that they come from.
#[derive(Debug)]
pub(crate) struct Partition {
    sets: Vec<Arc<Intervals>>,
    domain: Intervals,
    signs: Signs,
    /// Which values are in which atom, from the lowest to the highest, if that is not much.
    segments: Option<Vec<(Interval, Atom)>>,
    may_be_absent: bool,
}

impl Partition {
    /// How many atoms there are; the last is that of packets without the field, if it can be
    /// absent.
    pub(crate) fn len(&self) -> u32 {
        self.values() + u32::from(self.may_be_absent)
    }

    /// How many atoms have values.
    fn values(&self) -> u32 {
        self.signs.atoms.len() as u32
    }

    /// The atom of packets that do not have the field.
    pub(crate) fn absent(&self) -> Option<Atom> {
        self.may_be_absent.then(|| Atom(self.values()))
    }

    /// Whether an atom's values are in a set.
    pub(crate) fn is_in(&self, atom: Atom, set: SetId) -> bool {
        atom.0 < self.values() && self.signs.has(atom, set)
    }

    /// The atom of a value; none when the field cannot have it.
    pub(crate) fn atom_of(&self, value: u128) -> Option<Atom> {
        if !self.domain.contains(value) {
            return None;
        }
        let mut members = Members::none(self.sets.len());
        for (at, set) in self.sets.iter().enumerate() {
            if set.contains(value) {
                members.toggle(at);
            }
        }
        self.signs.find(&members)
    }

    /// The lowest value of an atom; none when it is that of the field's absence.
    pub(crate) fn first(&self, atom: Atom) -> Option<u128> {
        let known = self.signs.atoms.get(atom.0 as usize);
        known.map(|known| known.first)
    }

    /// How many values an atom has.
    pub(crate) fn count(&self, atom: Atom) -> u128 {
        let known = self.signs.atoms.get(atom.0 as usize);
        known.map_or(0, |known| known.count)
    }

    /// Every value of the atoms that are `wanted`.
    pub(crate) fn intervals(&self, wanted: impl Fn(Atom) -> bool) -> Intervals {
        if let Some(segments) = &self.segments {
            let found = segments.iter().filter(|(_, atom)| wanted(*atom));
            return found.map(|(segment, _)| *segment).collect();
        }
        let mut found = Vec::new();
        let mut sweep = Sweep::new(&self.sets);
        for stretch in &self.domain {
            sweep.stretch(*stretch, &mut |segment, members| {
                if self.signs.find(members).is_some_and(&wanted) {
                    found.push(segment);
                }
            });
        }
        found.into_iter().collect()
    }
}

/// Which sets have the value at which a sweep stands, with a digest that a step changes in constant
/// time.
#[derive(Clone, Debug)]
struct Members {
    bits: Vec<u64>,
    digest: u64,
}

impl Members {
    fn none(sets: usize) -> Self {
        Self {
            bits: vec![0; sets.div_ceil(64)],
            digest: 0,
        }
    }

    fn toggle(&mut self, set: usize) {
        self.bits[set / 64] ^= 1 << (set % 64);
        // A number of each set's own (the finaliser of splitmix64), so that the digest of several
        // is their sum without carries.
        let mut own = (set as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        own = (own ^ own >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        own = (own ^ own >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.digest ^= own ^ own >> 31;
    }
}

/// The atoms found so far, by the sets that they are in.
#[derive(Debug)]
struct Signs {
    words: usize,
    /// For each atom, which sets it is in: `words` words.
    bits: Vec<u64>,
    atoms: Vec<Known>,
    by_digest: HashTable<Atom>,
    /// The last two atoms that were seen: a large set alone leads to and fro between them.
    last: [Option<Atom>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Known {
    first: u128,
    count: u128,
    digest: u64,
}

impl Signs {
    fn new(sets: usize) -> Self {
        Self {
            words: sets.div_ceil(64),
            bits: Vec::new(),
            atoms: Vec::new(),
            by_digest: HashTable::new(),
            last: [None; 2],
        }
    }

    fn see(&mut self, segment: Interval, members: &Members) -> Atom {
        let recent = self.last.into_iter().flatten();
        let known = recent
            .into_iter()
            .find(|atom| self.is(*atom, members))
            .or_else(|| self.find(members));
        let atom = known.unwrap_or_else(|| self.add(segment.first(), members));
        if self.last[0] != Some(atom) {
            self.last = [Some(atom), self.last[0]];
        }
        let length = (segment.last() - segment.first()).saturating_add(1);
        let count = &mut self.atoms[atom.0 as usize].count;
        *count = count.saturating_add(length);
        atom
    }

    fn add(&mut self, first: u128, members: &Members) -> Atom {
        let atom = Atom(self.atoms.len() as u32);
        self.bits.extend_from_slice(&members.bits);
        self.atoms.push(Known {
            first,
            count: 0,
            digest: members.digest,
        });
        let atoms = &self.atoms;
        let digest_of = |atom: &Atom| atoms[atom.0 as usize].digest;
        self.by_digest
            .insert_unique(members.digest, atom, digest_of);
        atom
    }

    fn find(&self, members: &Members) -> Option<Atom> {
        let same = |atom: &Atom| self.is(*atom, members);
        self.by_digest.find(members.digest, same).copied()
    }

    fn is(&self, atom: Atom, members: &Members) -> bool {
        let at = atom.0 as usize;
        self.atoms[at].digest == members.digest
            && self.bits[at * self.words..][..self.words] == members.bits[..]
    }

    fn has(&self, atom: Atom, set: SetId) -> bool {
        let word = self.bits[atom.0 as usize * self.words + set.0 as usize / 64];
        word >> (set.0 % 64) & 1 == 1
    }
}

/// Goes over all values once, from the lowest to the highest, and stops wherever some set begins
/// or ends.
struct Sweep<'a> {
    sets: Vec<std::slice::Iter<'a, Interval>>,
    /// Where each set ends that the sweep is in.
    ends: Vec<Option<u128>>,
    /// Where sets begin or end next.
    next: BinaryHeap<Reverse<(u128, usize)>>,
    members: Members,
}

impl<'a> Sweep<'a> {
    fn new(sets: &'a [Arc<Intervals>]) -> Self {
        let mut sweep = Self {
            sets: sets.iter().map(|set| set.iter()).collect(),
            ends: vec![None; sets.len()],
            next: BinaryHeap::new(),
            members: Members::none(sets.len()),
        };
        for set in 0..sets.len() {
            let begins = sweep.begins(set);
            sweep.next.extend(begins.map(|at| Reverse((at, set))));
        }
        sweep
    }

    /// Goes over one stretch, which lies after those before it.
    fn stretch(&mut self, stretch: Interval, see: &mut impl FnMut(Interval, &Members)) {
        let mut from = stretch.first();
        while let Some(Reverse((mut at, set))) = self.next.pop() {
            if at > stretch.last() {
                self.next.push(Reverse((at, set)));
                break;
            }
            // As long as no other set begins or ends, this one needs no turn.
            let others = self.next.peek().map_or(u128::MAX, |Reverse((at, _))| *at);
            loop {
                if at > from {
                    let segment = Interval::new(from, at - 1).expect("`from` is lower");
                    see(segment, &self.members);
                    from = at;
                }
                self.members.toggle(set);
                match self.changes(set) {
                    Some(next) if next < others && next <= stretch.last() => at = next,
                    Some(next) => {
                        self.next.push(Reverse((next, set)));
                        break;
                    }
                    None => break,
                }
            }
        }
        see(
            Interval::new(from, stretch.last()).expect("no change lies after the stretch"),
            &self.members,
        );
    }

    /// Where a set changes next, after it has just changed.
    fn changes(&mut self, set: usize) -> Option<u128> {
        match self.ends[set].take() {
            Some(end) => end.checked_add(1),
            None => self.begins(set),
        }
    }

    /// Where a set begins next, after it has ended.
    fn begins(&mut self, set: usize) -> Option<u128> {
        let interval = self.sets[set].next()?;
        self.ends[set] = Some(interval.last());
        Some(interval.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(u128, u128)]) -> Arc<Intervals> {
        let intervals = pairs.iter().filter_map(|&(a, b)| Interval::new(a, b));
        Arc::new(intervals.collect())
    }

    #[test]
    fn values_share_an_atom_when_no_set_tells_them_apart() {
        let given = [
            set(&[(10, 19), (40, 49)]),
            set(&[(15, 44)]),
            set(&[(0, 255)]),
            set(&[]),
            set(&[(255, 255)]),
            set(&[(10, 19), (40, 49)]),
        ];
        let mut sets = Sets::default();
        let ids = given.each_ref().map(|it| sets.add(it));
        assert_eq!(ids[0], ids[5], "told apart by contents");
        let partition = sets.partition(&set(&[(0, 255)]), true);
        for value in 0..=255u128 {
            let atom = partition.atom_of(value).expect("in the domain");
            for (id, set) in ids.iter().zip(&given) {
                assert_eq!(partition.is_in(atom, *id), set.contains(value), "{value}");
            }
            assert!(partition.intervals(|it| it == atom).contains(value));
        }
        let counts: u128 = (0..partition.len())
            .map(|it| partition.count(Atom(it)))
            .sum();
        assert_eq!(counts, 256);
        assert_eq!((partition.len(), partition.absent()), (6, Some(Atom(5))));
        assert_eq!(partition.atom_of(256), None);
    }

    #[test]
    fn a_domain_with_gaps_has_no_atoms_between() {
        let mut sets = Sets::default();
        let around = sets.add(&set(&[(2, 2), (5, 9)]));
        let partition = sets.partition(&set(&[(2, 2), (10, 10)]), false);
        assert_eq!(partition.len(), 2);
        assert!(partition.is_in(Atom(0), around) && !partition.is_in(Atom(1), around));
        assert_eq!(partition.first(Atom(1)), Some(10));
    }

    #[test]
    fn the_highest_number_is_no_exception() {
        let mut sets = Sets::default();
        let id = sets.add(&set(&[(3, u128::MAX)]));
        let partition = sets.partition(&set(&[(0, u128::MAX)]), false);
        let top = partition.atom_of(u128::MAX).expect("in the domain");
        assert!(partition.is_in(top, id));
        assert_eq!(partition.len(), 2);
    }
}
