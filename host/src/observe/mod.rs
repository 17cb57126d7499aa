//! Reads the kernel back: what is in force, and whether it is what was applied.

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::{LiftError, lift, lift_terse};
use thiserror::Error;

use crate::apply::nft::{Listing, Nft, NftError};

/// Elements of one set above which sets are not listed: the kernel's dump of an interval set
/// takes time that grows with its square (100,000 prefixes: 1.8 s, 1,000,000: 85 s).
const LISTED_ELEMENTS_MAX: usize = 10_000;

/// Why the kernel could not be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// nft could not be asked.
    #[error("the kernel's rule set could not be listed")]
    List(#[source] NftError),
    /// The table holds something that portreeve does not write.
    #[error("the table inet portreeve holds something that portreeve did not write")]
    Foreign(#[source] LiftError),
}

/// What the kernel holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observed {
    /// No table of ours.
    Nothing,
    /// Just the rule set that was expected.
    Expected {
        /// Whether the elements of sets were compared as well.
        elements: bool,
    },
    /// Another rule set.
    Other,
}

/// Compares what the kernel holds with `expected`. Large sets are compared without elements.
///
/// # Errors
/// When the kernel cannot be read, or our table holds what we cannot have written.
pub fn compare(nft: &Nft, expected: &Ruleset) -> Result<Observed, ObserveError> {
    let sets = expected.sets();
    let elements = sets
        .iter()
        .all(|set| set.elements().len() <= LISTED_ELEMENTS_MAX);
    let listing = if elements {
        Listing::Whole
    } else {
        Listing::Terse
    };
    let Some(listed) = nft.list(listing).map_err(ObserveError::List)? else {
        return Ok(Observed::Nothing);
    };
    let same = if elements {
        lift(&listed).map(|live| live == *expected)
    } else {
        lift_terse(&listed).map(|live| live.is_that_of(expected))
    };
    Ok(if same.map_err(ObserveError::Foreign)? {
        Observed::Expected { elements }
    } else {
        Observed::Other
    })
}
