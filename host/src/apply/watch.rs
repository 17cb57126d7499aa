//! Watches over a trial until it ends, then clears away what it left. A convenience: the kernel
//! ends the trial whether or not anybody watches.

use std::time::SystemTime;

use portreeve_nft::layout::Number;

use super::error::ApplyError;
use super::kernel::{Changes, Kernel};
use super::machine::View;
use super::notice::Notices;
use super::state::MachineState;
use super::store::StateDir;
use super::trial::{Ending, Situation};
use super::{Done, Failed, Request, settle};
use crate::session::Session;

/// How a trial ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Watched {
    /// It was confirmed.
    Confirmed,
    /// It was not.
    Ended(Ending),
}

/// Waits until the trial of generation `number` has ended, and settles what a lapse leaves.
///
/// # Errors
/// When the kernel or the disk cannot be asked; the trial ends all the same.
pub fn watch(
    state_dir: &StateDir,
    notices: &Notices,
    session: &Session,
    number: Number,
) -> Result<Done<Watched>, Failed> {
    let failed = |error: ApplyError| Failed {
        error: Box::new(error),
        machine: MachineState::Unknown,
    };
    // Listened to before the first look, so that no change falls between the two.
    let changes = Changes::listen().map_err(|error| failed(error.into()))?;
    let mut kernel = Kernel::open().map_err(|error| failed(error.into()))?;
    loop {
        let shelf = state_dir.look().map_err(|error| failed(error.into()))?;
        let view = View::of(&mut kernel, state_dir, shelf).map_err(failed)?;
        // Who confirms changes the disk, the kernel and the disk again: what was looked up while that
        // went on is of no moment.
        if state_dir.look().map_err(|error| failed(error.into()))? != view.shelf {
            continue;
        }
        let found = MachineState::of(&view);
        let done = |what, machine, notes| {
            Ok(Done {
                what,
                machine,
                notes,
            })
        };
        match ended(&view, state_dir, number) {
            None => {
                let left = view.left.unwrap_or_default();
                changes
                    .wait(Some(left))
                    .map_err(|error| failed(error.into()))?;
            }
            Some(Watched::Confirmed) => return done(Watched::Confirmed, found, Vec::new()),
            Some(how @ Watched::Ended(Ending::Lapsed)) => {
                let request = Request {
                    state_dir,
                    notices,
                    session,
                    now: SystemTime::now(),
                };
                return match settle(request) {
                    Ok(settled) => done(how, settled.machine.rolled_back(), settled.notes),
                    // The trial has ended all the same.
                    Err(failed) => done(how, found, vec![failed.error.to_string()]),
                };
            }
            Some(how @ Watched::Ended(_)) => return done(how, found.rolled_back(), Vec::new()),
        }
    }
}

/// How the trial of generation `number` has ended, if it has.
fn ended(view: &View, state_dir: &StateDir, number: Number) -> Option<Watched> {
    match view.state.situation() {
        Situation::OnTrial { candidate, .. } if candidate == number => return None,
        Situation::Lapsed { candidate, .. } if candidate == number => {
            return Some(Watched::Ended(Ending::Lapsed));
        }
        Situation::Unrecorded { number: other, .. } if other == number => {
            return Some(Watched::Confirmed);
        }
        Situation::OnTrial { .. } => return Some(Watched::Ended(Ending::Replaced)),
        Situation::Open
        | Situation::Steady { .. }
        | Situation::Lapsed { .. }
        | Situation::Unrecorded { .. }
        | Situation::NotInstalled { .. }
        | Situation::Drifted { .. } => {}
    }
    if view.shelf.generations.contains(&number) {
        return Some(Watched::Confirmed);
    }
    let filed = state_dir.ended(number).map(|ended| ended.ending);
    // Whoever ended it may not have filed it yet, or cannot.
    Some(Watched::Ended(filed.unwrap_or(Ending::RolledBack)))
}
