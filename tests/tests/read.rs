//! A whole machine's rule set, loaded in a namespace of our own and read as nft lists it.

use std::collections::BTreeMap;

use portreeve_model::evaluate::evaluate;
use portreeve_model::packet::Packet;
use portreeve_model::tables::{Attachment, Elements, Part, Set, Table, Tables};
use portreeve_nft::read;
use portreeve_tests::namespace::Namespace;

const MACHINE: &str = include_str!("read/machine.nft");

/// The listing of the machine, or none where there can be no namespace, which is said.
fn listing(test: &str, options: &[&str]) -> Option<String> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(why) => {
            eprintln!("skipped: {test}: {why}");
            return None;
        }
    };
    let loaded = namespace.nft(&["-f", "-"], MACHINE);
    loaded.unwrap_or_else(|error| panic!("{error}"));
    let arguments = [options, &["list", "ruleset"]].concat();
    Some(namespace.nft(&arguments, "").expect("a listing"))
}

fn tables(json: &str) -> Tables {
    read(json).expect("nft writes JSON")
}

/// Every rule of a table, with its chain.
fn rules(table: &Table) -> impl Iterator<Item = String> {
    let chains = table.chains.iter();
    chains.flat_map(|chain| {
        let rules = chain.rules.iter();
        rules.map(|rule| format!("{}: {}", chain.name, table.rule_text(rule)))
    })
}

/// The parts that are not known, by table.
fn opaque(tables: &Tables) -> BTreeMap<&str, usize> {
    let mut opaque = BTreeMap::new();
    for table in &tables.tables {
        let rules = table.chains.iter().flat_map(|chain| &chain.rules);
        let parts = rules.flat_map(|rule| &rule.parts);
        let count = parts.filter(|part| matches!(part, Part::Opaque(_))).count();
        if count > 0 {
            opaque.insert(table.name.as_str(), count);
        }
    }
    opaque
}

/// Losing this, nothing that portreeve says of a machine with other people's rules would be true.
#[test]
fn a_whole_machine_is_read() {
    let Some(json) = listing("a_whole_machine_is_read", &["-j"]) else {
        return;
    };
    let tables = tables(&json);
    let names: Vec<_> = tables
        .tables
        .iter()
        .map(|table| (table.family.keyword(), table.name.as_str()))
        .collect();
    let expected = [
        ("ip", "filter"),
        ("ip", "nat"),
        ("ip6", "filter"),
        ("inet", "f2b-table"),
        ("inet", "machine"),
        ("arp", "guard"),
        ("bridge", "bridged"),
        ("netdev", "edge"),
        ("ip", "asleep"),
    ];
    assert_eq!(names, expected);
    assert_eq!(tables.unknown, [] as [String; 0]);
    // Options and extension headers, and what ARP asks, are no fields.
    let expected = BTreeMap::from([("filter", 1), ("guard", 1), ("machine", 1)]);
    assert_eq!(opaque(&tables), expected);
    let rules: Vec<String> = tables.tables.iter().flat_map(rules).collect();
    for expected in [
        "DOCKER: iifname != \"docker0\" tcp dport 8080 counter dnat ip to 172.17.0.2:80",
        "POSTROUTING: oifname \"wg*\" snat ip to 198.51.100.1-198.51.100.4 persistent",
        "f2b-chain: tcp dport 22 ip saddr @addr-set-sshd reject with icmp type 3",
        "early: iifname \"eth0\" fib saddr . iif oif missing drop",
        "input: ip saddr . meta l4proto . th dport @services accept",
        "input: iifname vmap @ways",
        "input: meta l4proto tcp reject with tcp reset",
        "output: meta nfproto ipv4 ip dscp set 8",
    ] {
        assert!(
            rules.iter().any(|rule| rule == expected),
            "{expected}\n{rules:#?}"
        );
    }
}

/// A switched off table decides nothing; one that nft does not say enough of may.
#[test]
fn a_dormant_table_is_known_or_named() {
    let Some(json) = listing("a_dormant_table_is_known_or_named", &["-j"]) else {
        return;
    };
    let tables = tables(&json);
    let asleep = tables.tables.last().expect("the last table");
    let base = asleep.chains[0].base.as_ref().expect("a base chain");
    let is_doubtful = matches!(base.attachment, Attachment::Unknown(_));
    assert!(asleep.dormant || is_doubtful, "{asleep:?}");
}

/// `nft -n` lists numbers where `nft` lists names; both are one rule set.
#[test]
fn numbers_say_what_names_say() {
    let test = "numbers_say_what_names_say";
    let (Some(names), Some(numbers)) = (listing(test, &["-j"]), listing(test, &["-j", "-n"]))
    else {
        return;
    };
    let (names, numbers) = (tables(&names), tables(&numbers));
    for (names, numbers) in names.tables.iter().zip(&numbers.tables) {
        // EtherTypes and ARP's operations are listed with their bytes exchanged.
        if !["guard", "bridged"].contains(&names.name.as_str()) {
            let differs = rules(names)
                .zip(rules(numbers))
                .find(|(one, other)| one != other);
            assert_eq!(differs, None);
            assert_eq!(names.sets, numbers.sets);
        }
    }
}

/// The ledger's: nobody can tell that a listing is terse.
#[test]
fn a_terse_listing_shows_empty_sets() {
    let test = "a_terse_listing_shows_empty_sets";
    let (Some(terse), Some(whole)) = (listing(test, &["-j", "-t"]), listing(test, &["-j"])) else {
        return;
    };
    let count = |json: &str| {
        let tables = tables(json).tables;
        let sets = tables.iter().flat_map(|table| &table.sets);
        let empty = |set: &&Set| match &set.elements {
            Some(Elements::Numbers(numbers)) => numbers.is_empty(),
            Some(Elements::Rows(rows)) => rows.all().is_empty(),
            None => false,
        };
        (sets.clone().filter(empty).count(), sets.count())
    };
    let (empty, all) = count(&terse);
    assert_eq!(empty, all);
    assert!(count(&whole).0 < all);
}

/// Packets, and what becomes of them.
const PACKETS: &str = "
    input eth0 tcp 192.0.2.66:40000 > 192.0.2.1:22 new  => dropped
    input eth0 tcp 10.0.0.5:40000 > 192.0.2.1:22 new  => either
    input eth0 tcp 203.0.113.5:40000 > 192.0.2.1:443 new  => accepted
    input eth0 tcp 203.0.113.5:40000 > 192.0.2.1:8443 new  => dropped
    input eth0 tcp 10.0.0.5:40000 > 192.0.2.1:5432 new  => accepted
    input eth0 udp 192.0.2.9:40000 > 192.0.2.1:162 new  => accepted
    input docker0 udp 172.17.0.2:40000 > 172.17.0.1:53 new  => accepted
    input virbr0 udp 192.168.122.9:68 > 192.168.122.1:67 new  => accepted
    input virbr0 udp 192.168.122.9:68 > 192.168.122.1:69 new  => dropped
    input eth0 tcp [2001:db8:bad::1]:40000 > [2001:db8::1]:22 new  => dropped
    forward iifname docker0 oifname eth0 tcp 172.17.0.2:40000 > 203.0.113.5:443 new  => accepted
    forward iifname eth0 oifname docker0 tcp 203.0.113.5:40000 > 172.17.0.2:80 new  => accepted
    forward iifname eth0 oifname docker0 tcp 203.0.113.5:40000 > 172.17.0.2:81 new  => dropped
";

/// What the tables together do to packets, as a reader of the rules would say.
#[test]
fn packets_meet_what_was_read() {
    let Some(json) = listing("packets_meet_what_was_read", &["-j"]) else {
        return;
    };
    let mut tables = tables(&json);
    // Which of its flags the table has is not in every version's listing.
    tables.tables.retain(|table| table.name != "asleep");
    for row in PACKETS.lines().filter(|row| !row.is_empty()) {
        let (packet, expected) = row.split_once("=>").expect("an arrow");
        let said: Packet = packet
            .parse()
            .unwrap_or_else(|error| panic!("{packet}: {error}"));
        let evaluation = evaluate(&tables, &said);
        let found = match (evaluation.must_drop(), evaluation.must_accept()) {
            (true, _) => "dropped",
            (_, true) => "accepted",
            _ => "either",
        };
        assert_eq!(found, expected.trim(), "{packet}\n{:#?}", evaluation.fates);
    }
}
