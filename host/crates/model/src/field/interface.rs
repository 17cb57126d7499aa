//! Interface names as numbers: the sixteen bytes that the kernel compares, the first the highest.

use alloc::string::String;

use crate::intervals::{Interval, Intervals};

/// Bytes of a name, padded with zeros (`IFNAMSIZ` in `linux/if.h`).
const BYTES: usize = 16;

/// Bits of a name.
pub const BITS: u32 = 8 * BYTES as u32;

/// The number of `name`; `None` when it is longer than an interface's name can be.
#[must_use]
pub fn number(name: &str) -> Option<u128> {
    let mut bytes = [0; BYTES];
    // The last byte stays zero: the kernel's names end with one.
    bytes[..BYTES - 1]
        .get_mut(..name.len())?
        .copy_from_slice(name.as_bytes());
    Some(u128::from_be_bytes(bytes))
}

/// The numbers of every name that begins with `prefix`: `eth*` in nft(8).
#[must_use]
pub fn beginning_with(prefix: &str) -> Option<Interval> {
    let first = number(prefix)?;
    let rest = BITS - 8 * u32::try_from(prefix.len()).ok()?;
    Interval::new(
        first,
        first | u128::MAX.checked_shr(BITS - rest).unwrap_or(0),
    )
}

/// The numbers that `pattern` stands for: a name, or a name that ends with nft's wildcard.
#[must_use]
pub fn pattern(pattern: &str) -> Option<Interval> {
    match pattern.strip_suffix('*') {
        Some(prefix) => beginning_with(prefix),
        None => number(pattern).map(Interval::single),
    }
}

/// The name that a number stands for, each byte that is not ASCII as `?`.
#[must_use]
pub fn name(number: u128) -> String {
    let bytes = number.to_be_bytes();
    let letters = bytes.iter().take_while(|byte| **byte != 0);
    letters
        .map(|byte| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '?'
            }
        })
        .collect()
}

/// `interval` as nft writes it, when it is one name or one wildcard.
#[must_use]
pub fn pattern_text(interval: Interval) -> Option<String> {
    let text = name(interval.first());
    if interval.first() == interval.last() {
        return Some(text);
    }
    let wildcard = alloc::format!("{text}*");
    (pattern(&wildcard) == Some(interval)).then_some(wildcard)
}

/// The names `names`, as a set of numbers.
#[must_use]
pub fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> Intervals {
    names.into_iter().filter_map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_number_are_the_same() {
        for text in ["lo", "eth0", "", "br-0a1b2c3d4e5f"] {
            assert_eq!(number(text).map(name).as_deref(), Some(text));
        }
        assert_eq!(number("sixteen-letters!"), None);
    }

    #[test]
    fn a_wildcard_is_an_interval() {
        let eth = pattern("eth*").expect("a pattern");
        let within = |text| {
            let number = number(text).expect("a name");
            eth.first() <= number && number <= eth.last()
        };
        assert!(within("eth") && within("eth0") && within("ethernet"));
        assert!(!within("et") && !within("eti") && !within("wlan0"));
        assert_eq!(pattern_text(eth).as_deref(), Some("eth*"));
        let any = pattern("*").expect("a pattern");
        assert_eq!((any.first(), any.last()), (0, u128::MAX));
    }
}
