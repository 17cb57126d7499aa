//! A verdict is what nft(8) says, with the rule that gave it.

mod journey;
mod region;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::address::Family;
use crate::draft::{self, AddressOperand, Base, ChainType, Draft, Element, Test};
use crate::field::PortProtocol;
use crate::packet::Hook;
use crate::ruleset::{ChainPolicy, Limit, Ruleset, TimeUnit};
use crate::validate::{Feeds, validate};

const SSH: &str = "tcp 192.0.2.7 > 198.51.100.1:22";

fn ruleset(chains: Vec<draft::Chain>) -> Ruleset {
    let draft = Draft {
        chains,
        ..Draft::default()
    };
    validate(&draft, &Feeds::default()).unwrap()
}

fn base(name: &str, priority: i32, policy: ChainPolicy, rules: Vec<draft::Rule>) -> draft::Chain {
    let base = Base {
        chain_type: ChainType::Filter,
        hook: Hook::Input,
        priority,
        policy,
    };
    draft::Chain {
        base: Some(base),
        ..regular(name, rules)
    }
}

fn regular(name: &str, rules: Vec<draft::Rule>) -> draft::Chain {
    draft::Chain {
        name: name.to_string(),
        base: None,
        rules,
    }
}

fn always(label: &str, statements: &[draft::Statement]) -> draft::Rule {
    let (label, statements) = (label.to_string(), statements.to_vec());
    draft::Rule {
        label,
        matches: Vec::new(),
        statements,
    }
}

fn when(label: &str, negated: bool, test: Test, statement: draft::Statement) -> draft::Rule {
    let matches = vec![draft::Match { negated, test }];
    draft::Rule {
        matches,
        ..always(label, &[statement])
    }
}

fn ssh() -> Test {
    Test::Dport(PortProtocol::Tcp, vec![22..=22])
}

fn jump(target: &str) -> draft::Statement {
    draft::Statement::Jump(target.to_string())
}

fn goto(target: &str) -> draft::Statement {
    draft::Statement::Goto(target.to_string())
}

fn limit() -> draft::Statement {
    let (rate, per, burst) = (5, TimeUnit::Second, 5);
    draft::Statement::Limit(Limit {
        rate,
        per,
        burst,
        over: false,
    })
}

/// The possible fates, each as `drop by RULE`.
fn fates(ruleset: &Ruleset, packet: &str) -> Vec<String> {
    let tables = ruleset.tables("ours");
    let evaluation = evaluate(&tables, &packet.parse().unwrap());
    let text = |fate: &Fate<'_>| {
        let verdict = match (fate.verdict, fate.reject) {
            (HookVerdict::Accept, _) => "accept",
            (HookVerdict::Drop, None) => "drop",
            (HookVerdict::Drop, Some(_)) => "reject",
        };
        match &fate.by {
            Decider::Rule(rule) => format!("{verdict} by {}", rule.label()),
            Decider::ChainPolicy(place) => format!("{verdict} by policy of {}", place.chain.name),
            Decider::NoChain => format!("{verdict} by nobody"),
            Decider::NotFollowed(place) => format!("{verdict} by losing {}", place.chain.name),
        }
    };
    evaluation.fates.iter().map(text).collect()
}

fn check(chains: Vec<draft::Chain>, packet: &str, expected: &[&str]) {
    assert_eq!(fates(&ruleset(chains), packet), expected, "{packet}");
}

use draft::Statement::{Accept, Continue, Counter, Drop, Return};

#[test]
fn the_first_rule_that_decides_is_the_one_that_counts() {
    let rules = || {
        vec![
            always("count", &[Counter]),
            always("on", &[Continue]),
            when("ssh", false, ssh(), Accept),
            always("rest", &[Drop]),
        ]
    };
    let chain = |policy| vec![base("in", 0, policy, rules())];
    check(chain(ChainPolicy::Drop), SSH, &["accept by ssh"]);
    check(
        chain(ChainPolicy::Accept),
        "tcp 192.0.2.7 > 198.51.100.1:23",
        &["drop by rest"],
    );
}

#[test]
fn a_packet_that_no_rule_decides_meets_the_chain_policy() {
    let chain = |policy| vec![base("in", 0, policy, vec![always("count", &[Counter])])];
    check(chain(ChainPolicy::Accept), SSH, &["accept by policy of in"]);
    check(chain(ChainPolicy::Drop), SSH, &["drop by policy of in"]);
    let chains = chain(ChainPolicy::Drop);
    check(
        chains,
        "output tcp 192.0.2.7 > 198.51.100.1:22",
        &["accept by nobody"],
    );
}

#[test]
fn accept_ends_one_base_chain_and_drop_ends_all() {
    let two = |first: draft::Statement, second: draft::Statement| {
        vec![
            base(
                "late",
                10,
                ChainPolicy::Accept,
                vec![always("second", &[second])],
            ),
            base(
                "early",
                -10,
                ChainPolicy::Accept,
                vec![always("first", &[first])],
            ),
        ]
    };
    check(two(Accept, Drop), SSH, &["drop by second"]);
    check(two(Drop, Accept), SSH, &["drop by first"]);
    check(two(Accept, Accept), SSH, &["accept by second"]);
    check(two(Accept, Counter), SSH, &["accept by policy of late"]);
    let both = ruleset(two(Drop, Accept)).tables("ours");
    let walk = evaluate(&both, &SSH.parse().unwrap()).walk;
    let labels: Vec<_> = walk.iter().map(|step| step.rule.label()).collect();
    assert_eq!(
        labels,
        ["first"],
        "a dropped packet never meets the next chain"
    );
}

#[test]
fn jump_comes_back_and_goto_does_not() {
    let through = |enter: draft::Statement, inner: Vec<draft::Rule>| {
        let rules = vec![always("enter", &[enter]), always("after", &[Accept])];
        vec![
            base("in", 0, ChainPolicy::Drop, rules),
            regular("sub", inner),
        ]
    };
    let nothing = || vec![always("inner", &[Counter])];
    let returns = || vec![always("back", &[Return]), always("never", &[Drop])];
    let drops = || vec![always("inner", &[Drop])];
    check(through(jump("sub"), nothing()), SSH, &["accept by after"]);
    check(through(jump("sub"), returns()), SSH, &["accept by after"]);
    check(through(jump("sub"), drops()), SSH, &["drop by inner"]);
    check(
        through(goto("sub"), nothing()),
        SSH,
        &["drop by policy of in"],
    );
    check(
        through(goto("sub"), returns()),
        SSH,
        &["drop by policy of in"],
    );
    check(through(goto("sub"), drops()), SSH, &["drop by inner"]);
    check(through(Return, drops()), SSH, &["drop by policy of in"]);
}

/// nft(8): a chain that was gone to returns to where the chain that left it was called from.
#[test]
fn goto_inside_a_jump_returns_to_the_caller_of_the_jump() {
    let rules = vec![always("enter", &[jump("one")]), always("after", &[Accept])];
    let chains = vec![
        base("in", 0, ChainPolicy::Drop, rules),
        regular(
            "one",
            vec![always("on", &[goto("two")]), always("never", &[Drop])],
        ),
        regular("two", vec![always("count", &[Counter])]),
    ];
    check(chains, SSH, &["accept by after"]);
}

#[test]
fn reject_drops_and_tells_the_sender() {
    let reject = draft::Statement::Reject(Reject::AdminProhibited);
    let chains = vec![base(
        "in",
        0,
        ChainPolicy::Accept,
        vec![always("no", &[reject])],
    )];
    check(chains.clone(), SSH, &["reject by no"]);
    let tables = ruleset(chains).tables("ours");
    let evaluation = evaluate(&tables, &SSH.parse().unwrap());
    assert_eq!(evaluation.fates[0].reject, Some(Reject::AdminProhibited));
    assert!(evaluation.must_drop() && !evaluation.must_accept());
}

#[test]
fn a_limit_leaves_both_fates_open() {
    let within = |statement| always("limited", &[limit(), statement]);
    let chain = |rules| vec![base("in", 0, ChainPolicy::Drop, rules)];
    let open = ["drop by policy of in", "accept by limited"];
    check(chain(vec![within(Accept)]), SSH, &open);
    let tables = ruleset(chain(vec![within(Accept)])).tables("ours");
    let evaluation = evaluate(&tables, &SSH.parse().unwrap());
    assert!(!evaluation.must_accept() && !evaluation.must_drop());
    assert_eq!(evaluation.walk[0].result, StepResult::MayMatch(0));
    let both_drop = chain(vec![within(Drop), always("rest", &[Drop])]);
    check(both_drop.clone(), SSH, &["drop by limited", "drop by rest"]);
    let tables = ruleset(both_drop).tables("ours");
    assert!(evaluate(&tables, &SSH.parse().unwrap()).must_drop());
    let mut jumping = chain(vec![within(jump("sub")), always("rest", &[Drop])]);
    jumping.push(regular("sub", vec![always("inner", &[Accept])]));
    check(jumping, SSH, &["drop by rest", "accept by inner"]);
    let mut second = chain(vec![within(Accept)]);
    second.push(base("late", 5, ChainPolicy::Drop, Vec::new()));
    check(
        second,
        SSH,
        &["drop by policy of in", "drop by policy of late"],
    );
}

/// The kernel leaves a rule when it cannot load a field (`NFT_BREAK`), even under `!=`: a rule
/// that drops "everything not from here" does not drop the other family.
#[test]
fn a_field_that_the_packet_does_not_have_fails_negated_or_not() {
    let address = || {
        let element = Element::Prefix {
            address: "192.0.2.0".parse().unwrap(),
            length: 24,
        };
        Test::Saddr(Family::Ip, AddressOperand::Elements(vec![element]))
    };
    let cases = [
        (ssh(), "udp 192.0.2.7 > 198.51.100.1:22"),
        (Test::IcmpType(Family::Ip, vec![8..=8]), SSH),
        (Test::HopLimit(Family::Ip6, vec![64..=64]), SSH),
    ];
    for negated in [false, true] {
        let chain = |test| {
            vec![base(
                "in",
                0,
                ChainPolicy::Accept,
                vec![when("no", negated, test, Drop)],
            )]
        };
        for (test, packet) in cases.clone() {
            check(chain(test), packet, &["accept by policy of in"]);
        }
        let other_family = "tcp 2001:db8::7 > [2001:db8::1]:22";
        check(chain(address()), other_family, &["accept by policy of in"]);
    }
    let chain = vec![base(
        "in",
        0,
        ChainPolicy::Accept,
        vec![when("no", true, address(), Drop)],
    )];
    check(chain.clone(), SSH, &["accept by policy of in"]);
    check(chain, "tcp 192.0.3.7 > 198.51.100.1:22", &["drop by no"]);
}

#[test]
fn the_walk_names_each_rule_and_the_match_that_failed() {
    let rules = vec![when("ssh", false, ssh(), Accept), always("rest", &[Drop])];
    let tables = ruleset(vec![base("in", 0, ChainPolicy::Drop, rules)]).tables("ours");
    let walk = evaluate(&tables, &"tcp ::1 > [::1]:80".parse().unwrap()).walk;
    let results: Vec<_> = walk
        .iter()
        .map(|step| (step.rule.index, step.result, step.part()))
        .collect();
    let failed = &tables.tables[0].chains[0].rules[0].parts[0];
    let expected = [
        (0, StepResult::Failed(0), Some(failed)),
        (1, StepResult::Matched, None),
    ];
    assert_eq!(results, expected);
}
