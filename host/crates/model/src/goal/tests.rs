//! A goal speaks of the packets that the operator's settings say, and of no others.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::address::{AddressSet, Family};
use crate::draft::{Draft, Statement, Test};
use crate::field::Field;
use crate::inputs::{Inputs, Setting, Value};
use crate::packet::CtState;
use crate::ruleset::{ChainPolicy, Limit, TimeUnit};
use crate::tables::Expression;
use crate::validate::{Feeds, instantiate, validate};

fn inputs() -> Inputs {
    let setting = |name: &str, value| Setting {
        name: name.to_string(),
        value,
    };
    Inputs {
        settings: vec![
            setting("ssh-port", Value::Port(22)),
            setting("ports", Value::Ports(vec![443..=443, 8080..=8090])),
            setting("none", Value::Ports(Vec::new())),
            setting("on", Value::Boolean(true)),
            setting("off", Value::Boolean(false)),
            setting(
                "office",
                Value::Prefixes(vec!["192.0.2.0/24".parse().unwrap()]),
            ),
        ],
        ..Inputs::default()
    }
}

fn feeds() -> Feeds {
    let cdn = ["198.51.100.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap());
    let cdn: AddressSet = cdn.into_iter().collect();
    [("cdn".to_string(), cdn)].into_iter().collect()
}

fn goal(quantifier: Quantifier, clauses: Vec<Clause>) -> Goal {
    let (name, hook) = ("g".to_string(), Hook::Input);
    let template = GoalTemplate {
        name,
        hook,
        quantifier,
        clauses,
    };
    instantiate(&template, &inputs(), &feeds()).unwrap()
}

fn dport(setting: &str) -> Clause {
    let dport_setting = Some((PortProtocol::Tcp, setting.to_string()));
    Clause {
        dport_setting,
        ..Clause::default()
    }
}

/// A rule set that accepts TCP to port 22, and to port 23 as far as a limit lets it.
fn ruleset() -> Ruleset {
    let rule = |label: &str, port: u16, statements: Vec<Statement>| draft::Rule {
        label: label.to_string(),
        matches: vec![draft::Match {
            negated: false,
            test: Test::Dport(PortProtocol::Tcp, vec![port..=port]),
        }],
        statements,
    };
    let (rate, per, burst) = (5, TimeUnit::Second, 5);
    let limit = Statement::Limit(Limit {
        rate,
        per,
        burst,
        over: false,
    });
    let chain = draft::Chain {
        name: "in".to_string(),
        base: Some(draft::Base {
            chain_type: draft::ChainType::Filter,
            hook: Hook::Input,
            priority: 0,
            policy: ChainPolicy::Drop,
        }),
        rules: vec![
            rule("ssh", 22, vec![Statement::Accept]),
            rule("limited", 23, vec![limit, Statement::Accept]),
        ],
    };
    let draft = Draft {
        chains: vec![chain],
        ..Draft::default()
    };
    validate(&draft, &Feeds::default()).unwrap()
}

fn concerns(clauses: Vec<Clause>, packet: &str) -> bool {
    goal(Quantifier::AllAccepted, clauses).concerns(&packet.parse().unwrap(), &ruleset())
}

#[test]
fn the_operators_ports_are_filled_in() {
    let to = |port: u16| alloc::format!("tcp 192.0.2.7 > 198.51.100.1:{port}");
    assert!(concerns(vec![dport("ssh-port")], &to(22)));
    assert!(!concerns(vec![dport("ssh-port")], &to(23)));
    for (port, expected) in [
        (443, true),
        (444, false),
        (8080, true),
        (8090, true),
        (8091, false),
    ] {
        assert_eq!(
            concerns(vec![dport("ports")], &to(port)),
            expected,
            "{port}"
        );
    }
    assert!(
        !concerns(vec![dport("none")], &to(443)),
        "no port at all, not any port"
    );
    assert!(!concerns(
        vec![dport("ssh-port")],
        "udp 192.0.2.7 > 198.51.100.1:22"
    ));
}

#[test]
fn addresses_come_from_a_feed_or_a_setting_in_both_families() {
    let from = |name: &str| Clause {
        saddr_from: Some(name.to_string()),
        ..Clause::default()
    };
    assert!(concerns(
        vec![from("cdn")],
        "tcp 198.51.100.255 > 192.0.2.1:1"
    ));
    assert!(!concerns(
        vec![from("cdn")],
        "tcp 198.51.101.0 > 192.0.2.1:1"
    ));
    assert!(concerns(vec![from("cdn")], "tcp 2001:db8::1 > [::1]:1"));
    assert!(!concerns(vec![from("cdn")], "tcp 2001:db9::1 > [::1]:1"));
    assert!(concerns(
        vec![from("office")],
        "tcp 192.0.2.9 > 192.0.2.1:1"
    ));
    // The setting names no IPv6 address, so it speaks of none.
    assert!(!concerns(vec![from("office")], "tcp 2001:db8::1 > [::1]:1"));
    assert!(concerns(
        vec![from("office"), from("cdn")],
        "tcp 2001:db8::1 > [::1]:1"
    ));
}

#[test]
fn everybody_else_is_who_is_in_neither_family_of_a_feed() {
    let others = |name: &str| Clause {
        saddr_not_from: Some(name.to_string()),
        ..Clause::default()
    };
    let check = |clause: &Clause, from: &str, expected: bool| {
        let packet = alloc::format!("{from}:1");
        assert_eq!(concerns(vec![clause.clone()], &packet), expected, "{from}");
    };
    let not_cdn = others("cdn");
    check(&not_cdn, "tcp 198.51.100.255 > 192.0.2.1", false);
    check(&not_cdn, "tcp 198.51.101.0 > 192.0.2.1", true);
    check(&not_cdn, "tcp 2001:db8::1 > [::1]", false);
    check(&not_cdn, "tcp 2001:db9::1 > [::1]", true);
    // The setting names no IPv6 address, so everybody of that family is somebody else.
    check(&others("office"), "tcp 2001:db8::1 > [::1]", true);
    let both = Clause {
        saddr_from: Some("cdn".to_string()),
        ..others("office")
    };
    check(&both, "tcp 198.51.100.1 > 192.0.2.1", true);
    check(&both, "tcp 192.0.2.9 > 192.0.2.1", false);
    check(&both, "tcp 203.0.113.1 > 192.0.2.1", false);
}

#[test]
fn the_packets_are_said_in_the_words_of_tables_too() {
    let clause = Clause {
        saddr_not_from: Some("cdn".to_string()),
        ..dport("ports")
    };
    let said: Vec<Vec<_>> = goal(Quantifier::FamiliesAlike, vec![clause])
        .clauses()
        .into_iter()
        .map(|clause| clause.into_iter().map(|it| (it.left, it.negated)).collect())
        .collect();
    let of = |family| {
        let [dport, saddr] = [Field::Dport(PortProtocol::Tcp), Field::Saddr(family)];
        vec![
            (Expression::Field(dport), false),
            (Expression::Field(saddr), true),
        ]
    };
    assert_eq!(said, Family::BOTH.map(of));
}

#[test]
fn a_clause_counts_while_its_setting_is_true() {
    let when = |name: &str| Clause {
        when: Some(name.to_string()),
        ..dport("ssh-port")
    };
    let packet = "tcp 192.0.2.7 > 198.51.100.1:22";
    assert!(concerns(vec![when("on")], packet));
    assert!(!concerns(vec![when("off")], packet));
    assert!(!concerns(
        vec![dport("ssh-port")],
        "output tcp 192.0.2.7 > 198.51.100.1:22"
    ));
}

#[test]
fn a_clause_is_all_of_its_conditions() {
    let test = Test::CtState(vec![CtState::New]);
    let new = Clause {
        matches: vec![draft::Match {
            negated: false,
            test,
        }],
        saddr_from: Some("cdn".to_string()),
        ..dport("ssh-port")
    };
    let to = |from: &str, rest: &str| alloc::format!("tcp {from} > 192.0.2.1:{rest}");
    assert!(concerns(vec![new.clone()], &to("198.51.100.1", "22 new")));
    assert!(!concerns(
        vec![new.clone()],
        &to("198.51.100.1", "22 established")
    ));
    assert!(!concerns(vec![new.clone()], &to("198.51.100.1", "23 new")));
    assert!(!concerns(vec![new], &to("198.51.99.1", "22 new")));
}

/// Each quantifier against an accepted, a dropped and an uncertain packet, inside the region
/// (the ports 22, 23 and 24) and outside.
#[test]
fn an_uncertain_fate_breaks_every_promise() {
    let holds = |quantifier, ports: core::ops::RangeInclusive<u16>| {
        let test = Test::Dport(PortProtocol::Tcp, vec![ports]);
        let matches = vec![draft::Match {
            negated: false,
            test,
        }];
        let goal = goal(
            quantifier,
            vec![Clause {
                matches,
                ..Clause::default()
            }],
        );
        [22, 23, 24].map(|port| {
            let packet = alloc::format!("tcp 192.0.2.7 > 198.51.100.1:{port}");
            goal.holds_for(&packet.parse().unwrap(), &ruleset())
        })
    };
    let (inside, outside) = (22..=24, 80..=80);
    assert_eq!(
        holds(Quantifier::AllAccepted, inside.clone()),
        [true, false, false]
    );
    assert_eq!(
        holds(Quantifier::NoneAccepted, inside.clone()),
        [false, false, true]
    );
    assert_eq!(
        holds(Quantifier::ExactlyTheseAccepted, inside),
        [true, false, false]
    );
    assert_eq!(
        holds(Quantifier::AllAccepted, outside.clone()),
        [true, true, true]
    );
    assert_eq!(
        holds(Quantifier::NoneAccepted, outside.clone()),
        [true, true, true]
    );
    assert_eq!(
        holds(Quantifier::ExactlyTheseAccepted, outside),
        [false, false, true]
    );
    let elsewhere = "output tcp 192.0.2.7 > 198.51.100.1:22".parse().unwrap();
    let nothing = goal(Quantifier::ExactlyTheseAccepted, Vec::new());
    assert!(
        nothing.holds_for(&elsewhere, &ruleset()),
        "a goal judges its own hook only"
    );
}
