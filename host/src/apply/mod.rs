//! Changes what is in force: puts a plan on trial, confirms it, takes it back, loads it at boot.
//!
//! A trial is ended by the kernel itself ([`portreeve_nft::layout`]); no process of ours need
//! live. What may be done when is decided in [`trial`], and done in [`machine`]. Whatever happens,
//! the caller learns what state the machine is in, as it was found afterwards.

mod conversation;
mod error;
pub mod generation;
pub mod kernel;
mod machine;
pub mod nft;
pub mod notice;
mod safe;
pub mod session;
mod state;
pub mod store;
pub mod survey;
pub mod token;
pub mod trial;
mod watch;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portreeve_nft::layout::{self, Number};

pub use self::error::ApplyError;
pub(crate) use self::error::with_causes;
use self::generation::{Confirmed, ConfirmedBy, Generation, Origin, Record, Source};
use self::kernel::Kernel;
use self::machine::{Machine, Made, View};
use self::notice::{News, Notices};
use self::session::{Evidence, Session};
pub use self::state::MachineState;
use self::store::{Lock, StateDir, StoreError};
use self::token::Token;
use self::trial::{Ending, Situation, Step};
pub use self::watch::{Watched, watch};
use crate::pipeline::Plan;

/// The setting of the SSH port, in the policies that have one.
const SSH_PORT_SETTING: &str = "ssh-port=";

/// Who asks, and what is at hand to do it with.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where generations are kept.
    pub state_dir: &'a StateDir,
    /// Who else is told.
    pub notices: &'a Notices,
    /// Who asks, and over which connection.
    pub session: &'a Session,
    /// When.
    pub now: SystemTime,
}

/// Something that was done.
#[derive(Debug)]
pub struct Done<T> {
    /// What it was.
    pub what: T,
    /// The state that the machine is in now.
    pub machine: MachineState,
    /// What could not be tidied up or told to others, in words for the operator.
    pub notes: Vec<String>,
}

/// Why something was not done, or not all of it.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: ApplyError,
    /// The state that the machine is in now.
    pub machine: MachineState,
}

/// A rule set went on trial.
#[derive(Debug)]
pub struct OnTrial {
    /// What was applied.
    pub record: Record,
    /// What confirms it.
    pub token: Token,
    /// When it lapses, unless it is confirmed.
    pub until: SystemTime,
    /// What is in force then.
    pub otherwise: Option<Number>,
}

/// A generation was loaded at boot.
#[derive(Debug)]
pub struct Booted {
    /// Its record; none of the built-in rule set, or when nothing was ever confirmed.
    pub record: Option<Record>,
    /// What is wrong with newer ones.
    pub damaged: Vec<StoreError>,
}

/// A rule set was taken back.
#[derive(Debug)]
pub struct RolledBack {
    /// What was taken back, if a trial was ended.
    pub ended: Option<Number>,
    /// The generation in force now; without one, portreeve filters nothing.
    pub in_force: Option<Number>,
}

/// Puts `plan` on trial for `within`.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply_on_trial(
    request: Request<'_>,
    plan: &Plan,
    within: Duration,
) -> Result<Done<OnTrial>, Failed> {
    run(request, StateDir::lock, |machine, view| {
        let number = view.shelf.next_number(view.highest_in_kernel());
        let steps = view.state.apply(number)?;
        let token = Token::random().map_err(ApplyError::NoToken)?;
        let origin = Origin::Trial {
            confirm_within: within.as_secs(),
            token_digest: token.digest(number),
        };
        let record = request.record(number, origin, Source::of(plan), None);
        let mut notes = request.tell_lapses(&steps, &view);
        let made = Made {
            generation: Generation {
                record: record.clone(),
                transaction: plan.transaction().to_json(),
            },
            ruleset: Some(plan.ruleset()),
            within: Some(within),
        };
        notes.extend(untidy(machine.perform(steps, Some(&made))?));
        let until = request.now + within;
        let otherwise = view.state.disk.confirmed;
        notes.extend(request.notices.tell(&News::OnTrial {
            generation: number,
            until,
            otherwise,
            who: request.session.who(),
        }));
        let what = OnTrial {
            record,
            token,
            until,
            otherwise,
        };
        Ok((what, notes))
    })
}

/// Makes `plan` the confirmed rule set at once.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply_without_trial(request: Request<'_>, plan: &Plan) -> Result<Done<Record>, Failed> {
    run(request, StateDir::lock, |machine, view| {
        let number = view.shelf.next_number(view.highest_in_kernel());
        let steps = view.state.apply_without_trial(number);
        let confirmed = request.confirmed(ConfirmedBy::WithoutTrial);
        let source = Source::of(plan);
        let record = request.record(number, Origin::WithoutTrial, source, Some(confirmed));
        let made = Made {
            generation: Generation {
                record: record.clone(),
                transaction: plan.transaction().to_json(),
            },
            ruleset: Some(plan.ruleset()),
            within: None,
        };
        let mut notes = untidy(machine.perform(steps, Some(&made))?);
        notes.extend(machine.keep_ssh_port(&record, None));
        notes.extend(request.tell_confirmed(number, "without a trial"));
        Ok((record, notes))
    })
}

/// Makes the rule set on trial the confirmed one, if this session shows that it lets people in.
///
/// # Errors
/// See [`ApplyError`].
pub fn confirm(
    request: Request<'_>,
    token: &Token,
    from_console: bool,
) -> Result<Done<Record>, Failed> {
    run(request, StateDir::lock, |machine, view| {
        let steps = match view.state.confirm() {
            Ok(steps) => steps,
            Err(refusal) => return Err(request.over(token, &view).unwrap_or(refusal.into())),
        };
        let number = match view.state.situation() {
            Situation::OnTrial { candidate, .. } => candidate,
            // It was confirmed before, and whoever did it was stopped before it was on record.
            _ => {
                let notes = untidy(machine.perform(steps, None)?);
                let record = machine.newest_record(&view)?;
                return Ok((record, notes));
            }
        };
        let mut generation = machine.state_dir.candidate(number)?;
        if !generation.record.is_confirmed_by(token) {
            return Err(ApplyError::WrongToken { number });
        }
        let origin = request.session.origin();
        let evidence = origin.evidence(from_console, |connection| {
            let (family, key) = connection.arrival_key();
            let set = layout::arrivals_set(number, family);
            Ok::<_, ApplyError>(machine.kernel.holds(&set, &key)?)
        })?;
        let (by, port) = match evidence {
            Evidence::Arrived(connection) => (
                ConfirmedBy::Connection(connection.to_string()),
                Some(connection.server().port()),
            ),
            Evidence::Console => (ConfirmedBy::Console, None),
        };
        generation.record.confirmed = Some(request.confirmed(by));
        let record = generation.record.clone();
        let made = Made {
            generation,
            ruleset: None,
            within: None,
        };
        let mut notes = untidy(machine.perform(steps, Some(&made))?);
        notes.extend(machine.keep_ssh_port(&record, port));
        notes.extend(request.tell_confirmed(number, &evidence.to_string()));
        Ok((record, notes))
    })
}

/// Ends a trial now, and puts the confirmed rule set in force; or, with `to`, the contents of an
/// earlier generation.
///
/// # Errors
/// See [`ApplyError`].
pub fn rollback(request: Request<'_>, to: Option<Number>) -> Result<Done<RolledBack>, Failed> {
    run(request, StateDir::lock_to_boot, |machine, view| {
        let ended = match view.state.situation() {
            Situation::OnTrial { candidate, .. } => Some(candidate),
            _ => None,
        };
        let (mut notes, in_force) = match to {
            None => {
                let steps = view.state.rollback()?;
                let notes = untidy(machine.perform(steps, None)?);
                (notes, view.state.disk.confirmed)
            }
            Some(to) => {
                let (notes, number) = go_back_to(request, machine, &view, to)?;
                (notes, Some(number))
            }
        };
        let who = request.session.who();
        notes.extend(match (ended, in_force, to) {
            (Some(generation), _, None) => request.notices.tell(&News::RolledBack {
                generation,
                in_force,
                who,
            }),
            (_, Some(generation), _) => request.notices.tell(&News::Confirmed {
                generation,
                who,
                evidence: format!("a rollback to generation {}", to.unwrap_or(generation)),
            }),
            (_, None, _) => Vec::new(),
        });
        let what = RolledBack { ended, in_force };
        Ok((what, notes))
    })
    .map(|done| Done {
        machine: done.machine.rolled_back(),
        ..done
    })
}

fn go_back_to(
    request: Request<'_>,
    machine: &mut Machine<'_>,
    view: &View,
    to: Number,
) -> Result<(Vec<String>, Number), ApplyError> {
    if !view.shelf.generations.contains(&to) {
        return Err(ApplyError::NoSuchGeneration { number: to });
    }
    let earlier = machine.state_dir.generation(to)?;
    let ruleset = machine::ruleset(&earlier)?;
    let number = view.shelf.next_number(view.highest_in_kernel());
    let steps = view.state.rollback_to(number);
    let confirmed = Some(request.confirmed(ConfirmedBy::WithoutTrial));
    let source = earlier.record.source;
    let record = request.record(number, Origin::RolledBackTo(to), source, confirmed);
    let made = Made {
        generation: Generation {
            record,
            transaction: earlier.transaction,
        },
        ruleset: Some(&ruleset),
        within: None,
    };
    let mut notes = untidy(machine.perform(steps, Some(&made))?);
    notes.extend(machine.keep_ssh_port(&made.generation.record, None));
    Ok((notes, number))
}

/// Loads what was confirmed last; needs no network, no feed and no policy.
///
/// # Errors
/// See [`ApplyError`].
pub fn boot(request: Request<'_>) -> Result<Done<Booted>, Failed> {
    run(request, StateDir::lock_to_boot, |machine, view| {
        let steps = view.state.boot();
        let mut notes = untidy(machine.perform(steps, None)?);
        let newest = machine.state_dir.newest_readable(&view.shelf);
        let record = newest.generation.map(|generation| generation.record);
        if let Some(confirmed) = view.state.disk.confirmed {
            let generation = (confirmed != trial::BUILT_IN).then_some(confirmed);
            notes.extend(request.notices.tell(&News::Booted { generation }));
        }
        let what = Booted {
            record,
            damaged: newest.damaged,
        };
        Ok((what, notes))
    })
}

/// Clears away what a lapse or a crash has left.
///
/// # Errors
/// See [`ApplyError`].
pub fn settle(request: Request<'_>) -> Result<Done<()>, Failed> {
    run(request, StateDir::lock, |machine, view| {
        let steps = view.state.settle();
        let mut notes = request.tell_lapses(&steps, &view);
        notes.extend(untidy(machine.perform(steps, None)?));
        Ok(((), notes))
    })
}

/// Takes the lock, looks, does something, and looks again.
fn run<T>(
    request: Request<'_>,
    lock: impl FnOnce(&StateDir) -> Result<Lock, StoreError>,
    act: impl FnOnce(&mut Machine<'_>, View) -> Result<(T, Vec<String>), ApplyError>,
) -> Result<Done<T>, Failed> {
    let unchanged = |error: ApplyError| Failed {
        error,
        machine: MachineState::Unchanged,
    };
    let lock = lock(request.state_dir).map_err(|error| unchanged(error.into()))?;
    let mut machine = Machine {
        state_dir: request.state_dir,
        kernel: Kernel::open().map_err(|error| unchanged(error.into()))?,
        lock,
        now: seconds(request.now),
    };
    let view = machine.look().map_err(unchanged)?;
    let acted = act(&mut machine, view);
    let found = machine.found();
    match acted {
        Ok((what, notes)) => Ok(Done {
            what,
            machine: found,
            notes,
        }),
        Err(error) => Err(Failed {
            error,
            machine: found,
        }),
    }
}

impl Request<'_> {
    fn record(
        &self,
        number: Number,
        origin: Origin,
        source: Source,
        confirmed: Option<Confirmed>,
    ) -> Record {
        Record {
            number,
            time: seconds(self.now),
            who: self.session.who(),
            origin,
            source,
            confirmed,
        }
    }

    fn confirmed(&self, by: ConfirmedBy) -> Confirmed {
        Confirmed {
            time: seconds(self.now),
            who: self.session.who(),
            by,
        }
    }

    fn tell_confirmed(&self, generation: Number, evidence: &str) -> Vec<String> {
        self.notices.tell(&News::Confirmed {
            generation,
            who: self.session.who(),
            evidence: evidence.to_owned(),
        })
    }

    /// That the token is of the trial that ended last, if it is.
    fn over(&self, token: &Token, view: &View) -> Option<ApplyError> {
        let number = view.shelf.last_ended()?;
        let ended = self.state_dir.ended(number).ok()?;
        let is_its = ended.record.is_confirmed_by(token);
        is_its.then_some(ApplyError::Over {
            number,
            how: ended.ending,
        })
    }

    /// Tells of the trials that are found to have lapsed.
    fn tell_lapses(&self, steps: &[Step], view: &View) -> Vec<String> {
        let lapsed = steps.iter().filter_map(|step| match step {
            Step::End(number, Ending::Lapsed) => Some(*number),
            _ => None,
        });
        let tell = |generation| {
            let candidate = self.state_dir.candidate(generation).ok();
            let at = candidate.and_then(|candidate| candidate.record.trial_end());
            self.notices.tell(&News::Lapsed {
                generation,
                at: at.unwrap_or(self.now),
                in_force: view.state.disk.confirmed,
            })
        };
        lapsed.flat_map(tell).collect()
    }
}

impl Machine<'_> {
    fn newest_record(&self, view: &View) -> Result<Record, ApplyError> {
        let shelf = self.state_dir.look()?;
        let newest = shelf.generations.last().copied();
        let number = newest
            .or(view.state.disk.confirmed)
            .unwrap_or(trial::BUILT_IN);
        Ok(self.state_dir.generation(number)?.record)
    }

    /// Keeps the port that the built-in rule set would keep open: the setting, or the port that
    /// the confirming connection came in by.
    fn keep_ssh_port(&self, record: &Record, arrived: Option<u16>) -> Option<String> {
        let mut settings = record.source.settings.iter();
        let set = settings.find_map(|setting| setting.strip_prefix(SSH_PORT_SETTING)?.parse().ok());
        let kept = self.state_dir.write_ssh_port(&self.lock, set.or(arrived)?);
        kept.err().map(|error| error.to_string())
    }
}

impl Record {
    /// Whether `token` is the one that was printed when it went on trial.
    fn is_confirmed_by(&self, token: &Token) -> bool {
        match &self.origin {
            Origin::Trial { token_digest, .. } => token.is_of(self.number, token_digest),
            Origin::WithoutTrial | Origin::RolledBackTo(_) => false,
        }
    }

    /// When its trial ends or ended, if it went on trial.
    #[must_use]
    pub fn trial_end(&self) -> Option<SystemTime> {
        match self.origin {
            Origin::Trial { confirm_within, .. } => {
                let began = UNIX_EPOCH + Duration::from_secs(self.time);
                began.checked_add(Duration::from_secs(confirm_within))
            }
            Origin::WithoutTrial | Origin::RolledBackTo(_) => None,
        }
    }
}

fn untidy(errors: Vec<ApplyError>) -> Vec<String> {
    errors
        .iter()
        .map(|error| format!("not everything could be tidied up: {error}"))
        .collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
