//! Who reaches what: attempts from any address, and what comes of them.
//!
//! Silence is never a time-out. After each window of attempts the machine is asked by ARP; when that
//! answer is here, everything that it said to the attempts is here, and what was not answered is
//! dropped. An answer to ARP that does not come is an error, never a verdict.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use portreeve_model::address::Family;
use portreeve_model::ruleset::Reject;
use portreeve_vm_agent::Request;

use crate::network::packet::{self, Answer, Flow, Target};
use crate::network::segment::{Heard, Segment};
use crate::vm::control::Control;

/// Attempts that are under way at a time: half of a card's ring, so that no packet waits in a queue
/// that sorts packets by connection, and ARP never overtakes one.
const WINDOW: usize = 128;

/// How long the machine may take to answer ARP.
const PASSES_WITHIN: Duration = Duration::from_secs(20);

/// Source ports and identifiers of attempts. Conversations have others.
const IDS: std::ops::Range<u16> = 20_000..61_000;

/// One attempt.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Probe {
    /// By whom.
    pub from: IpAddr,
    /// At which address of the machine.
    pub to: IpAddr,
    /// What it asks for.
    pub target: Target,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// It was answered.
    Open,
    /// TCP was reset.
    Reset,
    /// ICMP said "destination unreachable", with this code.
    Rejected(u8),
    /// Everything that was sent has been dealt with, and nothing came back.
    Dropped,
}

impl Verdict {
    /// What a sender sees of a `reject`.
    #[must_use]
    pub const fn of_reject(reject: Reject, family: Family) -> Self {
        match reject.code(family) {
            Some(code) => Self::Rejected(code),
            None => Self::Reset,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Reset => f.write_str("reset"),
            Self::Rejected(code) => write!(f, "rejected with code {code}"),
            Self::Dropped => f.write_str("dropped"),
        }
    }
}

/// Makes attempts on one segment.
#[derive(Debug)]
pub struct Prober {
    next_id: u16,
}

impl Default for Prober {
    fn default() -> Self {
        Self { next_id: IDS.start }
    }
}

impl Prober {
    /// What comes of each attempt, in their order.
    ///
    /// # Errors
    /// When the machine does not answer ARP, or the wire is cut.
    pub fn run(
        &mut self,
        segment: &mut Segment,
        control: &mut Control,
        probes: &[Probe],
    ) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::with_capacity(probes.len());
        for window in probes.chunks(WINDOW) {
            let mut open = Open::send(window, self, segment)?;
            open.hear_until_barrier(segment)?;
            if open.waits_for_udp() {
                // Programs answer datagrams, not the kernel: they are waited for as well.
                control.ask(&Request::SettleUdp)?;
                open.hear_until_barrier(segment)?;
            }
            verdicts.extend(open.verdicts());
        }
        Ok(verdicts)
    }

    fn id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = if id + 1 == IDS.end { IDS.start } else { id + 1 };
        id
    }
}

/// Attempts that are under way.
struct Open<'a> {
    probes: &'a [Probe],
    flows: HashMap<Flow, usize>,
    verdicts: Vec<Option<Verdict>>,
}

impl<'a> Open<'a> {
    fn send(probes: &'a [Probe], prober: &mut Prober, segment: &mut Segment) -> Result<Self> {
        let mut flows = HashMap::with_capacity(probes.len());
        for (at, probe) in probes.iter().enumerate() {
            let (flow, packet) = packet::question(probe.from, probe.to, probe.target, prober.id());
            segment.send(&packet)?;
            flows.insert(flow, at);
        }
        Ok(Self {
            probes,
            flows,
            verdicts: vec![None; probes.len()],
        })
    }

    /// Takes every answer until the machine has answered ARP.
    fn hear_until_barrier(&mut self, segment: &mut Segment) -> Result<()> {
        let until = Instant::now() + PASSES_WITHIN;
        let mut asked = segment.asked;
        segment.send_barrier()?;
        while let Some(heard) = segment.hear(until)? {
            match heard {
                Heard::Packet(packet) => self.take(&packet, segment)?,
                // While it looked for a neighbour, its answers to us waited for that one's.
                Heard::Barrier if asked != segment.asked => {
                    asked = segment.asked;
                    segment.send_barrier()?;
                }
                Heard::Barrier => return Ok(()),
                Heard::Other => {}
            }
        }
        bail!("the machine does not answer ARP: nobody knows what was dropped")
    }

    fn take(&mut self, packet: &[u8], segment: &mut Segment) -> Result<()> {
        let Some((flow, answer)) = packet::answer(packet) else {
            return Ok(());
        };
        // What answers no attempt of now answers an earlier one a second time.
        let Some(&at) = self.flows.get(&flow) else {
            return Ok(());
        };
        let verdict = match answer {
            Answer::Open { .. } => Verdict::Open,
            Answer::Reset => Verdict::Reset,
            Answer::Unreachable { code } => Verdict::Rejected(code),
        };
        if self.verdicts[at].replace(verdict).is_none()
            && let (Answer::Open { next }, Target::Tcp(_)) = (answer, self.probes[at].target)
        {
            segment.send(&packet::reset(&flow, self.probes[at].to, next))?;
        }
        Ok(())
    }

    fn waits_for_udp(&self) -> bool {
        let mut both = self.probes.iter().zip(&self.verdicts);
        both.any(|(probe, verdict)| verdict.is_none() && matches!(probe.target, Target::Udp(_)))
    }

    fn verdicts(self) -> impl Iterator<Item = Verdict> {
        let verdicts = self.verdicts.into_iter();
        verdicts.map(|verdict| verdict.unwrap_or(Verdict::Dropped))
    }
}
