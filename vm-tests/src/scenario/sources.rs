//! Who tries: addresses that are written out, or picked from a feed for what could go wrong with them.

use std::net::IpAddr;

use portreeve_model::address::{AddressSet, Family, Prefix};

/// Which addresses of a feed, or just outside of it, are picked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pick {
    /// The first address of each range.
    First,
    /// The last address of each range.
    Last,
    /// The one before each range.
    Below,
    /// The one after each range.
    Above,
    /// So many from all over the ranges.
    Spread(u32),
}

impl Pick {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "first" => Some(Self::First),
            "last" => Some(Self::Last),
            "below" => Some(Self::Below),
            "above" => Some(Self::Above),
            _ => {
                let count = word.strip_prefix("spread:")?.parse().ok()?;
                (1..=100_000)
                    .contains(&count)
                    .then_some(Self::Spread(count))
            }
        }
    }

    /// What is allowed, for errors.
    pub(super) const ALLOWED: &str =
        "`first`, `last`, `below`, `above`, `spread:N` with N from 1 to 100000";
}

/// The addresses that are picked, each once, in the order of the feed.
pub(super) fn pick(feed: &AddressSet, picks: &[Pick]) -> Vec<IpAddr> {
    let mut picked = Vec::new();
    for family in Family::BOTH {
        let ranges = feed.of(family);
        let inside = |bits: u128| {
            ranges
                .iter()
                .any(|it| it.first() <= bits && bits <= it.last())
        };
        let mut add = |bits: Option<u128>, within: bool| {
            let fitting = bits.filter(|bits| *bits <= family.max() && inside(*bits) == within);
            picked.extend(fitting.map(|bits| family.address(bits)));
        };
        for pick in picks {
            if let Pick::Spread(count) = pick {
                for at in 0..u128::from(*count) {
                    add(nth(feed, family, spread(at)), true);
                }
                continue;
            }
            for range in ranges {
                match pick {
                    Pick::First => add(Some(range.first()), true),
                    Pick::Last => add(Some(range.last()), true),
                    Pick::Below => add(range.first().checked_sub(1), false),
                    Pick::Above => add(range.last().checked_add(1), false),
                    Pick::Spread(_) => {}
                }
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    picked.retain(|address| seen.insert(*address));
    picked
}

/// Numbers without an order that anybody would choose, the same each time (Knuth's multiplicative
/// hash).
const fn spread(at: u128) -> u128 {
    at.wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// An address of a feed, chosen by a number that may be larger than there are.
fn nth(feed: &AddressSet, family: Family, number: u128) -> Option<u128> {
    let ranges = feed.of(family);
    let size = |range: &portreeve_model::intervals::Interval| range.last() - range.first() + 1;
    let all: u128 = ranges.iter().map(size).sum();
    let mut number = number.checked_rem(all)?;
    for range in ranges {
        if number < size(range) {
            return Some(range.first() + number);
        }
        number -= size(range);
    }
    None
}

/// The ranges of Cloudflare that portreeve carries.
pub(super) fn cloudflare() -> Vec<Prefix> {
    const TEXTS: [&str; 2] = [
        include_str!("../../../host/data/cloudflare/ips-v4"),
        include_str!("../../../host/data/cloudflare/ips-v6"),
    ];
    let lines = TEXTS.iter().flat_map(|text| text.lines());
    let prefix = |line: &str| line.parse().expect("the carried ranges are prefixes");
    lines.map(prefix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(feed: &[&str], picks: &[Pick]) -> Vec<String> {
        let prefixes = feed.iter().map(|it| it.parse::<Prefix>().unwrap());
        let picked = pick(&prefixes.collect(), picks);
        picked.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn just_outside_is_outside_of_every_range() {
        let feed = ["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32"];
        let edges = [Pick::First, Pick::Last, Pick::Below, Pick::Above];
        assert_eq!(
            picked(&feed, &edges),
            [
                "192.0.2.0",
                "192.0.2.255",
                "192.0.1.255",
                "192.0.3.0",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db9::",
            ]
        );
    }

    #[test]
    fn what_begins_where_addresses_begin_has_nothing_below() {
        assert_eq!(picked(&["0.0.0.0/8"], &[Pick::Below]), [""; 0]);
        assert_eq!(picked(&["255.0.0.0/8"], &[Pick::Above]), [""; 0]);
    }

    #[test]
    fn what_is_spread_lies_inside_and_is_the_same_each_time() {
        let feed = ["10.0.0.0/24", "192.0.2.0/24"];
        let once = picked(&feed, &[Pick::Spread(100)]);
        assert_eq!(once, picked(&feed, &[Pick::Spread(100)]));
        for network in ["10.0.0.", "192.0.2."] {
            let there = once.iter().filter(|it| it.starts_with(network)).count();
            assert!(there > 20, "{there} of {} in {network}", once.len());
        }
    }
}
