//! Diagram and evaluator share no code: where they agree, both are right or both are wrong alike.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use portreeve_model::evaluate::{Evaluation, HookVerdict, evaluate, journey};
use portreeve_model::field::Field;
use portreeve_model::packet::{Hook, Loaded, Packet};
use portreeve_model::ruleset::Reject;
use portreeve_model::tables::{Expression, Operand, Part, Tables};
use portreeve_model::testing::{Dice, neighbour, packet, tables};
use portreeve_verify::{Budget, Inquiry, Outcome, Outcomes, Way};

/// How a packet may end: let through, dropped, or rejected so.
type Ends = BTreeSet<(bool, Option<Reject>)>;

fn ends_of(outcomes: &Outcomes) -> Ends {
    let end = |outcome: &Outcome| match outcome {
        Outcome::Accept(_) => (true, None),
        Outcome::Drop => (false, None),
        Outcome::Reject(kind) => (false, Some(*kind)),
    };
    outcomes.all().iter().map(end).collect()
}

fn evaluated(evaluation: &Evaluation<'_>) -> Ends {
    let end = |fate: &portreeve_model::evaluate::Fate<'_>| {
        (fate.verdict == HookVerdict::Accept, fate.reject)
    };
    evaluation.fates.iter().map(end).collect()
}

/// What the evaluator says of a packet's way.
fn by_evaluator(tables: &Tables, way: Way, packet: &Packet) -> Ends {
    match way {
        Way::At(_) => evaluated(&evaluate(tables, packet)),
        Way::In | Way::Through | Way::Out => {
            let journey = journey(tables, packet);
            let ends = journey.ends.iter();
            ends.map(|end| (end.fate.verdict == HookVerdict::Accept, end.fate.reject))
                .collect()
        }
    }
}

/// The rules, as nft writes them.
fn text(tables: &Tables) -> String {
    let mut text = String::new();
    for table in &tables.tables {
        let _ = writeln!(text, "{:?}, listed: {}", table.family, table.listed);
        for set in &table.sets {
            let _ = writeln!(text, "{set:?}");
        }
        for chain in &table.chains {
            let _ = writeln!(text, "{} {:?}", chain.name, chain.base);
            for rule in &chain.rules {
                let _ = writeln!(text, "    {}", table.rule_text(rule));
            }
        }
    }
    text
}

/// Whether a rule compares or copies one field with another: to the diagram, which knows fields by
/// classes of values, that may be either.
fn compares_fields(tables: &Tables) -> bool {
    let chains = tables.tables.iter().flat_map(|table| &table.chains);
    let parts = chains
        .flat_map(|chain| &chain.rules)
        .flat_map(|rule| &rule.parts);
    parts.into_iter().any(|part| match part {
        Part::Match(condition) => matches!(condition.right, Operand::Value(_)),
        Part::Assign { value, .. } => !matches!(value, Expression::Constant(_)),
        _ => false,
    })
}

#[derive(Default)]
struct Tally {
    pairs: u64,
    certain: u64,
    /// Where the evaluator is less certain than the diagram.
    sharper: u64,
}

fn check(seed: u64, way: Way, packets: usize, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    let tables = tables(&mut dice);
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let compares = compares_fields(&tables);
    let mut last = packet(&mut dice);
    for turn in 0..packets {
        let mut next = match turn % 3 {
            0 => packet(&mut dice),
            1 => neighbour(&mut dice, &last),
            _ => prover.random_packet(way, &mut |sides| dice.below(sides as usize) as u32),
        };
        next.hook = way.hook();
        // To the kernel a connection always has a mark.
        let absent = Some(&Loaded::Absent);
        if next.facts.get(&Field::CtMark) == absent {
            next.facts.remove(&Field::CtMark);
        }
        last.clone_from(&next);
        let ours = ends_of(&prover.outcomes(rules, way, &next).expect("few rules"));
        let theirs = by_evaluator(&tables, way, &next);
        tally.pairs += 1;
        tally.certain += u64::from(theirs.len() == 1);
        let agree = if compares {
            !ours.is_disjoint(&theirs) && (theirs.len() > 1 || theirs.is_subset(&ours))
        } else {
            tally.sharper += u64::from(ours != theirs);
            ours.is_subset(&theirs)
        };
        assert!(
            agree,
            "seed {seed}, {way:?}: diagram {ours:?}, evaluator {theirs:?}\n{next:?}\n{}",
            text(&tables)
        );
    }
}

#[test]
fn diagram_and_evaluator_agree_on_every_pair_of_rule_set_and_packet() {
    let rule_sets: u64 = std::env::var("PORTREEVE_PAIRS_THOUSANDS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(100);
    let mut tally = Tally::default();
    let ways = [Way::At(Hook::Input), Way::At(Hook::Prerouting), Way::In];
    for seed in 0..4 * rule_sets {
        check(seed, ways[seed as usize % ways.len()], 250, &mut tally);
    }
    println!(
        "{} pairs, {} certain to the evaluator, {} more certain to the diagram",
        tally.pairs, tally.certain, tally.sharper
    );
    assert!(tally.certain * 2 > tally.pairs);
}
