//! What must hold of a rule set: which packets it accepts.
//!
//! A policy states its goals without knowing its settings, as templates that refer to them; the
//! host fills in the operator's values. A goal is judged by `holds_for` one packet at a time.

use alloc::string::String;
use alloc::vec::Vec;

use crate::draft;
use crate::evaluate::{Evaluation, evaluate};
use crate::field::PortProtocol;
use crate::packet::{Hook, Packet};
use crate::ruleset::{Match, Ruleset};
use crate::tables;

/// A goal whose values are partly the operator's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GoalTemplate {
    /// What it promises, in a few words: `ssh stays reachable`.
    pub name: String,
    /// The hook at which packets are judged.
    pub hook: Hook,
    /// What is said of the packets.
    pub quantifier: Quantifier,
    /// The packets: those of any clause.
    pub clauses: Vec<Clause>,
}

/// Some packets: those for which all conditions hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Clause {
    /// The clause counts only while this boolean setting is true.
    pub when: Option<String>,
    /// Conditions with values written out.
    pub matches: Vec<draft::Match>,
    /// The destination port is one that this setting names (a port, or ports).
    pub dport_setting: Option<(PortProtocol, String)>,
    /// The source address is in this feed or this setting of prefixes.
    pub saddr_from: Option<String>,
    /// The source address is not in this one.
    pub saddr_not_from: Option<String>,
}

/// What a goal says of its packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Quantifier {
    /// Every one of them is accepted.
    AllAccepted,
    /// None of them is accepted.
    NoneAccepted,
    /// They are accepted, and no other packet is.
    ExactlyTheseAccepted,
    /// Of any two of them, one of each family, that agree in everything that both families have,
    /// both are accepted or neither is.
    FamiliesAlike,
}

/// A goal with every value filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Goal {
    /// What it promises, in a few words.
    pub name: String,
    /// The hook at which packets are judged.
    pub hook: Hook,
    /// What is said of the packets.
    pub quantifier: Quantifier,
    /// The packets: those of any clause, where a clause is a conjunction without named sets.
    pub region: Vec<Vec<Match>>,
}

impl Goal {
    /// Whether the operator's values leave no packet that it could be broken by: every clause is
    /// switched off, or names addresses of which there are none.
    #[must_use]
    pub const fn is_switched_off(&self) -> bool {
        match self.quantifier {
            Quantifier::AllAccepted | Quantifier::NoneAccepted | Quantifier::FamiliesAlike => {
                self.region.is_empty()
            }
            Quantifier::ExactlyTheseAccepted => false,
        }
    }

    /// Whether `packet` is one of those the goal speaks of.
    #[must_use]
    pub fn concerns(&self, packet: &Packet, ruleset: &Ruleset) -> bool {
        packet.hook == self.hook
            && self.region.iter().any(|clause| {
                clause
                    .iter()
                    .all(|condition| condition.holds(packet, ruleset))
            })
    }

    /// The packets in the words of tables: those for which all conditions of some clause hold.
    ///
    /// # Panics
    /// When a condition names a set.
    #[must_use]
    pub fn clauses(&self) -> Vec<Vec<tables::Match>> {
        let condition = |it: &Match| it.apart().expect("instantiated: no condition names a set");
        let clauses = self.region.iter();
        clauses
            .map(|clause| clause.iter().map(condition).collect())
            .collect()
    }

    /// Whether the goal holds of this one packet, as far as one can tell. A packet whose fate is not
    /// certain breaks both "all accepted" and "none accepted".
    #[must_use]
    pub fn holds_for(&self, packet: &Packet, ruleset: &Ruleset) -> bool {
        let tables = ruleset.tables("goal");
        self.is_kept(packet, &evaluate(&tables, packet), ruleset)
    }

    /// The same of a packet with which this happens.
    #[must_use]
    pub fn is_kept(&self, packet: &Packet, evaluation: &Evaluation<'_>, ruleset: &Ruleset) -> bool {
        if packet.hook != self.hook {
            return true;
        }
        let concerned = self.concerns(packet, ruleset);
        match self.quantifier {
            Quantifier::AllAccepted => !concerned || evaluation.must_accept(),
            Quantifier::NoneAccepted => !concerned || evaluation.must_drop(),
            Quantifier::ExactlyTheseAccepted if concerned => evaluation.must_accept(),
            Quantifier::ExactlyTheseAccepted => evaluation.must_drop(),
            // It takes two packets to break it.
            Quantifier::FamiliesAlike => true,
        }
    }
}

#[cfg(test)]
mod tests;
