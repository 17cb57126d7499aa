//! What a rule set would make of the machine: who reaches what, what it opens and closes, and which
//! of its rules do nothing.

use portreeve_model::evaluate::{ChainRef, RuleRef};
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_verify::{Budget, Change, Exposure, Inquiry, OverBudget, Prover, RulesId, Way, Why};

use super::{Because, rule_name};

/// What a rule set would make of the machine.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Who reaches what, by this rule set alone.
    pub exposure: Result<Exposure, OverBudget>,
    /// The rules that do nothing.
    pub dead: Result<Vec<DeadRule>, OverBudget>,
    /// What it changes of what is in force, if that is known.
    pub changes: Option<Result<Vec<Changes>, OverBudget>>,
}

/// A rule that does nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadRule {
    /// The rule, by its name and place.
    pub rule: String,
    /// Why it does nothing.
    pub why: Why,
    /// What decides the packets that it asks for, when others do.
    pub by: Option<Because>,
}

/// What changes at a hook, or on a way.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The way that the packets go.
    pub way: Way,
    /// Packets that fare otherwise, with what decides them before and after.
    pub changes: Vec<(Change, Sides)>,
}

/// What decides a packet under two rule sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sides {
    /// Under the one that is in force, or is compared with.
    pub before: Because,
    /// Under the other one.
    pub after: Because,
}

impl Outlook {
    /// What `ruleset` would make of a machine on which `in_force` is in force, if that is known.
    #[must_use]
    pub fn of(ruleset: &Ruleset, in_force: Option<&Ruleset>) -> Self {
        let tables = ruleset.tables(portreeve_nft::TABLE);
        let before = in_force.map(|in_force| in_force.tables(portreeve_nft::TABLE));
        let mut inquiry = Inquiry::new();
        let rules = inquiry.rules(&tables);
        let before_rules = before.as_ref().map(|before| inquiry.rules(before));
        let mut prover = inquiry.prover(Budget::DEFAULT);
        Self {
            exposure: prover.exposure(rules, Way::At(Hook::Input)),
            dead: dead_rules(&mut prover, rules),
            changes: before_rules.map(|before| at_every_hook(&mut prover, before, rules)),
        }
    }
}

/// Who reaches what, by a rule set alone.
///
/// # Errors
/// When that takes more than the prover's budget.
pub fn exposure(ruleset: &Ruleset) -> Result<Exposure, OverBudget> {
    let tables = ruleset.tables(portreeve_nft::TABLE);
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let mut prover = inquiry.prover(Budget::DEFAULT);
    prover.exposure(rules, Way::At(Hook::Input))
}

/// What two rule sets do otherwise.
///
/// # Errors
/// When that takes more than the prover's budget.
pub fn difference(before: &Tables, after: &Tables) -> Result<Vec<Changes>, OverBudget> {
    let mut inquiry = Inquiry::new();
    let (before, after) = (inquiry.rules(before), inquiry.rules(after));
    at_every_hook(&mut inquiry.prover(Budget::DEFAULT), before, after)
}

fn at_every_hook(
    prover: &mut Prover<'_>,
    before: RulesId,
    after: RulesId,
) -> Result<Vec<Changes>, OverBudget> {
    let mut all = Vec::new();
    for hook in Hook::ALL {
        let way = Way::At(hook);
        let found = prover.changes(before, after, way)?;
        if found.is_empty() {
            continue;
        }
        let (before, after) = (prover.tables(before), prover.tables(after));
        let changes = found.into_iter().map(|change| {
            let sides = Sides {
                before: Because::decides(before, way, &change.witness),
                after: Because::decides(after, way, &change.witness),
            };
            (change, sides)
        });
        all.push(Changes {
            way,
            changes: changes.collect(),
        });
    }
    Ok(all)
}

fn dead_rules(prover: &mut Prover<'_>, rules: RulesId) -> Result<Vec<DeadRule>, OverBudget> {
    let found = prover.dead_rules(rules, 0)?;
    let tables = prover.tables(rules);
    let named = found.into_iter().filter_map(|dead| {
        let table = tables.tables.get(dead.table)?;
        let chain = table.chain(dead.chain)?;
        let rule = RuleRef {
            place: ChainRef { table, chain },
            index: dead.index,
        };
        let by = match &dead.why {
            Why::NoWayToIt | Why::AsksTheImpossible => None,
            Why::NeverMet(packet) | Why::MakesNoDifference(packet) => {
                Some(Because::decides(tables, Way::At(packet.hook), packet))
            }
        };
        Some(DeadRule {
            rule: rule_name(&rule),
            why: dead.why,
            by,
        })
    });
    Ok(named.collect())
}
