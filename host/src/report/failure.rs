//! Why a command did not do what it was asked, and what state the machine is in now.

use std::error::Error;
use std::io;

use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_nft::layout::Number;
use portreeve_verify::OverBudget;

use super::proofs;

use crate::apply::kernel::KernelError;
use crate::apply::nft::NftError;
use crate::apply::store::StoreError;
use crate::apply::token::TokenError;
use crate::apply::trial::{Ending, Refusal};
use crate::apply::{ApplyError, Failed, MachineState, with_causes};
use crate::exit_code::ExitCode;
use crate::guard::Judgement;
use crate::inputs::{InputsError, NoPeriod};
use crate::observe::ObserveError;
use crate::pipeline::{Candidate, PlanError};
use crate::policy::{LogLine, PolicyError};
use crate::probe::{ProbeError, Probed};

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
        Self::said(exit_code, code, subject, &with_causes(error), help)
    }

    /// One thing went wrong.
    fn said(
        exit_code: ExitCode,
        code: &'static str,
        subject: &str,
        message: &str,
        help: &str,
    ) -> Self {
        let (subject, message) = (subject.to_owned(), message.to_owned());
        let help = help.to_owned();
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
        Self::said(ExitCode::Usage, "A001", "command line", message, help)
    }

    /// A period on the command line for which no trial may run.
    #[must_use]
    pub fn confirm_within(text: &str, error: NoPeriod) -> Self {
        let message = format!("--confirm-within is {}, {error}", Quoted(text));
        Self::usage(&message, "for example: --confirm-within 2m")
    }

    /// A token on the command line that is none.
    #[must_use]
    pub fn token(error: &TokenError) -> Self {
        let help = "give the token that `portreeve apply` printed";
        Self::one(ExitCode::Usage, "A001", "command line", error, help)
    }

    /// A listing of rules that cannot be read, or is none.
    #[must_use]
    pub fn listing(subject: &str, error: &dyn Error) -> Self {
        let help = "give what `nft -j list ruleset` prints";
        let subject = format!("listing {}", Quoted(subject));
        Self::one(ExitCode::Invalid, "A019", &subject, error, help)
    }

    /// The state directory cannot be used.
    #[must_use]
    pub fn store(error: &StoreError) -> Self {
        let code = match error {
            StoreError::Busy { .. } => "A009",
            StoreError::Damaged { .. } => "A003",
            StoreError::NotOurs { .. }
            | StoreError::NoSpace { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Io { .. } => "A002",
        };
        let exit_code = if code == "A009" {
            ExitCode::Kernel
        } else {
            ExitCode::Internal
        };
        let help = match error {
            // Who loads what was confirmed goes on to the one before it; who named it cannot.
            StoreError::Damaged { .. } => {
                "`portreeve history` shows the others; `portreeve apply` makes a new one"
            }
            StoreError::Busy { .. }
            | StoreError::NotOurs { .. }
            | StoreError::NoSpace { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Io { .. } => error.help(),
        };
        Self::one(exit_code, code, "state directory", error, help)
    }

    /// The watch over a trial cannot be set up. Nothing was touched.
    #[must_use]
    pub fn signal(error: io::Error) -> Self {
        let help = "try again, or use --no-wait";
        Self::one(
            ExitCode::Internal,
            "A016",
            "watch over the trial",
            &error,
            help,
        )
    }

    /// The watch over a trial cannot go to the background. The trial runs all the same.
    #[must_use]
    pub fn background(error: io::Error) -> Self {
        let help = "the kernel ends the trial all the same; `portreeve status` shows how";
        Self {
            machine: MachineState::Unknown,
            ..Self::one(
                ExitCode::Internal,
                "A016",
                "watch over the trial",
                &error,
                help,
            )
        }
    }

    /// After an apply, the kernel lists something else than was sent.
    #[must_use]
    pub fn unlike() -> Self {
        Self::said(
            ExitCode::Internal,
            "A004",
            "kernel",
            "it took the rule set, but lists another one",
            "compare `nft list table inet portreeve` with `portreeve plan --format nft`, and \
             report the difference",
        )
    }

    /// After an apply, the kernel cannot be read, or holds what is not ours.
    #[must_use]
    pub fn unread(error: &ObserveError) -> Self {
        match error {
            ObserveError::List(_) => Self::one(
                ExitCode::Internal,
                "A005",
                "kernel",
                error,
                "the kernel took the rule set; look at `nft list table inet portreeve`",
            ),
            ObserveError::Foreign(_) => Self::one(
                ExitCode::Drift,
                "A010",
                "table inet portreeve",
                error,
                "look at `nft list table inet portreeve`, find out who wrote it; `portreeve \
                 apply --no-trial` makes all rules anew",
            ),
        }
    }

    /// A trial has ended, and was not confirmed.
    #[must_use]
    pub fn trial_ended(number: Number, ending: Ending) -> Self {
        let (code, how, help) = match ending {
            Ending::Lapsed => (
                "A011",
                "was not confirmed in time",
                "if it locked you out, look at it with `portreeve explain`; if you were only slow, \
                 give more time with --confirm-within",
            ),
            Ending::RolledBack => ("A012", "was rolled back", ""),
            Ending::Replaced => ("A012", "was replaced by another one on trial", ""),
            Ending::Restarted | Ending::Abandoned => ("A012", "ended with the machine", ""),
        };
        let message = format!("generation {number} {how}");
        Self::said(ExitCode::RolledBack, code, "trial", &message, help)
    }

    /// Not every goal is proved.
    #[must_use]
    pub fn unproved(candidate: &Candidate) -> Self {
        let found = candidate.proofs().iter().filter_map(proofs::diagnostic);
        Self::new(ExitCode::Refuted, found.collect())
    }

    /// The operator would be locked out.
    #[must_use]
    pub fn lock_out(judgement: &Judgement) -> Self {
        Self::new(ExitCode::Refuted, judgement.diagnostics())
    }

    /// Nothing could be tried on a kernel.
    #[must_use]
    pub fn not_probed(error: &ProbeError) -> Self {
        let help = "leave out --probe: the proofs stand without it";
        Self::one(ExitCode::Kernel, "A020", "dry run", error, help)
    }

    /// The program that tries scenarios cannot be started.
    #[must_use]
    pub fn no_harness(error: &dyn Error) -> Self {
        let help = "put portreeve-harness and portreeve-vm-agent beside portreeve: `cargo build --release \
                    --package portreeve-vm-tests --package portreeve-vm-agent` makes them";
        Self::one(ExitCode::Untested, "A021", "scenarios", error, help)
    }

    /// The paths through the rules cannot be told.
    #[must_use]
    pub fn too_tangled(over: &OverBudget) -> Self {
        let help = "leave out --probe";
        Self::one(ExitCode::Refuted, "P004", "dry run", over, help)
    }

    /// The kernel did something else than was proved.
    #[must_use]
    pub fn differs(probed: &Probed) -> Self {
        let found = probed.differences.iter().map(proofs::difference);
        Self::new(ExitCode::Refuted, found.collect())
    }

    /// The same, with the state that the machine is in.
    #[must_use]
    pub fn on(self, machine: MachineState) -> Self {
        Self { machine, ..self }
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
            PlanError::Unproved(candidate) => Self::unproved(&candidate),
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

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        Self::from(*failed.error).on(failed.machine)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Refused(error) | ApplyError::Unanswered(error) => error.into(),
            ApplyError::Store(error) => Self::store(&error),
            error => {
                let (exit_code, code, subject, help) = account(&error);
                Self::one(exit_code, code, subject, &error, help)
            }
        }
    }
}

/// How the command ends, the code, what the error is about and what to do.
fn account(error: &ApplyError) -> (ExitCode, &'static str, &'static str, &'static str) {
    let internal = |code, subject, help| (ExitCode::Internal, code, subject, help);
    let usage = |code, subject, help| (ExitCode::Usage, code, subject, help);
    match error {
        ApplyError::Over { how, .. } if *how != Ending::Lapsed => {
            let help = "`portreeve status` shows what is in force; apply it again to try it again";
            (ExitCode::RolledBack, "A012", "trial", help)
        }
        _ if error.is_lapse() => {
            let help = "apply it again; `--confirm-within` gives more time";
            (ExitCode::RolledBack, "A011", "trial", help)
        }
        ApplyError::Senseless(refusal) => match refusal {
            Refusal::NothingOnTrial | Refusal::Lapsed { .. } => {
                usage("A013", "trial", refusal.help())
            }
            Refusal::NotInstalled { .. } | Refusal::Drifted { .. } => (
                ExitCode::Drift,
                "A015",
                "table inet portreeve",
                refusal.help(),
            ),
        },
        ApplyError::NotRecorded { error: cause, .. } => {
            internal("A002", "state directory", cause.help())
        }
        ApplyError::Kernel(error) => (ExitCode::Kernel, "A017", "kernel", help(error)),
        ApplyError::Overtaken => {
            let help = "look at `portreeve status`, then try again";
            (ExitCode::Kernel, "A017", "kernel", help)
        }
        ApplyError::Missing { .. } => {
            let help = "report it with `portreeve plan --format nft` and `nft --version`";
            internal("A004", "kernel", help)
        }
        ApplyError::Unreadable { .. } => {
            let help = "go back to another generation: `portreeve history`, `portreeve rollback N`";
            internal("A003", "state directory", help)
        }
        ApplyError::WrongToken { .. } => {
            let help = "give the token that the last `portreeve apply` printed";
            usage("A014", "token", help)
        }
        ApplyError::NoEvidence(reason) => usage("A014", "session", reason.help()),
        ApplyError::NoToken(_) => internal("A016", "watch over the trial", "try again"),
        ApplyError::NoSuchGeneration { .. } => {
            let help = "`portreeve history` shows the generations there are";
            usage("A018", "command line", help)
        }
        ApplyError::Over { .. }
        | ApplyError::Store(_)
        | ApplyError::Refused(_)
        | ApplyError::Unanswered(_) => unreachable!("told elsewhere: {error}"),
    }
}

/// What to do when the kernel does not do what it is asked.
const fn help(error: &KernelError) -> &'static str {
    match error {
        KernelError::NotPermitted => "run as root, or with the capability CAP_NET_ADMIN",
        KernelError::Unreachable(_) => {
            "load its module: `modprobe nf_tables`; in a container, outside of it"
        }
        KernelError::Refused { .. } | KernelError::Malformed(_) => {
            "report it with `uname -r` and `nft list table inet portreeve`"
        }
        KernelError::NotTold(_) | KernelError::Broken(_) | KernelError::TimedOut => {
            "look at `dmesg` and `portreeve status`, then try again"
        }
        KernelError::Restless => "see what else changes nf_tables with `nft monitor`; try again",
    }
}
