//! How things stand, for whoever only wants to know: nothing is changed, and no lock is taken.

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::layout::Number;

use super::error::{ApplyError, with_causes};
use super::generation::{Generation, Record};
use super::kernel::Kernel;
use super::machine::{View, ruleset};
use super::state::MachineState;
use super::store::{Ended, StateDir, StoreError};
use super::trial::{BUILT_IN, Situation};
use super::{Failed, safe};

/// How things stand.
#[derive(Debug)]
pub struct Survey {
    /// The state of the machine.
    pub machine: MachineState,
    /// The generation that counts as confirmed; its rule set is what the kernel should hold.
    pub confirmed: Option<(Number, Ruleset)>,
    /// Where it came from; none of the built-in rule set.
    pub confirmed_record: Option<Record>,
    /// The generation on trial.
    pub trial: Option<(Number, Ruleset)>,
    /// Where it came from.
    pub trial_record: Option<Record>,
    /// How the last generation ended that is newer than the confirmed one.
    pub ended: Option<Ended>,
    /// What cannot be read.
    pub notes: Vec<String>,
}

/// The rule set of a generation on disk: one that was confirmed, or is on trial.
///
/// # Errors
/// When it is not there, or damaged.
pub fn recorded(state_dir: &StateDir, number: Number) -> Result<Ruleset, ApplyError> {
    let shelf = state_dir.look()?;
    let generation = match state_dir.generation(number) {
        Err(_) if shelf.candidates.contains(&number) => state_dir.candidate(number)?,
        Err(_) if !shelf.generations.contains(&number) => {
            return Err(ApplyError::NoSuchGeneration { number });
        }
        found => found?,
    };
    ruleset(&generation)
}

/// Looks at the kernel and the disk.
///
/// # Errors
/// When one of them does not tell.
pub fn survey(state_dir: &StateDir) -> Result<Survey, Failed> {
    let failed = |error: ApplyError| Failed {
        error: Box::new(error),
        machine: MachineState::Unknown,
    };
    let shelf = state_dir.look().map_err(|error| failed(error.into()))?;
    let mut kernel = Kernel::open().map_err(|error| failed(error.into()))?;
    let view = View::of(&mut kernel, state_dir, shelf).map_err(failed)?;
    let mut notes = Vec::new();
    let mut read = |generation: Result<Generation, StoreError>| -> Option<(Record, Ruleset)> {
        let generation = generation.map_err(ApplyError::from);
        let found = generation.and_then(|generation| {
            let ruleset = ruleset(&generation)?;
            Ok((generation.record, ruleset))
        });
        found.map_err(|error| notes.push(with_causes(&error))).ok()
    };
    let on_trial = match view.state.situation() {
        Situation::OnTrial { candidate, .. } => read(state_dir.candidate(candidate)),
        _ => None,
    };
    let confirmed = match (view.state.situation(), view.state.disk.confirmed) {
        // Whoever confirmed it was stopped before it was on record.
        (Situation::Unrecorded { number, .. }, _) => read(state_dir.prepared(number)),
        (_, None | Some(BUILT_IN)) => None,
        (_, Some(number)) => read(state_dir.generation(number)),
    };
    let built_in = view.state.disk.confirmed == Some(BUILT_IN);
    let safe = || (BUILT_IN, safe::of(state_dir));
    let newest = view.state.disk.confirmed.unwrap_or(BUILT_IN);
    let ended = view.shelf.last_ended().filter(|ended| *ended > newest);
    let (confirmed_record, confirmed) = apart(confirmed);
    let (trial_record, trial) = apart(on_trial);
    Ok(Survey {
        machine: MachineState::of(&view),
        confirmed: confirmed.or_else(|| built_in.then(safe)),
        confirmed_record,
        trial,
        trial_record,
        ended: ended.and_then(|number| state_dir.ended(number).ok()),
        notes,
    })
}

fn apart(found: Option<(Record, Ruleset)>) -> (Option<Record>, Option<(Number, Ruleset)>) {
    match found {
        Some((record, ruleset)) => {
            let number = record.number;
            (Some(record), Some((number, ruleset)))
        }
        None => (None, None),
    }
}
