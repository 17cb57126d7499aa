//! Packets that one rule set lets through and another does not: what a chain beside ours undoes.

use portreeve_model::goal::Quantifier;
use portreeve_model::packet::Packet;

use crate::goals::Claim;
use crate::prover::{PacketsId, Prover, RulesId};
use crate::space::{Certainty, NOTHING, Outcome, Outcomes, Within};
use crate::transfer::Way;

/// A packet that one rule set lets through, and the other drops.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undone {
    /// The packet.
    pub packet: Packet,
    /// Whether it is certainly dropped, and the evaluator says so too; else it may be.
    pub certain: bool,
}

impl Prover<'_> {
    /// A packet among `packets` that certainly passes under `lets` and not under `drops`: one that
    /// is certainly dropped, or one that may be. None when there is no such packet.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn undone(
        &mut self,
        (lets, drops): (RulesId, RulesId),
        way: Way,
        packets: PacketsId,
    ) -> Within<Option<Undone>> {
        let (before, after) = (self.fates(lets, way)?, self.fates(drops, way)?);
        let mut region = self.region(packets, way)?;
        let possible = self.possible_packets(way)?;
        region = self.space.store.and(region, possible)?;
        let passes = |outcomes: &Outcomes| outcomes.are(Outcome::arrives) == Certainty::Always;
        let passing = self.space.store.where_outcomes(before, &passes)?;
        region = self.space.store.and(region, passing)?;
        let mut found = None;
        for certainty in [Certainty::Always, Certainty::Maybe] {
            let is_dropped = |outcome: &Outcome| !matches!(outcome, Outcome::Accept(_));
            let dropped = |outcomes: &Outcomes| outcomes.are(is_dropped) == certainty;
            let dropped = self.space.store.where_outcomes(after, &dropped)?;
            let dropped = self.space.store.and(region, dropped)?;
            if dropped == NOTHING || found.is_some() {
                continue;
            }
            let claim = Claim {
                rules: drops,
                way,
                packets,
                quantifier: Quantifier::NoneAccepted,
            };
            let confirmed = match certainty {
                Certainty::Always => self.confirmed(claim, dropped, false)?,
                Certainty::Maybe | Certainty::Never => self.witness(dropped, way).map(Err),
            };
            found = confirmed.map(|packet| Undone {
                certain: packet.is_ok(),
                packet: packet.unwrap_or_else(|unconfirmed| unconfirmed),
            });
        }
        Ok(found)
    }
}
