//! Every exit code, stable and documented.

use std::process::ExitCode as ProcessExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub enum ExitCode {
    /// 0: done.
    Done,
    /// 1: a fault of portreeve itself.
    Internal,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: the configuration, the inputs, the draft or a scenario is invalid.
    Invalid,
    /// 4: a goal is refuted, or cannot be decided; or a scenario fails.
    Refuted,
    /// 5: the policy failed: trap, fuel, memory, time, or it is not a policy.
    Policy,
    /// 6: the kernel or nft refused.
    Kernel,
    /// 7: rolled back, or the trial lapsed.
    RolledBack,
    /// 8: the kernel holds something else than what was applied.
    Drift,
    /// 9: a feed could not be had and none is cached.
    Feed,
    /// 10: a scenario could not be tried, or not to its end.
    Untested,
}

impl ExitCode {
    /// The number that the shell sees.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Refuted => 4,
            Self::Policy => 5,
            Self::Kernel => 6,
            Self::RolledBack => 7,
            Self::Drift => 8,
            Self::Feed => 9,
            Self::Untested => 10,
        }
    }
}

impl From<ExitCode> for ProcessExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}
