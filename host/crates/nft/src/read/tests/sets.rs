//! Sets, maps, and their elements.

use portreeve_model::tables::{Data, Elements, Set, Verdict};

use super::{CHAIN, TABLE, split, tables, written_out};

/// The set or map that is listed with these attributes besides its name.
fn set(kind: &str, attributes: &str) -> Set {
    let set = format!(
        r#"{{"{kind}": {{"family": "inet", "table": "t", "name": "s", {}}}}}"#,
        written_out(attributes)
    );
    // Older versions list sets before chains.
    let mut tables = tables(&[TABLE, &set, CHAIN]);
    let mut table = tables.tables.pop().expect("the table");
    assert_eq!(table.unknown, [] as [String; 0]);
    table.sets.pop().expect("the set")
}

fn text(set: &Set) -> String {
    match &set.elements {
        None => "unknown".to_owned(),
        Some(Elements::Numbers(numbers)) => set.key[0].texts(numbers).join(", "),
        Some(Elements::Rows(rows)) => {
            let rows = rows.all().iter().map(|row| {
                let parts = row.key.iter().zip(&set.key);
                let parts = parts.map(|(interval, kind)| kind.interval(*interval));
                let key = parts.collect::<Vec<_>>().join(" . ");
                match &row.data {
                    Data::None => key,
                    data => format!("{key} : {data:?}"),
                }
            });
            rows.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Rows of the attributes of a set or a map, and of its elements.
fn check(kind: &str, rows: &str) {
    for (attributes, expected) in split(rows) {
        assert_eq!(text(&set(kind, &attributes)), expected, "{attributes}");
    }
}

#[test]
fn elements_of_every_type() {
    check(
        "set",
        r#"
        "type": "ipv4_addr", "elem": ["192.0.2.1", {"prefix": {"addr": "10.0.0.0", "len": 8}},
                                      {"range": ["192.0.2.7", "192.0.2.9"]}]
            => 10.0.0.0/8, 192.0.2.1, 192.0.2.7-192.0.2.9
        "type": "ipv4_addr"                                   =>
        "type": "ipv6_addr", "elem": ["2001:db8::1", "::"]    => ::, 2001:db8::1
        "type": "inet_service", "elem": [22, {"range": [80, 90]}]  => 22, 80-90
        "type": "inet_proto", "elem": ["tcp", 253]            => tcp, 253
        "type": "ifname", "flags": ["interval"], "elem": ["lo", "eth*"]  => "eth*", "lo"
        // There, it is a name with a star.
        "type": "ifname", "elem": ["lo", "eth*"]              => unknown
        "type": "ifname", "elem": ["lo", "eth0"]              => "eth0", "lo"
        "type": "iface_index", "elem": ["lo"]                 => "lo"
        "type": "iface_index", "elem": ["7"]                  => unknown
        "type": "mark", "elem": [5, {"range": [16, 18]}]      => 0x5, 0x10-0x12
        "type": "icmpv6_type", "elem": ["nd-redirect"]        => nd-redirect
        "type": "ct_state", "elem": ["new", "related"]        => related, new
        "type": "dscp", "elem": ["cs1", 63]                   => 8, 63
        "type": "ether_addr", "elem": ["00:11:22:33:44:55"]   => 00:11:22:33:44:55
        "type": "integer", "elem": [9]                        => 9
        "type": "ipv4_addr", "elem": ["*"]                    => 0.0.0.0-255.255.255.255
        "type": "fantasy", "elem": [1]                        => unknown
        "type": "mark", "elem": ["vpn"]                       => unknown
        "type": "ipv4_addr", "elem": [7]                      => unknown
        "type": "ipv4_addr", "elem": [true, null, -1, 1.5]    => unknown
        "type": "ipv4_addr", "elem": 7                        => unknown
        "type": "ipv4_addr", "elem": [], "new": 1             => unknown
        "#,
    );
}

#[test]
fn elements_with_attributes() {
    let one = |attributes: &str| {
        let elements = format!(r#"[{{"elem": {{"val": "192.0.2.1", {attributes}}}}}]"#);
        let set = set(
            "set",
            &format!(r#""type": "ipv4_addr", "elem": {elements}"#),
        );
        (text(&set), set.changing)
    };
    let there = "192.0.2.1".to_owned();
    assert_eq!(one(r#""comment": "x""#), (there.clone(), false));
    assert_eq!(
        one(r#""counter": {"packets": 0, "bytes": 0}"#),
        (there.clone(), false)
    );
    assert_eq!(one(r#""timeout": 60, "expires": 30"#), (there, true));
    // One with a limit is found or not, as the limit says.
    assert_eq!(
        one(r#""limit": {"rate": 5, "burst": 5, "per": "second"}"#).0,
        "unknown"
    );
    assert_eq!(one(r#""new": 1"#).0, "unknown");
}

#[test]
fn concatenations_and_types_by_expression() {
    check(
        "set",
        r#"
        "type": ["ipv4_addr", "inet_service"],
        "elem": [{"concat": ["192.0.2.1", 22]},
                 {"concat": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, {"range": [80, 90]}]}]
            => 10.0.0.0/8 . 80-90, 192.0.2.1 . 22
        "type": ["ipv4_addr", "inet_service"], "elem": [{"concat": ["192.0.2.1"]}]
            => unknown
        // As 1.1 lists sets that were declared with `typeof`.
        "type": {"typeof": $ip.saddr}, "elem": ["192.0.2.1"]
            => 192.0.2.1
        "type": {"typeof": {"concat": [$ip.saddr, $meta.iif]}},
        "elem": [{"concat": ["192.0.2.1", "lo"]}]
            => 192.0.2.1 . "lo"
        "type": {"typeof": $vlan.id}, "elem": [5]
            => unknown
        "#,
    );
}

#[test]
fn maps() {
    check(
        "map",
        r#"
        "type": "ipv4_addr", "map": "mark", "elem": [["192.0.2.1", 5]]
            => 192.0.2.1 : Value([5])
        "type": "inet_service", "map": "verdict",
        "elem": [[22, {"jump": {"target": "web"}}],
                 [{"elem": {"val": 23, "comment": "no"}}, {"drop": null}]]
            => 22 : Verdict(Jump(ChainIndex(0))), 23 : Verdict(Drop)
        // Both ways of writing data of two parts.
        "type": "inet_service", "map": "ipv4_addr . inet_service",
        "elem": [[80, {"concat": ["192.0.2.7", 8080]}]]
            => 80 : Value([3221225991, 8080])
        "type": "inet_service", "map": ["ipv4_addr", "inet_service"],
        "elem": [[80, {"concat": ["192.0.2.7", 8080]}]]
            => 80 : Value([3221225991, 8080])
        "type": "inet_service", "map": "inet_service", "elem": [[80, {"range": [8080, 8089]}]]
            => 80 : Range([Interval { first: 8080, last: 8089 }])
        "type": "ipv4_addr", "map": "counter", "elem": [["192.0.2.1", "visits"]]
            => 192.0.2.1 : Unknown
        // A verdict that leads to a chain that is not there.
        "type": "inet_service", "map": "verdict", "elem": [[22, {"jump": {"target": "gone"}}]]
            => unknown
        "#,
    );
}

/// `*` is for every key that has no element of its own.
#[test]
fn the_element_for_all_others() {
    let set = set(
        "map",
        r#""type": "inet_service", "map": "verdict",
           "elem": [[{"range": [0, 9]}, {"accept": null}], ["*", {"drop": null}]]"#,
    );
    let Some(Elements::Rows(rows)) = set.elements else {
        panic!("rows");
    };
    let of = |port| {
        rows.beginning_with(port)
            .map(|row| &row.data)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(9), [&Data::Verdict(Verdict::Accept)]);
    assert_eq!(of(10), [&Data::Verdict(Verdict::Drop)]);
}

#[test]
fn sets_that_packets_and_time_change() {
    let changing =
        |attributes: &str| set("set", &format!(r#""type": "ipv4_addr", {attributes}"#)).changing;
    assert!(changing(r#""flags": ["dynamic"]"#));
    assert!(changing(r#""flags": "dynamic""#));
    assert!(changing(r#""timeout": 60"#));
    assert!(!changing(r#""flags": ["timeout"]"#));
    assert!(!changing(
        r#""flags": ["interval"], "auto-merge": true, "policy": "memory""#
    ));
}

/// nft 1.0.6 does not list `dynamic`, but the rules that make the set so.
#[test]
fn sets_that_rules_change() {
    let changed_by = |part: &str| {
        let set = r#"{"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr"}}"#;
        let part = written_out(part);
        let rule = format!(
            r#"{{"rule": {{"family": "inet", "table": "t", "chain": "web", "expr": [{part}]}}}}"#
        );
        tables(&[TABLE, set, CHAIN, &rule]).tables[0].sets[0].changing
    };
    for op in ["add", "update", "delete"] {
        let part = format!(r#"{{"set": {{"op": "{op}", "elem": $ip.saddr, "set": "@s"}}}}"#);
        assert!(changed_by(&part));
    }
    assert!(changed_by(r#""add @s { ip saddr }""#));
    assert!(changed_by(r#""jump { add @s { ip saddr } }""#));
    assert!(!changed_by(
        r#"{"match": {"op": "==", "left": $ip.saddr, "right": "@s"}}"#
    ));
}
