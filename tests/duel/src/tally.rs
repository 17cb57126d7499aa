//! What a campaign has done so far.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Sums over rounds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Tally {
    /// Rule sets.
    pub rulesets: u64,
    /// Rules in them.
    pub rules: u64,
    /// Packets.
    pub packets: u64,
    /// Verdicts that were compared: one at each hook that a packet came to.
    pub verdicts: u64,
    /// Verdicts that the model was certain of.
    pub certain: u64,
    /// Rounds with a difference.
    pub differences: u64,
    /// Rule sets that nft refused, which it should not.
    pub refused: u64,
    /// For each construct, the rules that show it, and the packets to which one of them did all
    /// that it says.
    pub constructs: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.rulesets += other.rulesets;
        self.rules += other.rules;
        self.packets += other.packets;
        self.verdicts += other.verdicts;
        self.certain += other.certain;
        self.differences += other.differences;
        self.refused += other.refused;
        for (construct, (drawn, done)) in &other.constructs {
            let sums = self.constructs.entry(construct.clone()).or_default();
            sums.0 += drawn;
            sums.1 += done;
        }
    }

    /// In one line, after so long.
    #[must_use]
    pub fn line(&self, after: Duration) -> String {
        let a_second = self.verdicts as f64 / after.as_secs_f64().max(0.001);
        format!(
            "{:>4.0} s  {} rule sets  {} packets  {} verdicts, {a_second:.0} a second  {} differences",
            after.as_secs_f64(),
            self.rulesets,
            self.packets,
            self.verdicts,
            self.differences
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>12}{:>16}", "construct", "rules", "packets")?;
        for (construct, (drawn, done)) in &self.constructs {
            writeln!(f, "{construct:<24}{drawn:>12}{done:>16}")?;
        }
        writeln!(f)?;
        writeln!(f, "{:>12} rule sets", self.rulesets)?;
        writeln!(f, "{:>12} rules", self.rules)?;
        writeln!(f, "{:>12} packets", self.packets)?;
        writeln!(f, "{:>12} verdicts compared", self.verdicts)?;
        writeln!(f, "{:>12} of them certain in the model", self.certain)?;
        writeln!(f, "{:>12} rule sets refused by nft", self.refused)?;
        writeln!(f, "{:>12} rule sets with a difference", self.differences)
    }
}
