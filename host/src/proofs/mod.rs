//! What is proved of a rule set before it may be applied: its goals, and that its translation means
//! the same.
//!
//! Whoever wants to show more, who reaches what or what a change opens, asks an [`Outlook`].

mod because;
mod outlook;

use portreeve_model::goal::Goal;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_verify::{Answer, Budget, Claim, Inquiry, Prover, RulesId, Undecided, Way};

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
        let answer = prover.decide(Claim {
            rules,
            way,
            packets,
            within: None,
            quantifier: goal.quantifier,
        });
        Proof {
            because: because(&tables, way, &answer),
            goal,
            answer,
        }
    };
    goals.into_iter().zip(packets).map(decide).collect()
}

/// Whether two rule sets do the same to every packet at every hook, to the last mark and address
/// that they change: told by the prover, which knows nothing of how they are translated. None when
/// that takes more than its budget.
#[must_use]
pub fn same_meaning(one: &Ruleset, other: &Ruleset) -> Option<bool> {
    let (one, other) = (
        one.tables(portreeve_nft::TABLE),
        other.tables(portreeve_nft::TABLE),
    );
    let mut inquiry = Inquiry::new();
    let (one, other) = (inquiry.rules(&one), inquiry.rules(&other));
    let mut prover = inquiry.prover(Budget::DEFAULT);
    same_at_every_hook(&mut prover, one, other)
}

fn same_at_every_hook(prover: &mut Prover<'_>, one: RulesId, other: RulesId) -> Option<bool> {
    for hook in Hook::ALL {
        if !prover.equivalent(one, other, Way::At(hook)).ok()? {
            return Some(false);
        }
    }
    Some(true)
}

/// What decides the packet of an answer, or leaves it open.
fn because(tables: &Tables, way: Way, answer: &Answer) -> Option<Because> {
    match answer {
        Answer::Proved | Answer::Undecided(Undecided::OverBudget(_)) => None,
        Answer::Refuted(refutation) => Some(Because::decides(tables, way, &refutation.packet)),
        Answer::Undecided(Undecided::Uncertain(packet) | Undecided::Unconfirmed(packet)) => {
            Some(Because::leaves_open(tables, way, packet))
        }
    }
}
