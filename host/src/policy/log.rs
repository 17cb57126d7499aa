//! What a policy says to the operator: bounded, and safe to print.

use std::fmt;

use super::engine::{LOG_LINE_BYTES, LOG_LINES};

/// How much a line matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// For the policy's author.
    Debug,
    /// For the curious.
    Info,
    /// For the operator.
    Warn,
    /// Something went wrong; a panic ends with such a line.
    Error,
}

/// One line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says, with every character escaped that could move a terminal's cursor.
    pub text: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        write!(f, "{level}: {}", self.text)
    }
}

/// The lines of one evaluation.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) lines: Vec<LogLine>,
    pub(super) calls: usize,
    pub(super) bytes: usize,
}

impl Log {
    /// Keeps the first lines; the last one kept says that there were more.
    pub(super) fn push(&mut self, level: Level, text: &str) {
        self.calls += 1;
        self.bytes = self.bytes.saturating_add(text.len());
        let text = match self.lines.len() {
            0..LOG_LINES => printable(text),
            LOG_LINES => format!("only the first {LOG_LINES} lines are shown"),
            _ => return,
        };
        self.lines.push(LogLine { level, text });
    }
}

/// The beginning of `text`, escaped as [`portreeve_model::diagnostic::Quoted`] does.
fn printable(text: &str) -> String {
    let end = text.floor_char_boundary(LOG_LINE_BYTES);
    let mut shown = String::with_capacity(end);
    for character in text[..end].chars() {
        match character {
            // A panic says where on one line and what on the next.
            '\n' => shown.push(' '),
            ' '..='~' => shown.push(character),
            _ if character.is_alphanumeric() => shown.push(character),
            _ => shown.extend(character.escape_unicode()),
        }
    }
    if end < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_move_the_cursor() {
        assert_eq!(printable("port 22 é"), "port 22 é");
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J b\\u{202e}");
    }

    #[test]
    fn a_log_is_cut_and_says_so() {
        let mut log = Log::default();
        for _ in 0..300 {
            log.push(Level::Info, &"é".repeat(1_000));
        }
        assert_eq!((log.lines.len(), log.calls), (101, 300));
        assert_eq!(log.lines[0].text.chars().count(), 501);
        assert_eq!(log.lines[100].text, "only the first 100 lines are shown");
    }
}
