//! What is done to the rules while the prober asks, and when.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// One thing that is done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// The table is replaced by `nft -f`.
    Load,
    /// Every table is deleted.
    Flush,
    /// A rule set is installed.
    Apply,
    /// It is confirmed.
    Confirm,
    /// It is left to itself until it lapses.
    Lapse,
    /// It is taken back.
    Rollback,
    /// An earlier generation is put in force.
    Restore,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Load => "nft -f",
            Self::Flush => "flush ruleset",
            Self::Apply => "apply",
            Self::Confirm => "confirm",
            Self::Lapse => "lapse",
            Self::Rollback => "rollback",
            Self::Restore => "rollback N",
        })
    }
}

/// Something that was done, and when, since the beginning of the run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Operation {
    /// What.
    pub step: Step,
    /// When it was begun.
    pub began: Duration,
    /// When it had been done.
    pub ended: Duration,
}

impl Operation {
    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.ended - self.began
    }
}

/// When things were done, since the beginning of the run.
#[derive(Debug)]
pub(super) struct Log {
    beginning: Instant,
    operations: Vec<Operation>,
}

impl Log {
    pub(super) fn new(beginning: Instant) -> Self {
        let operations = Vec::new();
        Self {
            beginning,
            operations,
        }
    }

    /// Does something and notes when.
    pub(super) fn timed<T>(
        &mut self,
        step: Step,
        done: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let began = self.beginning.elapsed();
        let result = done()?;
        let ended = self.beginning.elapsed();
        self.operations.push(Operation { step, began, ended });
        Ok(result)
    }

    /// Everything, in the order of time.
    pub(super) fn operations(&self) -> &[Operation] {
        &self.operations
    }
}
