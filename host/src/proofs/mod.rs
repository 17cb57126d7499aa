//! What is proved of a rule set before it may be applied: its goals, and that its translation means
//! the same.
//!
//! Whoever wants to show more, who reaches what or what a change opens, asks an [`Outlook`].

mod because;
mod outlook;

use portreeve_model::goal::Goal;
use portreeve_model::packet::{Hook, Packet};
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_verify::{Answer, Budget, Claim, Inquiry, Undecided, Way};

pub use self::because::{Because, chain_name, rule_name};
pub use self::outlook::{Changes, DeadRule, Outlook, Sides, difference, exposure};

/// A goal, and whether it holds.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The goal.
    pub goal: Goal,
    /// Whether it holds of every packet.
    pub answer: Answer,
    /// What decides the packet that shows the opposite, or leaves it open.
    pub because: Option<Because>,
}

impl Proof {
    /// Whether the goal is proved.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.answer == Answer::Proved
    }
}

/// Decides every goal of a rule set, for every packet.
#[must_use]
pub fn prove(ruleset: &Ruleset, goals: Vec<Goal>) -> Vec<Proof> {
    let tables = ruleset.tables(portreeve_nft::TABLE);
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let packets: Vec<_> = goals
        .iter()
        .map(|goal| inquiry.packets(&goal.clauses()))
        .collect();
    let mut prover = inquiry.prover(Budget::DEFAULT);
    let decide = |(goal, packets): (Goal, _)| {
        let way = Way::At(goal.hook);
        let answer = if goal.is_switched_off() {
            Answer::Proved
        } else {
            prover.decide(Claim {
                rules,
                way,
                packets,
                quantifier: goal.quantifier,
            })
        };
        Proof {
            because: because(&tables, way, &answer),
            goal,
            answer,
        }
    };
    goals.into_iter().zip(packets).map(decide).collect()
}

/// A packet to which tables certainly do something else than a rule set, to the last mark and address
/// that they change. What whoever read them leaves open contradicts nothing: an hour that nft tells
/// in the time zone of the machine, or what its listings do not say. None as well when it takes more
/// than the prover's budget.
#[must_use]
pub fn contradiction(tables: &Tables, ruleset: &Ruleset) -> Option<Packet> {
    let wanted = ruleset.tables(portreeve_nft::TABLE);
    let mut inquiry = Inquiry::new();
    let (one, other) = (inquiry.rules(tables), inquiry.rules(&wanted));
    let mut prover = inquiry.prover(Budget::DEFAULT);
    Hook::ALL.into_iter().find_map(|hook| {
        let found = prover.contradiction(one, other, Way::At(hook));
        found.ok().flatten()
    })
}

/// What decides the packet of an answer, or leaves it open.
fn because(tables: &Tables, way: Way, answer: &Answer) -> Option<Because> {
    match answer {
        Answer::Proved | Answer::Undecided(Undecided::NoPacket | Undecided::OverBudget(_)) => None,
        Answer::Refuted(refutation) => Some(Because::decides(tables, way, &refutation.packet)),
        Answer::Undecided(Undecided::Uncertain(packet) | Undecided::Unconfirmed(packet)) => {
            Some(Because::leaves_open(tables, way, packet))
        }
    }
}
