//! Sends a probe of each class every half millisecond and notes which were answered.
//!
//! Silence is never a timeout: a tick ends when the barrier that was sent after its probes has
//! come back. What cannot be known (the barrier, or an answer before it, was lost) is noted as
//! unknown. A prober that was kept from running sends late; what it is too late for, it leaves out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cable::Cable;
use super::classes::{self, Class, Kind, Sources};
use super::conversation::Conversations;
use super::frames::Received;
use super::processors;

/// Time between two probes of one class: 2,000 in a second.
pub(super) const TICK: Duration = Duration::from_micros(500);

/// The same, where each tick has a burst of probes as well.
const BURST_TICK: Duration = Duration::from_millis(1);

/// How many these are: 200,000 in a second.
const BURST_PROBES: u16 = 200;

/// A prober that is later than this leaves probes out, and sends fewer than it should.
const LATE: Duration = Duration::from_millis(100);

/// What came of the probes that were sent together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tick {
    /// Counted from the first one that was due; a number that is missing was left out.
    pub(super) number: u64,
    /// When the first of them was about to be sent, since the beginning of the run.
    pub(super) sent: Duration,
    /// When all of them had been judged.
    pub(super) judged: Duration,
    /// By [`Class::index`].
    pub(super) answered: [bool; Class::COUNT],
    /// How many more probes of [`classes::BURST`] were sent, and answered.
    pub(super) burst: Burst,
    /// Whether an answer cannot have been missed.
    pub(super) certain: bool,
}

/// Many probes of one class.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Burst {
    pub(super) sent: u64,
    pub(super) answered: u64,
}

/// What came of one probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Accepted,
    Dropped,
    Undetermined,
}

impl Tick {
    pub(super) fn fate(&self, class: Class) -> Fate {
        match (self.answered[class.index()], self.certain) {
            (true, _) => Fate::Accepted,
            (false, true) => Fate::Dropped,
            (false, false) => Fate::Undetermined,
        }
    }
}

/// A prober at work on a thread of its own.
#[derive(Debug)]
pub(super) struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Tick>>>,
}

/// What a prober works with.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) cable: Cable,
    pub(super) sources: Sources,
    pub(super) conversations: Conversations,
    /// Whether each tick has a burst.
    pub(super) with_bursts: bool,
    /// The processor that it keeps to.
    pub(super) processor: usize,
    /// The beginning of the run.
    pub(super) beginning: Instant,
}

impl Prober {
    pub(super) fn start(work: Work) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || work.probe_until(&told));
        Self { stop, thread }
    }

    /// Everything that it found.
    pub(super) fn stop(self) -> io::Result<Vec<Tick>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

impl Work {
    fn probe_until(mut self, stop: &AtomicBool) -> io::Result<Vec<Tick>> {
        processors::stay_on(self.processor)?;
        processors::before_all_others();
        let tick = if self.with_bursts { BURST_TICK } else { TICK };
        let burst = if self.with_bursts { BURST_PROBES } else { 0 };
        let burst: Vec<_> = self.sources.burst(burst).map(|one| one.frame()).collect();
        let start = Instant::now();
        let mut ticks = Vec::new();
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = start + tick * number;
            let now = Instant::now();
            if now < due {
                thread::sleep(due - now);
            } else if now > due + LATE {
                number = ((now - start).as_micros() / tick.as_micros()) as u32;
            }
            ticks.push(self.tick(u64::from(number), &burst)?);
            number += 1;
        }
        Ok(ticks)
    }

    /// Sends a probe of each class, and those of `burst`, and waits until all have been judged.
    fn tick(&mut self, number: u64, burst: &[Vec<u8>]) -> io::Result<Tick> {
        let sent = self.beginning.elapsed();
        let mut certain = true;
        for class in Class::all() {
            let probe = match class.kind {
                Kind::Conversation => self.conversations.message(class),
                Kind::Ssh | Kind::Allowed | Kind::Refused | Kind::Closed => {
                    self.sources.probe(class, number)
                }
            };
            // A queue that is full loses the probe, not the prober.
            certain &= self.cable.send(&probe.frame()).is_ok();
        }
        for frame in burst {
            certain &= self.cable.send(frame).is_ok();
        }
        self.cable.send_barrier()?;
        let mut burst = Burst {
            sent: burst.len() as u64,
            answered: 0,
        };
        let mut answered = [false; Class::COUNT];
        loop {
            let Some(arrival) = self.cable.receive()? else {
                certain = false;
                break;
            };
            certain &= !arrival.after_loss;
            match arrival.received {
                Received::Barrier => break,
                Received::Other => {}
                Received::Segment(segment) if classes::answers_burst(&segment) => {
                    burst.answered += 1;
                }
                Received::Segment(segment) => {
                    let class = self.conversations.answered(&segment).map(in_conversation);
                    match class.or_else(|| classes::answered(&segment, number)) {
                        Some(class) => answered[class.index()] = true,
                        // It comes too late: then others may, too.
                        None => certain = false,
                    }
                }
            }
        }
        Ok(Tick {
            number,
            sent,
            judged: self.beginning.elapsed(),
            answered,
            burst,
            certain,
        })
    }
}

const fn in_conversation(index: usize) -> Class {
    Class {
        ipv6: index == 1,
        kind: Kind::Conversation,
    }
}
