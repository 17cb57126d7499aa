//! Documents: listings and transactions, tables and chains.

use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{Attachment, Base, ChainType, TableFamily};

use super::{read, tables};

#[test]
fn a_listing_keeps_the_order_of_registration() {
    let tables = tables(&[
        r#"{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}"#,
        r#"{"table": {"family": "ip", "name": "b", "handle": 1}}"#,
        r#"{"chain": {"family": "ip", "table": "b", "name": "z", "handle": 1}}"#,
        r#"{"chain": {"family": "ip", "table": "b", "name": "a", "handle": 2}}"#,
        r#"{"rule": {"family": "ip", "table": "b", "chain": "a", "handle": 5,
         "comment": "first", "expr": [{"accept": null}]}}"#,
        r#"{"rule": {"family": "ip", "table": "b", "chain": "a", "handle": 4,
         "expr": [{"drop": null}]}}"#,
        r#"{"table": {"family": "inet", "name": "b", "handle": 2, "flags":
         "dormant", "comment": "x"}}"#,
        r#"{"table": {"family": "ip6", "name": "a", "handle": 3, "flags": ["owner",
         "persist"]}}"#,
    ]);
    let names: Vec<_> = tables
        .tables
        .iter()
        .map(|table| (table.family, table.name.as_str(), table.dormant))
        .collect();
    let expected = [
        (TableFamily::Ip, "b", false),
        (TableFamily::Inet, "b", true),
        (TableFamily::Ip6, "a", false),
    ];
    assert_eq!(names, expected);
    let chains = &tables.tables[0].chains;
    assert_eq!(
        (chains[0].name.as_str(), chains[1].name.as_str()),
        ("z", "a")
    );
    let rules = &chains[1].rules;
    assert_eq!(
        (rules[0].handle, rules[0].comment.as_deref()),
        (Some(5), Some("first"))
    );
    assert_eq!(
        (rules[1].handle, rules[1].comment.as_deref()),
        (Some(4), None)
    );
    assert!(tables.unknown.is_empty() && tables.tables[0].unknown.is_empty());
}

/// The base chain that these attributes make.
fn base(family: &str, attributes: &str) -> Option<Base> {
    let table = format!(r#"{{"table": {{"family": "{family}", "name": "t"}}}}"#);
    let chain =
        format!(r#"{{"chain": {{"family": "{family}", "table": "t", "name": "c"{attributes}}}}}"#);
    tables(&[&table, &chain]).tables[0].chains[0].base.clone()
}

#[test]
fn base_chains() {
    let filter = |attachment, priority| {
        Some(Base {
            chain_type: ChainType::Filter,
            attachment,
            priority,
            policy: ChainPolicy::Drop,
        })
    };
    let said = |hook: &str, prio: &str, rest: &str| {
        format!(
            r#", "type": "filter", "hook": "{hook}", "prio": {prio}, "policy":
             "drop"{rest}"#
        )
    };
    assert_eq!(base("inet", ""), None);
    let input = |priority| filter(Attachment::Hook(Hook::Input), priority);
    assert_eq!(base("inet", &said("input", "-150", "")), input(-150));
    assert_eq!(base("inet", &said("input", r#""filter""#, "")), input(0));
    assert_eq!(
        base("inet", &said("input", r#""mangle + 10""#, "")),
        input(-140)
    );
    assert_eq!(
        base("inet", &said("input", r#""dstnat-5""#, "")),
        input(-105)
    );
    assert_eq!(
        base("bridge", &said("input", r#""filter""#, "")),
        input(-200)
    );
    let ingress = |devices: &[&str]| {
        let devices = devices.iter().map(|device| (*device).to_owned());
        filter(Attachment::Ingress(devices.collect()), 0)
    };
    let one = said("ingress", "0", r#", "dev": "eth0""#);
    assert_eq!(base("netdev", &one), ingress(&["eth0"]));
    let two = said("ingress", "0", r#", "dev": ["eth0", "wan*"]"#);
    assert_eq!(base("netdev", &two), ingress(&["eth0", "wan*"]));
    let nat = r#", "type": "nat", "hook": "prerouting", "prio": -100"#;
    let nat = base("ip", nat).expect("a base chain");
    assert_eq!(
        (nat.chain_type, nat.policy),
        (ChainType::Nat, ChainPolicy::Accept)
    );
}

/// A base chain at a place that is not known may be anywhere.
#[test]
fn base_chains_of_unknown_place() {
    for strange in [
        r#", "type": "fancy", "hook": "input", "prio": 0"#,
        r#", "type": "filter", "hook": "fancy", "prio": 0"#,
        r#", "type": "filter", "hook": "input", "prio": "fancy""#,
        r#", "type": "filter", "hook": "input", "prio": 99999999999"#,
        r#", "type": "filter", "hook": "input", "prio": 0, "policy": "fancy""#,
        r#", "hook": "input""#,
    ] {
        let base = base("inet", strange).expect("a base chain");
        assert!(
            matches!(base.attachment, Attachment::Unknown(_)),
            "{strange}"
        );
    }
}

/// Until version 1.1 nft lists the only flag of a table as some other word, often the table's name:
/// whether the table is switched off is then not known.
#[test]
fn tables_with_a_flag_that_is_not_known() {
    for flags in [r#""asleep""#, r#"["fancy"]"#, "7"] {
        let table =
            format!(r#"{{"table": {{"family": "inet", "name": "asleep", "flags": {flags}}}}}"#);
        let chain = r#"{"chain": {"family": "inet", "table": "asleep", "name": "c", "type":
                       "filter", "hook": "input", "prio": 0, "policy": "drop"}}"#;
        let tables = tables(&[&table, chain]);
        let table = &tables.tables[0];
        let base = table.chains[0].base.as_ref().expect("a base chain");
        let place = "input, unless the table is dormant".to_owned();
        assert_eq!(base.attachment, Attachment::Unknown(place));
        assert_eq!((table.dormant, table.unknown.len()), (false, 1));
    }
}

#[test]
fn what_a_listing_has_besides() {
    let tables = tables(&[
        r#"{"table": {"family": "inet", "name": "t"}}"#,
        r#"{"counter": {"family": "inet", "table": "t", "name": "c", "packets": 1}}"#,
        r#"{"flowtable": {"family": "inet", "table": "t", "name": "f", "dev":
         "lo"}}"#,
        r#"{"fancy": {"family": "inet", "table": "t", "name": "x"}}"#,
        r#"{"chain": {"family": "inet", "table": "t", "name": "c", "new": 1}}"#,
        r#"{"rule": {"family": "inet", "table": "t", "chain": "gone", "expr": []}}"#,
        r#"{"rule": {"family": "inet", "table": "gone", "chain": "c", "expr": []}}"#,
        r#"{"table": {"family": "fancy", "name": "t"}}"#,
        r#"{"two": 1, "kinds": 2}"#,
        "7",
    ]);
    let table = &tables.tables[0];
    assert_eq!(table.unknown.len(), 3, "{:?}", table.unknown);
    assert_eq!(tables.unknown.len(), 4, "{:?}", tables.unknown);
}

/// A rule that has not the form of one is opaque as a whole.
#[test]
fn strange_rules_are_one_opaque_part() {
    for attributes in [r#""expr": 7"#, r#""expr": [], "new": 1"#, r#""expr": {}"#] {
        let rule = format!(
            r#"{{"rule": {{"family": "ip", "table": "t", "chain": "c",
             {attributes}}}}}"#
        );
        let tables = tables(&[
            r#"{"table": {"family": "ip", "name": "t"}}"#,
            r#"{"chain": {"family": "ip", "table": "t", "name": "c"}}"#,
            &rule,
        ]);
        let parts = &tables.tables[0].chains[0].rules[0].parts;
        assert!(
            matches!(parts.as_slice(), [portreeve_model::tables::Part::Opaque(_)]),
            "{parts:?}"
        );
    }
}

#[test]
fn transactions() {
    let tables = tables(&[
        r#"{"add": {"table": {"family": "inet", "name": "t"}}}"#,
        r#"{"add": {"chain": {"family": "inet", "table": "t", "name": "old"}}}"#,
        r#"{"delete": {"table": {"family": "inet", "name": "t"}}}"#,
        r#"{"create": {"table": {"family": "inet", "name": "t"}}}"#,
        r#"{"add": {"set": {"family": "inet", "table": "t", "name": "s", "type":
         "ipv4_addr", "elem": ["192.0.2.1"]}}}"#,
        r#"{"add": {"element": {"family": "inet", "table": "t", "name": "s",
         "elem": ["192.0.2.2"]}}}"#,
        r#"{"add": {"chain": {"family": "inet", "table": "t", "name": "new"}}}"#,
        r#"{"add": {"rule": {"family": "inet", "table": "t", "chain": "new",
         "expr": [{"accept": null}]}}}"#,
        r#"{"insert": {"rule": {"family": "inet", "table": "t", "chain": "new",
         "expr": [{"drop": null}]}}}"#,
    ]);
    let table = &tables.tables[0];
    assert!(!table.listed);
    assert_eq!(table.chains.len(), 1);
    assert_eq!(table.chains[0].rules.len(), 1);
    let set = &table.sets[0];
    let Some(portreeve_model::tables::Elements::Numbers(numbers)) = &set.elements else {
        panic!("numbers");
    };
    assert_eq!(set.key[0].texts(numbers), ["192.0.2.1-192.0.2.2"]);
    // What a command does that is not known is not passed over.
    assert_eq!(tables.unknown.len(), 1);
    let emptied = super::tables(&[
        r#"{"add": {"table": {"family": "inet", "name": "t"}}}"#,
        r#"{"flush": {"ruleset": null}}"#,
    ]);
    assert!(emptied.tables.is_empty() && emptied.unknown.is_empty());
}

#[test]
fn only_what_is_no_json_is_refused() {
    for broken in ["", "{", r#"{"nftables": ["#, r#"{"nftables": []} x"#, "nft"] {
        assert!(read(broken).is_err(), "{broken}");
    }
    for strange in [
        "7",
        "[]",
        "null",
        r#""x""#,
        "{}",
        r#"{"nftables": 7}"#,
        r#"{"other": []}"#,
    ] {
        let tables = read(strange).expect("JSON");
        assert!(tables.tables.is_empty());
        assert_eq!(tables.unknown.is_empty(), strange == "{}", "{strange}");
    }
}
