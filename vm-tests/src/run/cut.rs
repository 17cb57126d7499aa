//! Power cuts: the machine is switched off in the middle of something, and another one begins with
//! what that leaves on the disk. It must be in a rule set that was confirmed, and know it.
//!
//! Some cuts come at any moment of the time that the operation takes; more at any of the writes and
//! flushes that it asks of the disk, for these are a small part of that time; and some right after
//! its answer. What `confirm` has answered must be in force from then on.
//!
//! All of them begin where one machine was kept: with its memory, its disk and its write cache.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_vm_agent::{Ended, Request, Run};

use super::{Session, restart::said};
use crate::disk::Disk;
use crate::operator::{apply, portreeve, token, trial};
use crate::probe::Verdict;
use crate::scenario::{Case, Cuts, Operation};
use crate::vm::control::ended;
use crate::vm::kept::Kept;

/// Longer than everything that is done while it lasts.
const TRIAL_LASTS: &str = "10m";

/// How long to wait for its end where the power fails by no clock.
const OPERATION_WITHIN: Duration = Duration::from_secs(60);

/// One cut of so many is followed by another apply, which takes as long as all the rest.
const APPLIES_AGAIN: u64 = 4;

/// In which rule set machines were that began after a cut.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Began {
    /// The one that was confirmed before.
    pub old: usize,
    /// The one that was being confirmed.
    pub new: usize,
    /// How many of both after an operation that had answered.
    pub answered: usize,
}

impl Began {
    const fn count(&mut self, generation: Generation) {
        match generation {
            Generation::Old => self.old += 1,
            Generation::New => self.new += 1,
        }
    }
}

/// Everything that is the same for all cuts of a step.
struct Campaign<'a> {
    cuts: &'a Cuts,
    /// What is on the disk of a machine on which nothing has happened.
    start: Disk,
    /// A machine on which only the operation is missing.
    before: Kept,
    operation: Run,
    old: InForce,
    new: InForce,
    /// How long the operation takes, and what it asks of the disk.
    takes: Duration,
    requests: u64,
}

/// A rule set: what must come of every attempt, and what `portreeve status` says last.
struct InForce {
    cases: Vec<Case>,
    machine: String,
}

/// When the power fails.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the operation has begun.
    After(Duration),
    /// When it has asked so many things of the disk.
    Requests(u64),
    /// When it has answered.
    Answered,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(time) => write!(f, "{} ms into", time.as_millis()),
            Self::Requests(count) => write!(f, "{count} writes and flushes into"),
            Self::Answered => f.write_str("right after the answer of"),
        }
    }
}

impl Session<'_> {
    /// Makes the cuts, and has the machine go on as if there had been none. Ends with the first one
    /// after which something is wrong: that machine stays, for whoever looks at it.
    pub(super) fn cut(&mut self, cuts: &Cuts, old: &[Case]) -> Result<()> {
        let campaign = self.rehearse(cuts, old)?;
        for seed in cuts.seed..cuts.seed + cuts.times {
            let wrong = self.cut_once(&campaign, seed);
            if let Some(wrong) = wrong.with_context(|| format!("power cut of seed {seed}"))? {
                self.fail(wrong);
                return Ok(());
            }
        }
        self.switch_on(&campaign.start)
    }

    /// Does the same without a cut: what it comes to, how long it takes, and what it asks of the disk.
    fn rehearse<'a>(&mut self, cuts: &'a Cuts, old: &[Case]) -> Result<Campaign<'a>> {
        let old = InForce {
            cases: old.to_vec(),
            machine: self.machine_line()?.1,
        };
        let start = self.switch_off()?;
        self.switch_on(&start.copy())?;
        let operation = self.up_to(cuts)?;
        let before = self.keep()?;
        self.go_on(&before)?;
        let disk = self.subject.computer.vm()?.disk.clone();
        let begun = Instant::now();
        self.subject.must_run(operation.clone())?;
        let takes = begun.elapsed();
        let requests = disk.requests();
        ensure!(requests > 0, "nothing is asked of the disk");
        let cases = cuts.under_new(&old.cases);
        self.judge(&cases)?;
        let machine = self.machine_line()?.1;
        Ok(Campaign {
            cuts,
            start,
            before,
            operation,
            old,
            new: InForce { cases, machine },
            takes,
            requests,
        })
    }

    /// Has the machine come to where only the operation is missing, which is returned.
    fn up_to(&mut self, cuts: &Cuts) -> Result<Run> {
        let trial = apply(&cuts.settings, &trial(TRIAL_LASTS));
        match cuts.during {
            Operation::Apply => Ok(trial),
            Operation::Confirm => {
                let said = self.subject.must_run(trial)?;
                Ok(portreeve(&["confirm", token(&said)?, "--from-console"]))
            }
        }
    }

    /// One cut, and what is wrong after it.
    fn cut_once(&mut self, campaign: &Campaign<'_>, seed: u64) -> Result<Option<String>> {
        let moment = campaign.moment(seed);
        self.go_on(&campaign.before)?;
        let (left, answered) = self.until_cut(campaign.operation.clone(), moment, seed)?;
        self.subject.computer.vm()?.kill();
        let booted = self.boot(&left)?;
        let wrong = match self.found(campaign, &booted, answered)? {
            Err(wrong) => Some(wrong),
            Ok(generation) => {
                self.findings.cuts.count(generation);
                self.findings.cuts.answered += usize::from(answered);
                let again = seed.is_multiple_of(APPLIES_AGAIN);
                let wrong = again.then(|| self.apply_again(campaign)).transpose()?;
                wrong.flatten()
            }
        };
        let Some(wrong) = wrong else {
            return self.health().map(|()| None);
        };
        let during = match campaign.cuts.during {
            Operation::Apply => "apply",
            Operation::Confirm => "confirm",
        };
        let moment = if answered { Moment::Answered } else { moment };
        Ok(Some(format!(
            "power cut of seed {seed}, {moment} `portreeve {during}`: {wrong}"
        )))
    }

    /// What is left on the disk, and whether the operation had been answered by then.
    fn until_cut(&mut self, operation: Run, moment: Moment, seed: u64) -> Result<(Disk, bool)> {
        let what = operation.to_string();
        let vm = self.subject.computer.vm()?;
        if let Moment::Requests(count) = moment {
            vm.disk.cut_after(count, seed);
        }
        let within = match moment {
            Moment::After(time) => time,
            Moment::Requests(_) | Moment::Answered => OPERATION_WITHIN,
        };
        let begun = Instant::now();
        let pending = vm.control.begin(&Request::Run(operation))?;
        let answer = vm.control.answer(&pending, begun + within)?;
        let answered = match answer {
            Some(answer) => {
                let ended = ended(&what, answer)?;
                ensure!(ended.code == Some(0), "`{what}` fails: {}", said(&ended));
                true
            }
            None => false,
        };
        // What has been cut before it was answered has been cut before.
        Ok(match vm.disk.was_cut() {
            Some(left) => (left, false),
            None => (vm.disk.cut(seed), answered),
        })
    }

    /// In which rule set the machine is that has booted, or what is wrong.
    fn found(
        &mut self,
        campaign: &Campaign<'_>,
        booted: &Ended,
        answered: bool,
    ) -> Result<Result<Generation, String>> {
        if booted.code != Some(0) {
            let said = said(booted);
            return Ok(Err(format!("`portreeve boot` ends badly: {said}")));
        }
        let verdicts = self.probe(&campaign.old.cases)?;
        let generation = match campaign.told_by(&verdicts) {
            Ok(generation) => generation,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let in_force = match (generation, campaign.cuts.during) {
            (Generation::New, Operation::Apply) => {
                let wrong = "what was on trial is in force, and was never confirmed";
                return Ok(Err(wrong.to_owned()));
            }
            (Generation::Old, Operation::Confirm) if answered => {
                return Ok(Err("it was confirmed, and is not in force".to_owned()));
            }
            (Generation::Old, _) => &campaign.old,
            (Generation::New, Operation::Confirm) => &campaign.new,
        };
        let (status, machine) = self.machine_line()?;
        if status.code != Some(0) || machine != in_force.machine {
            let (said, expected) = (said(&status), &in_force.machine);
            return Ok(Err(format!(
                "`portreeve status` should end well and with `{expected}`: {said}"
            )));
        }
        Ok(Ok(generation))
    }

    /// Whether what is left lying about is in the way of the next rule set.
    fn apply_again(&mut self, campaign: &Campaign<'_>) -> Result<Option<String>> {
        let next = apply(&campaign.cuts.settings, &["--no-trial"]);
        let next = self.subject.run(next)?;
        let went_well = next.code == Some(0);
        Ok((!went_well).then(|| format!("nothing more can be applied: {}", said(&next))))
    }

    /// What `portreeve status` says, and the line of it that tells what is in force.
    fn machine_line(&mut self) -> Result<(Ended, String)> {
        let status = self.subject.run(portreeve(&["status"]))?;
        let line = status.stdout.lines().last().unwrap_or_default().to_owned();
        Ok((status, line))
    }
}

/// A rule set that may be in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Generation {
    Old,
    New,
}

impl Campaign<'_> {
    /// When the power fails: the seed decides.
    fn moment(&self, seed: u64) -> Moment {
        // Another sequence than the one that decides what the disk loses.
        let mut chance = fastrand::Rng::with_seed(!seed);
        match chance.u8(..8) {
            0 => Moment::Answered,
            1..4 => Moment::After(self.takes.mul_f64(chance.f64())),
            _ => Moment::Requests(chance.u64(..=self.requests)),
        }
    }

    /// The rule set that all verdicts are of, or why there is none.
    fn told_by(&self, verdicts: &[Verdict]) -> Result<Generation, String> {
        let differs = |in_force: &InForce| {
            let mut pairs = in_force.cases.iter().zip(verdicts);
            let (case, verdict) = pairs.find(|(case, it)| case.verdict != **it)?;
            let (target, from) = (case.probe.target, case.probe.from);
            Some(format!(
                "{target} from {from} is {verdict}, not {}",
                case.verdict
            ))
        };
        match (differs(&self.old), differs(&self.new)) {
            (None, _) => Ok(Generation::Old),
            (Some(_), None) => Ok(Generation::New),
            (Some(old), Some(new)) => Err(format!(
                "neither rule set is in force: of the old one {old}; of the new one {new}"
            )),
        }
    }
}
