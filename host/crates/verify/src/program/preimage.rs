//! Which values of a field have bits that are in a set.

use portreeve_model::intervals::{Interval, Intervals};

/// Intervals that a set of values may come to; beyond, it is not computed.
const INTERVALS_MAX: usize = 4_096;

/// The bits of a value that a rule looks at: `(value & mask) ^ flip`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Bits {
    pub(super) mask: u128,
    pub(super) flip: u128,
}

impl Bits {
    /// All of them, as they are.
    pub(super) const ALL: Self = Self {
        mask: u128::MAX,
        flip: 0,
    };

    /// These bits of what `self` gives.
    pub(super) const fn then(self, mask: u128, flip: u128) -> Self {
        Self {
            mask: self.mask & mask,
            flip: self.flip & mask ^ flip,
        }
    }

    /// Those that a field of so many bits has.
    pub(super) const fn within(self, width: u32) -> Self {
        let all = u128::MAX >> (u128::BITS - width);
        Self {
            mask: self.mask & all,
            flip: self.flip,
        }
    }

    #[cfg(test)]
    const fn of(self, value: u128) -> u128 {
        value & self.mask ^ self.flip
    }

    /// The values of `width` bits for which the bits are in `numbers`; none when there are too many
    /// stretches of them.
    pub(super) fn preimage(self, numbers: &Intervals, width: u32) -> Option<Intervals> {
        if self == Self::ALL {
            return Some(numbers.clone());
        }
        let whole = Endings {
            bits: self,
            numbers,
            packed: false,
        };
        Some(whole.of(width, 0)?.into_iter().collect())
    }

    /// What the bits that are looked at can be, side by side, for them to be in `numbers`.
    pub(super) fn packed(self, numbers: &Intervals, width: u32) -> Option<Intervals> {
        let packed = Endings {
            bits: self,
            numbers,
            packed: true,
        };
        Some(packed.of(width, 0)?.into_iter().collect())
    }
}

/// Finds values from the highest bit to the lowest.
struct Endings<'n> {
    bits: Bits,
    numbers: &'n Intervals,
    /// Whether bits that nobody looks at are left out.
    packed: bool,
}

impl Endings<'_> {
    /// The values of the last `left` bits, when the bits before them have come to `reached`.
    fn of(&self, left: u32, reached: u128) -> Option<Vec<Interval>> {
        let free = u128::MAX.checked_shr(u128::BITS - left).unwrap_or(0);
        let (looked_at, flip) = (free & self.bits.mask, free & self.bits.flip);
        // Bits that are not looked at come to their flip.
        let lowest = reached | flip & !looked_at;
        let within = Interval::new(lowest, lowest | looked_at).expect("bits that are set add");
        let within: Intervals = std::iter::once(within).collect();
        let common = self.numbers.intersection(&within);
        if common.is_empty() {
            return Some(Vec::new());
        }
        let width = if self.packed {
            looked_at.count_ones()
        } else {
            left
        };
        if common == within {
            let all = u128::MAX.checked_shr(u128::BITS - width).unwrap_or(0);
            return Some(Interval::new(0, all).into_iter().collect());
        }
        // Something between lowest and highest is not in the set, so there is a bit to ask for.
        let asked = 1u128 << (left - 1);
        let mut found = self.of(left - 1, reached | flip & asked)?;
        let upper = match (looked_at & asked == 0, self.packed) {
            (true, true) => return Some(found),
            (true, false) => found.clone(),
            (false, _) => self.of(left - 1, reached | flip & asked ^ asked)?,
        };
        let bit = 1u128 << (width - 1);
        let upper = upper.into_iter();
        found.extend(upper.filter_map(|it| Interval::new(it.first() | bit, it.last() | bit)));
        (found.len() <= INTERVALS_MAX).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_every_value_whose_bits_are_in_the_set() {
        let sets: [&[(u128, u128)]; 4] = [&[(0, 0)], &[(2, 5), (9, 9)], &[(0, 255)], &[(40, 200)]];
        for mask in [0, 1, 0x17, 0xf0, 0x0f, 0xff, 0x55] {
            for flip in [0, 0x02, 0x80, 0xff] {
                for set in sets {
                    let numbers = set
                        .iter()
                        .filter_map(|&(a, b)| Interval::new(a, b))
                        .collect();
                    let bits = Bits { mask, flip };
                    let preimage = bits.preimage(&numbers, 8).expect("few");
                    for value in 0..=255 {
                        let wanted = numbers.contains(bits.of(value));
                        assert_eq!(
                            preimage.contains(value),
                            wanted,
                            "{mask:#x} {flip:#x} {value}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn packed_bits_stand_side_by_side() {
        let numbers = [(0, 1), (5, 5)]
            .into_iter()
            .filter_map(|(a, b)| Interval::new(a, b));
        let bits = Bits { mask: 5, flip: 4 };
        let packed = bits.packed(&numbers.collect(), 32).expect("few");
        // 0 is the flip of 0b10, 1 of 0b11, 5 of 0b01.
        assert_eq!(
            (0..4).filter(|it| packed.contains(*it)).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn what_has_too_many_stretches_is_not_computed() {
        let numbers = std::iter::once(Interval::single(1)).collect();
        let lowest_bit = Bits { mask: 1, flip: 0 };
        assert_eq!(lowest_bit.preimage(&numbers, 32), None);
        let highest_bit = Bits {
            mask: 1 << 31,
            flip: 1 << 31,
        };
        let numbers = std::iter::once(Interval::single(0)).collect();
        let upper = highest_bit.preimage(&numbers, 32).expect("one stretch");
        assert_eq!(upper.count(), 1 << 31);
    }
}
