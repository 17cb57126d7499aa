//! `portreeve apply`: puts the plan on trial and watches over it, or into force at once.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::unistd::daemon;
use portreeve_nft::layout::Number;
use signal_hook::consts::SIGHUP;
use signal_hook::flag;

use super::{Here, configuration, plan_for, ssh_port};
use crate::apply::nft::Nft;
use crate::apply::{Done, Watched, apply_on_trial, apply_without_trial, rollback, watch};
use crate::cli::{self, Options};
use crate::guard;
use crate::inputs::confirm_within;
use crate::observe::{self, Expected, Observed, surroundings};
use crate::pipeline::Plan;
use crate::report::{Answer, Failure, Printer, why_open};

pub(super) fn run(
    arguments: &cli::Apply,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let config = configuration(options)?;
    let within = match &arguments.confirm_within {
        Some(text) => confirm_within(text).map_err(|error| Failure::confirm_within(text, error))?,
        None => config.confirm_within(),
    };
    let plan = plan_for(&config, options, printer)?;
    let here = Here::of(options);
    let trial = (!arguments.no_trial).then_some(within);
    keeps_the_operator(&here, &plan, (arguments.allow_lockout, trial), printer)?;
    if arguments.no_trial {
        at_once(&here, plan, printer)
    } else {
        on_trial(&here, plan, within, arguments.no_wait, printer)
    }
}

/// Refuses a rule set that locks the operator out, unless that is wanted; then it says what will
/// happen.
fn keeps_the_operator(
    here: &Here,
    plan: &Plan,
    (allowed, trial): (bool, Option<Duration>),
    printer: &Printer,
) -> Result<(), Failure> {
    let facts = surroundings::read(&here.session);
    let judgement = guard::judge(&facts, plan.ruleset(), ssh_port(plan));
    for (need, open) in judgement.open() {
        printer.note(&format!("not certain: {}: {}", need.name, why_open(open)));
    }
    match judgement.consequence(trial) {
        Some(consequence) if allowed => {
            printer.note(&format!("as you allowed it: {consequence}"));
            Ok(())
        }
        Some(_) => Err(Failure::lock_out(&judgement)),
        None => Ok(()),
    }
}

/// In force for good, and compared with what the kernel then lists.
fn at_once(here: &Here, plan: Plan, printer: &Printer) -> Result<Answer, Failure> {
    let done = apply_without_trial(here.request(), &plan)?;
    printer.notes(&done.notes);
    let expected = Expected {
        confirmed: Some((done.what.number, plan.ruleset())),
        trial: None,
    };
    let observed = observe::compare(&Nft::find()?, &expected);
    // Where nothing can be listed, nothing is known to be wrong.
    let is_wrong = !matches!(observed, Err(observe::ObserveError::List(_)));
    let failure = match as_sent(observed) {
        Ok(elements) => {
            return Ok(Answer::Applied {
                plan: Box::new(plan),
                record: Box::new(done.what),
                elements,
                machine: done.machine,
            });
        }
        Err(failure) => failure,
    };
    let shelf = here.state_dir.look().ok().filter(|_| is_wrong);
    let earlier = shelf.and_then(|it| {
        it.generations
            .range(..done.what.number)
            .next_back()
            .copied()
    });
    let machine = match earlier {
        Some(earlier) => rollback(here.request(), Some(earlier))?.machine,
        None => done.machine,
    };
    Err(failure.on(machine))
}

/// On trial. The answer comes when the trial has ended, unless nobody wants to wait for it.
fn on_trial(
    here: &Here,
    plan: Plan,
    within: Duration,
    no_wait: bool,
    printer: &Printer,
) -> Result<Answer, Failure> {
    // A closed terminal must not end the watch; the kernel would take the rule set back all the
    // same, but nobody would hear of it.
    flag::register(SIGHUP, Arc::new(AtomicBool::new(false))).map_err(Failure::signal)?;
    let Done {
        what: trial,
        machine,
        notes,
    } = apply_on_trial(here.request(), &plan, within)?;
    printer.notes(&notes);
    let plan = Rc::new(plan);
    let number = trial.record.number;
    // When nobody can be told the token, the trial lapses, as it should.
    let _ = printer.answer(&Answer::OnTrial {
        plan: Rc::clone(&plan),
        trial: Box::new(trial),
        machine,
        waits: !no_wait,
    });
    if no_wait {
        // The process that was called ends here, and this is another one.
        daemon(true, false).map_err(|errno| Failure::background(io::Error::from(errno)))?;
    }
    end_unless_as_sent(here, &plan, number)?;
    let ended = watch(&here.state_dir, &here.notices, &here.session, number)?;
    printer.notes(&ended.notes);
    match ended.what {
        Watched::Confirmed => Ok(Answer::Confirmed {
            number,
            machine: ended.machine,
        }),
        Watched::Ended(ending) => Err(Failure::trial_ended(number, ending).on(ended.machine)),
    }
}

/// The kernel took the rule set; what it lists must be the same one. Otherwise its trial ends now.
fn end_unless_as_sent(here: &Here, plan: &Plan, number: Number) -> Result<(), Failure> {
    let expected = Expected {
        confirmed: None,
        trial: Some((number, plan.ruleset())),
    };
    let observed = Nft::find().map(|nft| observe::compare(&nft, &expected));
    match observed {
        // Without nft nothing can be compared, and the trial goes on as it is.
        Err(_) | Ok(Err(observe::ObserveError::List(_))) => Ok(()),
        Ok(observed) => match as_sent(observed) {
            Ok(_) => Ok(()),
            Err(failure) => {
                let back = rollback(here.request(), None)?;
                // Somebody else may have ended or confirmed it before that was listed; whoever
                // watches tells how.
                if back.what.ended == Some(number) {
                    Err(failure.on(back.machine))
                } else {
                    Ok(())
                }
            }
        },
    }
}

/// Whether elements were compared as well, or in what way the kernel lists something else.
fn as_sent(observed: Result<Observed, observe::ObserveError>) -> Result<bool, Failure> {
    match observed {
        Ok(Observed::Expected { elements }) => Ok(elements),
        Ok(Observed::Other | Observed::Nothing) => Err(Failure::unlike()),
        Err(error) => Err(Failure::unread(&error)),
    }
}
