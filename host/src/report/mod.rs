//! Says what happened: the answer to stdout, the story to stderr, in the format asked for.
//!
//! Every format is made from the same values, and whatever follows an `apply` ends with the
//! state of the machine.

mod failure;
mod human;
mod json;

use std::io::{self, Write};

use portreeve_model::evaluate::Evaluation;
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::text::Elements;

pub use self::failure::{Failure, MachineState};
use crate::apply::record::Record;
use crate::cli::Format;
use crate::exit_code::ExitCode;
use crate::pipeline::Plan;
use crate::policy::LogLine;

/// What a command found out or did.
#[derive(Debug)]
pub enum Answer {
    /// What would be applied.
    Plan(Box<Plan>),
    /// The kernel would take the plan.
    Check {
        /// The plan.
        plan: Box<Plan>,
        /// Which kernel state was asked.
        checked_in: CheckedIn,
    },
    /// The plan is in force.
    Applied {
        /// The plan.
        plan: Box<Plan>,
        /// What was recorded of it.
        record: Record,
    },
    /// What is in force.
    Status(Status),
    /// What happens to a packet.
    Explanation {
        /// The plan that decides.
        plan: Box<Plan>,
        /// The packet.
        packet: Box<Packet>,
        /// What happens.
        evaluation: Evaluation,
    },
}

/// Where a plan was checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CheckedIn {
    /// In the machine's own network namespace.
    Machine,
    /// In a private user and network namespace.
    PrivateNamespace,
}

/// What is in force.
#[derive(Debug)]
pub enum Status {
    /// Nothing was ever applied from this state directory.
    NeverApplied {
        /// Whether the kernel holds a table of our name all the same.
        table_present: bool,
    },
    /// What was applied is in force.
    InForce {
        /// What was applied.
        record: Record,
        /// Whether the elements of sets were compared, too.
        elements: bool,
    },
    /// What was applied is no longer in the kernel.
    Gone {
        /// What was applied.
        record: Record,
    },
    /// The kernel holds another rule set than the one applied.
    Drifted {
        /// What was applied.
        record: Record,
    },
}

impl Answer {
    /// How a command that found this out ends.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Status(Status::Gone { .. } | Status::Drifted { .. }) => ExitCode::Drift,
            Self::Status(Status::NeverApplied { .. } | Status::InForce { .. })
            | Self::Plan(_)
            | Self::Check { .. }
            | Self::Applied { .. }
            | Self::Explanation { .. } => ExitCode::Done,
        }
    }
}

/// Prints answers, failures and the story.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    paint: human::Paint,
}

impl Printer {
    /// A printer for `format`; colour is for terminals only, and for nobody who set `NO_COLOR`.
    #[must_use]
    pub fn new(format: Format, to_terminal: bool) -> Self {
        let colour = format == Format::Human
            && to_terminal
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            paint: human::Paint::new(colour),
        }
    }

    /// Prints an answer to stdout.
    pub fn answer(&self, answer: &Answer) -> ExitCode {
        let text = match (self.format, answer) {
            (Format::Nft, Answer::Plan(plan)) => {
                plan.ruleset().to_nft(portreeve_nft::TABLE, Elements::All)
            }
            (Format::NftJson, Answer::Plan(plan)) => plan.transaction().to_json() + "\n",
            (Format::Json, _) => json::answer(answer),
            (Format::Human | Format::Plain | Format::Nft | Format::NftJson, _) => {
                human::answer(answer, &self.paint)
            }
        };
        print(&text);
        answer.exit_code()
    }

    /// Prints a failure: to stderr for people, to stdout for programs.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        for line in failure.log() {
            self.log_line(line);
        }
        match self.format {
            Format::Json => print(&json::failure(failure)),
            Format::Human | Format::Plain | Format::Nft | Format::NftJson => {
                tell(&human::failure(failure, &self.paint));
            }
        }
        failure.exit_code()
    }

    /// Tells the reader something on the way.
    pub fn note(&self, note: &str) {
        tell(&format!("note: {note}\n"));
    }

    /// Shows a line that the policy logged.
    pub fn log_line(&self, line: &LogLine) {
        tell(&format!("policy {line}\n"));
    }
}

/// Writes to stdout. A reader that has gone away, as `head` does, is not an error.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Writes to stderr, with the same indulgence.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
