//! Says what happened: the answer to stdout, the story to stderr, in the format asked for.
//!
//! Every format is made from the same values, and whatever follows an `apply` ends with the
//! state of the machine.

mod explanation;
mod failure;
mod human;
mod json;
mod proofs;

use std::io::{self, IsTerminal, Write};
use std::rc::Rc;

use portreeve_model::ruleset::text::Elements;
use portreeve_nft::layout::Number;
use portreeve_verify::{Exposure, OverBudget};

pub use self::explanation::{Explanation, Source};
pub use self::failure::Failure;
pub(crate) use self::human::guard::why_open;
pub use crate::apply::MachineState;
use crate::apply::generation::Record;
use crate::apply::store::{Entry, StoreError};
use crate::apply::survey::Survey;
use crate::apply::trial::Situation;
use crate::apply::{Booted, OnTrial, RolledBack};
use crate::cli::Format;
use crate::exit_code::ExitCode;
use crate::guard::{Judgement, WholeMachine};
use crate::observe::{ObserveError, Observed};
use crate::pipeline::{Candidate, Plan};
use crate::policy::LogLine;
use crate::probe::Probed;
use crate::proofs::{Changes, Outlook};

/// What a command found out or did.
#[derive(Debug)]
pub enum Answer {
    /// What would be applied, if it is proved.
    Plan(Box<Planned>),
    /// What two rule sets do otherwise.
    Difference(Box<Difference>),
    /// The kernel would take the plan.
    Check {
        /// The plan.
        plan: Box<Plan>,
        /// Which kernel state was asked.
        checked_in: CheckedIn,
    },
    /// The plan is on trial.
    OnTrial {
        /// The plan, which the command goes on to compare with what the kernel lists.
        plan: Rc<Plan>,
        /// What confirms it, and what is otherwise in force.
        trial: Box<OnTrial>,
        /// The state that the machine is in.
        machine: MachineState,
        /// Whether the command goes on to watch over it.
        waits: bool,
    },
    /// The plan is in force, without a trial.
    Applied {
        /// The plan.
        plan: Box<Plan>,
        /// What was recorded of it.
        record: Box<Record>,
        /// Whether the elements of sets were compared with what the kernel lists, too.
        elements: bool,
        /// The state that the machine is in.
        machine: MachineState,
    },
    /// What was on trial is permanent.
    Confirmed {
        /// The number of the generation.
        number: Number,
        /// The state that the machine is in.
        machine: MachineState,
    },
    /// Something was taken back.
    RolledBack {
        /// What.
        rolled_back: RolledBack,
        /// The state that the machine is in.
        machine: MachineState,
    },
    /// What was confirmed is in force from the start.
    Booted {
        /// What.
        booted: Box<Booted>,
        /// The state that the machine is in.
        machine: MachineState,
    },
    /// What is in force.
    Status(Box<Status>),
    /// What was applied, and what became of it; the newest first.
    History(Vec<Result<Entry, StoreError>>),
    /// What happens to a packet.
    Explanation(Box<Explanation>),
}

/// What would be applied, and what it would make of the machine.
#[derive(Debug)]
pub struct Planned {
    /// The rule set, proved or not.
    pub candidate: Candidate,
    /// What it would make of the machine.
    pub outlook: Outlook,
    /// Whether the operator still gets in.
    pub judgement: Judgement,
    /// Who else on the machine has a say.
    pub machine: WholeMachine,
    /// What a kernel did to it, if it was tried on one.
    pub probed: Option<Probed>,
}

impl Planned {
    /// Whether it may be applied: every goal is proved, nobody is locked out, and the kernel that was
    /// asked agrees.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let agrees = |probed: &Probed| probed.differences.is_empty();
        self.candidate.is_proved()
            && !self.judgement.locks_out()
            && self.probed.as_ref().is_none_or(agrees)
    }
}

/// What two rule sets do otherwise.
#[derive(Debug)]
pub struct Difference {
    /// What the first one is.
    pub before: String,
    /// What the second one is.
    pub after: String,
    /// What packets fare otherwise, hook by hook.
    pub changes: Result<Vec<Changes>, OverBudget>,
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
pub struct Status {
    /// How things stand.
    pub survey: Survey,
    /// Whether the kernel lists what was applied; none when there is nothing to compare with.
    pub contents: Option<Result<Observed, ObserveError>>,
    /// Who reaches what by what is in force in our table, if anything is.
    pub exposure: Option<Result<Exposure, OverBudget>>,
    /// Who else on the machine has a say.
    pub machine: Option<WholeMachine>,
}

impl Status {
    /// Whether the kernel holds something else than it should.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        let other = match &self.contents {
            Some(Ok(Observed::Other | Observed::Nothing) | Err(ObserveError::Foreign(_))) => true,
            // What cannot be listed is not known to be something else.
            Some(Ok(Observed::Expected { .. }) | Err(ObserveError::List(_))) | None => false,
        };
        let situation = match self.survey.machine {
            MachineState::Found { situation, .. } => situation,
            MachineState::Unchanged | MachineState::RolledBack { .. } | MachineState::Unknown => {
                return other;
            }
        };
        match situation {
            Situation::NotInstalled { .. } | Situation::Drifted { .. } => true,
            Situation::Open
            | Situation::Steady { .. }
            | Situation::OnTrial { .. }
            | Situation::Lapsed { .. }
            | Situation::Unrecorded { .. } => other,
        }
    }
}

impl Answer {
    /// How a command that found this out ends.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Status(status) if status.is_drift() => ExitCode::Drift,
            Self::Plan(planned) if !planned.is_good() => ExitCode::Refuted,
            Self::Status(_)
            | Self::Plan(_)
            | Self::Difference(_)
            | Self::Check { .. }
            | Self::OnTrial { .. }
            | Self::Applied { .. }
            | Self::Confirmed { .. }
            | Self::RolledBack { .. }
            | Self::Booted { .. }
            | Self::History(_)
            | Self::Explanation(_) => ExitCode::Done,
        }
    }
}

/// Prints answers, failures and the story.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    answers: human::Paint,
    failures: human::Paint,
}

impl Printer {
    /// A printer for `format`; colour is for terminals only, and for nobody who set `NO_COLOR`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let wanted = format == Format::Human
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            answers: human::Paint::new(wanted && io::stdout().is_terminal()),
            failures: human::Paint::new(wanted && io::stderr().is_terminal()),
        }
    }

    /// Prints an answer to stdout.
    pub fn answer(&self, answer: &Answer) -> ExitCode {
        let text = match (self.format, answer) {
            (Format::Nft, Answer::Plan(planned)) => replacing_nft(&planned.candidate),
            (Format::NftJson, Answer::Plan(planned)) => {
                planned.candidate.transaction().to_json() + "\n"
            }
            (Format::Json, _) => json::answer(answer),
            (Format::Human | Format::Plain | Format::Nft | Format::NftJson, _) => {
                human::answer(answer, &self.answers)
            }
        };
        match print(&text) {
            Ok(()) => {
                if let (Answer::Plan(planned), false) = (answer, self.format == Format::Json) {
                    self.refused(planned);
                }
                answer.exit_code()
            }
            Err(error) => {
                tell(&format!("error: the answer cannot be written: {error}\n"));
                ExitCode::Internal
            }
        }
    }

    /// Tells why a rule set that was shown cannot be applied, if so.
    fn refused(&self, planned: &Planned) {
        for failure in [
            Failure::unproved(&planned.candidate),
            Failure::lock_out(&planned.judgement),
            Failure::differs(planned.probed.as_ref().unwrap_or(&Probed::default())),
        ] {
            if !failure.diagnostics().is_empty() {
                tell(&human::failure(&failure, &self.failures));
            }
        }
    }

    /// Prints a failure: to stderr for people, to stdout for programs.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        for line in failure.log() {
            self.log_line(line);
        }
        match self.format {
            // Nowhere is left to tell that it cannot be told.
            Format::Json => drop(print(&json::failure(failure))),
            Format::Human | Format::Plain | Format::Nft | Format::NftJson => {
                tell(&human::failure(failure, &self.failures));
            }
        }
        failure.exit_code()
    }

    /// Tells the reader something on the way.
    pub fn note(&self, note: &str) {
        tell(&format!("note: {note}\n"));
    }

    /// Tells the reader several things on the way.
    pub fn notes(&self, notes: &[String]) {
        for note in notes {
            self.note(note);
        }
    }

    /// Shows a line that the policy logged.
    pub fn log_line(&self, line: &LogLine) {
        tell(&format!("policy {line}\n"));
    }
}

/// The rule set as `nft -f` loads it, also over one that is there.
fn replacing_nft(plan: &Candidate) -> String {
    let table = portreeve_nft::TABLE;
    let rules = plan.ruleset().to_nft(table, Elements::All);
    // Added first, because nothing can be deleted that is not there.
    format!("table inet {table}\ndelete table inet {table}\n\n{rules}")
}

/// Writes to stdout. A reader that has gone away, as `head` does, is not an error.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes to stderr. When that fails, nobody is there to be told.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
