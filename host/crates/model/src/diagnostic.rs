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

/// What somebody outside says to the operator, as one line: escaped, and cut after 1,000
/// characters.
pub struct Said<'a>(pub &'a str);

/// Characters of an outside text that a message quotes.
const QUOTED_CHARS_MAX: usize = 80;

/// Characters of what somebody outside says.
const SAID_CHARS_MAX: usize = 1_000;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        write_escaped(f, self.0, QUOTED_CHARS_MAX, |character| character != '`')?;
        f.write_str("`")
    }
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, SAID_CHARS_MAX, |_| true)
    }
}

/// Writes the first `most` characters; what is neither plain ASCII nor a letter is escaped.
///
/// Not as `escape_debug` does: that keeps characters that reorder or hide text on a terminal.
fn write_escaped(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    most: usize,
    plain: fn(char) -> bool,
) -> fmt::Result {
    for character in text.chars().take(most) {
        let shown = matches!(character, ' '..='~' | '…') || character.is_alphanumeric();
        if shown && plain(character) {
            write!(f, "{character}")?;
        } else {
            write!(f, "{}", character.escape_unicode())?;
        }
    }
    if text.chars().nth(most).is_some() {
        f.write_str("…")
    } else {
        Ok(())
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

    #[test]
    fn what_is_said_keeps_its_backticks_and_nothing_worse() {
        assert_eq!(
            Said("`ports` contains 22").to_string(),
            "`ports` contains 22"
        );
        assert_eq!(Said("a\u{1b}[2J\nb").to_string(), "a\\u{1b}[2J\\u{a}b");
        assert_eq!(Said(&"é".repeat(2_000)).to_string().chars().count(), 1_001);
    }
}
