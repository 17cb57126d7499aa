//! What may be done next, and in which order: the trial as a pure state machine.
//!
//! It knows what the kernel leads packets to and which files lie on disk, and answers a request
//! with steps. Each step is atomic; whoever performs them does so in order and stops at the first
//! that fails ([`Step::is_tidying`] may fail). Wherever that is, or the process is killed, or the
//! power fails: [`State::settle`] finishes it. No clock, no kernel and no disk is touched here.
//!
//! The order of the steps is what keeps the promises, and `tests.rs` tries it against every
//! accident:
//! - what is confirmed is on disk, whole, before the kernel is switched to it for good, and takes
//!   its place there only afterwards: neither a full disk nor a lapse can leave half of it;
//! - what is taken back is taken back in the kernel first, because the disk may be full;
//! - what the disk still shows of a candidate that the kernel does not know is over.

use std::collections::BTreeSet;

use portreeve_nft::layout::Number;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Generation 0 is the rule set that portreeve carries itself. It counts as the confirmed one when
/// generations were confirmed and not one of them can be read any more.
pub const BUILT_IN: Number = 0;

/// A generation, in words.
#[must_use]
pub fn name(number: Number) -> String {
    if number == BUILT_IN {
        "the safe rule set that portreeve carries".to_owned()
    } else {
        format!("generation {number}")
    }
}

/// What packets meet in the kernel.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum InKernel {
    /// Nothing of ours: no table, or no base chain in it.
    Open,
    /// This generation.
    Confirmed(Number),
    /// The base chains tell of a trial.
    Trial(Trial),
    /// Base chains that we did not write.
    Strange,
}

/// A trial, as the base chains tell it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Trial {
    /// What packets meet while it runs.
    pub candidate: Number,
    /// What they meet afterwards; without one, nothing.
    pub confirmed: Option<Number>,
    /// Whether it runs. The kernel ends it by itself, and leaves the base chains as they are.
    pub running: bool,
}

/// Which files of generations lie on disk.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OnDisk {
    /// The newest confirmed generation that can be read, or [`BUILT_IN`] when there are some and
    /// none can.
    pub confirmed: Option<Number>,
    /// What was written for a trial.
    pub candidates: BTreeSet<Number>,
    /// What was written to be confirmed, and is not yet.
    pub prepared: BTreeSet<Number>,
}

/// Everything that a decision depends on.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct State {
    /// What packets meet.
    pub kernel: InKernel,
    /// What is kept.
    pub disk: OnDisk,
}

/// How things stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Situation {
    /// Nothing was ever confirmed, and packets meet nothing of ours.
    Open,
    /// Packets meet the confirmed generation.
    Steady {
        /// Its number.
        confirmed: Number,
    },
    /// Packets meet a generation on trial.
    OnTrial {
        /// Its number.
        candidate: Number,
        /// What they meet when the trial ends.
        confirmed: Option<Number>,
    },
    /// A trial has ended by itself; packets meet what they met before.
    Lapsed {
        /// What was on trial.
        candidate: Number,
        /// What packets meet.
        confirmed: Option<Number>,
    },
    /// The kernel was switched to a generation for good, and whoever did it was killed before the
    /// disk said so.
    Unrecorded {
        /// What packets meet, and what lies on disk ready to be recorded.
        number: Number,
        /// What the disk still calls confirmed.
        recorded: Option<Number>,
    },
    /// A generation is confirmed and packets do not meet it: restarted without `boot`, or somebody
    /// deleted our table.
    NotInstalled {
        /// What they should meet.
        confirmed: Number,
    },
    /// Packets meet something that is not what the disk calls confirmed.
    Drifted {
        /// What they should meet, if anything is known of it.
        confirmed: Option<Number>,
    },
}

/// One atomic step. What it is about is named by its number alone: whoever performs the steps has
/// the generation in hand that the request makes, and the disk holds the others.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Disk: the file of a generation that goes on trial. Lasting.
    WriteCandidate(Number),
    /// Disk: the file of a generation that is to be confirmed, beside its place. Lasting.
    PrepareConfirmed(Number),
    /// Disk: what was prepared takes its place, and is what `boot` loads. Lasting.
    RecordConfirmed(Number),
    /// Disk: the file for the trial goes; the generation is among the confirmed ones.
    Forget(Number),
    /// Disk: what was written of a generation goes; its record is filed with how it ended.
    End(Number, Ending),
    /// Kernel: the sets and chains of a generation, where no packet meets them.
    Stage(Number),
    /// Kernel: what a crash has left of a generation goes, where no packet meets it; staged on top
    /// of that, its rules would be there twice.
    Unstage(Number),
    /// Kernel: what packets meet.
    Switch(Switch),
    /// Kernel: everything of ours goes and a generation comes, staged and switched to, in one
    /// transaction: for a table that others have changed.
    Replace(Number),
    /// Kernel: what no packet meets goes. Disk: so do generations beyond those kept.
    Sweep,
}

/// What packets are led to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Switch {
    /// A staged generation while the trial runs, and then what is confirmed in the kernel.
    Trial(Number),
    /// The generation on trial, for good. The kernel refuses when the trial has lapsed.
    Confirm(Number),
    /// A generation that is in the kernel, for good.
    To(Number),
    /// Nothing of ours.
    Nothing,
}

/// How a generation ended that was not confirmed.
#[derive(
    Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Nobody confirmed it in time.
    Lapsed,
    /// Somebody took it back.
    RolledBack,
    /// Another one was applied during its trial.
    Replaced,
    /// The machine was restarted before it was confirmed.
    Restarted,
    /// Whoever was at work with it was stopped before it was in force, or after it was taken back.
    Abandoned,
}

impl Ending {
    /// What it did, in words: it …
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::RolledBack => "was rolled back",
            Self::Replaced => "was replaced by another",
            Self::Restarted => "was ended by a restart",
            Self::Abandoned => "was abandoned before it was in force",
        }
    }
}

/// Why a request is not carried out. Nothing was touched.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// There is no trial.
    #[error("no rule set is on trial")]
    NothingOnTrial,
    /// There was one.
    #[error("the trial of generation {candidate} has lapsed")]
    Lapsed {
        /// What was on trial.
        candidate: Number,
    },
    /// A trial would lapse into something else than what was confirmed.
    #[error("generation {confirmed} is confirmed, and the kernel does not hold it")]
    NotInstalled {
        /// What should be in force.
        confirmed: Number,
    },
    /// The same, and the kernel holds something.
    #[error("the kernel does not hold what was confirmed last")]
    Drifted {
        /// What should be in force, if anything is known of it.
        confirmed: Option<Number>,
    },
}

impl Refusal {
    /// What to do about it.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::NothingOnTrial => "see `portreeve status`",
            Self::Lapsed { .. } => "apply it again; `--confirm-within` gives more time",
            Self::NotInstalled { .. } | Self::Drifted { confirmed: Some(_) } => {
                "`portreeve rollback` puts the confirmed rule set in force again"
            }
            Self::Drifted { confirmed: None } => {
                "keep a console at hand, and use `portreeve apply --no-trial`"
            }
        }
    }
}

impl Step {
    /// Whether nothing is wrong when it fails, only untidy: [`State::settle`] asks for it again.
    #[must_use]
    pub const fn is_tidying(self) -> bool {
        match self {
            // As long as a lapse is not filed, the kernel must go on telling of it.
            Self::End(_, Ending::Lapsed) => false,
            Self::Forget(_) | Self::End(..) | Self::Sweep => true,
            Self::WriteCandidate(_)
            | Self::PrepareConfirmed(_)
            | Self::RecordConfirmed(_)
            | Self::Stage(_)
            | Self::Unstage(_)
            | Self::Switch(_)
            | Self::Replace(_) => false,
        }
    }
}

impl State {
    /// How things stand.
    #[must_use]
    pub fn situation(&self) -> Situation {
        let confirmed = self.disk.confirmed;
        match (self.kernel, confirmed) {
            (InKernel::Open, None) => Situation::Open,
            (InKernel::Open, Some(confirmed)) => Situation::NotInstalled { confirmed },
            (InKernel::Confirmed(number), _) if Some(number) == confirmed => {
                Situation::Steady { confirmed: number }
            }
            (InKernel::Confirmed(number), recorded) if self.disk.prepared.contains(&number) => {
                Situation::Unrecorded { number, recorded }
            }
            (InKernel::Trial(trial), _) if trial.confirmed == confirmed => {
                let Trial { candidate, .. } = trial;
                if trial.running {
                    Situation::OnTrial {
                        candidate,
                        confirmed,
                    }
                } else {
                    Situation::Lapsed {
                        candidate,
                        confirmed,
                    }
                }
            }
            (InKernel::Confirmed(_) | InKernel::Trial(_) | InKernel::Strange, confirmed) => {
                Situation::Drifted { confirmed }
            }
        }
    }
}

// The requests. Each begins with what a crash or a lapse has left, and then does its own.
impl State {
    /// Finishes what a crash or a lapse has left: afterwards the disk has no candidate but the one
    /// on trial. What others have done to the kernel is not undone here.
    #[must_use]
    pub fn settle(&self) -> Vec<Step> {
        self.settled().0
    }

    /// Puts generation `number` on trial, in place of one that is on trial already.
    ///
    /// # Errors
    /// When the trial could not lapse into what was confirmed.
    pub fn apply(&self, number: Number) -> Result<Vec<Step>, Refusal> {
        let (mut steps, settled) = self.settled();
        match settled.situation() {
            Situation::NotInstalled { confirmed } => {
                return Err(Refusal::NotInstalled { confirmed });
            }
            Situation::Drifted { confirmed } => return Err(Refusal::Drifted { confirmed }),
            Situation::Open
            | Situation::Steady { .. }
            | Situation::OnTrial { .. }
            | Situation::Lapsed { .. }
            | Situation::Unrecorded { .. } => {}
        }
        steps.extend([
            Step::WriteCandidate(number),
            Step::Stage(number),
            Step::Switch(Switch::Trial(number)),
        ]);
        steps.extend(settled.ends(Ending::Replaced));
        steps.push(Step::Sweep);
        Ok(steps)
    }

    /// Makes generation `number` the confirmed one, at once and for good.
    #[must_use]
    pub fn apply_without_trial(&self, number: Number) -> Vec<Step> {
        self.install(number, Ending::Replaced)
    }

    /// Makes generation `number`, which has the contents of an earlier one, the confirmed one.
    #[must_use]
    pub fn rollback_to(&self, number: Number) -> Vec<Step> {
        self.install(number, Ending::RolledBack)
    }

    /// Makes the generation on trial the confirmed one. One that was confirmed but not recorded is
    /// recorded.
    ///
    /// # Errors
    /// When none is on trial, any more perhaps.
    pub fn confirm(&self) -> Result<Vec<Step>, Refusal> {
        match self.situation() {
            Situation::OnTrial { candidate, .. } => {
                let mut steps = vec![
                    Step::PrepareConfirmed(candidate),
                    Step::Switch(Switch::Confirm(candidate)),
                    Step::RecordConfirmed(candidate),
                    Step::Forget(candidate),
                ];
                steps.extend(self.ends_of_others(candidate));
                steps.push(Step::Sweep);
                Ok(steps)
            }
            Situation::Unrecorded { .. } => Ok(self.settle()),
            Situation::Lapsed { candidate, .. } => Err(Refusal::Lapsed { candidate }),
            Situation::Open | Situation::Steady { .. } => Err(Refusal::NothingOnTrial),
            Situation::NotInstalled { confirmed } => Err(Refusal::NotInstalled { confirmed }),
            Situation::Drifted { confirmed } => Err(Refusal::Drifted { confirmed }),
        }
    }

    /// Puts what the disk calls confirmed in force again, now: ends a trial, repairs what others
    /// have changed, and takes back a switch that was never recorded.
    ///
    /// # Errors
    /// When the kernel holds something, and the disk knows of nothing that was confirmed.
    pub fn rollback(&self) -> Result<Vec<Step>, Refusal> {
        let mut steps = match self.situation() {
            Situation::Open | Situation::Steady { .. } | Situation::Lapsed { .. } => {
                return Ok(self.settle());
            }
            Situation::OnTrial { confirmed, .. } => vec![back_to(confirmed)],
            Situation::Unrecorded { recorded, .. } => {
                recorded.map_or_else(|| vec![back_to(None)], bring_in)
            }
            Situation::NotInstalled { confirmed } => bring_in(confirmed),
            Situation::Drifted { confirmed } => {
                let confirmed = confirmed.ok_or(Refusal::Drifted { confirmed })?;
                vec![Step::Replace(confirmed)]
            }
        };
        steps.extend(self.ends(Ending::RolledBack));
        steps.push(Step::Sweep);
        Ok(steps)
    }

    /// Puts what the disk calls confirmed in force anew, because somebody has changed what it
    /// consists of: the base chains, which are all that is known here, may be as they should.
    #[must_use]
    pub fn repair(&self) -> Vec<Step> {
        match self.situation() {
            Situation::Steady { confirmed } => vec![Step::Replace(confirmed), Step::Sweep],
            Situation::Open
            | Situation::OnTrial { .. }
            | Situation::Lapsed { .. }
            | Situation::Unrecorded { .. }
            | Situation::NotInstalled { .. }
            | Situation::Drifted { .. } => self.settle(),
        }
    }

    /// Puts what the disk calls confirmed in force, after a restart. A trial that runs goes on.
    #[must_use]
    pub fn boot(&self) -> Vec<Step> {
        let mut steps = match self.situation() {
            Situation::Open => Vec::new(),
            Situation::NotInstalled { confirmed } => bring_in(confirmed),
            Situation::Drifted {
                confirmed: Some(confirmed),
            } => vec![Step::Replace(confirmed)],
            Situation::Steady { .. }
            | Situation::OnTrial { .. }
            | Situation::Lapsed { .. }
            | Situation::Unrecorded { .. }
            | Situation::Drifted { confirmed: None } => return self.settle(),
        };
        steps.extend(self.ends(Ending::Restarted));
        steps
    }

    fn install(&self, number: Number, trial_ends: Ending) -> Vec<Step> {
        let (mut steps, settled) = self.settled();
        steps.push(Step::PrepareConfirmed(number));
        match settled.situation() {
            Situation::Drifted { .. } => steps.push(Step::Replace(number)),
            Situation::Open
            | Situation::Steady { .. }
            | Situation::OnTrial { .. }
            | Situation::Lapsed { .. }
            | Situation::Unrecorded { .. }
            | Situation::NotInstalled { .. } => {
                steps.extend([Step::Stage(number), Step::Switch(Switch::To(number))])
            }
        }
        steps.push(Step::RecordConfirmed(number));
        steps.extend(settled.ends(trial_ends));
        steps.push(Step::Sweep);
        steps
    }

    /// What [`Self::settle`] does, and how things stand once it is done.
    fn settled(&self) -> (Vec<Step>, Self) {
        let mut settled = self.clone();
        settled.disk.candidates.clear();
        settled.disk.prepared.clear();
        let steps = match self.situation() {
            Situation::Lapsed { confirmed, .. } => {
                settled.kernel = confirmed.map_or(InKernel::Open, InKernel::Confirmed);
                // Packets meet what they should already. The kernel is what tells of the lapse
                // until it is filed.
                let mut steps: Vec<_> = self.ends(Ending::Lapsed).collect();
                steps.extend([back_to(confirmed), Step::Sweep]);
                steps
            }
            Situation::Unrecorded { number, .. } => {
                settled.disk.confirmed = Some(number);
                let mut steps = vec![Step::RecordConfirmed(number), Step::Forget(number)];
                steps.extend(self.ends_of_others(number));
                steps.push(Step::Sweep);
                steps
            }
            Situation::OnTrial { candidate, .. } => {
                settled.disk.candidates.insert(candidate);
                self.ends_of_others(candidate).collect()
            }
            Situation::Open
            | Situation::Steady { .. }
            | Situation::NotInstalled { .. }
            | Situation::Drifted { .. } => self.ends(Ending::Abandoned).collect(),
        };
        (steps, settled)
    }

    /// Clears the disk of everything unconfirmed. What the kernel was last told of ends so; what
    /// is older was replaced by it, and what is newer never came that far. When the kernel tells
    /// of none, all end so.
    fn ends(&self, ending: Ending) -> impl Iterator<Item = Step> {
        let subject = match (self.situation(), self.kernel) {
            (Situation::Unrecorded { number, .. }, _) => Some(number),
            (_, InKernel::Trial(trial)) => Some(trial.candidate),
            (_, InKernel::Open | InKernel::Confirmed(_) | InKernel::Strange) => None,
        };
        let confirmed = self.disk.confirmed;
        let unconfirmed = self.disk.candidates.union(&self.disk.prepared);
        unconfirmed.map(move |number| match subject {
            _ if Some(*number) == confirmed => Step::Forget(*number),
            Some(subject) if *number < subject => Step::End(*number, Ending::Replaced),
            Some(subject) if *number > subject => Step::End(*number, Ending::Abandoned),
            Some(_) | None => Step::End(*number, ending),
        })
    }

    /// The same, and `number` stays.
    fn ends_of_others(&self, number: Number) -> impl Iterator<Item = Step> {
        let others = self.ends(Ending::Abandoned);
        others.filter(move |step| *step != Step::End(number, Ending::Abandoned))
    }
}

/// From a candidate to what was confirmed, which the kernel still holds.
const fn back_to(confirmed: Option<Number>) -> Step {
    Step::Switch(match confirmed {
        Some(confirmed) => Switch::To(confirmed),
        None => Switch::Nothing,
    })
}

/// What was confirmed comes into a kernel that leads no packet to it.
fn bring_in(confirmed: Number) -> Vec<Step> {
    vec![
        Step::Unstage(confirmed),
        Step::Stage(confirmed),
        Step::Switch(Switch::To(confirmed)),
    ]
}
