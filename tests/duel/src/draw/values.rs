//! Random values, near each other, and how nft writes sets of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use portreeve_model::address::Family;

use crate::random::Random;

/// The numbers from the first to the last, both included.
pub type Span = (u128, u128);

/// One to `most` spans with ends from `pick`, sorted, disjoint and not adjacent.
pub fn spans(
    random: &mut Random,
    most: usize,
    mut pick: impl FnMut(&mut Random) -> u128,
) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for _ in 0..=random.up_to(most) {
        let one = pick(random);
        let other = if random.one_in(2) { one } else { pick(random) };
        found.push((one.min(other), one.max(other)));
    }
    merged(found)
}

/// The same numbers, sorted, disjoint and not adjacent.
#[must_use]
pub fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for (first, last) in spans {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Numbers at the edges of a span: inside, and just outside of it.
pub fn edges(random: &mut Random, (first, last): Span) -> ([u128; 3], [u128; 2]) {
    let inside = first + u128::from(random.next()) % (last - first).saturating_add(1);
    (
        [first, last, inside],
        [first.wrapping_sub(1), last.wrapping_add(1)],
    )
}

/// How nft writes an address.
#[must_use]
pub fn address_text(family: Family, bits: u128) -> String {
    match family {
        Family::Ip => Ipv4Addr::from(bits as u32).to_string(),
        Family::Ip6 => Ipv6Addr::from(bits).to_string(),
    }
}

/// How nft writes a span of addresses: as a prefix where it is one and chance will.
pub fn address_span(random: &mut Random, family: Family, (first, last): Span) -> String {
    let bits = match family {
        Family::Ip => 32,
        Family::Ip6 => 128,
    };
    let text = |address| address_text(family, address);
    let size = (last - first).wrapping_add(1);
    if first == last {
        return text(first);
    }
    if size.is_power_of_two() && first % size == 0 && random.one_in(2) {
        return format!("{}/{}", text(first), bits - size.trailing_zeros());
    }
    format!("{}-{}", text(first), text(last))
}

/// How nft writes a span of numbers.
#[must_use]
pub fn number_span((first, last): Span) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// An address of the machine, mostly one of few.
pub fn local(random: &mut Random, family: Family) -> u128 {
    let host = low_bits(random, 0x3fff);
    match family {
        Family::Ip => 0x0a00_0000 | host,
        Family::Ip6 => 0xfd00 << 112 | host,
    }
}

/// An address behind one of the interfaces, mostly one of few.
pub fn remote(random: &mut Random, family: Family) -> u128 {
    let (net4, net6) = random.pick(&[
        (0xc612_0000, 0x18),
        (0xc613_0000, 0x19),
        (0xcb00_7100, 0x203),
        (0xc000_0200, 0x192),
    ]);
    match family {
        Family::Ip if net4 >> 24 == 0xc6 => net4 | low_bits(random, 0xffff),
        Family::Ip => net4 | low_bits(random, 0xff),
        Family::Ip6 => (0x2001_0db8_u128 << 96 | net6 << 80) | low_bits(random, 0xffff_ffff),
    }
}

/// Addresses of groups: all machines, which each is in, and others that this one is not in.
#[must_use]
pub const fn groups(family: Family) -> [u128; 3] {
    match family {
        Family::Ip => [0xe000_0001, 0xe000_00fb, 0xef01_0203],
        Family::Ip6 => [
            0xff02 << 112 | 1,
            0xff02 << 112 | 0xfb,
            0xff0e << 112 | 0x1234,
        ],
    }
}

/// A sender's address.
pub fn source(random: &mut Random, family: Family) -> u128 {
    match random.up_to(8) {
        0 => local(random, family),
        1 => match family {
            // Neither 0/8, 127/8 nor anything from 224/8 on can send.
            Family::Ip => u128::from(0x0100_0000 + random.next() as u32 % 0x7e00_0000),
            Family::Ip6 => {
                0x2000 << 112 | u128::from(random.next()) << 48 | low_bits(random, 0xffff)
            }
        },
        _ => remote(random, family),
    }
}

/// A number of few bits: most often one of the same few.
fn low_bits(random: &mut Random, mask: u128) -> u128 {
    let any = u128::from(random.next());
    let few = match random.up_to(3) {
        0 => 0xff,
        1 => 0x307,
        _ => u128::MAX,
    };
    any & few & mask
}

/// A port, mostly one that others have too.
pub fn port(random: &mut Random) -> u128 {
    match random.up_to(4) {
        0 => u128::from(random.next() as u16),
        1 => random.pick(&[0, 1, 1023, 1024, 0x7fff, 0x8000, 65534, 65535]),
        _ => random.pick(&[22, 25, 53, 80, 123, 443, 8080, 8443]),
    }
}
