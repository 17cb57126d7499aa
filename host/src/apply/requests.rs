//! What can be asked for: each request looks, lets [`super::trial`] decide, and has it done.

use std::time::Duration;

use portreeve_nft::layout::{self, Number};

use super::error::ApplyError;
use super::generation::{ConfirmedBy, Generation, Origin, Record, Source};
use super::machine::{self, Machine, Made, View};
use super::notice::News;
use super::store::StateDir;
use super::token::Token;
use super::trial::{self, Situation};
use super::{Booted, Done, Failed, Found, OnTrial, Request, RolledBack, run, untidy};
use crate::pipeline::Plan;
use crate::session::Evidence;

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
        let made = Made::of(plan, record.clone(), Some(within));
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
        let made = Made::of(plan, record.clone(), None);
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
        if let (Some(to), Some(number)) = (to, in_force) {
            let evidence = format!("a rollback to generation {to}");
            notes.extend(request.tell_confirmed(number, &evidence));
        } else if let Some(generation) = ended {
            notes.extend(request.notices.tell(&News::RolledBack {
                generation,
                in_force,
                who: request.session.who(),
            }));
        }
        let what = RolledBack { ended, in_force };
        Ok((what, notes))
    })
    .map(|done| match (done.what.ended, done.what.in_force) {
        // There was nothing to take back.
        (None, None) => done,
        (Some(_), _) | (_, Some(_)) => Done {
            machine: done.machine.rolled_back(),
            ..done
        },
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
        let found = match view.state.situation() {
            Situation::OnTrial { candidate, .. } => Found::OnTrial(candidate),
            Situation::Steady { .. } | Situation::Lapsed { .. } | Situation::Unrecorded { .. } => {
                Found::InForce
            }
            Situation::Open | Situation::NotInstalled { .. } | Situation::Drifted { .. } => {
                Found::Nothing
            }
        };
        let steps = view.state.boot();
        let mut notes = untidy(machine.perform(steps, None)?);
        let newest = machine
            .state_dir
            .newest_readable(&machine.state_dir.look()?);
        let record = newest.generation.map(|generation| generation.record);
        if let (Found::Nothing, Some(confirmed)) = (found, view.state.disk.confirmed) {
            let generation = (confirmed != trial::BUILT_IN).then_some(confirmed);
            notes.extend(request.notices.tell(&News::Booted { generation }));
        }
        let what = Booted {
            found,
            record,
            damaged: newest.damaged,
        };
        Ok((what, notes))
    })
}

/// Puts the confirmed rule set in force anew: somebody has changed what it consists of.
///
/// # Errors
/// See [`ApplyError`].
pub fn repair(request: Request<'_>) -> Result<Done<RolledBack>, Failed> {
    run(request, StateDir::lock_to_boot, |machine, view| {
        let steps = view.state.repair();
        let notes = untidy(machine.perform(steps, None)?);
        let what = RolledBack {
            ended: None,
            in_force: view.state.disk.confirmed,
        };
        Ok((what, notes))
    })
    .map(|done| Done {
        machine: done.machine.rolled_back(),
        ..done
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
