//! Performs the steps that the state machine decides on: the only place where both the kernel and
//! the disk are changed.
//!
//! A [`Machine`] exists only while its lock is held. Before each request it looks at the kernel
//! and the disk anew, so that whatever a crash, a lapse or somebody else has left is seen; after
//! each failure it looks again, so that what the operator is told is what is there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::layout::{self, Number};
use portreeve_nft::netlink::{Batch, Objects};
use portreeve_nft::switch::{self, Side, Standing};
use portreeve_nft::{lift, replace, stage};

use super::adopt::adopt_conversations;
use super::error::ApplyError;
use super::generation::{Generation, Record};
use super::kernel::Kernel;
use super::nft::Nft;
use super::safe;
use super::state::MachineState;
use super::store::{Lock, Shelf, StateDir};
use super::trial::{BUILT_IN, InKernel, State, Step, Switch, Trial};
use crate::pipeline::Plan;

/// This machine, for whoever holds the lock.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) state_dir: &'a StateDir,
    pub(super) kernel: Kernel,
    pub(super) lock: Lock,
    /// The time of the request, in seconds since 1970, UTC.
    pub(super) now: u64,
    /// What stood in the table when it was last looked at, unless we have changed it since.
    pub(super) seen: Option<Rc<Objects>>,
}

/// What the kernel and the disk hold at one moment.
#[derive(Debug)]
pub(super) struct View {
    objects: Rc<Objects>,
    /// How long the trial still runs, if one does.
    pub(super) left: Option<Duration>,
    pub(super) shelf: Shelf,
    pub(super) state: State,
}

/// A generation that a request makes.
#[derive(Debug)]
pub(super) struct Made<'r> {
    pub(super) generation: Generation,
    /// Its rule set, unless the kernel holds it already.
    pub(super) ruleset: Option<&'r Ruleset>,
    /// How long its trial lasts, if it has one.
    pub(super) within: Option<Duration>,
}

impl<'r> Made<'r> {
    /// What `plan` makes, with a trial of `within`.
    pub(super) fn of(plan: &'r Plan, record: Record, within: Option<Duration>) -> Self {
        Self {
            generation: Generation {
                record,
                transaction: plan.transaction().to_json(),
            },
            ruleset: Some(plan.ruleset()),
            within,
        }
    }
}

impl View {
    /// Looks at the kernel, and at the `shelf` that the disk has shown.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn of(
        kernel: &mut Kernel,
        state_dir: &StateDir,
        shelf: Shelf,
    ) -> Result<Self, ApplyError> {
        let objects = Rc::new(kernel.objects()?);
        Self::over(objects, kernel, state_dir, shelf)
    }

    fn over(
        objects: Rc<Objects>,
        kernel: &mut Kernel,
        state_dir: &StateDir,
        shelf: Shelf,
    ) -> Result<Self, ApplyError> {
        let standing = Standing::read(&objects).ok();
        let trial = standing
            .as_ref()
            .and_then(|standing| standing.trial.as_ref());
        let left = match trial {
            Some(side) => kernel.time_left(&layout::trial_set(side.number))?,
            None => None,
        };
        let in_kernel = in_kernel(standing.as_ref(), left.is_some());
        let disk = state_dir.on_disk(&shelf, in_kernel);
        let state = State {
            kernel: in_kernel,
            disk,
        };
        Ok(Self {
            objects,
            left,
            shelf,
            state,
        })
    }

    /// The highest number that anything in the kernel bears.
    pub(super) fn highest_in_kernel(&self) -> Option<Number> {
        let chains = self.objects.chains.iter();
        let number = |name: &str| {
            let chain = layout::parse_chain(name).or_else(|| layout::parse_entry_chain(name));
            chain.map(|(number, _)| number)
        };
        chains.filter_map(|chain| number(&chain.name)).max()
    }
}

fn in_kernel(standing: Option<&Standing>, running: bool) -> InKernel {
    let Some(standing) = standing else {
        return InKernel::Strange;
    };
    let number = |side: &Option<Side>| side.as_ref().map(|side| side.number);
    match (number(&standing.confirmed), number(&standing.trial)) {
        (confirmed, Some(candidate)) => InKernel::Trial(Trial {
            candidate,
            confirmed,
            running,
        }),
        (Some(confirmed), None) => InKernel::Confirmed(confirmed),
        (None, None) => InKernel::Open,
    }
}

impl Machine<'_> {
    /// What the kernel and the disk hold now.
    ///
    /// # Errors
    /// When one of them does not tell.
    pub(super) fn look(&mut self) -> Result<View, ApplyError> {
        let shelf = self.state_dir.load(&self.lock)?;
        self.view(shelf)
    }

    fn view(&mut self, shelf: Shelf) -> Result<View, ApplyError> {
        let objects = self.objects()?;
        View::over(objects, &mut self.kernel, self.state_dir, shelf)
    }

    /// What stands in the table.
    fn objects(&mut self) -> Result<Rc<Objects>, ApplyError> {
        if let Some(seen) = &self.seen {
            return Ok(Rc::clone(seen));
        }
        let objects = Rc::new(self.kernel.objects()?);
        self.seen = Some(Rc::clone(&objects));
        Ok(objects)
    }

    /// How things stand now that something was done, or not.
    pub(super) fn found(&mut self) -> MachineState {
        let shelf = self.state_dir.look().map_err(ApplyError::from);
        let view = shelf.and_then(|shelf| self.view(shelf));
        view.map_or(MachineState::Unknown, |view| MachineState::of(&view))
    }

    /// Performs steps in their order, and stops at the first that fails. What could not be tidied
    /// up is returned: nothing is wrong but that.
    ///
    /// # Errors
    /// Those of the step that failed.
    pub(super) fn perform(
        &mut self,
        steps: Vec<Step>,
        made: Option<&Made<'_>>,
    ) -> Result<Vec<ApplyError>, ApplyError> {
        let mut untidy = Vec::new();
        for step in steps {
            match self.step(step, made) {
                Ok(()) => {}
                Err(error) if step.is_tidying() => untidy.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(untidy)
    }

    fn step(&mut self, step: Step, made: Option<&Made<'_>>) -> Result<(), ApplyError> {
        match step {
            Step::WriteCandidate(number) => {
                let generation = &in_hand(made, number).generation;
                self.state_dir.write_candidate(&self.lock, generation)?;
            }
            Step::PrepareConfirmed(number) => {
                let generation = &in_hand(made, number).generation;
                self.state_dir.prepare_confirmed(&self.lock, generation)?;
            }
            Step::RecordConfirmed(number) => {
                let recorded = self.state_dir.record_confirmed(&self.lock, number);
                recorded.map_err(|error| ApplyError::NotRecorded { number, error })?;
            }
            Step::Forget(number) => self.state_dir.forget(&self.lock, number)?,
            Step::End(number, ending) => {
                self.state_dir.end(&self.lock, number, ending, self.now)?;
            }
            Step::Stage(number) => self.stage(number, made)?,
            Step::Switch(switch) => self.switch(switch, made)?,
            Step::Replace(number) => {
                let ruleset = self.ruleset(number, made)?;
                self.seen = None;
                send(&replace(&ruleset, number))?;
            }
            Step::Unstage(_) => self.sweep()?,
            Step::Sweep => {
                self.sweep()?;
                self.state_dir.prune(&self.lock)?;
            }
        }
        Ok(())
    }

    fn stage(&mut self, number: Number, made: Option<&Made<'_>>) -> Result<(), ApplyError> {
        let ruleset = self.ruleset(number, made)?;
        let objects = self.objects()?;
        let is_first = objects.chains.iter().all(|chain| chain.base.is_none());
        let present: BTreeSet<_> = objects.sets.iter().map(|set| set.name.clone()).collect();
        self.seen = None;
        send(&stage(&ruleset, number, &present))?;
        if is_first {
            // What conntrack does not take it picks up by itself, or has no use for.
            let _ = adopt_conversations(&mut self.kernel);
        }
        // nft said that the kernel took it. That all of it is there is seen before any packet
        // meets it.
        let staged = self.objects()?;
        match switch::missing(&staged, number, &ruleset) {
            None => Ok(()),
            Some(what) => Err(ApplyError::Missing { number, what }),
        }
    }

    fn switch(&mut self, switch: Switch, made: Option<&Made<'_>>) -> Result<(), ApplyError> {
        let objects = self.objects()?;
        let standing = Standing::read(&objects).unwrap_or_default();
        let batch = match switch {
            Switch::Trial(number) => {
                let candidate = in_hand(made, number);
                let within = candidate.within.expect("a trial has an end");
                let ruleset = candidate.ruleset.expect("what goes on trial is in hand");
                let side = Side::of(number, ruleset);
                switch::put_on_trial(&objects, standing.confirmed.as_ref(), &side, within)
            }
            Switch::Confirm(number) => match standing.trial {
                Some(side) if side.number == number => switch::confirm(&objects, &side),
                Some(_) | None => return Err(ApplyError::Overtaken),
            },
            Switch::To(number) => match standing.confirmed {
                Some(side) if side.number == number => switch::lead_to(&objects, &side),
                Some(_) | None => {
                    let ruleset = self.ruleset(number, made)?;
                    switch::lead_to(&objects, &Side::of(number, &ruleset))
                }
            },
            Switch::Nothing => switch::lead_nowhere(&objects),
        };
        self.commit(&batch)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), ApplyError> {
        self.seen = None;
        Ok(self.kernel.commit(batch)?)
    }

    fn sweep(&mut self) -> Result<(), ApplyError> {
        let batch = switch::sweep(&*self.objects()?);
        if batch.is_empty() {
            Ok(())
        } else {
            self.commit(&batch)
        }
    }

    /// The rule set of a generation: the one in hand, one on disk, or the one we carry.
    fn ruleset<'m>(
        &self,
        number: Number,
        made: Option<&Made<'m>>,
    ) -> Result<Cow<'m, Ruleset>, ApplyError> {
        match made {
            Some(made) if made.generation.number() == number => {
                let ruleset = made.ruleset.expect("what is staged is in hand");
                Ok(Cow::Borrowed(ruleset))
            }
            Some(_) | None if number == BUILT_IN => Ok(Cow::Owned(safe::of(self.state_dir))),
            Some(_) | None => {
                let generation = self.state_dir.generation(number)?;
                ruleset(&generation).map(Cow::Owned)
            }
        }
    }
}

/// What the request made: only steps that concern it are named in its steps.
fn in_hand<'a, 'r>(made: Option<&'a Made<'r>>, number: Number) -> &'a Made<'r> {
    made.filter(|made| made.generation.number() == number)
        .expect("the state machine names the generation that the request makes")
}

/// The rule set that a generation on disk says.
///
/// # Errors
/// When it says none.
pub(super) fn ruleset(generation: &Generation) -> Result<Ruleset, ApplyError> {
    let number = generation.number();
    lift(&generation.transaction).map_err(|error| ApplyError::Unreadable { number, error })
}

fn send(transaction: &portreeve_nft::Transaction) -> Result<(), ApplyError> {
    let nft = Nft::find().map_err(ApplyError::Refused)?;
    nft.apply(transaction).map_err(|error| {
        if error.is_an_answer() {
            ApplyError::Refused(error)
        } else {
            ApplyError::Unanswered(error)
        }
    })
}
