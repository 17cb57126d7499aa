//! The dry run: what the proofs say, tried on the real kernel before anything is in force.
//!
//! Another process of this program makes itself a machine in namespaces of its own, loads the planned
//! rule set there, beside the tables of others when there are some, and sends it packets. The machine
//! outside and its firewall are never met, and nothing is left of it. What cannot be tried is
//! counted and said, never taken for tried.

mod foreign;
mod job;
mod machine;
mod recorder;
mod report;
mod shot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use portreeve_model::evaluate::HookVerdict;
use portreeve_model::names::InterfaceName;
use portreeve_model::packet::{CtState, Packet};
use portreeve_nft::Transaction;
use portreeve_verify::Certainty;

use self::job::{Job, Seen, Shot, Told};
pub use self::report::{Difference, Obstacle, Probe, ProbeError, Probed};
use crate::apply::nft::start_portreeve;
use crate::exit_code::ExitCode;

/// Packets of one probe, at most: so many numbers there are for each kind.
pub const PACKETS_MAX: usize = recorder::UNTRACKED as usize - 1;

/// The one argument of the process that probes. No command of the command line is called so.
const ARGUMENT: &str = "probe-in-a-namespace-of-its-own";

/// The interface that packets come in by when rules name none.
const ORDINARY: &str = "eth0";

/// What is tried.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The portreeve that does it.
    pub program: PathBuf,
    /// The planned rule set.
    pub candidate: &'a Transaction,
    /// Everything that is in force, as nft lists it, so that the tables of others take part. Ours
    /// among them does not.
    pub live: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// The planned rule set alone, tried by this program.
    #[must_use]
    pub fn alone(candidate: &'a Transaction) -> Self {
        Self {
            // The program that runs, even when another has taken its place on disk.
            program: "/proc/self/exe".into(),
            candidate,
            live: None,
        }
    }
}

/// Sends the packets to the planned rule set in the kernel, and compares.
///
/// # Errors
/// When nothing could be tried.
pub fn probe(subject: &Subject<'_>, probes: &[Probe]) -> Result<Probed, ProbeError> {
    let mut tally = Tally::default();
    let foreign = match subject.live.map(foreign::tables) {
        None => None,
        Some(Ok(tables)) => Some(tables),
        Some(Err(error)) => return Err(ProbeError::Foreign(error.to_string())),
    };
    let (mut shots, mut sent) = (Vec::new(), Vec::new());
    let interfaces = interfaces(probes, foreign.as_deref());
    for probe in probes {
        match shot(&probe.packet, shots.len(), &interfaces) {
            Ok(shot) => {
                shots.push(shot);
                sent.push(probe);
            }
            Err(obstacle) => tally.leave_out(obstacle),
        }
    }
    let job = Job {
        interfaces,
        foreign,
        candidate: subject.candidate.to_json(),
        shots,
    };
    let seen = ask(subject, &job)?;
    for (probe, seen) in sent.into_iter().zip(seen) {
        match verdict(&probe.packet, seen) {
            Ok(observed) => tally.compare(probe, observed),
            Err(obstacle) => tally.leave_out(obstacle),
        }
    }
    Ok(tally.finish())
}

/// The interfaces that there must be, the ordinary one first.
fn interfaces(probes: &[Probe], foreign: Option<&str>) -> Vec<String> {
    let names = probes.iter().map(|probe| probe.packet.iifname.as_str());
    let valid = names.filter(|name| InterfaceName::new(name).is_ok());
    let mut all: BTreeSet<String> = valid.map(str::to_owned).collect();
    all.extend(foreign.map(foreign::interfaces).unwrap_or_default());
    let others = all.into_iter().filter(|it| it != ORDINARY && it != "lo");
    std::iter::once(ORDINARY.to_owned()).chain(others).collect()
}

/// The packet as it is sent after `before` others.
fn shot(packet: &Packet, before: usize, interfaces: &[String]) -> Result<Shot, Obstacle> {
    let name = packet.iifname.as_str();
    let interface = match name {
        "lo" => return Err(Obstacle::Loopback),
        "" => return Err(Obstacle::NoInterface),
        _ => interfaces.iter().position(|it| it == name),
    };
    if before == PACKETS_MAX {
        return Err(Obstacle::TooMany);
    }
    let interface = interface.ok_or(Obstacle::Interface)?;
    let number = u16::try_from(before + 1).expect("at most `PACKETS_MAX`");
    shot::aim(packet, interface, number)
}

/// Has another process do the job.
fn ask(subject: &Subject<'_>, job: &Job) -> Result<Vec<Seen>, ProbeError> {
    let job = serde_json::to_vec(job).expect("a job is text and numbers");
    let heard = start_portreeve(&subject.program, ARGUMENT, &job)?;
    match serde_json::from_str(&heard.stdout) {
        Ok(Told::Seen(seen)) => Ok(seen),
        Ok(Told::Failed(failed)) => Err(failed.into()),
        Err(_) => Err(ProbeError::Ended {
            status: heard.status.to_string(),
            said: heard.stderr.lines().last().unwrap_or_default().to_owned(),
        }),
    }
}

/// What the kernel did to a packet; why that says nothing about the packet that was meant.
fn verdict(wanted: &Packet, seen: Seen) -> Result<HookVerdict, Obstacle> {
    if !seen.came {
        return Err(Obstacle::NotTaken);
    }
    let state = seen.state.and_then(|it| CtState::ALL.get(usize::from(it)));
    if let Some(state) = state.filter(|it| **it != wanted.ct_state) {
        return Err(Obstacle::OtherState {
            wanted: wanted.ct_state,
            seen: *state,
        });
    }
    if seen.left_prerouting && !seen.routed {
        return Err(Obstacle::NotRouted);
    }
    Ok(if seen.accepted {
        HookVerdict::Accept
    } else {
        HookVerdict::Drop
    })
}

/// What has come of it so far.
#[derive(Default)]
struct Tally {
    probed: Probed,
    not_probed: BTreeMap<Obstacle, usize>,
}

impl Tally {
    fn leave_out(&mut self, obstacle: Obstacle) {
        *self.not_probed.entry(obstacle).or_default() += 1;
    }

    fn compare(&mut self, probe: &Probe, observed: HookVerdict) {
        self.probed.sent += 1;
        match probe.predicted.are(|it| it.verdict() == observed) {
            Certainty::Always | Certainty::Maybe => self.probed.agreed += 1,
            Certainty::Never => self.probed.differences.push(Difference {
                packet: probe.packet.clone(),
                predicted: probe.predicted.clone(),
                observed,
            }),
        }
    }

    fn finish(self) -> Probed {
        let mut not_probed: Vec<_> = self.not_probed.into_iter().collect();
        not_probed.sort_by_key(|(obstacle, count)| (std::cmp::Reverse(*count), *obstacle));
        Probed {
            not_probed,
            ..self.probed
        }
    }
}

/// Whether this process was started to probe.
#[must_use]
pub fn is_asked() -> bool {
    std::env::args_os().nth(1).is_some_and(|it| it == ARGUMENT)
}

/// Does what this process was started for: reads a job from stdin and answers on stdout.
pub fn serve() -> ExitCode {
    match machine::serve() {
        Ok(()) => ExitCode::Done,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::Internal
        }
    }
}
