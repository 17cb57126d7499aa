//! Diagram and evaluator share no code: where they agree, both are right or both are wrong alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use portreeve_model::address::Family;
use portreeve_model::evaluate::{Evaluation, HookVerdict, evaluate, journey};
use portreeve_model::field::{Field, PortProtocol};
use portreeve_model::goal::Quantifier;
use portreeve_model::intervals::Interval;
use portreeve_model::packet::{Addresses, CtState, Hook, Loaded, Packet, Transport};
use portreeve_model::ruleset::{ChainPolicy, Reject};
use portreeve_model::tables::{
    Attachment, Base, Chain, ChainType, Expression, Match, Operand, Part, Rule, Tables, Verdict,
};
use portreeve_model::testing::{Dice, neighbour, packet, tables};
use portreeve_verify::{Answer, Budget, Claim, Inquiry, Outcome, Outcomes, Undecided, Way};

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

/// Every packet of a small universe, of which every value is tried with every other.
fn small_universe(hook: Hook) -> Vec<Packet> {
    let mut all = Vec::new();
    for family in Family::BOTH {
        for (saddr, dport) in (0..9).flat_map(|saddr| (0..9).map(move |dport| (saddr, dport))) {
            let address = |bits| family.address(bits);
            let addresses = Addresses::new(address(saddr), address(3)).expect("of one family");
            for (iifname, ct_state) in ["lo", "eth0"]
                .into_iter()
                .flat_map(|name| CtState::ALL.map(|state| (name, state)))
            {
                for protocol in [PortProtocol::Tcp, PortProtocol::Udp] {
                    all.push(Packet {
                        hook,
                        iifname: iifname.to_owned(),
                        oifname: String::new(),
                        addresses,
                        hop_limit: 5,
                        transport: Transport::Ports {
                            protocol,
                            sport: 4,
                            dport,
                        },
                        ct_state,
                        facts: BTreeMap::from([(Field::Mark, Loaded::Value(saddr % 4))]),
                    });
                }
            }
        }
    }
    all
}

#[test]
fn they_agree_on_every_packet_of_a_small_universe() {
    let universe = small_universe(Hook::Input);
    let mut certain = 0;
    for seed in 10_000..10_012 {
        let mut dice = Dice::new(seed);
        let tables = tables(&mut dice);
        let mut inquiry = Inquiry::new();
        let rules = inquiry.rules(&tables);
        let mut prover = inquiry.prover(Budget::DEFAULT);
        let way = Way::At(Hook::Input);
        for packet in &universe {
            let ours = ends_of(&prover.outcomes(rules, way, packet).expect("few rules"));
            let theirs = by_evaluator(&tables, way, packet);
            certain += usize::from(theirs.len() == 1);
            let agree =
                ours.is_subset(&theirs) || compares_fields(&tables) && !ours.is_disjoint(&theirs);
            assert!(
                agree,
                "seed {seed}: {ours:?}, {theirs:?}\n{packet:?}\n{}",
                text(&tables)
            );
        }
    }
    assert!(certain > 6 * universe.len(), "{certain} certain");
}

/// Losing this, rules that are made to be tangled could keep a server's processor, or fill its
/// memory.
#[test]
fn what_takes_more_than_the_budget_is_undecided() {
    let mut dice = Dice::new(1);
    let any = |dice: &mut Dice, field, most: usize| {
        let (a, b) = (dice.below(most) as u128, dice.below(most) as u128);
        let interval = Interval::new(a.min(b), a.max(b)).expect("sorted");
        Part::Match(Match {
            left: Expression::Field(field),
            negated: false,
            right: Operand::Numbers(std::iter::once(interval).collect()),
        })
    };
    let tcp = PortProtocol::Tcp;
    let rules = (0..400).map(|at| {
        let verdict = if at % 2 == 0 {
            Verdict::Accept
        } else {
            Verdict::Drop
        };
        Rule {
            handle: None,
            comment: None,
            parts: vec![
                any(&mut dice, Field::Saddr(Family::Ip), 1 << 30),
                any(&mut dice, Field::Daddr(Family::Ip), 1 << 30),
                any(&mut dice, Field::Dport(tcp), 1 << 16),
                any(&mut dice, Field::Sport(tcp), 1 << 16),
                Part::Verdict(verdict),
            ],
        }
    });
    let mut tables = tables(&mut Dice::new(2));
    tables.tables[0].chains = vec![Chain {
        name: "input".to_owned(),
        base: Some(Base {
            chain_type: ChainType::Filter,
            attachment: Attachment::Hook(Hook::Input),
            priority: 0,
            policy: ChainPolicy::Drop,
        }),
        rules: rules.collect(),
    }];
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let packets = inquiry.packets(&[Vec::new()]);
    let mut prover = inquiry.prover(Budget {
        edges: 20_000,
        work: 200_000,
    });
    let answer = prover.decide(Claim {
        rules,
        way: Way::At(Hook::Input),
        packets,
        quantifier: Quantifier::AllAccepted,
    });
    assert!(
        matches!(answer, Answer::Undecided(Undecided::OverBudget(_))),
        "{answer:?}"
    );
    assert!(prover.size() <= 20_000, "{} edges", prover.size());
}
