//! What an operator of a machine types.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use portreeve_vm_agent::Run;

/// The program, which is in the `PATH` of every machine.
const PORTREEVE: &str = "portreeve";

/// Portreeve with words after it.
#[must_use]
pub fn portreeve(words: &[&str]) -> Run {
    Run::new(PORTREEVE, words)
}

/// Puts the configuration into force, with these settings, and `how`.
#[must_use]
pub fn apply(settings: &BTreeMap<String, String>, how: &[&str]) -> Run {
    // The agent is everybody's parent here, so whoever talks to it would be the operator.
    let mut run = portreeve(&[&["apply", "--allow-lockout"], how].concat());
    run.arguments.extend(set(settings));
    run
}

/// Settings, as words after it.
pub fn set(settings: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let words = settings.iter().map(|(key, value)| format!("{key}={value}"));
    words.flat_map(|word| ["--set".to_owned(), word])
}

/// What begins a trial, for whose end nobody waits.
#[must_use]
pub const fn trial(lasts: &str) -> [&str; 3] {
    ["--no-wait", "--confirm-within", lasts]
}

/// The word that confirms a trial, from what its beginning says.
///
/// # Errors
/// When it tells none.
pub fn token(said: &str) -> Result<&str> {
    let token = said.split_once("portreeve confirm ");
    let token = token.and_then(|(_, rest)| rest.split_whitespace().next());
    token.with_context(|| format!("no token is told: {said}"))
}
