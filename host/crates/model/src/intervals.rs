//! Sets of numbers as sorted, disjoint, non-adjacent intervals.
//!
//! One set has exactly one representation, so `==` compares meaning. Addresses, ports, protocols
//! and every other numeric field use the same type; `u128` holds the widest of them.

use alloc::vec::Vec;

/// The numbers from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Interval {
    first: u128,
    last: u128,
}

impl Interval {
    /// The interval from `first` to `last`, or `None` when `first` is greater.
    #[must_use]
    pub const fn new(first: u128, last: u128) -> Option<Self> {
        if first <= last {
            Some(Self { first, last })
        } else {
            None
        }
    }

    /// The interval that holds one number.
    #[must_use]
    pub const fn single(value: u128) -> Self {
        Self {
            first: value,
            last: value,
        }
    }

    /// The lowest member.
    #[must_use]
    pub const fn first(self) -> u128 {
        self.first
    }

    /// The highest member.
    #[must_use]
    pub const fn last(self) -> u128 {
        self.last
    }
}

/// A set of numbers.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Intervals(Vec<Interval>);

impl Intervals {
    /// The set without members.
    pub const EMPTY: Self = Self(Vec::new());

    /// The members of `self` or `other`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// The members of both `self` and `other`.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            both.extend(Interval::new(a.first.max(b.first), a.last.min(b.last)));
            if a.last < b.last {
                left.next()
            } else {
                right.next()
            };
        }
        Self(both)
    }

    /// The members of `self` that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement(u128::MAX))
    }

    /// The numbers from 0 to `max` that are not in `self`.
    #[must_use]
    pub fn complement(&self, max: u128) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for interval in &self.0 {
            if let (Some(first), Some(last)) = (next, interval.first.checked_sub(1)) {
                gaps.extend(Interval::new(first, last.min(max)));
            }
            next = interval.last.checked_add(1);
        }
        gaps.extend(next.and_then(|first| Interval::new(first, max)));
        Self(gaps)
    }

    /// Whether `value` is a member.
    #[must_use]
    pub fn contains(&self, value: u128) -> bool {
        let after = self.0.partition_point(|interval| interval.first <= value);
        after > 0 && value <= self.0[after - 1].last
    }

    /// Whether every member of `other` is one of `self`.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.difference(self).is_empty()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many intervals it takes to say the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many members there are; `u128::MAX` when there are more than that.
    #[must_use]
    pub fn count(&self) -> u128 {
        self.0.iter().fold(0u128, |sum, interval| {
            sum.saturating_add(interval.last - interval.first)
                .saturating_add(1)
        })
    }

    /// The only member, when there is just one.
    #[must_use]
    pub fn single(&self) -> Option<u128> {
        match self.0.as_slice() {
            [only] if only.first == only.last => Some(only.first),
            _ => None,
        }
    }

    /// The intervals in ascending order.
    pub fn iter(&self) -> core::slice::Iter<'_, Interval> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Intervals {
    type Item = &'a Interval;
    type IntoIter = core::slice::Iter<'a, Interval>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Interval> for Intervals {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut sorted: Vec<Interval> = intervals.into_iter().collect();
        sort(&mut sorted);
        sorted.dedup_by(|next, kept| {
            let joins = next.first <= kept.last.saturating_add(1);
            if joins {
                kept.last = kept.last.max(next.last);
            }
            joins
        });
        Self(sorted)
    }
}

/// How many intervals in disorder are worth the memory to sort them as single numbers.
const MANY: usize = 4_096;

/// Sorts intervals. Those of IPv4 addresses in no order, as blocklists come, are sorted as one number
/// each, which takes a third of the time.
fn sort(intervals: &mut [Interval]) {
    let small = |interval: &Interval| interval.last <= u32::MAX.into();
    if intervals.len() < MANY || intervals.is_sorted() || !intervals.iter().all(small) {
        // Runs that are in order already, as in a union of two sets, are merged in linear time.
        intervals.sort();
        return;
    }
    let packed = intervals.iter().map(|it| (it.first << 32 | it.last) as u64);
    let mut packed: Vec<u64> = packed.collect();
    packed.sort_unstable();
    for (interval, both) in intervals.iter_mut().zip(packed) {
        let (first, last) = (both >> 32, both & u64::from(u32::MAX));
        *interval = Interval {
            first: first.into(),
            last: last.into(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(u128, u128)]) -> Intervals {
        pairs
            .iter()
            .filter_map(|&(first, last)| Interval::new(first, last))
            .collect()
    }

    /// Every set over a universe of six numbers, so that the algebra is checked exhaustively.
    fn small_universe() -> Vec<Intervals> {
        (0u32..64)
            .map(|bits| {
                (0..6)
                    .filter(|bit| bits >> bit & 1 == 1)
                    .map(Interval::single)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn overlapping_and_adjacent_intervals_become_one() {
        assert_eq!(
            set(&[(5, 9), (1, 4), (7, 12), (20, 20)]),
            set(&[(1, 12), (20, 20)])
        );
        assert_eq!(set(&[(0, u128::MAX), (3, 4)]).len(), 1);
    }

    #[test]
    fn algebra_agrees_with_membership_in_a_small_universe() {
        let universe = small_universe();
        for a in &universe {
            for b in &universe {
                for value in 0..6 {
                    let (in_a, in_b) = (a.contains(value), b.contains(value));
                    assert_eq!(a.union(b).contains(value), in_a || in_b);
                    assert_eq!(a.intersection(b).contains(value), in_a && in_b);
                    assert_eq!(a.difference(b).contains(value), in_a && !in_b);
                    assert_eq!(a.complement(5).contains(value), !in_a);
                }
                assert_eq!(a.includes(b), b.difference(a).is_empty());
            }
        }
    }

    #[test]
    fn many_intervals_in_no_order_are_sorted_whatever_their_size() {
        for (offset, count) in [(0, MANY + 1), (u128::from(u32::MAX), MANY + 1), (0, 9)] {
            let scattered = (0..count as u128).map(|at| offset + at * 7_919 % 65_536 * 3);
            let found: Intervals = scattered.map(Interval::single).collect();
            assert_eq!(found.len(), count);
            assert!(found.iter().is_sorted());
        }
    }

    #[test]
    fn complement_reaches_both_ends() {
        assert_eq!(Intervals::EMPTY.complement(255), set(&[(0, 255)]));
        assert_eq!(set(&[(0, 255)]).complement(255), Intervals::EMPTY);
        assert_eq!(set(&[(0, 0), (255, 255)]).complement(255), set(&[(1, 254)]));
        assert_eq!(set(&[(7, u128::MAX)]).complement(u128::MAX), set(&[(0, 6)]));
    }

    #[test]
    fn count_says_how_many_members() {
        assert_eq!(set(&[(0, 9), (20, 20)]).count(), 11);
        assert_eq!(set(&[(0, u128::MAX)]).count(), u128::MAX);
    }
}
