//! What nft writes to its standard error.

use std::sync::LazyLock;

use portreeve_nft::{Refusal, Transaction, lift, lower};

use super::law;

/// A transaction of a few commands, which nft may name by their number.
static TRANSACTION: LazyLock<Transaction> = LazyLock::new(|| {
    let listing = r#"{"nftables": [
        {"table": {"family": "inet", "name": "portreeve"}},
        {"chain": {"family": "inet", "table": "portreeve", "name": "input",
            "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}]}"#;
    lower(&lift(listing).expect("it is a rule set"))
});

/// Reads a refusal: it is shown on one line, names a command only when nft does, and keeps every
/// line.
pub fn target(data: &[u8]) {
    let Ok(stderr) = std::str::from_utf8(data) else {
        return;
    };
    let refusal = Refusal::read(stderr, &TRANSACTION);
    law::printable(&refusal);
    let named = stderr.contains("at index ");
    assert!(refusal.subject.is_none() || named, "{stderr:?}");
    let lines = stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    let blank = stderr
        .lines()
        .filter(|line| line.trim() == "internal:0:0-0:")
        .count();
    assert!(
        (lines - blank..=lines).contains(&refusal.lines.len()),
        "{stderr:?}"
    );
}
