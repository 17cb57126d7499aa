//! A machine with its disk, what can happen to it, and what must never come of that.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_nft::layout::Number;

use super::super::{InKernel, Refusal, Situation, State, Step, Switch};
use super::Fault;
use super::disk::{Disk, Name, Op, Part, placed, waiting};
use super::kernel::{Kernel, Met};

/// The machine, and what we know of it that it does not know itself.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct World {
    kernel: Kernel,
    disk: Disk,
    /// What somebody was told is confirmed.
    told: Option<Number>,
    /// What the kernel was switched to for good at some time.
    confirmed: BTreeSet<Number>,
    /// What packets met and must never meet again: it lapsed, or was taken back.
    over: BTreeSet<Number>,
}

/// Something that happens.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the fields are printed")]
pub(super) enum Event {
    /// The trial ends by itself.
    Lapse,
    /// The kernel is empty, and the disk has what lasted.
    PowerCut,
    /// Somebody deletes our table.
    Flush,
    /// Somebody changes our base chains.
    Meddle,
    /// Somebody asks for something.
    Command(Request, Accident),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    Settle,
    Apply,
    ApplyWithoutTrial,
    Confirm,
    Rollback,
    RollbackTo,
    Boot,
}

/// What happens during a command, before its n-th operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Accident {
    None,
    Killed(usize),
    Lapse(usize),
    /// The disk takes no more bytes from there on.
    Full(usize),
    /// The disk takes no change from there on.
    ReadOnly(usize),
}

const REQUESTS: [Request; 7] = [
    Request::Settle,
    Request::Apply,
    Request::ApplyWithoutTrial,
    Request::Confirm,
    Request::Rollback,
    Request::RollbackTo,
    Request::Boot,
];

/// Why a command ended early.
enum Stop {
    Failed,
    /// A promise was broken.
    Broken(&'static str),
}

/// What a process does next, and before which it can be killed. What happens to the kernel by
/// itself matters before it is used only.
#[derive(Clone, Copy)]
enum Operation {
    Kernel,
    Disk(Op),
}

type Outcome = Result<World, String>;

impl World {
    /// Everything that can happen next, and what comes of it.
    pub(super) fn successors(&self, fault: Fault) -> Vec<(Event, Outcome)> {
        let mut found = Vec::new();
        if self.kernel.on_trial().is_some() {
            found.push((Event::Lapse, self.with(Kernel::lapse)));
        }
        found.push((
            Event::Flush,
            self.with(|kernel| *kernel = Kernel::default()),
        ));
        let meddle = |kernel: &mut Kernel| kernel.base = InKernel::Strange;
        found.push((Event::Meddle, self.with(meddle)));
        for disk in self.disk.after_power_cut() {
            let mut world = self.clone();
            world.over.extend(self.kernel.on_trial());
            world.kernel = Kernel::default();
            world.disk = disk;
            found.push((Event::PowerCut, world.judged()));
        }
        for request in REQUESTS {
            let (passed, outcome) = self.after(request, Accident::None, fault);
            found.push((Event::Command(request, Accident::None), outcome));
            for (at, (operation, before)) in passed.into_iter().enumerate() {
                let killed = Event::Command(request, Accident::Killed(at));
                found.push((killed, before.judged()));
                let accident = match operation {
                    Operation::Kernel if self.kernel.on_trial().is_some() => Accident::Lapse(at),
                    Operation::Disk(op) if op.writes() => Accident::Full(at),
                    Operation::Disk(Op::Place(_) | Op::SyncDirectory(_)) => Accident::ReadOnly(at),
                    Operation::Kernel | Operation::Disk(_) => continue,
                };
                let (_, outcome) = self.after(request, accident, fault);
                found.push((Event::Command(request, accident), outcome));
            }
        }
        found
    }

    /// The world after something has happened to the kernel.
    fn with(&self, change: impl FnOnce(&mut Kernel)) -> Outcome {
        let mut world = self.clone();
        world.change_kernel(change);
        world.judged()
    }

    /// What packets met, and meet no more without being recorded as confirmed, is over.
    fn change_kernel<T>(&mut self, change: impl FnOnce(&mut Kernel) -> T) -> T {
        let before = self.kernel.met();
        let result = change(&mut self.kernel);
        if let Met::Generation(number) = before
            && self.kernel.met() != before
            && !self.disk.has(placed(Part::Generations, number))
        {
            self.over.insert(number);
        }
        result
    }

    fn judged(self) -> Outcome {
        match self.broken() {
            Some(promise) => Err(promise.to_owned()),
            None => Ok(self.renumbered()),
        }
    }

    /// The promise that is broken in this world.
    fn broken(&self) -> Option<&'static str> {
        let met = match self.kernel.met() {
            Met::Generation(number) => Some(number),
            Met::Nothing | Met::Strange => None,
        };
        let kept = self.disk.numbers(Part::Generations, false);
        let ended = self.disk.numbers(Part::Ended, false);
        let is_on_disk = |number: Number| {
            self.disk.holds(placed(Part::Generations, number))
                || self.disk.holds(waiting(Part::Generations, number))
        };
        let for_good = self.kernel.confirmed();
        let rows = [
            (
                met.is_some_and(|number| self.kernel.staged.get(&number) != Some(&1)),
                "packets meet a rule set that is not as it was written",
            ),
            (
                met.is_some_and(|number| self.over.contains(&number)),
                "packets meet what had lapsed or was taken back",
            ),
            (
                met.is_some_and(|number| ended.contains(&number)),
                "packets meet what the history calls over",
            ),
            (
                for_good.is_some_and(|number| !self.confirmed.contains(&number)),
                "something unconfirmed is in force for good",
            ),
            (
                for_good.is_some_and(|number| !is_on_disk(number)),
                "what is in force for good is not on disk",
            ),
            (
                !kept.is_subset(&self.confirmed),
                "something unconfirmed would be booted",
            ),
            (
                !kept.is_disjoint(&self.over),
                "what had lapsed or was taken back would be booted",
            ),
            (
                self.disk.confirmed() < self.told,
                "an older rule set would be booted than the one that was confirmed",
            ),
            (
                self.told.is_some_and(|number| ended.contains(&number)),
                "the history calls over what was confirmed",
            ),
        ];
        let mut broken = rows.into_iter().filter(|(broken, _)| *broken);
        broken.next().map(|(_, promise)| promise)
    }

    /// The same world with the numbers 1, 2, 3 in their order, for those of which something can
    /// still come: nothing depends on more.
    fn renumbered(self) -> Self {
        let mut used = self.disk.alive();
        used.extend(self.kernel.led_to());
        used.extend(self.told);
        let numbers: BTreeMap<Number, Number> = used.into_iter().zip(1..).collect();
        let new = |number: Number| numbers.get(&number).copied();
        let known = |numbers: &BTreeSet<Number>| numbers.iter().copied().filter_map(new).collect();
        Self {
            kernel: self.kernel.renumbered(&new),
            disk: self.disk.renumbered(&new),
            told: self.told.and_then(new),
            confirmed: known(&self.confirmed),
            over: known(&self.over),
        }
    }

    /// What the machine is told.
    fn state(&self) -> State {
        State {
            kernel: self.kernel.base,
            disk: self.disk.told(),
        }
    }

    /// What comes of a request, and the operations that were begun, with the world before each.
    fn after(
        &self,
        request: Request,
        accident: Accident,
        fault: Fault,
    ) -> (Vec<(Operation, Self)>, Outcome) {
        let mut run = Run {
            world: self.clone(),
            fault,
            accident,
            passed: Vec::new(),
            switches: 0,
            untidy: false,
        };
        let outcome = match run.command(request) {
            Ok(()) => run.world.judged(),
            Err(Stop::Failed) if accident == Accident::None => {
                Err("a command fails on a machine in good health".to_owned())
            }
            Err(Stop::Failed) => run.world.judged(),
            Err(Stop::Broken(promise)) => Err(promise.to_owned()),
        };
        (run.passed, outcome)
    }
}

/// A command as it is carried out.
struct Run {
    world: World,
    fault: Fault,
    accident: Accident,
    /// Its operations, and the world before each.
    passed: Vec<(Operation, World)>,
    /// How often it was changed what packets meet.
    switches: usize,
    /// Whether a step was passed over.
    untidy: bool,
}

impl Run {
    fn command(&mut self, request: Request) -> Result<(), Stop> {
        if self.fault != Fault::TrustsWhatItReads {
            for part in [Part::Generations, Part::Candidates, Part::Ended] {
                let op = Op::SyncDirectory(part);
                self.operation(Operation::Disk(op))?;
                // On a file system that can only be read there is nothing to be made lasting.
                self.disk(op)?;
            }
        }
        let number = self.next_number();
        let Ok(steps) = decide(&self.world.state(), request, number) else {
            return self.answer(None);
        };
        if steps.contains(&Step::Stage(number)) || steps.contains(&Step::Replace(number)) {
            // Nothing is left of one that bore this number before.
            self.world.over.remove(&number);
            self.world.confirmed.remove(&number);
        }
        for step in self.fault.bend(steps) {
            match self.step(step) {
                Err(Stop::Failed) if step.is_tidying() => self.untidy = true,
                result => result?,
            }
        }
        self.answer(Some(request))
    }

    /// One that appears neither in the kernel nor on the disk.
    fn next_number(&self) -> Number {
        let disk = &self.world.disk;
        let parts = [
            disk.numbers(Part::Generations, false),
            disk.numbers(Part::Generations, true),
            disk.numbers(Part::Candidates, false),
            disk.numbers(Part::Ended, false),
            self.world.kernel.staged.keys().copied().collect(),
        ];
        parts.into_iter().flatten().max().unwrap_or(0) + 1
    }

    /// The command says that it is done, or what it found.
    fn answer(&mut self, done: Option<Request>) -> Result<(), Stop> {
        let state = self.world.state();
        if let Situation::Steady { confirmed } = state.situation() {
            self.world.told = Some(confirmed);
        }
        let Some(request) = done else { return Ok(()) };
        let lapsed = matches!(self.accident, Accident::Lapse(_));
        let met = self.world.kernel.met();
        let confirmed = state.disk.confirmed.map_or(Met::Nothing, Met::Generation);
        let kept_its_word = match request {
            Request::Settle => true,
            Request::Apply => self.world.kernel.on_trial().is_some() || lapsed,
            Request::Confirm
            | Request::ApplyWithoutTrial
            | Request::RollbackTo
            | Request::Rollback => met == confirmed,
            Request::Boot => {
                met == confirmed || self.world.kernel.on_trial().is_some() || met == Met::Strange
            }
        };
        if !kept_its_word {
            return Err(Stop::Broken(
                "a command says that it is done, and it is not",
            ));
        }
        let on_trial = match self.world.kernel.base {
            InKernel::Trial(trial) => Some(trial.candidate),
            InKernel::Open | InKernel::Confirmed(_) | InKernel::Strange => None,
        };
        let disk = &state.disk;
        let mut left = disk.candidates.union(&disk.prepared);
        if !self.untidy && left.any(|number| Some(*number) != on_trial) {
            return Err(Stop::Broken("the disk keeps what nobody will confirm"));
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::WriteCandidate(number) => {
                self.write(Part::Candidates, number)?;
                self.place(Part::Candidates, number)
            }
            Step::PrepareConfirmed(number) => self.write(Part::Generations, number),
            Step::RecordConfirmed(number) => self.place(Part::Generations, number),
            Step::Forget(number) => self.forget(number),
            Step::End(number, _) => {
                let disk = &self.world.disk;
                let filed = disk.has(placed(Part::Ended, number))
                    || disk.has(placed(Part::Generations, number));
                let readable = disk.holds(placed(Part::Candidates, number))
                    || disk.holds(waiting(Part::Generations, number));
                if !filed && readable {
                    self.write(Part::Ended, number)?;
                    self.place(Part::Ended, number)?;
                }
                self.forget(number)
            }
            Step::Stage(number) => self.kernel(None, |kernel| {
                kernel.stage(number);
                Ok(())
            }),
            Step::Unstage(_) => self.sweep_kernel(),
            Step::Switch(switch) => {
                let guarded = self.fault != Fault::ConfirmsWithoutTheGuard;
                let for_good = match switch {
                    Switch::Confirm(number) | Switch::To(number) => Some(number),
                    Switch::Trial(_) | Switch::Nothing => None,
                };
                self.kernel(for_good, |kernel| kernel.switch(switch, guarded))
            }
            Step::Replace(number) => self.kernel(Some(number), |kernel| {
                kernel.replace(number);
                Ok(())
            }),
            Step::Sweep => {
                self.sweep_kernel()?;
                let mut surplus = self.world.disk.surplus().into_iter();
                surplus.try_for_each(|name| self.remove(name))
            }
        }
    }

    fn sweep_kernel(&mut self) -> Result<(), Stop> {
        self.kernel(None, |kernel| {
            kernel.sweep();
            Ok(())
        })
    }

    fn write(&mut self, part: Part, number: Number) -> Result<(), Stop> {
        let name = waiting(part, number);
        self.remove(name)?;
        for op in [Op::Create(name), Op::Fill(name), Op::SyncFile(name)] {
            if op == Op::SyncFile(name) && self.fault == Fault::LeavesDataUnsynced {
                continue;
            }
            let written = self.disk_operation(op);
            if let Err(Stop::Failed) = written {
                // As `durable::prepare` does; whether that succeeds changes nothing.
                let _ = self.disk(Op::Remove(name));
            }
            written?;
        }
        Ok(())
    }

    fn place(&mut self, part: Part, number: Number) -> Result<(), Stop> {
        self.disk_operation(Op::Place(placed(part, number)))?;
        if self.fault == Fault::LeavesNamesUnsynced {
            return Ok(());
        }
        self.disk_operation(Op::SyncDirectory(part))
    }

    fn forget(&mut self, number: Number) -> Result<(), Stop> {
        let disk = &self.world.disk;
        let told =
            disk.has(placed(Part::Ended, number)) || disk.has(placed(Part::Generations, number));
        if disk.holds(placed(Part::Candidates, number)) && !told {
            return Err(Stop::Broken("the history does not know what became of one"));
        }
        self.remove(placed(Part::Candidates, number))?;
        self.remove(waiting(Part::Generations, number))
    }

    fn remove(&mut self, name: Name) -> Result<(), Stop> {
        if !self.world.disk.has(name) {
            return Ok(());
        }
        self.disk_operation(Op::Remove(name))?;
        self.disk_operation(Op::SyncDirectory(name.part))
    }

    /// Changes the kernel, for good perhaps: what it takes for good is confirmed.
    fn kernel(
        &mut self,
        for_good: Option<Number>,
        change: impl FnOnce(&mut Kernel) -> Result<(), ()>,
    ) -> Result<(), Stop> {
        self.operation(Operation::Kernel)?;
        let before = self.world.kernel.met();
        let changed = self.world.change_kernel(change);
        if changed.is_ok() {
            self.world.confirmed.extend(for_good);
        }
        self.switches += usize::from(self.world.kernel.met() != before);
        if self.switches > 1 {
            return Err(Stop::Broken(
                "what packets meet changes twice in one command",
            ));
        }
        changed.map_err(|()| Stop::Failed)?;
        self.judge()
    }

    fn disk_operation(&mut self, op: Op) -> Result<(), Stop> {
        self.operation(Operation::Disk(op))?;
        let at = self.passed.len() - 1;
        let refused = match self.accident {
            Accident::Full(from) => at >= from && op.writes(),
            Accident::ReadOnly(from) => at >= from,
            Accident::None | Accident::Killed(_) | Accident::Lapse(_) => false,
        };
        if refused {
            return Err(Stop::Failed);
        }
        self.disk(op)?;
        self.judge()
    }

    fn disk(&mut self, op: Op) -> Result<(), Stop> {
        self.world.disk.perform(op).map_err(|()| Stop::Failed)
    }

    /// One more operation begins; what happens just before it happens now.
    fn operation(&mut self, operation: Operation) -> Result<(), Stop> {
        let at = self.passed.len();
        self.passed.push((operation, self.world.clone()));
        if self.accident == Accident::Lapse(at) {
            self.world.change_kernel(Kernel::lapse);
            self.judge()?;
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), Stop> {
        self.world
            .broken()
            .map_or(Ok(()), |promise| Err(Stop::Broken(promise)))
    }
}

fn decide(state: &State, request: Request, number: Number) -> Result<Vec<Step>, Refusal> {
    match request {
        Request::Settle => Ok(state.settle()),
        Request::Apply => state.apply(number),
        Request::ApplyWithoutTrial => Ok(state.apply_without_trial(number)),
        Request::Confirm => state.confirm(),
        Request::Rollback => state.rollback(),
        Request::RollbackTo => Ok(state.rollback_to(number)),
        Request::Boot => Ok(state.boot()),
    }
}
