//! What a rule set does to one packet, and why.
//!
//! Follows nft(8) and `nf_tables_core.c`: base chains of the hook in order of priority; rules in
//! order; `accept` leaves the base chain and the next one goes on; `drop` and `reject` are final.
//! A `limit` may let a packet through or not, so there may be more than one possible fate: all of
//! them are given, never a guess.

use alloc::vec::Vec;

use crate::names::{Name, Text};
use crate::packet::Packet;
use crate::ruleset::{Chain, ChainPolicy, Match, Reject, Rule, Ruleset, Statement, Verdict};

/// What can happen to a packet at its hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evaluation {
    /// Every fate that is possible, in the order found; at least one.
    pub fates: Vec<Fate>,
    /// Every rule that was looked at, in order.
    pub walk: Vec<Step>,
}

impl Evaluation {
    /// Whether the packet is accepted, whatever a limit says.
    #[must_use]
    pub fn must_accept(&self) -> bool {
        self.fates
            .iter()
            .all(|fate| fate.verdict == HookVerdict::Accept)
    }

    /// Whether the packet is dropped or rejected, whatever a limit says.
    #[must_use]
    pub fn must_drop(&self) -> bool {
        self.fates
            .iter()
            .all(|fate| fate.verdict == HookVerdict::Drop)
    }
}

/// One possible end of a packet's way through its hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fate {
    /// What the hook returns.
    pub verdict: HookVerdict,
    /// What the sender is told, if the packet is rejected.
    pub reject: Option<Reject>,
    /// What decided.
    pub by: Decider,
}

/// What a hook finally returns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HookVerdict {
    /// The packet goes on.
    Accept,
    /// The packet is gone.
    Drop,
}

/// What decided a packet's fate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decider {
    /// A rule.
    Rule(RuleRef),
    /// The chain policy of a base chain, because no rule decided.
    ChainPolicy(Name),
    /// Nothing: no base chain is attached to the hook.
    NoChain,
}

/// A rule by its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleRef {
    /// The chain it is in.
    pub chain: Name,
    /// Its position in the chain, counted from 0.
    pub index: usize,
    /// Its label.
    pub label: Text,
}

/// One rule that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The rule.
    pub rule: RuleRef,
    /// How it went.
    pub result: StepResult,
}

/// How a rule went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StepResult {
    /// A match did not hold.
    Failed(Match),
    /// Everything held and the rule did what it says.
    Matched,
    /// Every match held, but a limit decides whether the rule goes on.
    MayMatch,
}

/// What `ruleset` does to `packet` at the packet's hook.
#[must_use]
pub fn evaluate(ruleset: &Ruleset, packet: &Packet) -> Evaluation {
    let mut walker = Walker {
        ruleset,
        packet,
        fates: Vec::new(),
        walk: Vec::new(),
    };
    let mut accepted_by = Vec::from([Decider::NoChain]);
    for (chain, base) in ruleset.base_chains(packet.hook) {
        accepted_by = walker.base_chain(chain, base.policy);
        if accepted_by.is_empty() {
            break;
        }
    }
    // Whoever let the packet through the last base chain has accepted it.
    let accepts = accepted_by.into_iter().map(|by| Fate {
        verdict: HookVerdict::Accept,
        reject: None,
        by,
    });
    walker.fates.extend(accepts);
    Evaluation {
        fates: walker.fates,
        walk: walker.walk,
    }
}

struct Walker<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Packet,
    /// The final fates found so far: drops and rejects.
    fates: Vec<Fate>,
    walk: Vec<Step>,
}

/// How a packet can come out of a chain.
#[derive(Default)]
struct Exits {
    /// Accepted, by each of these.
    accepts: Vec<Decider>,
    /// Not decided: the caller goes on.
    undecided: bool,
}

impl Walker<'_> {
    /// Who accepts the packet in this base chain; nobody when it is certainly dropped.
    fn base_chain(&mut self, chain: &Chain, policy: ChainPolicy) -> Vec<Decider> {
        let mut exits = self.chain(chain);
        if exits.undecided {
            let by = Decider::ChainPolicy(chain.name().clone());
            match policy {
                ChainPolicy::Accept => exits.accepts.push(by),
                ChainPolicy::Drop => self.dropped(None, by),
            }
        }
        exits.accepts
    }

    fn chain(&mut self, chain: &Chain) -> Exits {
        let mut exits = Exits::default();
        for (index, rule) in chain.rules().iter().enumerate() {
            let at = || RuleRef {
                chain: chain.name().clone(),
                index,
                label: rule.label().clone(),
            };
            let result = self.looks(rule);
            self.walk.push(Step {
                rule: at(),
                result: result.clone(),
            });
            let certain = match result {
                StepResult::Failed(_) => continue,
                StepResult::Matched => true,
                StepResult::MayMatch => false,
            };
            let goes_on = self.acts(rule, &mut exits, at);
            if certain && !goes_on {
                return exits;
            }
        }
        exits.undecided = true;
        exits
    }

    fn looks(&self, rule: &Rule) -> StepResult {
        let failed = rule
            .matches()
            .iter()
            .find(|m| !m.holds(self.packet, self.ruleset));
        if let Some(condition) = failed {
            return StepResult::Failed(condition.clone());
        }
        let limited = rule
            .statements()
            .iter()
            .any(|s| matches!(s, Statement::Limit(_)));
        if limited {
            StepResult::MayMatch
        } else {
            StepResult::Matched
        }
    }

    /// Does what the rule's last statement says; whether the chain goes on after it.
    fn acts(&mut self, rule: &Rule, exits: &mut Exits, at: impl Fn() -> RuleRef) -> bool {
        match rule.statements().last() {
            Some(Statement::Reject(reject)) => {
                self.dropped(Some(*reject), Decider::Rule(at()));
                false
            }
            Some(Statement::Verdict(verdict)) => match verdict {
                Verdict::Accept => {
                    exits.accepts.push(Decider::Rule(at()));
                    false
                }
                Verdict::Drop => {
                    self.dropped(None, Decider::Rule(at()));
                    false
                }
                Verdict::Continue => true,
                Verdict::Return => {
                    exits.undecided = true;
                    false
                }
                Verdict::Jump(target) => self.enters(target, exits),
                Verdict::Goto(target) => {
                    exits.undecided |= self.enters(target, exits);
                    false
                }
            },
            Some(Statement::Counter | Statement::Limit(_) | Statement::Log { .. }) | None => true,
        }
    }

    /// Goes through another chain; whether the packet can come back undecided.
    fn enters(&mut self, target: &Name, exits: &mut Exits) -> bool {
        let chain = self
            .ruleset
            .chain(target)
            .expect("validated: the chain exists");
        let inner = self.chain(chain);
        exits.accepts.extend(inner.accepts);
        inner.undecided
    }

    fn dropped(&mut self, reject: Option<Reject>, by: Decider) {
        self.fates.push(Fate {
            verdict: HookVerdict::Drop,
            reject,
            by,
        });
    }
}

#[cfg(test)]
mod tests;
