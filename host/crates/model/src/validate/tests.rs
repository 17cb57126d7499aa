//! Each way in which a draft can be wrong, with the very words its author reads.

mod canonical;
mod expressions;
mod fields;
mod places;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::address::Family;
use crate::draft::{AddressOperand, Base, ChainType, Element, Match, SetNode, Statement, Test};
use crate::field::PortProtocol;
use crate::goal::{Clause, GoalTemplate, Quantifier};
use crate::inputs::Inputs;
use crate::packet::{CtState, Hook};
use crate::ruleset::{ChainPolicy, Limit, LogLevel, Reject, TimeUnit};

const IN: &str = "rule 1 (`r`) in chain `in`";

fn check(draft: &Draft, expected: &[String]) {
    let found: Vec<String> = match validate(draft, &Feeds::default()) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found, expected, "{draft:?}");
}

/// A draft with one defect.
fn one(draft: &Draft, code: &str, subject: &str, message: &str) {
    check(draft, &[format!("error[{code}]: {subject}: {message}")]);
}

/// One defective rule at the input hook.
fn bad(rule: draft::Rule, code: &str, message: &str) {
    one(&input(vec![rule]), code, IN, message);
}

fn chain(name: &str, base: Option<Base>, rules: Vec<draft::Rule>) -> draft::Chain {
    let name = name.to_string();
    draft::Chain { name, base, rules }
}

fn at(hook: Hook, priority: i32) -> Option<Base> {
    let policy = ChainPolicy::Drop;
    Some(Base {
        chain_type: ChainType::Filter,
        hook,
        priority,
        policy,
    })
}

fn input(rules: Vec<draft::Rule>) -> Draft {
    chains(vec![chain("in", at(Hook::Input, 0), rules)])
}

fn chains(chains: Vec<draft::Chain>) -> Draft {
    Draft {
        chains,
        ..Draft::default()
    }
}

fn rule(matches: Vec<Match>, statements: Vec<Statement>) -> draft::Rule {
    let label = "r".to_string();
    draft::Rule {
        label,
        matches,
        statements,
    }
}

fn does(statement: Statement) -> draft::Rule {
    rule(Vec::new(), vec![statement])
}

fn is(test: Test) -> Match {
    Match {
        negated: false,
        test,
    }
}

fn is_not(test: Test) -> Match {
    Match {
        negated: true,
        test,
    }
}

fn accepts(test: Test) -> draft::Rule {
    rule(vec![is(test)], vec![Statement::Accept])
}

fn jumps(target: &str) -> draft::Rule {
    does(Statement::Jump(target.to_string()))
}

fn set(name: &str, family: Family, expression: Vec<SetNode>) -> draft::Set {
    let name = name.to_string();
    draft::Set {
        name,
        family,
        expression,
    }
}

fn prefix(text: &str) -> Element {
    let (address, length) = text.split_once('/').unwrap();
    let (address, length) = (address.parse().unwrap(), length.parse().unwrap());
    Element::Prefix { address, length }
}

fn range(first: &str, last: &str) -> Element {
    let (first, last) = (first.parse().unwrap(), last.parse().unwrap());
    Element::Range { first, last }
}

fn saddr(family: Family, elements: &[Element]) -> Test {
    Test::Saddr(family, AddressOperand::Elements(elements.to_vec()))
}

fn saddr_in(family: Family, set: &str) -> Test {
    Test::Saddr(family, AddressOperand::Set(set.to_string()))
}

#[test]
fn names_are_safe_and_unique() {
    let empty = |name: &str| chain(name, None, Vec::new());
    let with = |more: draft::Chain| {
        let mut draft = input(Vec::new());
        draft.chains.push(more);
        draft
    };
    let start = "name does not begin with a letter";
    one(&with(empty("4ever")), "V001", "chain `4ever`", start);
    one(
        &with(empty("in")),
        "V002",
        "chain `in`",
        "another chain has the same name",
    );
    let none = vec![SetNode::Elements(Vec::new())];
    let mut draft = input(Vec::new());
    draft.sets = vec![
        set("s", Family::Ip, none.clone()),
        set("s", Family::Ip6, none.clone()),
        set("a b", Family::Ip, none),
    ];
    check(
        &draft,
        &[
            "error[V002]: set `s`: another set has the same name".to_string(),
            "error[V001]: set `a b`: name has a character other than letters, digits and `_`"
                .to_string(),
        ],
    );
}

#[test]
fn texts_cannot_leave_their_quotes() {
    let mut unlabelled = does(Statement::Accept);
    unlabelled.label = "a\"\n".to_string();
    let safe = "has a character other than letters, digits, space and -_.,:/()+=#<>'!?%";
    one(
        &input(vec![unlabelled]),
        "V003",
        "rule 1 (`a\"\\u{a}`) in chain `in`",
        &format!("label {safe}"),
    );
    let (prefix, level) = (Some("\u{1b}[2J".to_string()), LogLevel::Warn);
    let log = does(Statement::Log { prefix, level });
    bad(log, "V004", &format!("log prefix {safe}"));
    let wildcard = accepts(Test::Iifname(vec!["e*h".to_string()]));
    let name = "interface `e*h` has a character other than letters, digits and -_.:";
    bad(wildcard, "V005", name);
}

#[test]
fn every_reference_leads_somewhere() {
    bad(
        accepts(saddr_in(Family::Ip, "cf")),
        "V006",
        "there is no set `cf`",
    );
    let mut draft = input(vec![accepts(saddr_in(Family::Ip6, "cf"))]);
    draft.sets = vec![set("cf", Family::Ip, vec![SetNode::Elements(Vec::new())])];
    let other = "set `cf` holds addresses of the other family than ip6 saddr";
    one(&draft, "V007", IN, other);
    let mut draft = input(Vec::new());
    draft.sets = vec![set(
        "cf",
        Family::Ip,
        vec![SetNode::Feed("cloudflare".to_string())],
    )];
    one(
        &draft,
        "V008",
        "set `cf`",
        "the inputs hold no feed `cloudflare`",
    );
    bad(jumps("web"), "V009", "there is no chain `web`");
    bad(
        jumps("in"),
        "V010",
        "chain `in` is a base chain; only hooks lead there",
    );
}

#[test]
fn jumps_end_and_the_kernel_takes_them() {
    let circle = chains(vec![
        chain("in", at(Hook::Input, 0), vec![jumps("a")]),
        chain("a", None, vec![jumps("b")]),
        chain("b", None, vec![does(Statement::Goto("a".to_string()))]),
    ]);
    one(
        &circle,
        "V011",
        "draft",
        "jumps lead round in a circle: `a` > `b` > `a`",
    );
    let ladder = |rungs: usize, width: usize| {
        let rung = |n: usize| match n {
            n if n == rungs => chain(&format!("c{n}"), None, Vec::new()),
            n => chain(
                &format!("c{n}"),
                None,
                vec![jumps(&format!("c{}", n + 1)); width],
            ),
        };
        let mut all: Vec<_> = (1..=rungs).map(rung).collect();
        all.push(chain("in", at(Hook::Input, 0), vec![jumps("c1")]));
        chains(all)
    };
    check(&ladder(13, 1), &[]);
    let deep = "jumps nest deeper than the 13 that the kernel follows during a trial";
    one(&ladder(14, 1), "V012", "chain `in` at hook input", deep);
    check(&ladder(4, 20), &[]);
    let far = "jumps could lead one packet through more than 100000 rules";
    one(&ladder(5, 20), "V013", "chains at hook input", far);
}

#[test]
fn many_base_chains_lead_a_packet_no_further_than_one() {
    let jumps = |name: &str| {
        (0..200)
            .map(|_| rule(Vec::new(), vec![draft::Statement::Jump(name.into())]))
            .collect()
    };
    let mut drafted = vec![chain(
        "far",
        None,
        (0..99)
            .map(|_| rule(Vec::new(), vec![draft::Statement::Accept]))
            .collect(),
    )];
    for number in 0..6 {
        drafted.push(chain(
            &format!("b{number}"),
            at(Hook::Input, number),
            jumps("far"),
        ));
    }
    // Six times 200 jumps, each to 99 rules: 120,000 visits, 20,000 from each base chain.
    let far = "jumps could lead one packet through more than 100000 rules";
    one(&chains(drafted), "V013", "chains at hook input", far);
}

#[test]
fn base_chains_have_a_place_of_their_own() {
    let nowhere = chains(vec![chain("a", None, Vec::new())]);
    one(
        &nowhere,
        "V014",
        "draft",
        "no chain is attached to a hook, so no packet is seen",
    );
    let twins = chains(vec![
        chain("a", at(Hook::Input, 0), Vec::new()),
        chain("b", at(Hook::Output, 0), Vec::new()),
        chain("c", at(Hook::Input, 0), Vec::new()),
    ]);
    one(
        &twins,
        "V015",
        "chain `c`",
        "chain `a` is at input priority 0 too",
    );
    for priority in [401, -401, i32::MIN] {
        let far = chains(vec![chain("a", at(Hook::Input, priority), Vec::new())]);
        let message = format!("priority is {priority}, allowed is -400 to 400");
        one(&far, "V016", "chain `a`", &message);
    }
}

#[test]
fn a_draft_fits_its_limits() {
    let mut many = input(vec![does(Statement::Counter); 10_001]);
    many.sets = vec![set("s", Family::Ip, Vec::new()); 257];
    many.chains.extend(vec![chain("c", None, Vec::new()); 256]);
    check(
        &many,
        &[
            "error[V017]: draft: 257 sets, at most 256 fit".to_string(),
            "error[V017]: draft: 257 chains, at most 256 fit".to_string(),
            "error[V017]: draft: 10001 rules, at most 10000 fit".to_string(),
        ],
    );
    let parts = rule(Vec::new(), vec![Statement::Counter; 17]);
    bad(parts, "V017", "17 matches and statements, at most 16 fit");
    let values = accepts(Test::L4proto(vec![6..=6; 1_001]));
    bad(values, "V017", "1001 values in one match, at most 1000 fit");
}

#[test]
fn elements_make_sense() {
    let ip = |element| accepts(saddr(Family::Ip, &[element]));
    let host = "`192.0.2.1/24`: bits are set after the prefix length; the prefix is 192.0.2.0/24";
    bad(ip(prefix("192.0.2.1/24")), "V020", host);
    let long = "`192.0.2.0/33`: prefix length is 33, the family has 32 bits";
    bad(ip(prefix("192.0.2.0/33")), "V020", long);
    let reversed = "range 192.0.2.9-192.0.2.1 ends before it begins";
    bad(ip(range("192.0.2.9", "192.0.2.1")), "V021", reversed);
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let ports = Test::Dport(PortProtocol::Tcp, vec![90..=80]);
    bad(accepts(ports), "V021", "range 90-80 ends before it begins");
    let mixed = "range 192.0.2.1-::1 begins and ends in different families";
    bad(ip(range("192.0.2.1", "::1")), "V022", mixed);
    let other = "`2001:db8::` is not of the family of ip saddr";
    bad(ip(prefix("2001:db8::/32")), "V023", other);
}

#[test]
fn a_match_asks_for_something_that_can_be() {
    let none = |test, field: &str| {
        bad(
            accepts(test),
            "V024",
            &format!("{field} is compared with nothing"),
        );
    };
    none(Test::CtState(Vec::new()), "ct state");
    none(Test::Iifname(Vec::new()), "iifname");
    none(saddr(Family::Ip6, &[]), "ip6 saddr");
    let families = rule(
        vec![
            is(Test::Nfproto(Family::Ip)),
            is(saddr(Family::Ip6, &[prefix("::1/128")])),
        ],
        vec![Statement::Drop],
    );
    bad(
        families,
        "V027",
        "no packet can match: ip6 saddr leaves no meta nfproto",
    );
    let protocols = rule(
        vec![
            is_not(Test::L4proto(vec![17..=17])),
            is(Test::Dport(PortProtocol::Udp, vec![53..=53])),
        ],
        vec![Statement::Drop],
    );
    bad(
        protocols,
        "V027",
        "no packet can match: udp dport leaves no meta l4proto",
    );
    let nothing = rule(
        vec![is_not(Test::Dport(PortProtocol::Tcp, vec![0..=65535]))],
        vec![Statement::Drop],
    );
    bad(
        nothing,
        "V027",
        "no packet can match: tcp dport excludes every value",
    );
}

#[test]
fn a_rule_asks_only_what_its_hook_knows() {
    let name = || vec!["eth0".to_string()];
    bad(
        accepts(Test::Oifname(name())),
        "V025",
        "oifname is not known at hook input",
    );
    // The rule is in a regular chain; what counts is where its packets come from.
    let reached = chains(vec![
        chain("out", at(Hook::Output, 0), vec![jumps("a")]),
        chain("a", None, vec![accepts(Test::Iifname(name()))]),
    ]);
    let subject = "rule 1 (`r`) in chain `a`";
    one(
        &reached,
        "V025",
        subject,
        "iifname is not known at hook output",
    );
    let tracked = accepts(Test::CtState(vec![CtState::New]));
    let early = chains(vec![chain(
        "in",
        at(Hook::Prerouting, -200),
        vec![tracked.clone()],
    )]);
    let message = "ct state is not known at prerouting priority -200, before conntrack at -200";
    one(&early, "V026", IN, message);
    check(
        &chains(vec![chain("in", at(Hook::Prerouting, -199), vec![tracked])]),
        &[],
    );
    let reject = does(Statement::Reject(Reject::PortUnreachable));
    let raw = chains(vec![chain("in", at(Hook::Prerouting, 0), vec![reject])]);
    one(
        &raw,
        "V031",
        IN,
        "reject is not possible at hook prerouting",
    );
}

#[test]
fn statements_come_to_an_end() {
    bad(
        rule(Vec::new(), Vec::new()),
        "V028",
        "the rule does nothing",
    );
    let after = rule(Vec::new(), vec![Statement::Drop, Statement::Counter]);
    bad(
        after,
        "V029",
        "a statement comes after the one that decides",
    );
    let limit = |rate, burst| {
        let per = TimeUnit::Second;
        rule(
            Vec::new(),
            vec![Statement::Limit(Limit {
                rate,
                per,
                burst,
                over: false,
            })],
        )
    };
    bad(
        limit(0, 5),
        "V030",
        "rate of the limit is 0, allowed is 1 to 1000000",
    );
    bad(
        limit(5, 1_000_001),
        "V030",
        "burst of the limit is 1000001, allowed is 1 to 1000000",
    );
    let reset = does(Statement::Reject(Reject::TcpReset));
    bad(
        reset,
        "V032",
        "reject with tcp reset in a rule that is not about TCP only",
    );
    let reset = vec![Statement::Reject(Reject::TcpReset)];
    check(
        &input(vec![rule(vec![is(Test::L4proto(vec![6..=6]))], reset)]),
        &[],
    );
}

#[test]
fn every_defect_is_told_at_once() {
    let rules = vec![jumps("nowhere"), rule(Vec::new(), Vec::new())];
    check(
        &input(rules),
        &[
            "error[V028]: rule 2 (`r`) in chain `in`: the rule does nothing".to_string(),
            format!("error[V009]: {IN}: there is no chain `nowhere`"),
        ],
    );
}

#[test]
fn a_goal_names_settings_that_are_there() {
    let clauses = vec![
        Clause {
            when: Some("echo".to_string()),
            ..Clause::default()
        },
        Clause {
            saddr_from: Some("office".to_string()),
            ..Clause::default()
        },
        Clause {
            saddr_not_from: Some("cdn".to_string()),
            ..Clause::default()
        },
        Clause {
            dport_setting: Some((PortProtocol::Tcp, "ports".to_string())),
            ..Clause::default()
        },
    ];
    let (name, hook) = ("g".to_string(), Hook::Input);
    let template = GoalTemplate {
        name,
        hook,
        quantifier: Quantifier::AllAccepted,
        clauses,
    };
    let found = instantiate(&template, &Inputs::default(), &Feeds::default()).unwrap_err();
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    let of = |name: &str| {
        format!("error[V033]: goal `g`: the description has no such setting or feed as `{name}`")
    };
    assert_eq!(texts, ["echo", "office", "cdn", "ports"].map(of));
}
