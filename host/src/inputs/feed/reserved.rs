//! Addresses that no host on the public Internet sends from.
//!
//! After IANA's special-purpose address registries for IPv4 and IPv6, less the blocks that these
//! call globally reachable; multicast, address translation and the rest of IPv6 are added. The
//! narrower block comes first, so that it gives the reason.

use portreeve_model::address::{Family, Prefix};
use portreeve_model::intervals::Interval;

/// A block, what it is for, and the document that says so.
type Row = (&'static str, &'static str, &'static str);

const RESERVED: &[Row] = &[
    ("0.0.0.0/8", "this network", "RFC 791"),
    ("10.0.0.0/8", "private use", "RFC 1918"),
    ("100.64.0.0/10", "shared address space", "RFC 6598"),
    ("127.0.0.0/8", "loopback", "RFC 1122"),
    ("169.254.0.0/16", "link local", "RFC 3927"),
    ("172.16.0.0/12", "private use", "RFC 1918"),
    ("192.0.0.0/24", "IETF protocol assignments", "RFC 6890"),
    ("192.0.2.0/24", "documentation", "RFC 5737"),
    (
        "192.88.99.0/24",
        "deprecated 6to4 relay anycast",
        "RFC 7526",
    ),
    ("192.168.0.0/16", "private use", "RFC 1918"),
    ("198.18.0.0/15", "benchmarking", "RFC 2544"),
    ("198.51.100.0/24", "documentation", "RFC 5737"),
    ("203.0.113.0/24", "documentation", "RFC 5737"),
    ("224.0.0.0/4", "multicast", "RFC 5771"),
    ("255.255.255.255", "limited broadcast", "RFC 8190"),
    ("240.0.0.0/4", "reserved", "RFC 1112"),
    ("::", "unspecified address", "RFC 4291"),
    ("::1", "loopback", "RFC 4291"),
    ("::ffff:0:0/96", "IPv4-mapped addresses", "RFC 4291"),
    ("64:ff9b::/96", "IPv4-IPv6 translation", "RFC 6052"),
    ("64:ff9b:1::/48", "local IPv4-IPv6 translation", "RFC 8215"),
    ("100::/64", "discard only", "RFC 6666"),
    ("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    ("2001::/32", "Teredo", "RFC 4380"),
    ("2001:2::/48", "benchmarking", "RFC 5180"),
    ("2001::/23", "IETF protocol assignments", "RFC 2928"),
    ("2001:db8::/32", "documentation", "RFC 3849"),
    ("2002::/16", "6to4", "RFC 3056"),
    ("3fff::/20", "documentation", "RFC 9637"),
    ("5f00::/16", "segment routing identifiers", "RFC 9602"),
    ("fc00::/7", "unique local", "RFC 4193"),
    ("fe80::/10", "link local", "RFC 4291"),
    ("fec0::/10", "deprecated site local", "RFC 3879"),
    ("ff00::/8", "multicast", "RFC 4291"),
    ("::/3", "not global unicast", "RFC 4291"),
    ("4000::/2", "not global unicast", "RFC 4291"),
    ("8000::/1", "not global unicast", "RFC 4291"),
];

/// The table, ready to be asked for each prefix of a long list.
pub(super) struct Reserved([Vec<(Interval, &'static Row)>; 2]);

impl Reserved {
    pub(super) fn new() -> Self {
        let of_family = |family: Family| {
            let row = |row: &'static Row| {
                let block: Prefix = row.0.parse().expect("the table holds prefixes");
                (block.family() == family).then(|| (block.interval(), row))
            };
            RESERVED.iter().filter_map(row).collect()
        };
        Self(Family::BOTH.map(of_family))
    }

    /// The first reserved block that shares an address with `prefix`.
    pub(super) fn shares(&self, prefix: Prefix) -> Option<&'static Row> {
        let interval = prefix.interval();
        let overlaps =
            |block: &Interval| block.first() <= interval.last() && interval.first() <= block.last();
        self.0[usize::from(prefix.family() == Family::Ip6)]
            .iter()
            .find(|(block, _)| overlaps(block))
            .map(|(_, row)| *row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_found_from_its_first_and_last_address() {
        let reserved = Reserved::new();
        for row in RESERVED {
            let block: Prefix = row.0.parse().unwrap();
            for end in [block.interval().first(), block.interval().last()] {
                let address = block.family().address(end);
                let single = Prefix::around(address, 128);
                assert!(reserved.shares(single).is_some(), "{single} of {}", row.0);
            }
            let (reason, ..) = reserved.shares(block).unwrap();
            let reason: Prefix = reason.parse().unwrap();
            let both = Prefix::around(reason.address(), block.length());
            assert_eq!(both, block, "the reason {reason} lies inside {}", row.0);
        }
    }

    #[test]
    fn public_neighbours_of_reserved_blocks_are_not_refused() {
        let reserved = Reserved::new();
        let public = [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "192.0.1.0",
            "223.255.255.255",
            "2001:200::",
            "2003::",
            "2c0f:f248::",
            "2001:db7::",
            "2001:db9::",
            "2001:4860::",
            "3ffe::",
        ];
        for text in public {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(reserved.shares(prefix), None, "{text}");
        }
        let wide: Prefix = "192.0.0.0/8".parse().unwrap();
        assert_eq!(reserved.shares(wide).map(|row| row.0), Some("192.0.0.0/24"));
    }
}
