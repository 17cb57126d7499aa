//! Everything that can go wrong with a policy, each in its own words and with its own code.

use std::io;
use std::time::Duration;

use portreeve_model::diagnostic::{Diagnostic, Quoted, Said};
use thiserror::Error;

use super::Policy;
use super::engine::{ANSWER_BYTES, COMPONENT_BYTES, DEADLINE, FUEL, INSTANCES, LOG_BYTES};
use super::engine::{LOG_CALLS, MEMORY_BYTES, STACK_BYTES, TABLE_ELEMENTS};
use super::log::LogLine;
use crate::exit_code::ExitCode;
use crate::inputs::ReadError;

/// Why a policy gave no draft. The machine has not been touched.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("policy {} cannot be read", Quoted(policy))]
    Unreadable {
        /// The policy, as it was asked for.
        policy: String,
        /// What the system says.
        source: ReadError,
    },
    /// It has the form of a built-in policy's name, but there is none.
    #[error("there is no built-in policy {}", Quoted(policy))]
    Unknown {
        /// The policy, as it was asked for.
        policy: String,
    },
    /// What was read is not a policy.
    #[error("{} is not a policy: {reason}", Quoted(policy))]
    NotAPolicy {
        /// The policy, as it was asked for.
        policy: String,
        /// What it is instead.
        reason: NotAPolicy,
    },
    /// It ran and did not end well.
    #[error("policy {} failed in `{call}`: {cause}", Quoted(policy))]
    Failed {
        /// The policy, as it was asked for.
        policy: String,
        /// The function that it failed in.
        call: &'static str,
        /// What happened.
        cause: Cause,
        /// What it had said until then.
        log: Vec<LogLine>,
    },
    /// Its description of itself makes no sense.
    #[error("policy {} describes itself wrongly", Quoted(policy))]
    Description {
        /// The policy, as it was asked for.
        policy: String,
        /// All that is wrong.
        defects: Vec<Diagnostic>,
    },
    /// It declined, as a policy may.
    #[error("policy {} refused: {refusal}", Quoted(policy))]
    Refused {
        /// The policy, as it was asked for.
        policy: String,
        /// What it says.
        refusal: Refusal,
        /// What it had said until then.
        log: Vec<LogLine>,
    },
}

/// What something is that is not a policy.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NotAPolicy {
    /// Too many bytes.
    #[error("it is {bytes} bytes long, at most {COMPONENT_BYTES} are read")]
    TooLarge {
        /// The bytes found.
        bytes: u64,
    },
    /// Something else altogether.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// WebAssembly, but without the types that a component carries.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// Cut off, damaged, or made with features that are switched off here.
    #[error("it is no valid component: {}", Quoted(reason))]
    Malformed {
        /// What the compiler says.
        reason: String,
    },
    /// It wants something that no policy gets.
    #[error(
        "it imports {}, a policy may import `portreeve:policy/log` only",
        Quoted(import)
    )]
    Import {
        /// What it wants.
        import: String,
    },
    /// It is a component for something else, or for another version.
    #[error(
        "it does not fit the world `portreeve:policy/policy@0.1.0`: {}",
        Quoted(reason)
    )]
    OtherWorld {
        /// The first difference.
        reason: String,
    },
}

/// What ended an evaluation.
#[derive(Debug, Error)]
pub enum Cause {
    /// It wanted more than a policy may have.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// It gave up: a panic, a failed allocation.
    #[error("it panicked: {}", message.as_deref().unwrap_or("no message was left"))]
    Panicked {
        /// What it logged last as an error, printable as every log line is.
        message: Option<String>,
    },
    /// It touched memory that is not there. rustc and clang put the stack first in memory, so
    /// that is where a stack that overflows ends up.
    #[error("it reached outside its memory, probably a stack overflow")]
    MemoryFault,
    /// It did something else that WebAssembly forbids.
    #[error("it trapped: {}", Quoted(trap))]
    Trapped {
        /// What it did.
        trap: String,
    },
    /// Its answer is not a value of the type that it should have.
    #[error("its answer is malformed: {}", Quoted(reason))]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The thread that watches the clock did not start, so the policy was not either.
    #[error("the thread that watches the clock cannot be started: {0}")]
    NoWatch(io::Error),
}

/// A limit that an evaluation met.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Limit {
    /// Instructions.
    #[error("it used up its {FUEL} units of fuel")]
    Fuel,
    /// Time.
    #[error("it ran longer than {} s", seconds(DEADLINE))]
    Deadline,
    /// Memory.
    #[error("it wanted {bytes} bytes of memory, at most {MEMORY_BYTES} are given")]
    Memory {
        /// The bytes wanted.
        bytes: usize,
    },
    /// A table.
    #[error("it wanted a table of {elements} elements, at most {TABLE_ELEMENTS} are given")]
    Table {
        /// The elements wanted.
        elements: usize,
    },
    /// Parts of a component.
    #[error("it has more than {INSTANCES} instances, memories or tables")]
    Instances,
    /// Calls that nest.
    #[error("its calls nest deeper than {STACK_BYTES} bytes of stack")]
    Stack,
    /// What comes back.
    #[error("its answer takes more than {ANSWER_BYTES} bytes")]
    Answer,
    /// What it says on the way.
    #[error("it logged more than {LOG_CALLS} lines or {LOG_BYTES} bytes")]
    Log,
}

/// Why a policy drafts nothing, in its own words.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// The operator can mend it: settings contradict each other, a feed cannot be used.
    #[error("{}", Said(_0))]
    Inputs(String),
    /// The policy does not know the situation.
    #[error("{}", Said(_0))]
    Unsupported(String),
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

impl PolicyError {
    /// How a command ends that this has stopped.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused {
                refusal: Refusal::Inputs(_),
                ..
            }
            | Self::Unknown { .. } => ExitCode::Invalid,
            Self::Unreadable { .. }
            | Self::NotAPolicy { .. }
            | Self::Failed { .. }
            | Self::Description { .. }
            | Self::Refused { .. } => ExitCode::Policy,
        }
    }

    /// What the policy had said until then.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        match self {
            Self::Failed { log, .. } | Self::Refused { log, .. } => log,
            Self::Unknown { .. }
            | Self::Unreadable { .. }
            | Self::NotAPolicy { .. }
            | Self::Description { .. } => &[],
        }
    }

    /// The same as data, for the report: all that is wrong, with codes.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let one = |code, policy: &str, message: String, help: &str| {
            vec![Diagnostic {
                code,
                subject: format!("policy {}", Quoted(policy)),
                message,
                help: help.to_owned(),
            }]
        };
        match self {
            Self::Unknown { policy } => {
                let names: Vec<_> = Policy::builtin_names().map(|n| format!("`{n}`")).collect();
                one(
                    "W008",
                    policy,
                    format!(
                        "there is no such built-in policy; there are {}",
                        names.join(", ")
                    ),
                    "name one of them, or the file of a component, with a `/` or `.wasm` in it",
                )
            }
            Self::Unreadable { policy, source } => one(
                "W001",
                policy,
                source.to_string(),
                "name a built-in policy, or a file that can be read",
            ),
            Self::NotAPolicy { policy, reason } => {
                one(reason.code(), policy, reason.to_string(), reason.help())
            }
            Self::Failed {
                policy,
                call,
                cause,
                ..
            } => one(
                cause.code(),
                policy,
                format!("in `{call}`, {cause}"),
                cause.help(),
            ),
            Self::Description { defects, .. } => defects.clone(),
            Self::Refused {
                policy, refusal, ..
            } => one(
                refusal.code(),
                policy,
                format!("refused: {refusal}"),
                refusal.help(),
            ),
        }
    }
}

impl NotAPolicy {
    const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "W002",
            Self::NotWasm => "W003",
            Self::CoreModule => "W004",
            Self::Malformed { .. } => "W005",
            Self::Import { .. } => "W006",
            Self::OtherWorld { .. } => "W007",
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "build it with optimisation and without debug information",
            Self::NotWasm => "name the `.wasm` file that the build of the policy made",
            Self::CoreModule => "make it a component, as `portreeve-build` does",
            Self::Malformed { .. } => "copy or build the file again",
            Self::Import { .. } => "build it for wasm32-unknown-unknown, not for WASI",
            Self::OtherWorld { .. } => "build it against the `wit/` of this version",
        }
    }
}

impl Cause {
    const fn code(&self) -> &'static str {
        match self {
            Self::Limit(limit) => limit.code(),
            Self::Panicked { .. } => "W020",
            Self::MemoryFault => "W021",
            Self::Trapped { .. } => "W022",
            Self::Malformed { .. } => "W023",
            Self::NoWatch(_) => "W024",
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::Limit(Limit::Fuel | Limit::Deadline) => "let it do less, or end its loops",
            Self::Limit(Limit::Memory { .. } | Limit::Table { .. } | Limit::Instances) => {
                "let it need less; sets can name feeds instead of holding them"
            }
            Self::Limit(Limit::Stack) | Self::MemoryFault => "replace the recursion by a loop",
            Self::Limit(Limit::Answer) => "let it answer with sets and ranges, not with lists",
            Self::Limit(Limit::Log) => "log less",
            Self::Panicked { .. } | Self::Trapped { .. } => "report it to the policy's author",
            Self::Malformed { .. } => "build it with current bindings",
            Self::NoWatch(_) => "see whether the machine or the service has run out of processes",
        }
    }
}

impl Limit {
    const fn code(self) -> &'static str {
        match self {
            Self::Fuel => "W010",
            Self::Deadline => "W011",
            Self::Memory { .. } => "W012",
            Self::Table { .. } => "W013",
            Self::Instances => "W014",
            Self::Stack => "W015",
            Self::Answer => "W016",
            Self::Log => "W017",
        }
    }
}

impl Refusal {
    const fn code(&self) -> &'static str {
        match self {
            Self::Inputs(_) => "W030",
            Self::Unsupported(_) => "W031",
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::Inputs(_) => "change the settings or feeds as it says",
            Self::Unsupported(_) => "use another policy here",
        }
    }
}
