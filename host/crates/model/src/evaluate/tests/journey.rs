//! A packet's way leads through every hook that it passes, as earlier rules have left it.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use alloc::{format, sync::Arc};

use crate::address::Family;
use crate::evaluate::{Aside, Caveat, Decider, HookVerdict, Verdict, journey, region};
use crate::field::{Field, PortProtocol};
use crate::intervals::{Interval, Intervals};
use crate::packet::Hook;
use crate::ruleset::ChainPolicy;
use crate::tables::{Verdict as RuleVerdict, *};

const WEB: &str = "tcp 192.0.2.7 > 198.51.100.1:80";

fn one(number: u128) -> Intervals {
    [Interval::single(number)].into_iter().collect()
}

fn is(field: Field, number: u128) -> Part {
    Part::Match(Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers(one(number)),
    })
}

fn dport(port: u128) -> Part {
    is(Field::Dport(PortProtocol::Tcp), port)
}

fn set_mark(number: u128) -> Part {
    Part::Assign {
        field: Field::Mark,
        value: Expression::Constant(number),
    }
}

fn nat(kind: NatKind, address: Option<u128>, port: Option<u128>) -> Part {
    let put = |number| Rewrite::OneOf(Interval::single(number));
    Part::Nat(Nat {
        kind,
        family: address.map(|_| Family::Ip),
        address: address.map(put),
        port: port.map(put),
        flags: Vec::new(),
    })
}

const ACCEPT: Part = Part::Verdict(RuleVerdict::Accept);
const DROP: Part = Part::Verdict(RuleVerdict::Drop);

fn chain(name: &str, attachment: Attachment, priority: i32, rules: Vec<Vec<Part>>) -> Chain {
    let rule = |parts| Rule {
        handle: None,
        comment: None,
        parts,
    };
    Chain {
        name: name.to_string(),
        base: Some(Base {
            chain_type: ChainType::Filter,
            attachment,
            priority,
            policy: ChainPolicy::Accept,
        }),
        rules: rules.into_iter().map(rule).collect(),
    }
}

fn at(hook: Hook, priority: i32, rules: Vec<Vec<Part>>) -> Chain {
    chain(hook.keyword(), Attachment::Hook(hook), priority, rules)
}

fn translating(hook: Hook, rules: Vec<Vec<Part>>) -> Chain {
    let mut chain = at(hook, 0, rules);
    chain.base.as_mut().unwrap().chain_type = ChainType::Nat;
    Chain {
        name: "nat".to_string(),
        ..chain
    }
}

fn tables(family: TableFamily, chains: Vec<Chain>) -> Tables {
    Tables {
        tables: vec![Table {
            family,
            name: "t".to_string(),
            dormant: false,
            listed: false,
            sets: Vec::new(),
            chains,
            unknown: Vec::new(),
        }],
        unknown: Vec::new(),
    }
}

/// The places on the way, each with `?` when the packet may not come there, and how it ends.
fn way(tables: &Tables, packet: &str) -> String {
    let journey = journey(tables, &packet.parse().unwrap());
    let stops = journey.stops.iter().map(|stop| {
        let doubt = if stop.certain { "" } else { "?" };
        format!("{}{doubt}", stop.place.keyword())
    });
    let verdict = match journey.verdict() {
        Verdict::Accept => "accept",
        Verdict::Drop => "drop",
        Verdict::Reject(_) => "reject",
        Verdict::Undecided => "undecided",
    };
    format!("{}: {verdict}", stops.collect::<Vec<_>>().join(" "))
}

fn check(chains: Vec<Chain>, packet: &str, expected: &str) {
    assert_eq!(
        way(&tables(TableFamily::Inet, chains), packet),
        expected,
        "{packet}"
    );
}

#[test]
fn a_packet_passes_the_hooks_of_its_kind() {
    check(vec![], WEB, "prerouting input: accept");
    check(
        vec![],
        &format!("forward {WEB}"),
        "prerouting forward postrouting: accept",
    );
    check(
        vec![],
        &format!("output {WEB}"),
        "output postrouting: accept",
    );
    check(vec![], &format!("prerouting {WEB}"), "prerouting: accept");
    check(vec![], &format!("postrouting {WEB}"), "postrouting: accept");
    let first = || vec![at(Hook::Prerouting, 0, vec![vec![dport(80), DROP]])];
    check(first(), WEB, "prerouting: drop");
}

#[test]
fn what_one_hook_changes_the_next_one_sees() {
    let marks = || at(Hook::Prerouting, -300, vec![vec![dport(80), set_mark(7)]]);
    let drops = |mark| at(Hook::Input, 0, vec![vec![is(Field::Mark, mark), DROP]]);
    check(vec![marks(), drops(7)], WEB, "prerouting input: drop");
    check(vec![marks(), drops(0)], WEB, "prerouting input: accept");
    let untracks = at(Hook::Prerouting, -300, vec![vec![Part::Notrack]]);
    let untracked = at(Hook::Input, 0, vec![vec![is(Field::CtState, 4), DROP]]);
    check(vec![untracks, untracked], WEB, "prerouting input: drop");
}

#[test]
fn what_is_forwarded_has_one_hop_less() {
    let ttl = Field::HopLimit(Family::Ip);
    let drops = |hook, hops| at(hook, 0, vec![vec![is(ttl, hops), DROP]]);
    let packet = format!("forward {WEB} ttl 64");
    let passes = "prerouting forward postrouting: accept";
    check(
        vec![drops(Hook::Forward, 64)],
        &packet,
        "prerouting forward: drop",
    );
    check(vec![drops(Hook::Forward, 63)], &packet, passes);
    let early = "prerouting forward? postrouting?: undecided";
    check(vec![drops(Hook::Prerouting, 64)], &packet, early);
    let assign = Part::Assign {
        field: ttl,
        value: Expression::Constant(5),
    };
    let sets = || at(Hook::Prerouting, -150, vec![vec![assign.clone()]]);
    let four = vec![sets(), drops(Hook::Forward, 4)];
    check(four, &packet, "prerouting forward: drop");
    check(vec![sets(), drops(Hook::Forward, 5)], &packet, passes);
}

#[test]
fn a_changed_destination_may_lead_elsewhere() {
    let dnat = || {
        translating(
            Hook::Prerouting,
            vec![vec![nat(NatKind::Dnat, Some(9), Some(8080))]],
        )
    };
    check(
        vec![dnat()],
        WEB,
        "prerouting input? forward? postrouting?: accept",
    );
    check(
        vec![dnat()],
        &format!("forward {WEB}"),
        "prerouting forward postrouting: accept",
    );
    let drops = at(Hook::Forward, 0, vec![vec![dport(8080), DROP]]);
    check(
        vec![dnat(), drops],
        WEB,
        "prerouting input? forward?: undecided",
    );
    let redirect = || {
        let to_port = nat(NatKind::Redirect, None, Some(8080));
        translating(Hook::Prerouting, vec![vec![to_port]])
    };
    let drops = at(Hook::Input, 0, vec![vec![dport(8080), DROP]]);
    check(
        vec![redirect(), drops.clone()],
        WEB,
        "prerouting input: drop",
    );
    check(
        vec![redirect(), drops],
        &format!("forward {WEB}"),
        "prerouting input: drop",
    );
    // What goes on was translated or not when it began; what comes by `lo`, when it was sent.
    let established = format!("{WEB} established");
    check(vec![dnat()], &established, "prerouting input: accept");
    check(
        vec![dnat()],
        &format!("lo {WEB}"),
        "prerouting input: accept",
    );
    let tables = tables(TableFamily::Inet, vec![dnat()]);
    let journey = journey(&tables, &established.parse().unwrap());
    assert_eq!(journey.caveats, [Caveat::NotTranslated]);
}

/// A filter chain that is registered after the first chain of type `nat`, at the priority of NAT,
/// sees what comes before the translation; one that is registered earlier, what comes after.
#[test]
fn an_interface_is_taken_to_have_an_address() {
    let redirects = translating(
        Hook::Prerouting,
        vec![vec![nat(NatKind::Redirect, None, None)]],
    );
    let tables = tables(TableFamily::Inet, vec![redirects]);
    let journey = journey(&tables, &WEB.parse().unwrap());
    assert!(journey.caveats.contains(&Caveat::HasAddress));
}

#[test]
fn nat_runs_where_the_first_of_its_chains_was_registered() {
    let redirect = || {
        let to_port = nat(NatKind::Redirect, None, Some(8080));
        translating(Hook::Prerouting, vec![vec![to_port]])
    };
    let drops = |port| at(Hook::Prerouting, -100, vec![vec![dport(port), DROP]]);
    check(vec![redirect(), drops(80)], WEB, "prerouting: drop");
    check(vec![drops(8080), redirect()], WEB, "prerouting: drop");
    check(
        vec![redirect(), drops(8080)],
        WEB,
        "prerouting input: accept",
    );
}

#[test]
fn what_only_lets_pass_in_nat_has_not_accepted() {
    let accepts = at(Hook::Input, 0, vec![vec![dport(80), ACCEPT]]);
    let tables = tables(
        TableFamily::Inet,
        vec![accepts, translating(Hook::Input, vec![])],
    );
    let journey = journey(&tables, &WEB.parse().unwrap());
    let [end] = journey.ends.as_slice() else {
        panic!("one end: {:?}", journey.ends);
    };
    assert_eq!(end.fate.verdict, HookVerdict::Accept);
    assert!(matches!(end.fate.by, Decider::Rule(rule) if rule.chain_name() == "input"));
}

#[test]
fn a_device_sees_what_it_receives_and_sends() {
    let ingress = |device: &str| {
        let devices = Attachment::Ingress(vec![device.to_string()]);
        vec![chain("in", devices, 0, vec![vec![dport(80), DROP]])]
    };
    let way = |chains, packet| way(&tables(TableFamily::Netdev, chains), packet);
    assert_eq!(way(ingress("eth0"), WEB), "ingress: drop");
    assert_eq!(way(ingress("eth*"), WEB), "ingress: drop");
    assert_eq!(way(ingress("eth1"), WEB), "prerouting input: accept");
    let egress = Attachment::Egress(vec!["eth0".to_string()]);
    let egress = vec![chain("out", egress, 0, vec![vec![dport(80), DROP]])];
    assert_eq!(
        way(egress, &format!("output {WEB}")),
        "output postrouting egress: drop"
    );
    let tables = tables(TableFamily::Netdev, ingress("eth1"));
    let journey = journey(&tables, &WEB.parse().unwrap());
    assert!(matches!(journey.aside.as_slice(), [Aside::OtherDevice(..)]));
}

#[test]
fn what_is_switched_off_or_of_a_bridge_is_not_passed() {
    let drops = || vec![at(Hook::Input, 0, vec![vec![DROP]])];
    let bridge = tables(TableFamily::Bridge, drops());
    assert_eq!(way(&bridge, WEB), "prerouting input: accept");
    let aside = |tables: &Tables| journey(tables, &WEB.parse().unwrap()).aside.len();
    assert_eq!(aside(&bridge), 1);
    let mut dormant = tables(TableFamily::Inet, drops());
    dormant.tables[0].dormant = true;
    assert_eq!(way(&dormant, WEB), "prerouting input: accept");
    assert_eq!(aside(&dormant), 1);
}

/// `tcp dport vmap { 80 : continue } drop`: to the kernel, `continue` is no verdict.
#[test]
fn a_rule_goes_on_after_continue() {
    let continues = |key: Field| Part::VerdictMap {
        key: Expression::Field(key),
        map: Lookup::Anonymous(Elements::Rows(Rows::new(vec![Row {
            key: vec![Interval::single(80)],
            data: Data::Verdict(RuleVerdict::Continue),
        }]))),
    };
    let rule = |key| vec![at(Hook::Input, 0, vec![vec![continues(key), DROP]])];
    check(
        rule(Field::Dport(PortProtocol::Tcp)),
        WEB,
        "prerouting input: drop",
    );
    check(rule(Field::Skuid), WEB, "prerouting input: undecided");
}

/// `map { 80 : 1 }` of a field, as a value.
fn mapped(key: Field) -> Expression {
    Expression::Map {
        key: Expression::Field(key).into(),
        map: Lookup::Anonymous(Elements::Rows(Rows::new(vec![Row {
            key: vec![Interval::single(80)],
            data: Data::Value(vec![1]),
        }]))),
    }
}

/// A map that may have nothing for a packet may end the rule, whatever the rule does with it.
#[test]
fn what_a_map_may_not_have_is_not_certain() {
    let marks = |key| Part::Assign {
        field: Field::Mark,
        value: mapped(key),
    };
    let rule = |key| vec![at(Hook::Input, 0, vec![vec![marks(key), DROP]])];
    let dport = Field::Dport(PortProtocol::Tcp);
    check(rule(dport), WEB, "prerouting input: drop");
    check(rule(Field::Skuid), WEB, "prerouting input: undecided");

    let redirects = |key| {
        let mut chain = translating(
            Hook::Prerouting,
            vec![vec![Part::Nat(Nat {
                kind: NatKind::Redirect,
                family: None,
                address: None,
                port: Some(Rewrite::Value {
                    of: mapped(key),
                    part: 0,
                }),
                flags: Vec::new(),
            })]],
        );
        chain.base.as_mut().unwrap().policy = ChainPolicy::Drop;
        vec![chain]
    };
    check(redirects(dport), WEB, "prerouting input: accept");
    check(
        redirects(dport),
        "tcp 192.0.2.7 > 198.51.100.1:81",
        "prerouting: drop",
    );
    check(redirects(Field::Skuid), WEB, "prerouting input?: undecided");
}

/// Among other fields, one that is not there ends the rule under `!=` too.
#[test]
fn what_may_be_absent_is_not_certainly_unequal() {
    let rule = |field| {
        let unequal = Part::Match(Match {
            left: Expression::Concatenation(
                [Field::Dport(PortProtocol::Tcp), field]
                    .map(Expression::Field)
                    .into(),
            ),
            negated: true,
            right: Operand::Elements(Lookup::Anonymous(Elements::Rows(Rows::new(vec![Row {
                key: vec![Interval::single(22), Interval::single(0)],
                data: Data::None,
            }])))),
        });
        vec![at(Hook::Input, 0, vec![vec![unequal, DROP]])]
    };
    check(rule(Field::Mark), WEB, "prerouting input: drop");
    check(rule(Field::Skuid), WEB, "prerouting input: undecided");
}

/// `ct count` counts what has a connection or ports, and may drop anything else.
#[test]
fn what_has_no_connection_to_count_may_be_dropped() {
    let counts = Part::Connections("ct count over 3".to_string());
    let rules = || vec![at(Hook::Input, 0, vec![vec![counts.clone()]])];
    let untracked = format!("{WEB} untracked");
    check(rules(), WEB, "prerouting input: accept");
    check(rules(), &untracked, "prerouting input: accept");
    let gre = "protocol 47 192.0.2.7 > 198.51.100.1";
    check(rules(), gre, "prerouting input: accept");
    check(
        rules(),
        &format!("{gre} untracked"),
        "prerouting input: undecided",
    );
}

#[test]
fn a_region_says_what_the_rules_ask_and_no_more() {
    let elements = Interval::new(0xc000_0200, 0xc000_02ff).unwrap();
    let office = Set {
        name: "office".to_string(),
        key: vec![Field::Saddr(Family::Ip).kind()],
        changing: false,
        elements: Some(Elements::Numbers(Arc::new(
            [elements].into_iter().collect(),
        ))),
    };
    let from_office = |negated| {
        Part::Match(Match {
            left: Expression::Field(Field::Saddr(Family::Ip)),
            negated,
            right: Operand::Elements(Lookup::Named(SetIndex(0))),
        })
    };
    let rules = vec![
        vec![is(Field::CtState, 1), ACCEPT],
        vec![Part::Counter, Part::Note("log".to_string())],
        vec![dport(22), from_office(true), DROP],
        vec![dport(22), ACCEPT],
        vec![dport(23), DROP],
        vec![Part::Chance("limit rate 1/second".to_string()), DROP],
    ];
    let mut tables = tables(TableFamily::Inet, vec![at(Hook::Input, 0, rules)]);
    tables.tables[0].sets.push(office);
    let said = |packet: &str| {
        let packet = packet.parse().unwrap();
        match region(&tables, &packet, &journey(&tables, &packet)) {
            Ok(region) => region.to_string(),
            Err(_) => "not known".to_string(),
        }
    };
    let not_established = "ct state != established";
    assert_eq!(
        said("tcp 192.0.2.7 > 198.51.100.1:22"),
        format!("ip saddr 192.0.2.0/24 tcp dport 22 {not_established}")
    );
    assert_eq!(
        said("tcp 192.0.3.7 > 198.51.100.1:22"),
        format!("ip saddr != 192.0.2.0/24 tcp dport 22 {not_established}")
    );
    assert_eq!(
        said("tcp ::7 > [::1]:22"),
        format!("meta nfproto != ipv4 tcp dport 22 {not_established}")
    );
    assert_eq!(
        said("udp ::7 > [::1]:22 established"),
        "ct state established"
    );
    assert_eq!(said("udp ::7 > [::1]:22"), "not known");
}
