//! The guard against machines that are made up: who is locked out, and by what.

use portreeve_model::address::Family;
use portreeve_model::draft;
use portreeve_model::draft::{Draft, Test};
use portreeve_model::field::{Fib, FibResult, FibSource, Field, PortProtocol};
use portreeve_model::intervals::Interval;
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{
    Attachment, Base, Chain, ChainType, Expression, Match, Nat, NatKind, Operand, Part, Rewrite,
    Rule, Table, TableFamily, Verdict,
};
use portreeve_model::validate::{Feeds, validate};

use std::time::Duration;

use super::*;
use crate::proofs::Because;

/// Rules as a policy drafts them, by label; those named in `without` are left out.
fn ours(ssh: u16, without: &[&str]) -> Ruleset {
    let icmp = |types: &[u8]| types.iter().map(|it| *it..=*it).collect::<Vec<_>>();
    let states = vec![CtState::Established, CtState::Related];
    let rules = [
        ("loopback", vec![Test::Iifname(vec!["lo".to_owned()])]),
        ("open", vec![Test::CtState(states)]),
        ("errors", vec![Test::IcmpType(Family::Ip, icmp(&[3]))]),
        ("errors6", vec![Test::IcmpType(Family::Ip6, icmp(&[2]))]),
        (
            "neighbours",
            vec![
                Test::HopLimit(Family::Ip6, vec![255..=255]),
                Test::IcmpType(Family::Ip6, icmp(&[133, 134, 135, 136])),
            ],
        ),
        ("ssh", vec![Test::Dport(PortProtocol::Tcp, vec![ssh..=ssh])]),
    ];
    let rules = rules
        .into_iter()
        .filter(|(label, _)| !without.contains(label));
    let rule = |(label, tests): (&str, Vec<Test>)| draft::Rule {
        label: label.to_owned(),
        matches: tests
            .into_iter()
            .map(|test| draft::Match {
                negated: false,
                test,
            })
            .collect(),
        statements: vec![draft::Statement::Accept],
    };
    let input = draft::Chain {
        name: "input".to_owned(),
        base: Some(draft::Base {
            chain_type: ChainType::Filter,
            hook: Hook::Input,
            priority: 0,
            policy: ChainPolicy::Drop,
        }),
        rules: rules.map(rule).collect(),
    };
    let draft = Draft {
        sets: Vec::new(),
        field_sets: Vec::new(),
        chains: vec![input],
    };
    validate(&draft, &Feeds::default()).unwrap()
}

fn connection(client: &str, server: &str) -> Connection {
    Connection::new(client.parse().unwrap(), server.parse().unwrap())
}

/// A machine with one interface, and an operator who came in by it.
fn facts(others: Vec<Table>) -> Facts {
    let addresses = ["198.51.100.10", "2001:db8::10", "fe80::10"];
    Facts {
        operator: Operator::Remote(vec![connection("192.0.2.7:50000", "198.51.100.10:22")]),
        sshd: Ok(vec![
            "0.0.0.0:22".parse().unwrap(),
            "[::]:22".parse().unwrap(),
        ]),
        interfaces: Ok(vec![Interface {
            name: "eth0".to_owned(),
            index: Some(2),
            addresses: addresses.map(|it| it.parse().unwrap()).into(),
        }]),
        others: Ok(Tables {
            tables: others,
            unknown: Vec::new(),
        }),
        legacy: Ok(Vec::new()),
    }
}

/// A table as nft lists it, with one chain.
fn table(hook: Hook, policy: ChainPolicy, rules: Vec<Vec<Part>>) -> Table {
    let rule = |(index, parts): (usize, Vec<Part>)| Rule {
        handle: Some(index as u64 + 4),
        comment: None,
        parts,
    };
    Table {
        family: TableFamily::Inet,
        name: "filter".to_owned(),
        dormant: false,
        listed: true,
        sets: Vec::new(),
        chains: vec![Chain {
            name: hook.keyword().to_owned(),
            base: Some(Base {
                chain_type: ChainType::Filter,
                attachment: Attachment::Hook(hook),
                priority: 10,
                policy,
            }),
            rules: rules.into_iter().enumerate().map(rule).collect(),
        }],
        unknown: Vec::new(),
    }
}

fn is(field: Field, number: u128) -> Part {
    Part::Match(Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers([Interval::single(number)].into_iter().collect()),
    })
}

const DROP: Part = Part::Verdict(Verdict::Drop);
const ACCEPT: Part = Part::Verdict(Verdict::Accept);

fn dport(port: u128) -> Part {
    is(Field::Dport(PortProtocol::Tcp), port)
}

fn sport(port: u128) -> Part {
    is(Field::Sport(PortProtocol::Tcp), port)
}

/// What is not proved, one line each; and that anything was asked at all.
fn found(facts: &Facts, ours: &Ruleset) -> Vec<String> {
    let judgement = judge(facts, ours, Some(22));
    assert!(judgement.guarded.len() > 3, "{judgement:?}");
    let line = |guarded: &Guarded| {
        let name = &guarded.need.name;
        let text = match &guarded.judged {
            Judged::Proved => return None,
            Judged::Refuted(packet, culprit) => {
                format!("{name}: {packet}, {}", culprit.because.who)
            }
            Judged::Open(Open::Uncertain(packet, culprit)) => {
                let Because { who, expression } = &culprit.because;
                let expression = expression.as_deref().unwrap_or_default();
                format!("perhaps {name}: {packet}, {expression} in {who}")
            }
            Judged::Open(Open::Whose(packet, culprit)) => {
                format!("some {name}: {packet}, {}", culprit.because.who)
            }
            Judged::Open(Open::Legacy(tables)) => format!("perhaps {name}: {}", tables.join("; ")),
            Judged::Open(open) => format!("{name}: {open:?}"),
        };
        Some(text)
    };
    judgement.guarded.iter().filter_map(line).collect()
}

#[track_caller]
fn check(others: Vec<Table>, ours: &Ruleset, expected: &[&str]) {
    assert_eq!(found(&facts(others), ours), expected);
}

#[test]
fn where_everything_is_let_through_everything_is_proved() {
    check(vec![], &ours(22, &[]), &[]);
    let judgement = judge(&facts(vec![]), &ours(22, &[]), Some(22));
    let names = judgement.guarded.iter().map(|it| it.need.name.as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "new connections from 192.0.2.7 to port 22, in by eth0",
            "open connections from 192.0.2.7 to port 22, in by eth0",
            "answers from port 22 to 192.0.2.7, out by eth0",
            "messages `fragmentation needed`, in by eth0",
            "messages of neighbour discovery, in by eth0",
            "messages of neighbour discovery, out by eth0",
        ]
    );
    assert_eq!(judgement.consequence(None), None);
}

/// The machine listens on another port than the policy opens.
#[test]
fn a_wrong_port_locks_out() {
    let expected = "new connections from 192.0.2.7 to port 22, in by eth0: \
                    eth0 tcp 192.0.2.7:40000 > 198.51.100.10:22 new, \
                    the chain policy of inet portreeve input";
    check(vec![], &ours(2222, &[]), &[expected]);
    let judgement = judge(&facts(vec![]), &ours(2222, &[]), Some(2222));
    let diagnostics = judgement.diagnostics();
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(diagnostics[0].code, "L001");
    assert_eq!(
        diagnostics[0].help,
        "let port 22 in; where the policy has a setting for it: `--set ssh-port=22`; or give \
         `--allow-lockout`"
    );
    let consequence = judgement.consequence(Some(Duration::from_secs(60)));
    assert_eq!(
        consequence.as_deref(),
        Some(
            "open connections go on, and no new one gets in; unless it is confirmed, the trial \
             takes it back in 60 s"
        )
    );
}

#[test]
fn rules_of_others_lock_out_as_well() {
    let eth0 = "eth0 tcp 192.0.2.7:40000 > 198.51.100.10:22";
    let drops = |hook, parts| table(hook, ChainPolicy::Accept, vec![parts]);
    let expected = format!(
        "new connections from 192.0.2.7 to port 22, in by eth0: {eth0} new, \
         rule 1 in chain inet filter input: tcp dport 22 ct state new drop"
    );
    let new = is(Field::CtState, CtState::New as u128);
    let rule = vec![dport(22), new, DROP];
    check(vec![drops(Hook::Input, rule)], &ours(22, &[]), &[&expected]);
    let expected = "answers from port 22 to 192.0.2.7, out by eth0: output eth0 \
                    tcp 198.51.100.10:22 > 192.0.2.7:50000 established, \
                    rule 1 in chain inet filter output: tcp sport 22 drop";
    let rule = vec![sport(22), DROP];
    check(vec![drops(Hook::Output, rule)], &ours(22, &[]), &[expected]);
}

#[test]
fn forgotten_neighbours_lock_out() {
    let found = found(&facts(vec![]), &ours(22, &["neighbours"]));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("messages of neighbour discovery, in by eth0: "));
}

#[test]
fn forgotten_errors_and_open_connections_lock_out() {
    let without = ["open", "errors", "ssh"];
    let found = found(&facts(vec![]), &ours(22, &without));
    let names: Vec<&str> = found.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(
        names,
        [
            "new connections from 192.0.2.7 to port 22, in by eth0",
            "open connections from 192.0.2.7 to port 22, in by eth0",
            "messages `fragmentation needed`, in by eth0",
        ]
    );
    let judgement = judge(&facts(vec![]), &ours(22, &without), None);
    assert_eq!(
        judgement.consequence(None).as_deref(),
        Some(
            "the connection 192.0.2.7:50000 to 198.51.100.10:22 hangs at once; there is no trial, \
             so only somebody at the console takes it back"
        )
    );
}

#[test]
fn a_limit_leaves_it_open_and_is_named() {
    let limit = Part::Chance("limit rate 5/second".to_owned());
    let new = is(Field::CtState, CtState::New as u128);
    let rules = vec![vec![dport(22), new, limit, DROP]];
    let others = vec![table(Hook::Input, ChainPolicy::Accept, rules)];
    let expected = "perhaps new connections from 192.0.2.7 to port 22, in by eth0: \
                    eth0 tcp 192.0.2.7:40000 > 198.51.100.10:22 new, \
                    limit rate 5/second in rule 1 in chain inet filter input: \
                    tcp dport 22 ct state new limit rate 5/second drop";
    check(others, &ours(22, &[]), &[expected]);
}

#[test]
fn tables_of_iptables_legacy_leave_everything_open() {
    let mut facts = facts(vec![]);
    facts.legacy = Ok(vec!["iptables: filter".to_owned()]);
    let found = found(&facts, &ours(22, &[]));
    assert_eq!(found.len(), 6);
    assert!(
        found.iter().all(|it| it.ends_with(": iptables: filter")),
        "{found:?}"
    );
}

/// Rules against forged packets are not against the operator.
#[test]
fn what_drops_only_the_unusual_locks_nobody_out() {
    let reverse_path = Fib {
        of: FibSource::Saddr,
        mark: true,
        iif: true,
        oif: false,
        result: FibResult::Exists,
    };
    let bits = |field, mask, negated, number: u128| {
        Part::Match(Match {
            left: Expression::Bits {
                of: Expression::Field(field).into(),
                mask,
                flip: 0,
            },
            negated,
            right: Operand::Numbers([Interval::single(number)].into_iter().collect()),
        })
    };
    let new = is(Field::CtState, CtState::New as u128);
    let rules = vec![
        vec![is(Field::Fib(reverse_path), 0), DROP],
        vec![bits(Field::TcpFlags, 0x17, true, 2), new.clone(), DROP],
        vec![is(Field::TcpFlags, 0), DROP],
        vec![is(Field::Mark, 1), DROP],
        vec![bits(Field::Mark, 0xff_0000, false, 0x4_0000), DROP],
        vec![is(Field::Exthdr(0), 1), DROP],
        vec![is(Field::Iif, 3), DROP],
        vec![bits(Field::CtStatus, 0x20, true, 0), DROP],
        vec![is(Field::CtStatus, 0x20), DROP],
    ];
    let others = vec![table(Hook::Prerouting, ChainPolicy::Accept, rules)];
    let ours = ours(22, &[]);
    let found = found(&facts(others), &ours);
    assert_eq!(found, [""; 0], "{found:#?}");
}

/// What is closed to others, or on other ports and interfaces, is nobody's business.
#[test]
fn only_the_operators_own_way_must_stay_open() {
    let mut facts = facts(vec![table(
        Hook::Input,
        ChainPolicy::Accept,
        vec![
            vec![is(Field::Saddr(Family::Ip), 0xcb00_7107), DROP],
            vec![dport(2222), DROP],
        ],
    )]);
    let sshd = facts.sshd.as_mut().unwrap();
    sshd.push("0.0.0.0:2222".parse().unwrap());
    facts.interfaces.as_mut().unwrap().push(Interface {
        name: "docker0".to_owned(),
        index: Some(3),
        addresses: vec!["172.17.0.1".parse().unwrap()],
    });
    assert_eq!(found(&facts, &ours(22, &[])), [""; 0]);
}

/// sshd was told to listen elsewhere while a session was open.
#[test]
fn where_the_own_port_is_closed_already_every_other_one_must_be_open() {
    let mut facts = facts(vec![]);
    facts.sshd = Ok(vec![
        "0.0.0.0:2222".parse().unwrap(),
        "127.0.0.1:22".parse().unwrap(),
    ]);
    let found = found(&facts, &ours(22, &[]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("to port 2222"), "{found:?}");
}

#[test]
fn over_ipv6_the_operator_needs_ipv6() {
    let mut facts = facts(vec![]);
    let over_ipv6 = connection("[2001:db8:1::7]:50000", "[2001:db8::10]:22");
    facts.operator = Operator::Remote(vec![over_ipv6]);
    assert_eq!(found(&facts, &ours(22, &[])), [""; 0]);
    let without = found(&facts, &ours(22, &["errors6", "neighbours", "open"]));
    let names: Vec<&str> = without
        .iter()
        .filter_map(|it| it.split(": ").next())
        .collect();
    assert_eq!(
        names,
        [
            "messages `packet too big`, in by eth0",
            "messages of neighbour discovery, in by eth0",
        ]
    );
}

#[test]
fn at_the_console_somebody_must_get_in() {
    let blocked = || {
        let rules = vec![vec![is(Field::Saddr(Family::Ip), 0xcb00_7107), DROP]];
        vec![table(Hook::Input, ChainPolicy::Accept, rules)]
    };
    let mut at_console = facts(blocked());
    at_console.operator = Operator::Console;
    assert_eq!(found(&at_console, &ours(22, &[])), [""; 0]);
    let closed = found(&at_console, &ours(2222, &[]));
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert!(closed[0].starts_with("new connections to port 22, in by any interface: "));
    let mut unknown = facts(blocked());
    unknown.operator = Operator::Unknown("a reason".to_owned());
    let some = found(&unknown, &ours(22, &[]));
    assert!(some.iter().all(|it| it.starts_with("some ")), "{some:?}");
    assert_eq!(some.len(), 2, "{some:?}");
    assert_eq!(found(&unknown, &ours(2222, &[])).len(), 2);
}

#[test]
fn a_tunnel_ends_on_the_loopback_interface() {
    let mut facts = facts(vec![]);
    facts.operator = Operator::Local(connection("127.0.0.1:50000", "127.0.0.1:22"));
    assert_eq!(found(&facts, &ours(2222, &[])), [""; 0]);
    let without = found(&facts, &ours(2222, &["loopback"]));
    assert_eq!(without.len(), 1, "{without:?}");
}

/// Where nothing can be had, our own table is judged, for whoever may come from anywhere.
#[test]
fn without_facts_the_policys_setting_counts() {
    let no = || "permission denied".to_owned();
    let facts = Facts {
        operator: Operator::Unknown(no()),
        sshd: Err(no()),
        interfaces: Err(no()),
        others: Err(no()),
        legacy: Err(no()),
    };
    assert_eq!(found(&facts, &ours(22, &[])), [""; 0]);
    let judgement = judge(&facts, &ours(22, &[]), Some(22));
    assert_eq!(judgement.scope, Scope::OwnTable(no()));
    assert_eq!(judgement.ports[0].from, PortsFrom::Setting(Some(no())));
    assert_eq!(found(&facts, &ours(2222, &[])).len(), 1);
}

#[test]
fn every_chain_that_undoes_is_named_with_a_packet() {
    let limit = Part::Chance("limit rate 5/second".to_owned());
    let mut drops = table(
        Hook::Input,
        ChainPolicy::Accept,
        vec![vec![dport(22), DROP]],
    );
    drops.name = "one".to_owned();
    let rules = vec![vec![dport(22), limit, DROP]];
    let mut may_drop = table(Hook::Prerouting, ChainPolicy::Accept, rules);
    may_drop.name = "two".to_owned();
    let mut accepts = table(Hook::Input, ChainPolicy::Accept, vec![vec![ACCEPT]]);
    accepts.name = "three".to_owned();
    let mut aside = table(Hook::Output, ChainPolicy::Drop, vec![]);
    aside.name = "four".to_owned();
    let facts = facts(vec![drops, may_drop, accepts, aside]);
    let machine = survey(&facts, &ours(22, &[]));
    let line = |chain: &ForeignChain| {
        let undoes = match &chain.undoes {
            Undoes::Nothing => "nothing".to_owned(),
            Undoes::Some(packet, culprit) => format!("{packet}, {}", culprit.because.who),
            Undoes::Perhaps(packet, culprit) => {
                let expression = culprit.because.expression.as_deref().unwrap_or_default();
                format!("perhaps {packet}, {expression}")
            }
            Undoes::Unknown(why) => why.clone(),
        };
        format!("{} {}: {undoes}", chain.name.table, chain.hook)
    };
    let packet = "eth0 tcp 192.0.2.7:40000 > 198.51.100.10:22 new";
    assert_eq!(
        machine.chains.iter().map(line).collect::<Vec<_>>(),
        [
            format!("one input: {packet}, rule 1 in chain inet filter input: tcp dport 22 drop")
                .replace("inet filter", "inet one"),
            format!("two prerouting: perhaps {packet}, limit rate 5/second"),
            "three input: nothing".to_owned(),
        ]
    );
}

#[test]
fn published_ports_are_told_with_where_they_lead() {
    let to = |address: u128, port| {
        Part::Nat(Nat {
            kind: NatKind::Dnat,
            family: Some(Family::Ip),
            address: Some(Rewrite::OneOf(Interval::single(address))),
            port: Some(Rewrite::OneOf(Interval::single(port))),
            flags: Vec::new(),
        })
    };
    let redirect = Part::Nat(Nat {
        kind: NatKind::Redirect,
        family: None,
        address: None,
        port: Some(Rewrite::OneOf(Interval::single(8443))),
        flags: Vec::new(),
    });
    let rules = vec![
        vec![dport(8080), to(0xac11_0002, 80)],
        vec![dport(8081), to(0xc633_640a, 80)],
        vec![dport(443), redirect],
    ];
    let mut nat = table(Hook::Prerouting, ChainPolicy::Accept, rules);
    nat.chains[0].base.as_mut().unwrap().chain_type = ChainType::Nat;
    let mut facts = facts(vec![nat]);
    facts.legacy = Err("permission denied".to_owned());
    let machine = survey(&facts, &ours(22, &[]));
    let line = |it: &Published| format!("{} {} {:?}", it.packets, it.to, it.leads);
    assert_eq!(
        machine.published.iter().map(line).collect::<Vec<_>>(),
        [
            "tcp dport 8080 dnat ip to 172.17.0.2:80 Through",
            "tcp dport 8081 dnat ip to 198.51.100.10:80 Here",
            "tcp dport 443 redirect to :8443 Here",
        ]
    );
    assert_eq!(
        machine.unread,
        ["whether there are tables of iptables-legacy: permission denied"]
    );
}
