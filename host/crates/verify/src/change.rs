//! What a change of rules changes: the packets that fare otherwise, by how they fared and fare.

use std::collections::BTreeSet;
use std::fmt;

use portreeve_model::packet::Packet;
use portreeve_model::ruleset::Reject;

use crate::describe::{Class, classes};
use crate::prover::{Prover, RulesId};
use crate::space::{Certainty, NOTHING, Outcome, Outcomes, Within};
use crate::transfer::Way;

/// How packets fare.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fate {
    /// They pass, to where they were sent.
    Accept,
    /// They pass, to an address or a port that rules have put in.
    Elsewhere,
    /// They may pass and they may not: that depends on something that no packet says.
    Uncertain,
    /// They are gone, and the sender is told this.
    Reject(Reject),
    /// They are gone.
    Drop,
}

impl Fate {
    /// How packets fare of which this may become.
    #[must_use]
    pub fn of(outcomes: &Outcomes) -> Self {
        let always = |wanted: &dyn Fn(&Outcome) -> bool| outcomes.are(wanted) == Certainty::Always;
        if always(&Outcome::arrives) {
            return Self::Accept;
        }
        if always(&|it| matches!(it, Outcome::Accept(_))) {
            return Self::Elsewhere;
        }
        match outcomes.all() {
            [Outcome::Reject(kind)] => Self::Reject(*kind),
            _ if always(&|it| !matches!(it, Outcome::Accept(_))) => Self::Drop,
            _ => Self::Uncertain,
        }
    }

    /// Whether packets may pass.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Accept | Self::Elsewhere | Self::Uncertain => true,
            Self::Reject(_) | Self::Drop => false,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Elsewhere => f.write_str("led elsewhere"),
            Self::Uncertain => f.write_str("maybe"),
            Self::Reject(kind) => write!(f, "reject with {kind}"),
            Self::Drop => f.write_str("drop"),
        }
    }
}

/// Packets that fare otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// How they fared.
    pub before: Fate,
    /// How they fare.
    pub after: Fate,
    /// Which they are.
    pub classes: Vec<Class>,
    /// Whether there are more classes than are told.
    pub more: bool,
    /// One of them.
    pub witness: Packet,
}

impl Change {
    /// Whether packets may pass now that did not, or do not any more that may have.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        match (self.before.may_pass(), self.after.may_pass()) {
            (false, true) => Direction::Opened,
            (true, false) => Direction::Closed,
            (true, true) | (false, false) => Direction::Otherwise,
        }
    }
}

/// Which way packets fare otherwise.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// They may pass now, and did not.
    Opened,
    /// They do not pass any more.
    Closed,
    /// Neither.
    Otherwise,
}

/// Classes that are told of one change, at most.
const CLASSES_MAX: usize = 64;

impl Prover<'_> {
    /// What packets that go a way fare otherwise under `after` than under `before`: what is opened
    /// first. Nothing when no packet does.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn changes(&mut self, before: RulesId, after: RulesId, way: Way) -> Within<Vec<Change>> {
        let (before, after) = (self.fates(before, way)?, self.fates(after, way)?);
        let pairs = self.space.store.pair(before, after)?;
        let possible = self.possible_packets(way)?;
        let mut ends = Vec::new();
        self.space.store.ends(pairs.0, &mut Vec::new(), &mut ends);
        let ends = ends
            .into_iter()
            .filter_map(|end| self.space.store.pair_at(end));
        let differing = ends.filter(|(before, after)| before != after);
        let differing = differing.map(|(before, after)| (Fate::of(before), Fate::of(after)));
        let fates: BTreeSet<(Fate, Fate)> = differing.collect();
        let mut changes = Vec::new();
        for (was, is) in fates {
            let these = |before: &Outcomes, after: &Outcomes| {
                before != after && (Fate::of(before), Fate::of(after)) == (was, is)
            };
            let region = self.space.store.where_pairs(pairs, &these)?;
            let region = self.space.store.and(region, possible)?;
            if region == NOTHING {
                continue;
            }
            let (classes, more) = classes(&self.space, region, CLASSES_MAX);
            let witness = self.witness(region, way);
            changes.push(Change {
                before: was,
                after: is,
                classes,
                more,
                witness: witness.expect("the region is not empty"),
            });
        }
        changes.sort_by_key(|change| (change.direction(), change.before, change.after));
        Ok(changes)
    }

    /// Whether two rule sets do the same to every packet that goes a way, to the last mark and
    /// address that they change.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn equivalent(&mut self, one: RulesId, other: RulesId, way: Way) -> Within<bool> {
        let (one, other) = (self.fates(one, way)?, self.fates(other, way)?);
        // Made once for each content: the same diagram means the same.
        Ok(one == other)
    }

    /// A packet that goes a way of which the two rule sets certainly do not say the same; none when
    /// whatever one leaves open may be what the other says.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn contradiction(
        &mut self,
        one: RulesId,
        other: RulesId,
        way: Way,
    ) -> Within<Option<Packet>> {
        let (one, other) = (self.fates(one, way)?, self.fates(other, way)?);
        let pairs = self.space.store.pair(one, other)?;
        let apart =
            |one: &Outcomes, other: &Outcomes| !one.all().iter().any(|it| other.all().contains(it));
        let region = self.space.store.where_pairs(pairs, &apart)?;
        let possible = self.possible_packets(way)?;
        let region = self.space.store.and(region, possible)?;
        Ok(self.witness(region, way))
    }
}
