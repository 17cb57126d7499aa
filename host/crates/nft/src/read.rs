//! Rule sets of others: every table that nft lists, as far as its meaning is certain.
//!
//! [`read`] takes a whole `nft -j list ruleset`, of any version from 1.0.6 on, or a transaction.
//! It refuses nothing but what is no JSON, skips nothing, and guesses nothing: what is not known
//! is named at its place, as an opaque part of its rule, a set without elements, a hook of unknown
//! name, or in the words of the document.
//!
//! The meaning of a part is that of the program that nft makes of it for the kernel, not that of
//! its text (`nft --debug=netlink` shows the program). Within the crate, `statements::parts` reads
//! the parts of one rule in its `surroundings::Surroundings`: the family of its table and the names
//! of its chains and sets.

mod assembly;
mod attributes;
mod base;
mod conditions;
mod dependencies;
mod document;
mod elements;
mod expressions;
pub(crate) mod fields;
mod joined;
mod names;
mod nat;
mod sets;
pub(crate) mod statements;
pub(crate) mod surroundings;
pub(crate) mod types;
pub(crate) mod values;
mod words;

use portreeve_model::tables::Tables;
use thiserror::Error;

use self::assembly::Assembly;

/// The text is no JSON.
#[derive(Debug, Error)]
#[error("the listing is not JSON")]
pub struct NotJson(#[source] serde_json::Error);

/// The tables that a listing or a transaction says.
///
/// # Errors
/// The text is no JSON.
pub fn read(json: &str) -> Result<Tables, NotJson> {
    let (items, strange) = document::items(json).map_err(NotJson)?;
    let mut assembly = Assembly::with_unknown(strange);
    items.iter().for_each(|item| assembly.take(item));
    Ok(assembly.finish())
}

#[cfg(test)]
mod tests;
