//! Rules that do nothing: no packet meets them, or those that do would fare the same without.

use std::collections::BTreeSet;

use portreeve_model::evaluate::{StepResult, evaluate};
use portreeve_model::packet::{Hook, Packet};
use portreeve_model::tables::{ChainIndex, Part, Rule};

use crate::program::ChainId;
use crate::prover::{Prover, RulesId};
use crate::space::{NOTHING, Within};
use crate::transfer::{Altered, Does, Place, Way, reached};

/// A rule that does nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dead {
    /// Its table, by position.
    pub table: usize,
    /// Its chain, by position in the table.
    pub chain: ChainIndex,
    /// Its position in the chain.
    pub index: usize,
    /// Why.
    pub why: Why,
}

/// Why a rule does nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// No base chain leads to its chain.
    NoWayToIt,
    /// No packet is what it asks for.
    AsksTheImpossible,
    /// No packet that is what it asks for comes to it: others have decided it. Here is one.
    NeverMet(Packet),
    /// Every packet that meets it would fare the same without it. Here is one.
    MakesNoDifference(Packet),
}

impl Prover<'_> {
    /// The rules of a table that do nothing to packets at any hook. Chains that see packets at a
    /// device are not looked at.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn dead_rules(&mut self, rules: RulesId, table: usize) -> Within<Vec<Dead>> {
        let mut dead = Vec::new();
        let Some(of) = self.tables(rules).tables.get(table) else {
            return Ok(dead);
        };
        let reached = |place| reached(self.program(rules), place);
        let at_devices: BTreeSet<ChainId> = [Place::Ingress, Place::Egress]
            .into_iter()
            .flat_map(reached)
            .collect();
        let at_hooks = Hook::ALL.map(|hook| (hook, reached(Place::Hook(hook))));
        for (chain, in_chain) in of.chains.iter().enumerate() {
            let chain = ChainIndex(chain);
            let id = ChainId { table, chain };
            if at_devices.contains(&id) {
                continue;
            }
            let here = at_hooks.iter().filter(|(_, reached)| reached.contains(&id));
            let ways: Vec<Way> = here.map(|(hook, _)| Way::At(*hook)).collect();
            for (index, rule) in in_chain.rules.iter().enumerate() {
                if let Some(why) = self.why_dead(rules, (id, index), rule, &ways)? {
                    dead.push(Dead {
                        table,
                        chain,
                        index,
                        why,
                    });
                }
            }
        }
        Ok(dead)
    }

    fn why_dead(
        &mut self,
        rules: RulesId,
        (chain, index): (ChainId, usize),
        rule: &Rule,
        ways: &[Way],
    ) -> Within<Option<Why>> {
        let steps = &self.program(rules).tables[chain.table].chains[chain.chain.0][index];
        if steps.is_empty() {
            return Ok(None);
        }
        if ways.is_empty() {
            return Ok(Some(Why::NoWayToIt));
        }
        let mut meets = None;
        let mut is_met = false;
        for way in ways.iter().copied() {
            let Some(packet) = self.asked_for(rules, (chain, index), way)? else {
                continue;
            };
            // Most rules are met by the most ordinary packet that they are about.
            let tables = self.tables(rules);
            let table = &tables.tables[chain.table];
            let evaluation = evaluate(tables, &packet);
            let met = evaluation.walk.iter().any(|step| {
                let here = core::ptr::eq(step.rule.place.table, table)
                    && core::ptr::eq(step.rule.rule(), rule);
                here && !matches!(step.result, StepResult::Failed(_))
            });
            if met && !decides_alone(rule) {
                return Ok(None);
            }
            if met || self.decides(rules, (chain, index), way)? {
                is_met = true;
                let fates = self.fates(rules, way)?;
                let altered = altered(chain, index, Does::Nothing);
                let without = self.fates_altered(rules, way, altered)?;
                if !decides_alone(rule) || fates != without {
                    return Ok(None);
                }
            }
            meets.get_or_insert(packet);
        }
        Ok(Some(match meets {
            None => Why::AsksTheImpossible,
            Some(packet) if is_met => Why::MakesNoDifference(packet),
            Some(packet) => Why::NeverMet(packet),
        }))
    }

    /// Whether packets come to a rule: what becomes of some depends on what it does.
    fn decides(
        &mut self,
        rules: RulesId,
        (chain, index): (ChainId, usize),
        way: Way,
    ) -> Within<bool> {
        let drops = self.fates_altered(rules, way, altered(chain, index, Does::Drop))?;
        let accepts = self.fates_altered(rules, way, altered(chain, index, Does::Accept))?;
        Ok(drops != accepts)
    }

    /// The most ordinary packet that a rule asks for at a hook, wherever it stands.
    fn asked_for(
        &mut self,
        rules: RulesId,
        rule: (ChainId, usize),
        way: Way,
    ) -> Within<Option<Packet>> {
        let possible = self.possible_packets(way)?;
        let region = self.region_of_rule(rules, rule, way)?;
        let region = self.space.store.and(region, possible)?;
        if region == NOTHING {
            return Ok(None);
        }
        Ok(self.witness(region, way))
    }
}

const fn altered(chain: ChainId, index: usize, does: Does) -> Altered {
    Altered { chain, index, does }
}

/// Whether a rule does nothing but decide: what it logs, counts in sets or changes is something,
/// whatever becomes of the packet.
fn decides_alone(rule: &Rule) -> bool {
    rule.parts.iter().all(|part| {
        matches!(
            part,
            Part::Match(_)
                | Part::VerdictMap { .. }
                | Part::Verdict(_)
                | Part::Reject(_)
                | Part::Counter
        )
    })
}
