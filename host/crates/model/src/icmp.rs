//! The names that nft(8) gives to ICMP and ICMPv6 types.

use crate::address::Family;

/// `icmp type` names (IANA, "ICMP Type Numbers").
const ICMP: &[(u8, &str)] = &[
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (4, "source-quench"),
    (5, "redirect"),
    (8, "echo-request"),
    (9, "router-advertisement"),
    (10, "router-solicitation"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
    (13, "timestamp-request"),
    (14, "timestamp-reply"),
    (15, "info-request"),
    (16, "info-reply"),
    (17, "address-mask-request"),
    (18, "address-mask-reply"),
];

/// `icmpv6 type` names (IANA, "ICMPv6 type Numbers").
const ICMPV6: &[(u8, &str)] = &[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (130, "mld-listener-query"),
    (131, "mld-listener-report"),
    (132, "mld-listener-done"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
    (138, "router-renumbering"),
    (141, "ind-neighbor-solicit"),
    (142, "ind-neighbor-advert"),
    (143, "mld2-listener-report"),
];

const fn table(family: Family) -> &'static [(u8, &'static str)] {
    match family {
        Family::Ip => ICMP,
        Family::Ip6 => ICMPV6,
    }
}

/// nft's name for a type, when it has one.
#[must_use]
pub fn type_name(family: Family, number: u8) -> Option<&'static str> {
    table(family)
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}

/// The type that nft calls `name`.
#[must_use]
pub fn type_number(family: Family, name: &str) -> Option<u8> {
    // nft's second name for type 132 (`mld-listener-reduction`) is what version 1.0.6 lists.
    let name = if name == "mld-listener-reduction" {
        "mld-listener-done"
    } else {
        name
    };
    table(family)
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(number, _)| *number)
}

/// Whether the type belongs to neighbour discovery (RFC 4861), which is valid on the link only:
/// the hop limit of an honest one is 255.
#[must_use]
pub const fn is_neighbour_discovery(icmpv6_type: u8) -> bool {
    matches!(icmpv6_type, 133..=137)
}

/// Whether the type belongs to multicast listener discovery (RFC 2710, RFC 3810): hop limit 1.
#[must_use]
pub const fn is_listener_discovery(icmpv6_type: u8) -> bool {
    matches!(icmpv6_type, 130..=132 | 143)
}

/// Whether messages of the type tell more by their code; of all others the code is 0 (RFC 792,
/// RFC 4443).
#[must_use]
pub const fn has_codes(family: Family, icmp_type: u8) -> bool {
    match family {
        Family::Ip => matches!(icmp_type, 3 | 5 | 11 | 12),
        Family::Ip6 => matches!(icmp_type, 1 | 3 | 4 | 138),
    }
}

/// Codes of "destination unreachable" with which nft rejects, as it calls them (RFC 792, RFC 1812).
const UNREACHABLE: &[(u8, &str)] = &[
    (0, "net-unreachable"),
    (1, "host-unreachable"),
    (2, "prot-unreachable"),
    (3, "port-unreachable"),
    (9, "net-prohibited"),
    (10, "host-prohibited"),
    (13, "admin-prohibited"),
];

/// The same of ICMPv6 (RFC 4443).
const UNREACHABLE_V6: &[(u8, &str)] = &[
    (0, "no-route"),
    (1, "admin-prohibited"),
    (3, "addr-unreachable"),
    (4, "port-unreachable"),
    (5, "policy-fail"),
    (6, "reject-route"),
];

/// The codes of "destination unreachable" that nft names, with their names.
#[must_use]
pub const fn unreachable(family: Family) -> &'static [(u8, &'static str)] {
    match family {
        Family::Ip => UNREACHABLE,
        Family::Ip6 => UNREACHABLE_V6,
    }
}

/// nft's name for a code of "destination unreachable", when it has one.
#[must_use]
pub fn unreachable_name(family: Family, code: u8) -> Option<&'static str> {
    let mut known = unreachable(family).iter();
    known.find(|(of, _)| *of == code).map(|(_, name)| *name)
}

/// The code of "destination unreachable" that nft calls `name`.
#[must_use]
pub fn unreachable_code(family: Family, name: &str) -> Option<u8> {
    let mut known = unreachable(family).iter();
    known.find(|(_, of)| *of == name).map(|(code, _)| *code)
}
