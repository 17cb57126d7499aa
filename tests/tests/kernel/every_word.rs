//! A rule set with one rule for each way in which a field, an operator, a value or a statement
//! is said to nft.

use portreeve_model::address::Family::{self, Ip, Ip6};
use portreeve_model::address::Prefix;
use portreeve_model::draft::{
    AddressOperand, Base, Chain, Draft, Element, Match, Rule, Set, SetNode, Statement, Test,
};
use portreeve_model::field::PortProtocol::{Tcp, Udp};
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Limit, LogLevel, Reject, Ruleset, TimeUnit};
use portreeve_model::validate::{Feeds, validate};

/// The matches and the statements of a rule.
type Parts = (Vec<Match>, Vec<Statement>);

pub(crate) fn ruleset() -> Ruleset {
    let input = [matches(), statements()].concat();
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
                Vec::new(),
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
        yes(Test::IcmpType(Ip, vec![8..=8])),
        yes(Test::IcmpType(Ip6, vec![133..=136, 200..=200])),
        yes(Test::CtState(vec![CtState::New])),
        yes(Test::CtState(vec![CtState::Established, CtState::Related])),
        yes(Test::CtState(vec![CtState::Invalid, CtState::Untracked])),
    ]
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
    let alone = statements
        .into_iter()
        .map(|statement| (Vec::new(), vec![statement]));
    let rejects = Reject::ALL.map(|reject| {
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
            hook,
            priority,
            policy,
        }),
        rules: (1..).zip(parts).map(rule).collect(),
    }
}
