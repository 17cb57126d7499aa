//! Who is answered while a machine boots, and while it ends: attempts without a pause, from before its
//! card takes the first frame until the last.
//!
//! Between a card that is up and rules that are loaded there must be no moment, and none is looked
//! for: whoever answers has answered. An attempt at a port that is open shows that attempts reach the
//! machine at all; where none does, nothing was found out.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use portreeve_vm_agent::{Answer as Answered, Request, Run};

use crate::network::packet::{self, Answer, Target};
use crate::network::segment::{Heard, Segment};
use crate::probe::Verdict;
use crate::scenario::Case;
use crate::subject::Subject;
use crate::vm::{BOOTS_WITHIN, Vm};

/// Every so often each attempt is made anew.
const ROUND: Duration = Duration::from_millis(5);

/// Rounds that are made of a machine that has booted.
const ROUNDS_AFTER: usize = 50;

/// How long a machine may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Source ports of attempts, one for each round.
const IDS: std::ops::Range<u16> = 20_000..61_000;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Attempts that the card took before the machine sent its first frame.
    pub before: usize,
    /// Attempts from then on, until its agent spoke; when it ends, all of them.
    pub during: usize,
    /// Attempts after that.
    pub after: usize,
    /// Those of `before` and `during` that a port answered which may.
    pub answered: usize,
    /// Answers that must not be: the first one of each kind, and how many there were.
    pub wrong: Vec<(Case, Verdict, usize)>,
}

/// In numbers.
impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            during,
            after,
            answered,
            wrong,
        } = self;
        let wrong: usize = wrong.iter().map(|(_, _, count)| count).sum();
        write!(
            f,
            "{before} attempts before its first frame, {during} from then on, {after} after it was \
             up; {answered} were answered by an open port, {wrong} by one that must be closed"
        )
    }
}

/// Watches a machine that has just been started, until it has booted.
///
/// # Errors
/// When it does not boot, or nobody reached it before it had.
pub fn boot(subject: &mut Subject, cases: &[Case]) -> Result<Watched> {
    let until = Instant::now() + BOOTS_WITHIN;
    let mut watch = Watch::over(cases);
    let (segment, vm) = subject.outside()?;
    while vm.control.greeting(Instant::now())?.is_none() {
        if Instant::now() > until {
            bail!("the VM does not boot");
        }
        watch.round(segment)?;
    }
    watch.has_booted = true;
    for _ in 0..ROUNDS_AFTER {
        watch.round(segment)?;
    }
    watch.ended("before its agent spoke")
}

/// Has a machine end, by `systemctl` and what it is told, and watches it until it is gone.
///
/// # Errors
/// When it does not end, or nobody reached it after it was told.
pub fn end(subject: &mut Subject, how: &str, cases: &[Case]) -> Result<Watched> {
    let request = Request::Start(Run::new("systemctl", &[how]));
    if subject.ask(&request)? != Answered::Done {
        bail!("the agent does not start `systemctl {how}`");
    }
    let until = Instant::now() + ENDS_WITHIN;
    let mut watch = Watch::over(cases);
    watch.has_spoken = true;
    let (segment, vm) = subject.outside()?;
    // Whether a wire that is cut is an error depends on whether the machine is gone.
    while watch.round(segment).is_ok() {
        if Instant::now() > until {
            bail!("the VM does not end after `systemctl {how}`");
        }
    }
    gone(vm, until).with_context(|| format!("after `systemctl {how}`"))?;
    watch.ended("after it was told to end")
}

fn gone(vm: &mut Vm, until: Instant) -> Result<()> {
    if vm.has_ended(until)? {
        return Ok(());
    }
    bail!("the VM's card is gone, and the VM is not")
}

/// Attempts that are made over and over.
struct Watch<'a> {
    cases: Vec<&'a Case>,
    id: u16,
    /// The machine has sent something.
    has_spoken: bool,
    has_booted: bool,
    seen: Watched,
}

impl<'a> Watch<'a> {
    /// Only what the kernel answers by itself is tried, and behind the first card.
    fn over(cases: &'a [Case]) -> Self {
        let tcp = |case: &&Case| matches!(case.probe.target, Target::Tcp(_)) && case.card == 0;
        Self {
            cases: cases.iter().filter(tcp).collect(),
            id: IDS.start,
            has_spoken: false,
            has_booted: false,
            seen: Watched::default(),
        }
    }

    /// Makes each attempt that the card takes, and hears what the machine says until the next round.
    fn round(&mut self, segment: &mut Segment) -> Result<()> {
        let next = Instant::now() + ROUND;
        self.id = if self.id + 1 == IDS.end {
            IDS.start
        } else {
            self.id + 1
        };
        for case in &self.cases {
            let probe = case.probe;
            if !segment.card().takes_a_frame()? {
                break;
            }
            let (_, packet) = packet::question(probe.from, probe.to, probe.target, self.id);
            segment.send(&packet)?;
            *match (self.has_spoken, self.has_booted) {
                (_, true) => &mut self.seen.after,
                (true, false) => &mut self.seen.during,
                (false, false) => &mut self.seen.before,
            } += 1;
        }
        while let Some(heard) = segment.hear(next)? {
            self.has_spoken = true;
            if let Heard::Packet(packet) = heard {
                self.take(&packet, segment)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, packet: &[u8], segment: &mut Segment) -> Result<()> {
        let Some((flow, answer)) = packet::answer(packet) else {
            return Ok(());
        };
        let asked = |case: &&&Case| {
            let probe = case.probe;
            probe.from == flow.from && probe.target == Target::Tcp(flow.port)
        };
        let Some(case) = self.cases.iter().find(asked) else {
            return Ok(());
        };
        let verdict = match answer {
            Answer::Open { next } => {
                // Nothing is sent a second time, and no queue fills up.
                segment.send(&packet::reset(&flow, case.probe.to, next))?;
                Verdict::Open
            }
            Answer::Reset => Verdict::Reset,
            Answer::Unreachable { code } => Verdict::Rejected(code),
        };
        match (case.verdict, verdict) {
            (Verdict::Open, Verdict::Open) if !self.has_booted => self.seen.answered += 1,
            // Whoever serves there may not have begun, or has ended.
            (Verdict::Open, _) => {}
            (expected, verdict) if expected == verdict => {}
            (Verdict::Dropped | Verdict::Reset | Verdict::Rejected(_), _) => {
                self.seen.note(case, verdict);
            }
        }
        Ok(())
    }

    /// What was seen, if anything could be.
    fn ended(self, when: &str) -> Result<Watched> {
        if self.seen.answered == 0 {
            bail!("nobody reached the VM {when}: nothing is known of its firewall then");
        }
        Ok(self.seen)
    }
}

impl Watched {
    fn note(&mut self, case: &Case, verdict: Verdict) {
        let same = |it: &&mut (Case, Verdict, usize)| it.0 == *case && it.1 == verdict;
        match self.wrong.iter_mut().find(same) {
            Some((_, _, count)) => *count += 1,
            None => self.wrong.push((case.clone(), verdict, 1)),
        }
    }
}
