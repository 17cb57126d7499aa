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
