//! The names that nft has for numbers, where the model has no use for them itself.

/// Codes of "destination unreachable" (RFC 792, RFC 1812), as nft calls them.
pub(super) const ICMP_CODES: [(u8, &str); 8] = [
    (0, "net-unreachable"),
    (1, "host-unreachable"),
    (2, "prot-unreachable"),
    (3, "port-unreachable"),
    (4, "frag-needed"),
    (9, "net-prohibited"),
    (10, "host-prohibited"),
    (13, "admin-prohibited"),
];

/// Codes of "destination unreachable" (RFC 4443), as nft calls them.
pub(super) const ICMPV6_CODES: [(u8, &str); 6] = [
    (0, "no-route"),
    (1, "admin-prohibited"),
    (3, "addr-unreachable"),
    (4, "port-unreachable"),
    (5, "policy-fail"),
    (6, "reject-route"),
];

/// Bits of `ct status`, from the lowest (`enum ip_conntrack_status`).
pub(super) const CT_STATUS: [&str; 11] = [
    "expected",
    "seen-reply",
    "assured",
    "confirmed",
    "snat",
    "dnat",
    "seq-adjust",
    "snat-done",
    "dnat-done",
    "dying",
    "fixed-timeout",
];

/// EtherTypes (IEEE), as nft calls them.
pub(super) const ETHER_TYPES: [(u16, &str); 6] = [
    (0x0800, "ip"),
    (0x0806, "arp"),
    (0x86dd, "ip6"),
    (0x8100, "8021q"),
    (0x8100, "vlan"),
    (0x88a8, "8021ad"),
];

/// Types of interfaces (`ARPHRD_*` in `linux/if_arp.h`), as nft calls them.
pub(super) const HARDWARE: [(u16, &str); 7] = [
    (1, "ether"),
    (512, "ppp"),
    (768, "ipip"),
    (769, "ipip6"),
    (772, "loopback"),
    (776, "sit"),
    (778, "ipgre"),
];

/// Code points (IANA, "Differentiated Services Field Codepoints"), as nft calls them.
pub(super) const DSCP: [(u8, &str); 25] = [
    (0, "cs0"),
    (8, "cs1"),
    (16, "cs2"),
    (24, "cs3"),
    (32, "cs4"),
    (40, "cs5"),
    (48, "cs6"),
    (56, "cs7"),
    (0, "df"),
    (0, "be"),
    (1, "lephb"),
    (10, "af11"),
    (12, "af12"),
    (14, "af13"),
    (18, "af21"),
    (20, "af22"),
    (22, "af23"),
    (26, "af31"),
    (28, "af32"),
    (30, "af33"),
    (34, "af41"),
    (36, "af42"),
    (38, "af43"),
    (44, "va"),
    (46, "ef"),
];

/// Explicit congestion notification (RFC 3168), as nft calls it.
pub(super) const ECN: [(u8, &str); 4] = [(0, "not-ect"), (1, "ect1"), (2, "ect0"), (3, "ce")];

/// Days of the week, from 0.
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
