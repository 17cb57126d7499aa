//! The names under which nft may list transport protocols.
//!
//! nft takes them from the machine's `/etc/protocols`, so `nft -n`, which lists numbers, is the
//! surer way. These are the names that Debian 12 and its relatives ship.

/// Number and name, sorted.
const PROTOCOLS: &[(u8, &str)] = &[
    (0, "hopopt"),
    (0, "ip"),
    (1, "icmp"),
    (2, "igmp"),
    (3, "ggp"),
    (4, "ipencap"),
    (5, "st"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (12, "pup"),
    (17, "udp"),
    (20, "hmp"),
    (22, "xns-idp"),
    (27, "rdp"),
    (29, "iso-tp4"),
    (33, "dccp"),
    (36, "xtp"),
    (37, "ddp"),
    (38, "idpr-cmtp"),
    (41, "ipv6"),
    (43, "ipv6-route"),
    (44, "ipv6-frag"),
    (45, "idrp"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (57, "skip"),
    (58, "icmpv6"),
    (58, "ipv6-icmp"),
    (59, "ipv6-nonxt"),
    (60, "ipv6-opts"),
    (73, "rspf"),
    (81, "vmtp"),
    (88, "eigrp"),
    (89, "ospf"),
    (93, "ax.25"),
    (94, "ipip"),
    (97, "etherip"),
    (98, "encap"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (124, "isis"),
    (132, "sctp"),
    (133, "fc"),
    (135, "mobility-header"),
    (136, "udplite"),
    (137, "mpls-in-ip"),
    (138, "manet"),
    (139, "hip"),
    (140, "shim6"),
    (141, "wesp"),
    (142, "rohc"),
    (143, "ethernet"),
];

/// The number of the protocol that nft lists as `name`.
pub(crate) fn number(name: &str) -> Option<u8> {
    PROTOCOLS
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(number, _)| *number)
}

/// Number and name of services, sorted: those that `/etc/services` has everywhere, under the names
/// that IANA gives them.
const SERVICES: &[(u16, &str)] = &[
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (53, "domain"),
    (67, "bootps"),
    (68, "bootpc"),
    (69, "tftp"),
    (80, "http"),
    (88, "kerberos"),
    (110, "pop3"),
    (111, "sunrpc"),
    (123, "ntp"),
    (137, "netbios-ns"),
    (138, "netbios-dgm"),
    (139, "netbios-ssn"),
    (161, "snmp"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (445, "microsoft-ds"),
    (514, "syslog"),
    (587, "submission"),
    (636, "ldaps"),
    (853, "domain-s"),
    (873, "rsync"),
    (993, "imaps"),
    (995, "pop3s"),
    (2049, "nfs"),
    (3306, "mysql"),
    (5432, "postgresql"),
];

/// The port of the service that nft lists as `name`; only `nft -S` does.
pub(crate) fn service(name: &str) -> Option<u16> {
    SERVICES
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(port, _)| *port)
}

#[cfg(test)]
mod tests {
    use portreeve_model::field::protocol_name;

    use super::*;

    #[test]
    fn every_protocol_that_the_model_names_is_known() {
        for protocol in 0..=u8::MAX {
            if let Some(name) = protocol_name(protocol) {
                assert_eq!(number(name), Some(protocol));
            }
        }
        assert!(PROTOCOLS.is_sorted());
        assert!(SERVICES.is_sorted());
    }
}
