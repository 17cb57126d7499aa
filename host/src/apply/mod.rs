//! Changes what is in force: puts a plan on trial, confirms it, takes it back, loads it at boot.
//!
//! A trial is ended by the kernel itself ([`portreeve_nft::layout`]); no process of ours need
//! live. What may be done when is decided in [`trial`], and done by `Machine`. Whatever happens,
//! the caller learns what state the machine is in, as it was found afterwards.

mod adopt;
mod conversation;
mod error;
pub mod generation;
pub mod kernel;
mod machine;
pub mod nft;
pub mod notice;
mod requests;
mod safe;
mod state;
pub mod store;
pub mod survey;
pub mod token;
pub mod trial;
mod watch;

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portreeve_nft::layout::Number;

pub use self::error::ApplyError;
pub(crate) use self::error::with_causes;
use self::generation::{Confirmed, ConfirmedBy, Origin, Record, Source};
use self::kernel::Kernel;
use self::machine::{Machine, View};
use self::notice::{News, Notices};
pub use self::requests::{
    apply_on_trial, apply_without_trial, boot, confirm, repair, rollback, settle,
};
pub use self::state::MachineState;
use self::store::{Lock, StateDir, StoreError};
use self::token::Token;
use self::trial::{Ending, Step};
pub use self::watch::{Watched, watch};
use crate::session::Session;

/// How long another portreeve is waited for. One that stages a large set takes longer, and is told
/// of instead.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// How often the lock is tried meanwhile: nothing tells when another one lets go of it.
const PAUSE: Duration = Duration::from_millis(20);

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
    pub error: Box<ApplyError>,
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
    /// What packets met before.
    pub found: Found,
    /// Its record; none of the built-in rule set, or when nothing was ever confirmed.
    pub record: Option<Record>,
    /// What is wrong with newer ones.
    pub damaged: Vec<StoreError>,
}

/// What packets met before something was loaded at boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// Nothing of ours, or not what was confirmed: it was loaded.
    Nothing,
    /// What was confirmed: nothing was loaded.
    InForce,
    /// A generation on trial, which goes on: nothing was loaded.
    OnTrial(Number),
}

/// A rule set was taken back.
#[derive(Debug)]
pub struct RolledBack {
    /// What was taken back, if a trial was ended.
    pub ended: Option<Number>,
    /// The generation in force now; without one, portreeve filters nothing.
    pub in_force: Option<Number>,
}

/// Takes the lock, looks, does something, and looks again.
fn run<T>(
    request: Request<'_>,
    lock: impl Fn(&StateDir) -> Result<Lock, StoreError>,
    act: impl FnOnce(&mut Machine<'_>, View) -> Result<(T, Vec<String>), ApplyError>,
) -> Result<Done<T>, Failed> {
    let unchanged = |error: ApplyError| Failed {
        error: Box::new(error),
        machine: MachineState::Unchanged,
    };
    let lock = patiently(|| lock(request.state_dir)).map_err(|error| unchanged(error.into()))?;
    let mut machine = Machine {
        state_dir: request.state_dir,
        kernel: Kernel::open().map_err(|error| unchanged(error.into()))?,
        lock,
        now: seconds(request.now),
        seen: None,
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
            error: Box::new(error),
            machine: found,
        }),
    }
}

/// Takes the lock, and waits a little for another portreeve that is at work: the watcher of a
/// trial holds it for a moment when the trial ends.
fn patiently(lock: impl Fn() -> Result<Lock, StoreError>) -> Result<Lock, StoreError> {
    let until = Instant::now() + BUSY_MAX;
    loop {
        match lock() {
            Err(StoreError::Busy { .. }) if Instant::now() < until => thread::sleep(PAUSE),
            taken => return taken,
        }
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
