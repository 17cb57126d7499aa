//! Lists of prefixes to load, and addresses of which it is known whether a list holds them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many addresses of a family probes come from: the ends of a large set and many between.
const WATCHED: usize = 64;

/// A random list of prefixes that neither touch nor overlap, and longer ones that begin with it.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    prefixes: [Vec<Prefix>; 2],
    /// Prefixes that [`Feed::text`] adds, each in one list only.
    spare: [Vec<Prefix>; 2],
}

/// A prefix that is alone in the block it lies in: an IPv4 /24 or an IPv6 /48.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    first: IpAddr,
    length: u8,
}

impl Feed {
    /// A list of `count` prefixes, a third to a tenth of them IPv6, and `spare` more.
    pub(super) fn new(count: usize, spare: usize) -> Self {
        let mut random = Random(0x5eed);
        // As in Cloudflare's list of 22, and, like the world, mostly IPv4 in a large one.
        let ip6 = if count < 100 { count / 3 } else { count / 10 };
        let mut family = |count: usize, prefix: fn(u64, &mut Random) -> Prefix, blocks: u64| {
            let mut chosen = BTreeSet::new();
            while chosen.len() < count + spare {
                // Every second block, so that no two prefixes touch.
                chosen.insert(random.below(blocks / 2) * 2);
            }
            let all: Vec<Prefix> = chosen
                .into_iter()
                .map(|block| prefix(block, &mut random))
                .collect();
            deal(all, spare)
        };
        let (v4, spare_v4) = family(count - ip6, prefix_v4, BLOCKS_V4);
        let (v6, spare_v6) = family(ip6, prefix_v6, BLOCKS_V6);
        Self {
            prefixes: [v4, v6],
            spare: [spare_v4, spare_v6],
        }
    }

    /// The list, one prefix a line, with the `nth` spare prefix of each family.
    pub(super) fn text(&self, nth: usize) -> String {
        let mut text = String::new();
        for family in 0..2 {
            let spare = &self.spare[family];
            let added = [spare[nth % spare.len()]];
            for Prefix { first, length } in self.prefixes[family].iter().chain(&added) {
                writeln!(text, "{first}/{length}").expect("a string takes everything");
            }
        }
        text
    }

    /// Addresses of each family that every list holds.
    pub(super) fn members(&self) -> [Vec<IpAddr>; 2] {
        self.prefixes
            .each_ref()
            .map(|prefixes| spread(prefixes).map(Prefix::last).collect())
    }

    /// Addresses of each family that no list holds, each next to a prefix of all lists.
    pub(super) fn strangers(&self) -> [Vec<IpAddr>; 2] {
        self.prefixes
            .each_ref()
            .map(|prefixes| spread(prefixes).map(Prefix::behind).collect())
    }
}

/// Takes `spare` prefixes out of all of them, from everywhere.
fn deal(all: Vec<Prefix>, spare: usize) -> (Vec<Prefix>, Vec<Prefix>) {
    let every = all.len() / spare.max(1);
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    for (index, prefix) in all.into_iter().enumerate() {
        if taken.len() < spare && index % every == every / 2 {
            taken.push(prefix);
        } else {
            kept.push(prefix);
        }
    }
    (kept, taken)
}

/// At most [`WATCHED`] of the prefixes, from the first to the last.
fn spread(prefixes: &[Prefix]) -> impl Iterator<Item = Prefix> {
    let watched = WATCHED.min(prefixes.len());
    let last = prefixes.len() - 1;
    (0..watched).map(move |nth| prefixes[nth * last / (watched - 1).max(1)])
}

/// From 16.0.0.0 to 95.255.255.255 nothing is reserved, so a feed may have all of it.
const BLOCKS_V4: u64 = (96 - 16) << 16;

fn prefix_v4(block: u64, random: &mut Random) -> Prefix {
    let first = Ipv4Addr::from_bits((16 << 24) + ((block as u32) << 8));
    Prefix {
        first: first.into(),
        length: 24 + random.below(9) as u8,
    }
}

/// Blocks of 2a00::/16.
const BLOCKS_V6: u64 = 1 << 32;

fn prefix_v6(block: u64, random: &mut Random) -> Prefix {
    let first = Ipv6Addr::from_bits((0x2a00 << 112) + (u128::from(block) << 80));
    Prefix {
        first: first.into(),
        length: 48 + random.below(81) as u8,
    }
}

impl Prefix {
    fn last(self) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => {
                let host = u32::MAX.checked_shr(self.length.into()).unwrap_or(0);
                Ipv4Addr::from_bits(first.to_bits() | host).into()
            }
            IpAddr::V6(first) => {
                let host = u128::MAX.checked_shr(self.length.into()).unwrap_or(0);
                Ipv6Addr::from_bits(first.to_bits() | host).into()
            }
        }
    }

    /// The address after the last one.
    fn behind(self) -> IpAddr {
        match self.last() {
            IpAddr::V4(last) => Ipv4Addr::from_bits(last.to_bits() + 1).into(),
            IpAddr::V6(last) => Ipv6Addr::from_bits(last.to_bits() + 1).into(),
        }
    }
}

/// Splitmix64: the same seed gives the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(prefix: Prefix, address: IpAddr) -> bool {
        prefix.first <= address && address <= prefix.last()
    }

    #[test]
    fn every_list_holds_the_members_and_no_list_a_stranger() {
        for count in [22, 5_000] {
            let feed = Feed::new(count, 10);
            assert_eq!(feed.prefixes.iter().map(Vec::len).sum::<usize>(), count);
            for family in 0..2 {
                let lists = || feed.prefixes[family].iter();
                let all = || lists().chain(&feed.spare[family]);
                assert_eq!(feed.spare[family].len(), 10);
                for member in &feed.members()[family] {
                    assert!(lists().any(|prefix| holds(*prefix, *member)), "{member}");
                }
                for stranger in &feed.strangers()[family] {
                    assert!(!all().any(|prefix| holds(*prefix, *stranger)), "{stranger}");
                }
            }
        }
    }

    #[test]
    fn neighbouring_lists_differ_in_one_prefix_of_each_family() {
        let feed = Feed::new(22, 10);
        let lines = |nth| feed.text(nth).lines().map(str::to_owned).collect();
        let (one, other): (BTreeSet<String>, BTreeSet<String>) = (lines(3), lines(4));
        assert_eq!(one.len(), 24);
        assert_eq!(one.difference(&other).count(), 2);
        assert_eq!(other.difference(&one).count(), 2);
    }
}
