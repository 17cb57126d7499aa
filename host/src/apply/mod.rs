//! Puts a plan into the kernel, in one transaction, and keeps a record of it.

mod conversation;
pub mod nft;
pub mod record;

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use self::nft::{Nft, NftError};
use self::record::{Lock, Record, StateDir};
use crate::pipeline::Plan;

/// The state that a command leaves the machine in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MachineState {
    /// As it was before.
    Unchanged,
    /// The new rule set is in force, at once and for good.
    Confirmed,
    /// As it was before, or with the new rule set: nobody was told.
    Unknown,
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::Confirmed => "confirmed (applied without a trial)",
            Self::Unknown => "unchanged or confirmed: see `nft list table inet portreeve`",
        })
    }
}

/// Why a plan was not applied, or not as it should have been.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The state directory cannot be used. The kernel was not touched.
    #[error("the state directory {} cannot be written", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another portreeve is at work. The kernel was not touched.
    #[error("another portreeve is changing the rule set (it holds {})", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// nft or the kernel refused. The kernel holds what it held before.
    #[error("the kernel did not take the rule set")]
    Refused(#[source] NftError),
    /// nft ended before it answered. The kernel takes a transaction whole or not at all.
    #[error("nft did not say whether the kernel took the rule set")]
    Unanswered(#[source] NftError),
    /// The rule set is in force, but its record could not be put in place.
    #[error("the rule set is in force, but its record could not be written")]
    NotRecorded(#[source] io::Error),
}

impl ApplyError {
    /// What the machine is left with.
    #[must_use]
    pub const fn machine(&self) -> MachineState {
        match self {
            Self::State { .. } | Self::Busy { .. } | Self::Refused(_) => MachineState::Unchanged,
            Self::Unanswered(_) => MachineState::Unknown,
            Self::NotRecorded(_) => MachineState::Confirmed,
        }
    }
}

/// Makes `plan` the rule set of this machine, at once and for good. Whoever calls holds the lock,
/// and can look at what the kernel then lists before anybody else changes it.
///
/// Everything that can fail without the kernel fails before the kernel is touched.
///
/// # Errors
/// See [`ApplyError`]; [`ApplyError::machine`] tells what the machine is left with.
pub fn apply(
    plan: &Plan,
    nft: &Nft,
    state: &StateDir,
    _lock: &Lock,
    now: u64,
) -> Result<Record, ApplyError> {
    let record = Record::of(plan, now);
    let prepared = state.prepare(&record, plan.transaction())?;
    nft.apply(plan.transaction()).map_err(|error| {
        if error.is_an_answer() {
            ApplyError::Refused(error)
        } else {
            ApplyError::Unanswered(error)
        }
    })?;
    prepared.put_in_place().map_err(ApplyError::NotRecorded)?;
    Ok(record)
}
