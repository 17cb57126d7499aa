//! Why a request that concerns the kernel or the disk was not carried out.

use portreeve_model::diagnostic::Said;
use portreeve_nft::LiftError;
use portreeve_nft::layout::Number;
use thiserror::Error;

use super::kernel::KernelError;
use super::nft::NftError;
use super::store::StoreError;
use super::trial::{Ending, Refusal};
use crate::session::NoEvidence;

/// Why a request was not carried out, or not all of it.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// It makes no sense as things stand. Nothing was touched.
    #[error(transparent)]
    Senseless(#[from] Refusal),
    /// The state directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel refused, or did not tell.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// nft or the kernel refused the rule set. No packet meets any of it.
    #[error("the kernel did not take the rule set")]
    Refused(#[source] NftError),
    /// nft ended before it answered. No packet meets what it may have put there.
    #[error("nft did not say whether the kernel took the rule set")]
    Unanswered(#[source] NftError),
    /// nft said that the kernel took the rule set, and it did not. No packet meets any of it.
    #[error("nft said that the kernel took generation {number}, but {what} is missing there")]
    Missing {
        /// Its number.
        number: Number,
        /// What is missing.
        what: String,
    },
    /// What is on disk says no rule set.
    #[error("generation {number} is as it was written, but says no rule set")]
    Unreadable {
        /// Its number.
        number: Number,
        /// Why.
        #[source]
        error: LiftError,
    },
    /// It is in force for good, but not on record: a restart would undo it.
    #[error(
        "generation {number} is in force, but could not be recorded: a restart would bring back \
         the one before it"
    )]
    NotRecorded {
        /// Its number.
        number: Number,
        /// Why.
        #[source]
        error: StoreError,
    },
    /// The kernel changed while we looked.
    #[error("somebody else changed the table inet portreeve meanwhile")]
    Overtaken,
    /// The token is of another trial, or of none.
    #[error("the token is not that of generation {number}, which is on trial")]
    WrongToken {
        /// What is on trial.
        number: Number,
    },
    /// The token is of a trial that is over.
    #[error("the trial of generation {number} is over: it {}", how.words())]
    Over {
        /// What was on trial.
        number: Number,
        /// How it ended.
        how: Ending,
    },
    /// The session proves nothing.
    #[error(transparent)]
    NoEvidence(#[from] NoEvidence),
    /// There are no random numbers for a token.
    #[error("the system has no random numbers for a token")]
    NoToken(#[source] std::io::Error),
    /// There is no such generation to go back to.
    #[error("generation {number} is not among the confirmed ones")]
    NoSuchGeneration {
        /// Its number.
        number: Number,
    },
}

impl ApplyError {
    /// Whether a confirmation came too late: the trial was over.
    #[must_use]
    pub const fn is_lapse(&self) -> bool {
        match self {
            Self::Senseless(Refusal::Lapsed { .. }) | Self::Over { .. } => true,
            Self::Kernel(error) => error.is_lapse(),
            Self::Senseless(_)
            | Self::Store(_)
            | Self::Refused(_)
            | Self::Unanswered(_)
            | Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::NotRecorded { .. }
            | Self::Overtaken
            | Self::WrongToken { .. }
            | Self::NoEvidence(_)
            | Self::NoToken(_)
            | Self::NoSuchGeneration { .. } => false,
        }
    }
}

/// An error and its causes in one line. What others say in them, such as a parser that repeats
/// what it read, is escaped.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {}", Said(&cause.to_string()));
        source = cause.source();
    }
    text
}
