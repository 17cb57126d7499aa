//! What nft says when it refuses, in our words.
//!
//! nft writes English to its standard error and little else, so this is where its texts are
//! known. A text that is not known stays a refusal, shown as it came; nothing is decided by it.

use std::fmt;

use portreeve_model::diagnostic::Quoted;

use crate::transaction::{Subject, Transaction};

/// Why nft or the kernel did not take a transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The reason.
    pub cause: Cause,
    /// The command that caused it, when nft says which. The kernel's own errors do not; then
    /// [`Transaction::prefix`] helps to find it.
    pub subject: Option<Subject>,
    /// What nft wrote, line by line, without its location, which is always the same.
    pub lines: Vec<String>,
}

/// The reasons that are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The caller may not change the firewall of this network namespace.
    NotPermitted,
    /// The batch is larger than the socket buffer that a user namespace allows.
    TooLargeForUserNamespace,
    /// The kernel has no such table, chain or set, or lacks an expression (a module) or hook.
    NotThere,
    /// The kernel holds more elements or rules than it has room for.
    TooMany,
    /// The kernel has no memory left for it.
    NoMemory,
    /// Something is still in use, or is there already.
    Conflict,
    /// Elements of a set overlap.
    Overlap,
    /// nft does not understand the transaction: it is too old, or built without JSON.
    NotUnderstood,
    /// Something else.
    Other,
}

/// Each text with what it means; the first that occurs decides.
const TEXTS: &[(&str, Cause)] = &[
    ("Message too long", Cause::TooLargeForUserNamespace),
    ("No buffer space available", Cause::TooLargeForUserNamespace),
    ("Operation not permitted", Cause::NotPermitted),
    ("Permission denied", Cause::NotPermitted),
    ("Too many open files in system", Cause::TooMany),
    ("Too many links", Cause::TooMany),
    ("Cannot allocate memory", Cause::NoMemory),
    ("conflicting intervals specified", Cause::Overlap),
    ("interval overlaps with an existing one", Cause::Overlap),
    ("Device or resource busy", Cause::Conflict),
    ("File exists", Cause::Conflict),
    ("JSON support not compiled-in", Cause::NotUnderstood),
    ("syntax error", Cause::NotUnderstood),
    ("Parsing command array", Cause::NotUnderstood),
    ("Operation not supported", Cause::NotThere),
    ("Protocol not supported", Cause::NotThere),
    ("No such file or directory", Cause::NotThere),
];

impl Refusal {
    /// What nft meant by `stderr`, said about `transaction`.
    #[must_use]
    pub fn read(stderr: &str, transaction: &Transaction) -> Self {
        let known = TEXTS.iter().find(|(text, _)| stderr.contains(text));
        let commands = transaction.commands();
        let at = command_index(stderr).and_then(|index| commands.get(index));
        Self {
            cause: known.map_or(Cause::Other, |(_, cause)| *cause),
            subject: at.map(|command| command.subject().clone()),
            lines: stderr
                .lines()
                .map(without_location)
                .filter(|l| !l.is_empty())
                .collect(),
        }
    }

    /// What to do about it, as far as it is known.
    #[must_use]
    pub const fn help(&self) -> Option<&'static str> {
        match self.cause {
            Cause::NotPermitted => Some("run as root, or with CAP_NET_ADMIN"),
            Cause::TooLargeForUserNamespace => {
                Some("run as root outside of any user namespace, or use smaller sets")
            }
            Cause::NotThere => {
                Some("look for a kernel module: `modprobe nf_tables nft_reject_inet`")
            }
            Cause::TooMany | Cause::NoMemory => Some("use smaller sets"),
            Cause::NotUnderstood => Some("install nftables 1.0.6 or newer, with JSON"),
            Cause::Conflict | Cause::Overlap | Cause::Other => None,
        }
    }
}

/// `syntax error` becomes the reason, then come nft's own words.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cause {
            Cause::NotPermitted => "not permitted to change the firewall",
            Cause::TooLargeForUserNamespace => {
                "the transaction is larger than a user namespace lets nft send"
            }
            Cause::NotThere => "the kernel does not have what the transaction needs",
            Cause::TooMany => "the kernel has no room for so many elements",
            Cause::NoMemory => "the kernel has no memory left",
            Cause::Conflict => "something is in use or there already",
            Cause::Overlap => "elements of a set overlap",
            Cause::NotUnderstood => "nft does not understand the transaction",
            Cause::Other => "nft refused the transaction",
        })?;
        if let Some(subject) = &self.subject {
            write!(f, ", at {subject}")?;
        }
        match self.lines.first() {
            Some(line) => write!(f, " (nft: {})", Quoted(line)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// The position in the transaction, which only nft's own parser tells.
fn command_index(stderr: &str) -> Option<usize> {
    let (_, rest) = stderr.split_once("Parsing command array at index ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn without_location(line: &str) -> String {
    let line = line.strip_prefix("internal:0:0-0: ").unwrap_or(line);
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TABLE;

    fn check(stderr: &str, cause: Cause, subject: Option<Subject>) {
        let mut transaction = Transaction::default();
        transaction.push(Subject::Table, &crate::words::add(crate::words::table()));
        let refusal = Refusal::read(stderr, &transaction);
        assert_eq!(
            (refusal.cause, refusal.subject),
            (cause, subject),
            "{stderr}"
        );
    }

    #[test]
    fn each_complaint_has_its_cause() {
        check(
            "netlink: Error: Could not process rule: Message too long\n",
            Cause::TooLargeForUserNamespace,
            None,
        );
        check(
            "Operation not permitted (you must be root)\n",
            Cause::NotPermitted,
            None,
        );
        check("JSON support not compiled-in\n", Cause::NotUnderstood, None);
        check(
            "internal:0:0-0: Error: Could not process rule: No such file or directory\n\n",
            Cause::NotThere,
            None,
        );
        check(
            "internal:0:0-0: Error: Could not process rule: Operation not supported\n",
            Cause::NotThere,
            None,
        );
        check("something new\n", Cause::Other, None);
        check("", Cause::Other, None);
    }

    #[test]
    fn the_command_is_named_when_nft_names_it() {
        let at = |index: &str| {
            format!(
                "internal:0:0-0: Error: Unknown statement object 'x'.\n\n\
                 internal:0:0-0: Error: Parsing command array at index {index} failed.\n"
            )
        };
        check(&at("0"), Cause::NotUnderstood, Some(Subject::Table));
        check(&at("7"), Cause::NotUnderstood, None);
        check(&at("99999999999999999999999"), Cause::NotUnderstood, None);
    }

    #[test]
    fn a_complaint_is_shown_without_control_characters() {
        let refusal = Refusal::read("Error: \u{1b}[2J\n", &Transaction::default());
        let shown = refusal.to_string();
        assert_eq!(
            shown,
            "nft refused the transaction (nft: `Error: \\u{1b}[2J`)"
        );
        assert_eq!(Subject::Table.to_string(), format!("table `inet {TABLE}`"));
    }
}
