//! Why a command did not do what it was asked, and what state the machine is in now.

use std::error::Error;
use std::io;
use std::path::Path;

use portreeve_model::diagnostic::Diagnostic;

use crate::apply::nft::NftError;
use crate::apply::{ApplyError, MachineState};
use crate::exit_code::ExitCode;
use crate::inputs::InputsError;
use crate::observe::ObserveError;
use crate::pipeline::PlanError;
use crate::policy::{LogLine, PolicyError};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    exit_code: ExitCode,
    log: Vec<LogLine>,
    diagnostics: Vec<Diagnostic>,
    machine: MachineState,
}

impl Failure {
    fn new(exit_code: ExitCode, diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            exit_code,
            log: Vec::new(),
            diagnostics,
            machine: MachineState::Unchanged,
        }
    }

    /// One thing went wrong, with all its causes.
    fn one(
        exit_code: ExitCode,
        code: &'static str,
        subject: &str,
        error: &dyn Error,
        help: &str,
    ) -> Self {
        let message = with_causes(error);
        let (subject, help) = (subject.to_owned(), help.to_owned());
        Self::new(
            exit_code,
            vec![Diagnostic {
                code,
                subject,
                message,
                help,
            }],
        )
    }

    /// The command line asks for something that makes no sense.
    #[must_use]
    pub fn usage(message: &str, help: &str) -> Self {
        let (subject, message) = ("command line".to_owned(), message.to_owned());
        let diagnostic = Diagnostic {
            code: "A001",
            subject,
            message,
            help: help.to_owned(),
        };
        Self::new(ExitCode::Usage, vec![diagnostic])
    }

    /// The state directory cannot be read.
    #[must_use]
    pub fn state(path: &Path, error: &io::Error) -> Self {
        let subject = format!("state directory {}", path.display());
        let help = "run as root, or name the directory with --state-dir";
        Self::one(ExitCode::Internal, "A002", &subject, error, help)
    }

    /// The transaction on record cannot be read back.
    #[must_use]
    pub fn damaged(error: &dyn Error) -> Self {
        let help = "apply again; the record is written anew";
        Self::one(
            ExitCode::Internal,
            "A003",
            "record of what was applied",
            error,
            help,
        )
    }

    /// After an apply, the kernel lists something else than was sent.
    #[must_use]
    pub fn unlike() -> Self {
        let diagnostic = Diagnostic {
            code: "A004",
            subject: "kernel".to_owned(),
            message: "it took the rule set, but lists another one".to_owned(),
            help: "compare `nft list table inet portreeve` with `portreeve plan --format nft`, \
                   and report the difference"
                .to_owned(),
        };
        let failure = Self::new(ExitCode::Internal, vec![diagnostic]);
        Self {
            machine: MachineState::Confirmed,
            ..failure
        }
    }

    /// After an apply, the kernel cannot be read.
    #[must_use]
    pub fn unread(error: &ObserveError) -> Self {
        let help = "the kernel took the rule set; look at `nft list table inet portreeve`";
        let failure = Self::one(ExitCode::Internal, "A005", "kernel", error, help);
        Self {
            machine: MachineState::Confirmed,
            ..failure
        }
    }

    /// How the command ends.
    pub const fn exit_code(&self) -> ExitCode {
        self.exit_code
    }

    /// What the policy had said until then.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// What went wrong, all of it.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The state that the machine is in now.
    #[must_use]
    pub const fn machine(&self) -> MachineState {
        self.machine
    }
}

/// An error and its causes in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl From<InputsError> for Failure {
    fn from(error: InputsError) -> Self {
        let code = if error.is_unreadable_feed() {
            ExitCode::Feed
        } else {
            ExitCode::Invalid
        };
        Self::new(code, error.into_diagnostics())
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let log = error.log().to_vec();
        Self {
            log,
            ..Self::new(error.exit_code(), error.diagnostics())
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Policy(error) => error.into(),
            PlanError::Invalid { defects, log } => Self {
                log,
                ..Self::new(ExitCode::Invalid, defects)
            },
            PlanError::Goals(found) => Self::new(ExitCode::Invalid, found),
            PlanError::Translation(_) => {
                let help = "report this with the output of `portreeve plan --format nft`";
                Self::one(ExitCode::Internal, "A006", "translation", &error, help)
            }
        }
    }
}

impl From<NftError> for Failure {
    fn from(error: NftError) -> Self {
        let help = match &error {
            NftError::NotInstalled => "on Debian: apt-get install nftables",
            NftError::NoUnshare => "on Debian: apt-get install util-linux, or run as root",
            NftError::Refused(refusal) => {
                let help = refusal
                    .help()
                    .unwrap_or("report it with `portreeve plan --format nft`");
                return Self::one(ExitCode::Kernel, "A008", "kernel", refusal, help);
            }
            NftError::Start(_)
            | NftError::Run(_)
            | NftError::TimedOut
            | NftError::TooMuchOutput
            | NftError::Crashed { .. } => "try `nft list tables` by hand",
        };
        Self::one(ExitCode::Kernel, "A007", "nft", &error, help)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let machine = error.machine();
        let failure = match error {
            ApplyError::Refused(error) | ApplyError::Unanswered(error) => error.into(),
            ApplyError::Busy { .. } => {
                let help = "wait for it to end; `portreeve status` shows what is in force";
                Self::one(ExitCode::Kernel, "A009", "lock", &error, help)
            }
            ApplyError::State { .. } | ApplyError::NotRecorded(_) => {
                let help = "run as root, and look at the disk: is it full or read-only?";
                Self::one(ExitCode::Internal, "A002", "state directory", &error, help)
            }
        };
        Self { machine, ..failure }
    }
}

impl From<ObserveError> for Failure {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::List(error) => error.into(),
            ObserveError::Foreign(_) => {
                let help = "look at `nft list table inet portreeve`; `portreeve apply` replaces it";
                Self::one(
                    ExitCode::Drift,
                    "A010",
                    "table inet portreeve",
                    &error,
                    help,
                )
            }
        }
    }
}
