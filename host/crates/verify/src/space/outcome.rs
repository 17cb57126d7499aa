//! What can become of a packet on its way, and sets of that.

use portreeve_model::evaluate::HookVerdict;
use portreeve_model::field::Field;
use portreeve_model::ruleset::Reject;

/// How a packet ends.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// It passes, as it came but for what was changed of it.
    Accept(Changed),
    /// It is gone, and the sender is not told.
    Drop,
    /// It is gone, and the sender is told this.
    Reject(Reject),
}

impl Outcome {
    /// What the last hook returns.
    #[must_use]
    pub const fn verdict(&self) -> HookVerdict {
        match self {
            Self::Accept(_) => HookVerdict::Accept,
            Self::Drop | Self::Reject(_) => HookVerdict::Drop,
        }
    }

    /// Whether it passes, to where it was sent.
    #[must_use]
    pub fn arrives(&self) -> bool {
        match self {
            Self::Accept(changed) => !changed.leads_elsewhere(),
            Self::Drop | Self::Reject(_) => false,
        }
    }
}

/// What was changed of a packet.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Changed {
    /// Each field that was given a value, sorted, with the value when it is known.
    pub fields: Vec<(Field, Option<u128>)>,
    /// Whether something unknown may have changed anything.
    pub anything: bool,
}

impl Changed {
    /// Whether it may go to another address or port than it was sent to.
    #[must_use]
    pub fn leads_elsewhere(&self) -> bool {
        let destination = |(field, _): &(Field, _)| {
            matches!(field, Field::Daddr(_) | Field::ThDport | Field::Dport(_))
        };
        self.anything || self.fields.iter().any(destination)
    }

    /// The same, with a field that an earlier rule has changed, unless a later one did.
    pub(crate) fn after(mut self, field: Field, value: Option<u128>) -> Self {
        if let Err(at) = self.fields.binary_search_by_key(&field, |(it, _)| *it) {
            self.fields.insert(at, (field, value));
        }
        self
    }
}

/// What may become of packets: one of these, and it is not known which when there are several.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Outcomes(Vec<Outcome>);

/// What is certain of some outcomes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Certainty {
    /// All of them.
    Always,
    /// Some of them.
    Maybe,
    /// None of them.
    Never,
}

impl Outcomes {
    /// One, for certain.
    pub(crate) fn certain(outcome: Outcome) -> Self {
        Self(vec![outcome])
    }

    /// Any of both.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<Outcome> = self.0.iter().chain(&other.0).cloned().collect();
        all.sort();
        all.dedup();
        Self(all)
    }

    /// Each of them, changed.
    pub(crate) fn map(&self, change: impl Fn(Outcome) -> Outcome) -> Self {
        let mut all: Vec<Outcome> = self.0.iter().cloned().map(change).collect();
        all.sort();
        all.dedup();
        Self(all)
    }

    /// Every one of them, sorted.
    #[must_use]
    pub fn all(&self) -> &[Outcome] {
        &self.0
    }

    /// Whether what becomes of the packets is certain to be so.
    #[must_use]
    pub fn are(&self, wanted: impl Fn(&Outcome) -> bool) -> Certainty {
        let count = self.0.iter().filter(|it| wanted(it)).count();
        match count {
            0 => Certainty::Never,
            all if all == self.0.len() => Certainty::Always,
            _ => Certainty::Maybe,
        }
    }
}
