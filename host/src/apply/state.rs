//! The state that a command leaves the machine in, as the operator is told it.

use std::fmt;
use std::time::Duration;

use portreeve_nft::layout::Number;

use super::machine::View;
use super::trial::{Situation, name};

/// The state that a command leaves the machine in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MachineState {
    /// As it was before; nothing was touched.
    Unchanged,
    /// As it was found afterwards.
    Found {
        /// How things stand.
        situation: Situation,
        /// How long the trial still runs, if one does.
        left: Option<Duration>,
    },
    /// What was in force before is in force again.
    RolledBack {
        /// Its generation; without one, portreeve filters nothing.
        to: Option<Number>,
    },
    /// The kernel or the disk did not tell.
    Unknown,
}

impl MachineState {
    pub(super) fn of(view: &View) -> Self {
        Self::Found {
            situation: view.state.situation(),
            left: view.left,
        }
    }

    /// The same, in the words for something that was taken back.
    #[must_use]
    pub const fn rolled_back(self) -> Self {
        match self {
            Self::Found { situation, .. } => match situation {
                Situation::Steady { confirmed } => Self::RolledBack {
                    to: Some(confirmed),
                },
                Situation::Open => Self::RolledBack { to: None },
                Situation::OnTrial { .. }
                | Situation::Lapsed { .. }
                | Situation::Unrecorded { .. }
                | Situation::NotInstalled { .. }
                | Situation::Drifted { .. } => self,
            },
            Self::Unchanged | Self::RolledBack { .. } | Self::Unknown => self,
        }
    }

    /// One word for programs.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::RolledBack { .. } => "rolled-back",
            Self::Unknown => "unknown",
            Self::Found { situation, .. } => match situation {
                Situation::Open => "open",
                Situation::Steady { .. } => "confirmed",
                Situation::OnTrial { .. } => "on-trial",
                Situation::Lapsed { .. } => "lapsed",
                Situation::Unrecorded { .. } => "unrecorded",
                Situation::NotInstalled { .. } => "not-installed",
                Situation::Drifted { .. } => "drifted",
            },
        }
    }

    /// The generation that packets meet, as far as it is known.
    #[must_use]
    pub const fn in_force(self) -> Option<Number> {
        match self {
            Self::Unchanged | Self::Unknown => None,
            Self::RolledBack { to } => to,
            Self::Found { situation, .. } => match situation {
                Situation::Open | Situation::NotInstalled { .. } | Situation::Drifted { .. } => {
                    None
                }
                Situation::Steady { confirmed: number }
                | Situation::Unrecorded { number, .. }
                | Situation::OnTrial {
                    candidate: number, ..
                } => Some(number),
                Situation::Lapsed { confirmed, .. } => confirmed,
            },
        }
    }

    /// The generation that counts as confirmed, as far as it is known.
    #[must_use]
    pub const fn confirmed(self) -> Option<Number> {
        match self {
            Self::Unchanged | Self::Unknown => None,
            Self::RolledBack { to } => to,
            Self::Found { situation, .. } => match situation {
                Situation::Open => None,
                Situation::Steady { confirmed } | Situation::NotInstalled { confirmed } => {
                    Some(confirmed)
                }
                Situation::Unrecorded { recorded, .. } => recorded,
                Situation::OnTrial { confirmed, .. }
                | Situation::Lapsed { confirmed, .. }
                | Situation::Drifted { confirmed } => confirmed,
            },
        }
    }

    /// How long the trial still runs, if one does.
    #[must_use]
    pub const fn left(self) -> Option<Duration> {
        match self {
            Self::Found { left, .. } => left,
            Self::Unchanged | Self::RolledBack { .. } | Self::Unknown => None,
        }
    }
}

/// `on trial, lapses in 58 s: generation 42, then generation 41 again`
impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::RolledBack { to: Some(to) } => write!(f, "rolled back to {}", name(*to)),
            Self::RolledBack { to: None } => {
                f.write_str("rolled back: portreeve filters nothing, as before the first apply")
            }
            Self::Unknown => f.write_str("unknown: the kernel or the disk did not tell"),
            Self::Found { situation, left } => found(f, *situation, *left),
        }
    }
}

fn found(f: &mut fmt::Formatter<'_>, situation: Situation, left: Option<Duration>) -> fmt::Result {
    match situation {
        Situation::Open => f.write_str("open: portreeve filters nothing, and nothing is confirmed"),
        Situation::Steady { confirmed } => {
            write!(f, "confirmed: {} is in force", name(confirmed))
        }
        Situation::OnTrial {
            candidate,
            confirmed,
        } => {
            // Rounded up: at the last moment it is still some time.
            let seconds = left.unwrap_or_default().as_millis().div_ceil(1000);
            write!(
                f,
                "on trial, lapses in {seconds} s: generation {candidate}, "
            )?;
            match confirmed {
                Some(confirmed) => write!(f, "then {} again", name(confirmed)),
                None => f.write_str("then nothing is filtered again"),
            }
        }
        Situation::Lapsed {
            candidate,
            confirmed,
        } => {
            write!(f, "lapsed: generation {candidate} was not confirmed; ")?;
            match confirmed {
                Some(confirmed) => write!(f, "{} is in force", name(confirmed)),
                None => f.write_str("portreeve filters nothing, as before"),
            }
        }
        Situation::Unrecorded { number, recorded } => {
            write!(
                f,
                "confirmed: generation {number} is in force, but not on record; after a restart "
            )?;
            match recorded {
                Some(recorded) => write!(f, "generation {recorded} would be"),
                None => f.write_str("nothing would be"),
            }
        }
        Situation::NotInstalled { confirmed } => write!(
            f,
            "not installed: {} is confirmed, but portreeve filters nothing",
            name(confirmed)
        ),
        Situation::Drifted {
            confirmed: Some(confirmed),
        } => write!(
            f,
            "drifted: the kernel does not hold generation {confirmed}, which is confirmed"
        ),
        Situation::Drifted { confirmed: None } => {
            f.write_str("drifted: the kernel holds a rule set that is not on record here")
        }
    }
}
