//! What is wrong with somebody's input, as data.

use alloc::string::String;
use core::fmt;

/// One thing that is wrong, in the reader's words.
///
/// Text that came from outside is escaped here already: a diagnostic never carries control
/// characters to a terminal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// A stable code with a section in `docs/diagnostics.md`.
    pub code: &'static str,
    /// What it is about: ``rule `web` in chain `input` ``.
    pub subject: String,
    /// What was found and what is allowed: a fragment without a final stop.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// One line: `error[V003]: rule 2 of chain input: label is empty`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error[{}]: {}: {}",
            self.code, self.subject, self.message
        )
    }
}

/// Text from outside, between backticks: escaped, and cut after 80 characters.
pub struct Quoted<'a>(pub &'a str);

/// Characters of an outside text that a message shows.
const QUOTED_CHARS_MAX: usize = 80;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for character in self.0.chars().take(QUOTED_CHARS_MAX) {
            // Not `escape_debug`: that keeps characters that reorder or hide text on a terminal.
            match character {
                ' '..='~' if character != '`' => write!(f, "{character}")?,
                _ if character.is_alphanumeric() => write!(f, "{character}")?,
                _ => write!(f, "{}", character.escape_unicode())?,
            }
        }
        if self.0.chars().nth(QUOTED_CHARS_MAX).is_some() {
            f.write_str("…")?;
        }
        f.write_str("`")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_quoted_text_cannot_move_the_cursor() {
        let check = |text: &str, expected: &str| assert_eq!(Quoted(text).to_string(), expected);
        check("web", "`web`");
        check("a\u{1b}[2Jb", "`a\\u{1b}[2Jb`");
        check("a\nb\u{202e}c`d", "`a\\u{a}b\\u{202e}c\\u{60}d`");
        assert_eq!(Quoted(&"x".repeat(90)).to_string().chars().count(), 83);
    }
}
