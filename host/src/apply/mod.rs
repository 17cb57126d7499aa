//! Puts a plan into the kernel, in one transaction, and keeps a record of it.

mod conversation;
pub mod nft;
pub mod record;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use self::nft::{Nft, NftError};
use self::record::{Record, StateDir};
use crate::pipeline::Plan;

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
    /// The rule set is in force, but its record could not be put in place.
    #[error("the rule set is in force, but its record could not be written")]
    NotRecorded(#[source] io::Error),
}

impl ApplyError {
    /// Whether the new rule set is in force all the same.
    #[must_use]
    pub const fn in_force(&self) -> bool {
        match self {
            Self::State { .. } | Self::Busy { .. } | Self::Refused(_) => false,
            Self::NotRecorded(_) => true,
        }
    }
}

/// Makes `plan` the rule set of this machine, at once and for good.
///
/// Everything that can fail without the kernel fails before the kernel is touched.
///
/// # Errors
/// See [`ApplyError`]; [`ApplyError::in_force`] tells what the machine is left with.
pub fn apply(plan: &Plan, nft: &Nft, state: &StateDir, now: u64) -> Result<Record, ApplyError> {
    let _lock = state.lock()?;
    let record = Record::of(plan, now);
    let prepared = state.prepare(&record, plan.transaction())?;
    nft.apply(plan.transaction()).map_err(ApplyError::Refused)?;
    prepared.put_in_place().map_err(ApplyError::NotRecorded)?;
    Ok(record)
}
