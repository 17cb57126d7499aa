//! Who tries to get in: addresses chosen for what could go wrong with them.

use std::net::IpAddr;

use portreeve_model::address::{Family, Prefix};
use serde::{Deserialize, Serialize};

/// The ranges that the built-in feed carries, as Cloudflare publishes them.
const CLOUDFLARE: [&str; 2] = [
    include_str!("../../../host/data/cloudflare/ips-v4"),
    include_str!("../../../host/data/cloudflare/ips-v6"),
];

/// An address of the client.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// What is special about it.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Whether it lies in Cloudflare's ranges.
    pub in_feed: bool,
}

/// Both ends of the first and the last range of each family, the addresses just outside of them,
/// a stranger and a neighbour.
#[must_use]
pub(super) fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for (family, text) in Family::BOTH.into_iter().zip(CLOUDFLARE) {
        let ranges: Vec<Prefix> = text
            .lines()
            .map(|line| line.parse().expect("the carried ranges are prefixes"))
            .collect();
        let source = |name: &str, address: IpAddr| Source {
            name: name.to_owned(),
            address,
            in_feed: ranges.iter().any(|range| holds(*range, address)),
        };
        for range in lonely(&ranges) {
            let (first, last) = (range.interval().first(), range.interval().last());
            sources.push(source("below a range", family.address(first - 1)));
            sources.push(source("first in range", family.address(first)));
            sources.push(source("last in range", family.address(last)));
            sources.push(source("above the range", family.address(last + 1)));
        }
        let (stranger, neighbour) = match family {
            Family::Ip => ([198, 51, 100, 7].into(), [203, 0, 113, 77].into()),
            Family::Ip6 => (
                [0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 7].into(),
                [0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x77].into(),
            ),
        };
        sources.push(source("a stranger", stranger));
        sources.push(source("a neighbour", neighbour));
    }
    sources
}

/// The first and the last range that has no other range next to it.
fn lonely(ranges: &[Prefix]) -> Vec<Prefix> {
    let touches = |a: Prefix, b: Prefix| {
        let (a, b) = (a.interval(), b.interval());
        a.last().checked_add(1) == Some(b.first()) || b.last().checked_add(1) == Some(a.first())
    };
    let mut lonely = ranges
        .iter()
        .filter(|range| !ranges.iter().any(|other| touches(**range, *other)));
    let (first, last) = (lonely.next(), lonely.next_back());
    first.into_iter().chain(last).copied().collect()
}

fn holds(range: Prefix, address: IpAddr) -> bool {
    range == Prefix::around(address, range.length())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_both_sides_of_both_ends_of_two_ranges() {
        for family in Family::BOTH {
            let inside: Vec<bool> = sources()
                .iter()
                .filter(|source| Family::of(source.address) == family)
                .map(|source| source.in_feed)
                .collect();
            let range = [false, true, true, false];
            assert_eq!(inside, [&range[..], &range, &[false, false]].concat());
        }
    }
}
