//! `lo` is interface 1: what rules say of the one is said of the other, and of no other interface.

use portreeve_model::field::{Field, interface};
use portreeve_model::goal::Quantifier;
use portreeve_model::intervals::Interval;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{
    Attachment, Base, Chain, ChainType, Expression, Match, Operand, Part, Rule, Table, TableFamily,
    Tables, Verdict,
};
use portreeve_verify::{Answer, Budget, Claim, Inquiry, Way};

fn is(field: Field, number: u128) -> Match {
    Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers([Interval::single(number)].into_iter().collect()),
    }
}

/// A rule that drops what meets a condition, at a hook.
fn drops(hook: Hook, condition: Match) -> Tables {
    let base = Base {
        chain_type: ChainType::Filter,
        attachment: Attachment::Hook(hook),
        priority: 0,
        policy: ChainPolicy::Accept,
    };
    let rule = Rule {
        handle: None,
        comment: None,
        parts: vec![Part::Match(condition), Part::Verdict(Verdict::Drop)],
    };
    let chain = Chain {
        name: "c".to_owned(),
        base: Some(base),
        rules: vec![rule],
    };
    let table = Table {
        family: TableFamily::Inet,
        name: "t".to_owned(),
        dormant: false,
        listed: false,
        sets: Vec::new(),
        chains: vec![chain],
        unknown: Vec::new(),
    };
    Tables {
        tables: vec![table],
        unknown: Vec::new(),
    }
}

/// Losing this, a goal about `eth0` would hold for want of packets wherever a rule asks for the
/// number of another interface.
#[test]
fn a_number_that_is_not_that_of_lo_leaves_room_for_every_name() {
    let name = |name| interface::number(name).expect("it is short");
    for (hook, index, named) in [
        (Hook::Input, Field::Iif, Field::Iifname),
        (Hook::Output, Field::Oif, Field::Oifname),
    ] {
        let check = |index_is, name_is, expected: &dyn Fn(&Answer) -> bool| {
            let tables = drops(hook, is(index, index_is));
            let mut inquiry = Inquiry::new();
            let rules = inquiry.rules(&tables);
            let packets = inquiry.packets(&[vec![is(named, name(name_is))]]);
            let answer = inquiry.prover(Budget::DEFAULT).decide(Claim {
                rules,
                way: Way::At(hook),
                packets,
                quantifier: Quantifier::AllAccepted,
            });
            assert!(expected(&answer), "{hook} {index_is} {name_is}: {answer:?}");
        };
        let is_refuted = |answer: &Answer| matches!(answer, Answer::Refuted(_));
        check(3, "eth0", &is_refuted);
        check(3, "lo", &|answer| *answer == Answer::Proved);
        check(1, "eth0", &|answer| *answer == Answer::Proved);
        check(1, "lo", &is_refuted);
    }
}
