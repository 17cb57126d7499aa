//! What is done when it is killed, where it starts from, and what it may leave in the kernel.

use std::time::Duration;

/// Settings of the rule sets: the first, the second, and the one that is applied afterwards.
pub(super) const FIRST: &str = "ports=443";
pub(super) const SECOND: &str = "ports=8443";
pub(super) const THIRD: &str = "ports=9443";

/// How long the trial of an `apply` runs that waits for its end: the shortest there is.
const SHORT: Duration = Duration::from_secs(1);

/// A command that changes what packets meet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Deed {
    /// Puts the second rule set on trial, and waits for its end.
    Apply,
    /// Puts the second rule set on trial, and leaves the wait to the background.
    ApplyNoWait,
    /// Installs the second rule set for good.
    ApplyNoTrial,
    /// Confirms the second rule set, which is on trial.
    Confirm,
    /// Takes the second rule set back, which is on trial.
    EndTrial,
    /// Goes back from the second rule set to the first.
    Rollback,
}

/// A generation's rule set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// That of [`FIRST`].
    First,
    /// That of [`SECOND`].
    Second,
}

/// What stands in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Standing {
    pub(super) confirmed: Side,
    pub(super) trial: Option<Side>,
}

impl Standing {
    const FIRST: Self = Self {
        confirmed: Side::First,
        trial: None,
    };
    const SECOND: Self = Self {
        confirmed: Side::Second,
        trial: None,
    };
    const TRIAL: Self = Self {
        confirmed: Side::First,
        trial: Some(Side::Second),
    };
}

impl Deed {
    pub(super) const ALL: [Self; 6] = [
        Self::Apply,
        Self::ApplyNoWait,
        Self::ApplyNoTrial,
        Self::Confirm,
        Self::EndTrial,
        Self::Rollback,
    ];

    /// The command line; `token` is that of the trial that runs.
    pub(super) fn words(self, token: &str) -> Vec<String> {
        let within = format!("{}s", SHORT.as_secs());
        let words: &[&str] = match self {
            Self::Apply => &["apply", "--confirm-within", &within, "--set", SECOND],
            Self::ApplyNoWait => &[
                "apply",
                "--no-wait",
                "--confirm-within",
                &within,
                "--set",
                SECOND,
            ],
            Self::ApplyNoTrial => &["apply", "--no-trial", "--set", SECOND],
            Self::Confirm => &["confirm", token, "--from-console"],
            Self::EndTrial => &["rollback"],
            Self::Rollback => &["rollback", "1"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The same, but for a wait in which nothing happens.
    pub(super) const fn without_wait(self) -> Self {
        match self {
            Self::Apply => Self::ApplyNoWait,
            Self::ApplyNoWait
            | Self::ApplyNoTrial
            | Self::Confirm
            | Self::EndTrial
            | Self::Rollback => self,
        }
    }

    /// What stands before.
    pub(super) const fn before(self) -> Standing {
        match self {
            Self::Apply | Self::ApplyNoWait | Self::ApplyNoTrial => Standing::FIRST,
            Self::Confirm | Self::EndTrial => Standing::TRIAL,
            Self::Rollback => Standing::SECOND,
        }
    }

    /// What may stand afterwards.
    pub(super) fn allows(self, after: Standing) -> bool {
        let allowed: &[Standing] = match self {
            Self::Apply | Self::ApplyNoWait | Self::EndTrial => &[Standing::FIRST, Standing::TRIAL],
            Self::ApplyNoTrial => &[Standing::FIRST, Standing::SECOND],
            Self::Confirm => &[Standing::TRIAL, Standing::SECOND],
            Self::Rollback => &[Standing::FIRST, Standing::SECOND],
        };
        allowed.contains(&after)
    }
}
