//! A rule set with one rule for each way in which a field, an operator, a value or a statement
//! is said to nft.

use portreeve_model::address::Family::{self, Ip, Ip6};
use portreeve_model::address::Prefix;
use portreeve_model::draft::{
    AddressOperand, Base, BitField, Chain, ChainType, Contents, Draft, Element, FieldSet, Match,
    Nat, NumberField, Rule, Selector, Set, SetNode, SetOperation, Statement, Target, Test, Values,
    Verdict,
};
use portreeve_model::field::PortProtocol::{Dccp, Sctp, Tcp, Udp, Udplite};
use portreeve_model::icmp;
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{
    ChainPolicy, Limit, LogLevel, Mark, MarkValue, Reject, Ruleset, TimeUnit,
};
use portreeve_model::validate::{Feeds, validate};

/// The matches and the statements of a rule.
type Parts = (Vec<Match>, Vec<Statement>);

pub(crate) fn ruleset() -> Ruleset {
    let input = [
        matches(),
        numbers(),
        bits(),
        together(),
        statements(),
        changes(),
    ]
    .concat();
    let empty = AddressOperand::Set("none".to_owned());
    let output = vec![
        yes(Test::Oifname(names(&["wg0"]))),
        yes(Test::Saddr(Ip, empty)),
    ];
    let draft = Draft {
        sets: vec![
            set(
                "four",
                Ip,
                &[
                    "192.0.2.1",
                    "198.51.100.0/24",
                    "203.0.113.0/31",
                    "203.0.113.2",
                ],
            ),
            set("six", Ip6, &["2001:db8::/32", "::1"]),
            set("none", Ip, &[]),
        ],
        field_sets: field_sets(),
        chains: vec![
            chain("input", Some((Hook::Input, 0, ChainPolicy::Drop)), input),
            chain(
                "output",
                Some((Hook::Output, -150, ChainPolicy::Accept)),
                output,
            ),
            chain(
                "pre",
                Some((Hook::Prerouting, -300, ChainPolicy::Accept)),
                raw(),
            ),
            chain(
                "through",
                Some((Hook::Forward, 10, ChainPolicy::Drop)),
                Vec::new(),
            ),
            chain(
                "post",
                Some((Hook::Postrouting, 300, ChainPolicy::Accept)),
                Vec::new(),
            ),
            typed(ChainType::Nat, "nat_pre", Hook::Prerouting, destinations()),
            typed(ChainType::Nat, "nat_post", Hook::Postrouting, sources()),
            typed(ChainType::Route, "reroute", Hook::Output, routed()),
            chain("other", None, Vec::new()),
        ],
    };
    validate(&draft, &Feeds::default()).expect("the draft is valid")
}

fn matches() -> Vec<Parts> {
    let named = |name: &str| AddressOperand::Set(name.to_owned());
    let written = |texts: &[&str]| AddressOperand::Elements(elements(texts));
    let three = written(&["192.0.2.1", "198.51.100.0/24", "198.51.101.7"]);
    vec![
        yes(Test::Iifname(names(&["lo"]))),
        yes(Test::Iifname(names(&["veth*"]))),
        no(Test::Iifname(names(&["vet-*", "veth*", "lo"]))),
        no(Test::Iifname(names(&["lo", "eth0.1"]))),
        yes(Test::Nfproto(Ip)),
        yes(Test::Nfproto(Ip6)),
        yes(Test::Saddr(Ip, written(&["0.0.0.0/0"]))),
        yes(Test::Saddr(Ip, written(&["192.0.2.1"]))),
        no(Test::Saddr(Ip, three)),
        yes(Test::Daddr(Ip6, written(&["2001:db8::/32"]))),
        yes(Test::Saddr(Ip, named("four"))),
        no(Test::Daddr(Ip6, named("six"))),
        yes(Test::HopLimit(Ip, vec![1..=1])),
        no(Test::HopLimit(Ip6, vec![255..=255])),
        yes(Test::L4proto(vec![6..=6, 17..=17, 50..=51])),
        yes(Test::Sport(Tcp, vec![1024..=65535])),
        no(Test::Dport(Tcp, vec![22..=22])),
        yes(Test::Dport(Udp, vec![53..=53, 67..=68])),
        yes(Test::Dport(Udplite, vec![5..=5])),
        yes(Test::Sport(Sctp, vec![5..=5])),
        no(Test::Dport(Dccp, vec![5..=6])),
        yes(Test::IcmpType(Ip, vec![8..=8])),
        yes(Test::IcmpType(Ip6, vec![133..=136, 200..=200])),
        yes(Test::CtState(vec![CtState::New])),
        yes(Test::CtState(vec![CtState::Established, CtState::Related])),
        yes(Test::CtState(vec![CtState::Invalid, CtState::Untracked])),
    ]
}

/// Every field that holds a number, where input knows it.
fn numbers() -> Vec<Parts> {
    let elsewhere = |field: &NumberField| {
        matches!(
            field,
            NumberField::Oifgroup
                | NumberField::Skuid
                | NumberField::Skgid
                | NumberField::ReversePath { .. }
        )
    };
    let fields = NumberField::all()
        .into_iter()
        .filter(|field| !elsewhere(field));
    fields.map(number).collect()
}

/// The field with a value that it may have.
fn number(field: NumberField) -> Parts {
    match field.max() {
        1 => yes(Test::Number(field, vec![1..=1])),
        _ => no(Test::Number(field, vec![1..=2])),
    }
}

fn bits() -> Vec<Parts> {
    let bits = |field, mask, values: &[u32]| Test::Bits {
        field,
        mask,
        values: values.to_vec(),
    };
    vec![
        yes(bits(BitField::TcpFlags, 0x17, &[0x02])),
        no(bits(BitField::TcpFlags, 0x03, &[0])),
        yes(bits(BitField::TcpFlags, 0x03, &[0])),
        yes(bits(BitField::TcpFlags, 0x3f, &[0x01, 0x29, 0x3f])),
        yes(bits(BitField::TcpFlags, 0xff, &[0x02, 0x12])),
        yes(bits(BitField::CtStatus, 0x30, &[0x20])),
        no(bits(BitField::CtStatus, 0x02, &[0])),
        yes(bits(BitField::Mark, 0xff, &[1])),
        no(bits(BitField::CtMark, 0xffff_0000, &[0, 0x0001_0000])),
    ]
}

/// Fields together.
fn together() -> Vec<Parts> {
    let address = |text: &str| Values::Addresses(elements(&[text])[0]);
    let port = |port: u16| Values::Numbers(port..=port);
    let both = vec![Selector::Saddr(Ip), Selector::Dport(Tcp)];
    let three = vec![Selector::Iifname, Selector::CtState, Selector::Daddr(Ip6)];
    let interface = |name: &str| Values::Interface(name.to_owned());
    vec![
        yes(Test::Concatenation {
            fields: both.clone(),
            elements: vec![
                vec![address("192.0.2.0/24"), Values::Numbers(80..=90)],
                vec![address("198.51.100.1"), port(22)],
            ],
        }),
        no(Test::Concatenation {
            fields: both,
            elements: vec![vec![address("192.0.2.1"), port(22)]],
        }),
        yes(Test::Concatenation {
            fields: three,
            elements: vec![
                vec![
                    interface("lo"),
                    Values::CtState(CtState::New),
                    address("::/0"),
                ],
                vec![
                    interface("veth*"),
                    Values::CtState(CtState::Related),
                    address("::1"),
                ],
            ],
        }),
        yes(Test::FieldSet("admins".to_owned())),
        no(Test::FieldSet("ports".to_owned())),
        yes(Test::FieldSet("seen".to_owned())),
    ]
}

fn field_sets() -> Vec<FieldSet> {
    let both = vec![Selector::Saddr(Ip), Selector::Dport(Tcp)];
    let address = |text: &str| Values::Addresses(elements(&[text])[0]);
    let set = |name: &str, fields, contents| FieldSet {
        name: name.to_owned(),
        fields,
        contents,
    };
    let dynamic = |timeout| Contents::Dynamic { timeout, size: 100 };
    let admins = vec![
        vec![address("192.0.2.0/24"), Values::Numbers(22..=22)],
        vec![address("198.51.100.1"), Values::Numbers(80..=90)],
    ];
    let ports = vec![
        vec![Values::Numbers(22..=22)],
        vec![Values::Numbers(80..=90)],
    ];
    vec![
        set("admins", both.clone(), Contents::Elements(admins)),
        set(
            "ports",
            vec![Selector::Dport(Udp)],
            Contents::Elements(ports),
        ),
        set("seen", vec![Selector::Saddr(Ip6)], dynamic(60)),
        set("pairs", both, dynamic(86_400)),
    ]
}

/// Statements that count, mark and remember, and verdict maps.
fn changes() -> Vec<Parts> {
    let update = |set: &str, operation, limit| Statement::UpdateSet {
        set: set.to_owned(),
        operation,
        limit,
    };
    let limit = Limit {
        rate: 3,
        per: TimeUnit::Minute,
        burst: 7,
        over: true,
    };
    let verdicts = [
        Verdict::Accept,
        Verdict::Drop,
        Verdict::Continue,
        Verdict::Return,
        Verdict::Jump("other".to_owned()),
        Verdict::Goto("other".to_owned()),
    ];
    let elements = (1..).map(|port: u16| vec![Values::Numbers(10 * port..=10 * port + 1)]);
    let states = [CtState::Established, CtState::Invalid].map(|it| vec![Values::CtState(it)]);
    let statements = [
        Statement::Quota {
            bytes: 1_000,
            over: false,
        },
        Statement::Quota {
            bytes: 3 << 20,
            over: true,
        },
        Statement::CtCount {
            count: 20,
            over: true,
        },
        Statement::CtCount {
            count: 20,
            over: false,
        },
        Statement::SetMark(Mark::Packet, MarkValue::Number(10)),
        Statement::SetMark(Mark::Packet, MarkValue::Copied),
        Statement::SetMark(Mark::Connection, MarkValue::Number(10)),
        Statement::SetMark(Mark::Connection, MarkValue::Copied),
        update("seen", SetOperation::Add, None),
        update("seen", SetOperation::Update, Some(limit)),
        update("pairs", SetOperation::Delete, None),
        Statement::VerdictMap {
            fields: vec![Selector::Dport(Tcp)],
            elements: elements.zip(verdicts).collect(),
        },
        Statement::VerdictMap {
            fields: vec![Selector::CtState],
            elements: states
                .into_iter()
                .zip([Verdict::Accept, Verdict::Drop])
                .collect(),
        },
    ];
    statements
        .map(|statement| (Vec::new(), vec![statement]))
        .into()
}

fn raw() -> Vec<Parts> {
    let back = [false, true].map(|mark| NumberField::ReversePath { mark });
    let back = back.map(|field| yes(Test::Number(field, vec![0..=0])));
    let notrack = (Vec::new(), vec![Statement::Notrack]);
    back.into_iter().chain([notrack]).collect()
}

fn routed() -> Vec<Parts> {
    [
        NumberField::Oifgroup,
        NumberField::Skuid,
        NumberField::Skgid,
    ]
    .map(number)
    .into()
}

fn destinations() -> Vec<Parts> {
    let tcp = || yes(Test::Dport(Tcp, vec![80..=80])).0;
    let target = |first: &str, last: &str, ports| Target {
        first: first.parse().expect("an address"),
        last: last.parse().expect("an address"),
        ports,
    };
    let one = |address: &str, ports| target(address, address, ports);
    let nat = [
        Nat::Dnat(one("192.0.2.1", None)),
        Nat::Dnat(one("192.0.2.1", Some(8080..=8080))),
        Nat::Dnat(target("192.0.2.1", "192.0.2.9", Some(8080..=8090))),
        Nat::Dnat(one("2001:db8::1", Some(8080..=8080))),
        Nat::Redirect { ports: None },
        Nat::Redirect {
            ports: Some(3128..=3128),
        },
    ];
    nat.map(|nat| (tcp(), vec![Statement::Nat(nat)])).into()
}

fn sources() -> Vec<Parts> {
    let udp = || yes(Test::Dport(Udp, vec![53..=53])).0;
    let (first, last) = ("192.0.2.1", "192.0.2.9");
    let snat = Target {
        first: first.parse().expect("an address"),
        last: last.parse().expect("an address"),
        ports: None,
    };
    let nat = [
        Nat::Snat(snat),
        Nat::Masquerade { ports: None },
        Nat::Masquerade {
            ports: Some(1024..=2048),
        },
    ];
    nat.map(|nat| (udp(), vec![Statement::Nat(nat)])).into()
}

fn statements() -> Vec<Parts> {
    let mut statements = vec![
        Statement::Counter,
        Statement::Log {
            prefix: None,
            level: LogLevel::Warn,
        },
        Statement::Accept,
        Statement::Drop,
        Statement::Continue,
        Statement::Return,
        Statement::Jump("other".to_owned()),
        Statement::Goto("other".to_owned()),
    ];
    statements.extend(TimeUnit::ALL.map(|per| {
        Statement::Limit(Limit {
            rate: 3,
            per,
            burst: 7,
            over: per == TimeUnit::Hour,
        })
    }));
    statements.extend(LogLevel::ALL.map(|level| Statement::Log {
        prefix: Some(format!("{}: ", level.keyword())),
        level,
    }));
    statements.push(Statement::LogGroup {
        prefix: Some("group: ".to_owned()),
        group: 3,
    });
    let alone = statements
        .into_iter()
        .map(|statement| (Vec::new(), vec![statement]));
    let codes = Family::BOTH.into_iter().flat_map(|family| {
        icmp::unreachable(family)
            .iter()
            .map(move |(code, _)| match family {
                Ip => Reject::Icmp(*code),
                Ip6 => Reject::Icmpv6(*code),
            })
    });
    let rejects = Reject::ALL.into_iter().chain(codes).map(|reject| {
        let tcp = yes(Test::L4proto(vec![6..=6])).0;
        let matches = if reject == Reject::TcpReset {
            tcp
        } else {
            Vec::new()
        };
        (matches, vec![Statement::Counter, Statement::Reject(reject)])
    });
    alone.chain(rejects).collect()
}

fn yes(test: Test) -> Parts {
    let negated = false;
    (vec![Match { negated, test }], vec![Statement::Counter])
}

fn no(test: Test) -> Parts {
    let negated = true;
    (vec![Match { negated, test }], vec![Statement::Counter])
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn elements(texts: &[&str]) -> Vec<Element> {
    let prefix = |text: &&str| text.parse::<Prefix>().expect("a prefix").into();
    texts.iter().map(prefix).collect()
}

fn set(name: &str, family: Family, texts: &[&str]) -> Set {
    Set {
        name: name.to_owned(),
        family,
        expression: vec![SetNode::Elements(elements(texts))],
    }
}

/// A base chain of another type than `filter`.
fn typed(chain_type: ChainType, name: &str, hook: Hook, parts: Vec<Parts>) -> Chain {
    let priority = match hook {
        Hook::Prerouting => -100,
        _ => 100,
    };
    let mut chain = chain(name, Some((hook, priority, ChainPolicy::Accept)), parts);
    chain.base = chain.base.map(|base| Base { chain_type, ..base });
    chain
}

/// A chain whose rules are labelled 1, 2, 3…
fn chain(name: &str, base: Option<(Hook, i32, ChainPolicy)>, parts: Vec<Parts>) -> Chain {
    let rule = |(number, (matches, statements)): (u32, Parts)| Rule {
        label: number.to_string(),
        matches,
        statements,
    };
    Chain {
        name: name.to_owned(),
        base: base.map(|(hook, priority, policy)| Base {
            chain_type: ChainType::Filter,
            hook,
            priority,
            policy,
        }),
        rules: (1..).zip(parts).map(rule).collect(),
    }
}
