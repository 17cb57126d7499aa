//! nftables JSON: a rule set becomes one transaction, and what nft lists becomes a rule set again.
//!
//! [`lower`] is total and gives the same bytes for the same rule set. [`lift`] is its inverse and
//! reads both a transaction and what `nft -j list table inet portreeve` prints; whatever it does
//! not know it names, and it never guesses. [`read()`] takes the rule sets of others as well, whole
//! machines of them. Nothing here starts a process or opens a file.

mod elements;
pub mod layout;
mod lift;
mod lower;
pub mod netlink;
mod protocols;
mod read;
mod refusal;
mod replace;
mod single;
mod stage;
pub mod switch;
mod transaction;
mod words;

use portreeve_model::tables::TableFamily;

pub use crate::lift::{
    Installed, InstalledShape, LiftError, Shape, lift, lift_installed, lift_installed_terse,
    lift_terse,
};
pub use crate::lower::lower;
pub use crate::read::{NotJson, read};
pub use crate::refusal::{Cause, Refusal};
pub use crate::replace::replace;
pub use crate::single::single_generation;
pub use crate::stage::stage;
pub use crate::transaction::{Command, Subject, Transaction};

/// The name of the one table that portreeve writes; its family is `inet`.
pub const TABLE: &str = "portreeve";

/// Whether a table is the one that we write.
#[must_use]
pub fn is_ours(family: TableFamily, name: &str) -> bool {
    family == TableFamily::Inet && name == TABLE
}
