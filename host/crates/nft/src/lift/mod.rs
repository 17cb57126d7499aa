//! From nft's JSON back to the rule set that it says.
//!
//! Reads a transaction of ours and every way in which nft, 1.0.6 or newer, lists the same table,
//! be it the standalone one or the one in which generations stand side by side.
//! What the kernel holds beyond that was put there by somebody else, and is an error that names
//! it: a rule set is never guessed, and nothing is skipped. Never panics on what it reads.

mod field_sets;
mod installed;
mod leads;
mod listed;
mod listing;
mod rule;

use std::collections::BTreeSet;
use std::fmt;

use portreeve_model::address::AddressSet;
use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::ruleset::Ruleset;
use thiserror::Error;

pub use self::installed::{Installed, InstalledShape, lift_installed, lift_installed_terse};
use self::listing::Tables;
use crate::layout;
use crate::switch::Strange;

/// The rule set that a transaction or a full listing of our table says.
///
/// # Errors
/// See [`LiftError`].
pub fn lift(json: &str) -> Result<Ruleset, LiftError> {
    Tables::read(json)?.ruleset()
}

/// What a terse listing (`nft -t`) of our table says: everything but the elements of sets.
///
/// # Errors
/// See [`LiftError`].
pub fn lift_terse(json: &str) -> Result<Shape, LiftError> {
    let shape = |ruleset| Shape {
        ruleset,
        sets: None,
    };
    lift(json).map(shape)
}

/// A rule set of which the elements of named sets are not known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shape {
    ruleset: Ruleset,
    /// What its sets are called in the table, when they are called after their contents.
    sets: Option<BTreeSet<String>>,
}

impl Shape {
    /// Whether `ruleset` is the same but for the elements of its named sets; those of a generation
    /// are called after their elements, and must be called after the same ones.
    #[must_use]
    pub fn is_that_of(&self, ruleset: &Ruleset) -> bool {
        let heads = |ruleset: &Ruleset| -> (Vec<_>, Vec<_>) {
            let sets = ruleset.sets().iter();
            let of_addresses = sets.map(|set| (set.name().clone(), set.family()));
            let field_sets = ruleset.field_sets().iter().map(|set| {
                let contents = set.is_dynamic().then(|| set.contents().clone());
                (set.name().clone(), set.fields().to_vec(), contents)
            });
            (of_addresses.collect(), field_sets.collect())
        };
        self.ruleset.chains() == ruleset.chains()
            && heads(&self.ruleset) == heads(ruleset)
            && self
                .sets
                .as_ref()
                .is_none_or(|sets| *sets == called_after_contents(ruleset))
    }
}

/// What the sets of a rule set are called in the table, but for those that rules write to.
fn called_after_contents(ruleset: &Ruleset) -> BTreeSet<String> {
    let field_sets = ruleset.field_sets().iter().filter(|set| !set.is_dynamic());
    // The number of the generation is no part of these names.
    let field_sets = field_sets.map(|set| layout::field_set(0, set));
    ruleset
        .sets()
        .iter()
        .map(layout::set)
        .chain(field_sets)
        .collect()
}

/// Why a listing says no rule set of ours.
#[derive(Debug, Error)]
pub enum LiftError {
    /// It is not JSON, or not such as nft writes.
    #[error("the listing is not one that nft writes")]
    NotAListing(#[source] serde_json::Error),
    /// The table `inet portreeve` is not in it.
    #[error("there is no table `inet portreeve` in the listing")]
    NoTable,
    /// It has something that portreeve never puts there.
    #[error("{place} has {what}, which portreeve never puts there")]
    Foreign {
        /// Where it was found.
        place: Place,
        /// What was found, in nft's words.
        what: String,
    },
    /// Its base chains lead packets in a way that portreeve never does.
    #[error(transparent)]
    Astray(Strange),
    /// Every part of it is known, but together they make no sense.
    #[error("the listing makes no rule set: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Invalid(Vec<Diagnostic>),
}

fn foreign(place: Place, what: &str) -> LiftError {
    let what = what.to_owned();
    LiftError::Foreign { place, what }
}

/// A place in a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// The listing itself.
    Listing,
    /// The table.
    Table,
    /// The set of this name.
    Set(String),
    /// The chain of this name.
    Chain(String),
    /// A rule.
    Rule {
        /// The chain it is in.
        chain: String,
        /// Its comment, if it has one.
        comment: Option<String>,
        /// The number that the kernel gave it, if it is listed.
        handle: Option<u64>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listing => write!(f, "the listing"),
            Self::Table => write!(f, "the table"),
            Self::Set(name) => write!(f, "set {}", Quoted(name)),
            Self::Chain(name) => write!(f, "chain {}", Quoted(name)),
            Self::Rule {
                chain,
                comment,
                handle,
            } => {
                match comment {
                    Some(comment) => write!(f, "rule {}", Quoted(comment))?,
                    None => write!(f, "a rule without a comment")?,
                }
                if let Some(handle) = handle {
                    write!(f, " (handle {handle})")?;
                }
                write!(f, " in chain {}", Quoted(chain))
            }
        }
    }
}
