//! Laws that every parser keeps.

use std::fmt::Display;

use portreeve::report::Failure;
use portreeve_model::diagnostic::Diagnostic;

/// What an operator reads neither moves the cursor nor hides or reorders text.
pub(crate) fn printable(shown: &impl Display) {
    let shown = shown.to_string();
    let harmless = |it: char| matches!(it, ' '..='~' | '…') || it.is_alphanumeric();
    assert!(shown.chars().all(harmless), "not printable: {shown:?}");
}

/// What ends a command is said with all its causes, in words that are [`printable`].
pub(crate) fn failure(failure: &Failure) {
    diagnostics(failure.diagnostics());
}

/// What is wrong is said, in words that are [`printable`].
pub(crate) fn diagnostics(found: &[Diagnostic]) {
    assert!(!found.is_empty(), "refused without a reason");
    for diagnostic in found {
        printable(diagnostic);
        printable(&diagnostic.help);
    }
}
