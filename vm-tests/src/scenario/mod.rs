//! Scenarios: a machine, who tries to reach it, and what must come of it. They are data.
//!
//! Reading one finds everything that is wrong with it at once. Of every class of sources, every port
//! and every family exactly one expectation speaks: what nobody thought of is an error of the file,
//! and so is what two lines say differently.

mod cover;
mod cut;
mod file;
pub mod plan;
mod sources;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portreeve_model::address::Family;
use portreeve_vm_agent::{Port, Protocol};

pub use cover::Case;
pub use cut::{Cuts, Operation};
pub use file::{Unusable, read};
pub use plan::Plan;

use crate::cold::Change;
use crate::network::packet::Target;
use crate::probe::Verdict;
use crate::vm::command_line::Clock;

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called: the name of its file.
    pub name: String,
    /// What somebody loses if it fails.
    pub why: String,
    /// What is applied first.
    pub plan: Plan,
    /// The machine.
    pub machine: Machine,
    /// Every attempt, with what must come of it. Class by class, port by port.
    pub cases: Vec<Case>,
    /// What happens then, in order.
    pub steps: Vec<Step>,
}

/// The machine under test.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The addresses of its network cards, with the length of each one's network.
    pub cards: [Vec<(IpAddr, u8)>; 2],
    /// What its programs offer. Everything that is tried and is not outward must be among it.
    pub serves: Vec<Port>,
    /// Tables of others, in nft's words.
    pub others: Option<String>,
    /// Whether it is a whole system, which boots by itself.
    pub systemd: bool,
    /// Whether portreeve's directories lie on its disk, and so outlive it.
    pub disk: bool,
}

/// A class of sources: addresses that must fare alike, behind one card.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Class {
    /// What it is called.
    pub name: String,
    /// Behind which card they are.
    pub card: usize,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
}

/// Something that happens after the first rule set was applied and every case was tried.
#[derive(Clone, Debug)]
pub enum Step {
    /// Another rule set is applied.
    Apply(Plan),
    /// Another rule set is put on trial, and nobody waits for its end.
    Trial {
        /// Which.
        plan: Plan,
        /// How long it lasts, as `--confirm-within` takes it.
        lasts: String,
    },
    /// The trial is confirmed over a connection that a step before has opened.
    Confirm {
        /// Which connection.
        over: String,
    },
    /// The machine ends in an orderly way, and another begins with what is on its disk.
    Reboot,
    /// The power fails while a rule set is put on trial or confirmed.
    Cut(Cuts),
    /// Attempts are made.
    Probe(Vec<Case>),
    /// Attempts are made until all of them end as they must.
    Eventually {
        /// The attempts.
        cases: Vec<Case>,
        /// How long that may take.
        within: Duration,
    },
    /// Time passes on the machine, and nobody waits for it.
    Advance(Duration),
    /// Somebody says something over a connection that is opened now, or was by a step before.
    Talk {
        /// Which connection.
        name: String,
        /// From where, if it is opened now.
        from: IpAddr,
        /// To which service.
        to: SocketAddr,
    },
    /// The machine opens a tunnel outward, and requests come down it to a service of its own.
    Tunnel {
        /// Over what.
        protocol: Protocol,
        /// To where.
        to: SocketAddr,
        /// Who answers: a service of the machine.
        service: SocketAddr,
    },
    /// The machine opens a connection to a host that listens; what must come of it.
    Reach {
        /// To where.
        to: SocketAddr,
        /// Whether it must be made.
        open: bool,
    },
    /// Somebody talks to a host behind the machine, where a table of others leads them there.
    Forward {
        /// From where.
        from: IpAddr,
        /// To which address of the machine.
        to: SocketAddr,
        /// Who answers, behind its second card.
        by: SocketAddr,
    },
    /// A program of the machine is run.
    Run {
        /// Its path and arguments.
        words: Vec<String>,
        /// How it must end.
        ends: i32,
        /// What its answer must contain.
        says: Option<String>,
    },
    /// A file of the machine is written.
    Write {
        /// Where.
        path: String,
        /// What is in it then.
        text: String,
    },
    /// The power fails, or has failed, and the machine starts anew: who is answered until it has
    /// booted.
    Boot {
        /// What has been changed since.
        change: Change,
        /// Whether somebody must be answered who may not: the change is a mistake.
        caught: bool,
    },
    /// The machine ends: who is answered until it is gone.
    End {
        /// What `systemctl` is told.
        how: String,
        /// Whether somebody must be answered who may not.
        caught: bool,
    },
}

impl Scenario {
    /// How time must go by where it is run.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let skips = |step: &Step| matches!(step, Step::Advance(_));
        if self.steps.iter().any(skips) {
            Clock::Skipping
        } else {
            Clock::Real
        }
    }
}

impl Step {
    /// What a file calls it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Trial { .. } => "trial",
            Self::Confirm { .. } => "confirm",
            Self::Reboot => "reboot",
            Self::Cut(_) => "cut",
            Self::Probe(_) => "probe",
            Self::Eventually { .. } => "eventually",
            Self::Advance(_) => "advance",
            Self::Talk { .. } => "talk",
            Self::Tunnel { .. } => "tunnel",
            Self::Reach { .. } => "reach",
            Self::Forward { .. } => "forward",
            Self::Run { .. } => "run",
            Self::Write { .. } => "write",
            Self::Boot { .. } => "boot",
            Self::End { .. } => "end",
        }
    }
}

impl Machine {
    /// The address of a family that is reached through a card.
    #[must_use]
    pub fn address(&self, card: usize, family: Family) -> Option<IpAddr> {
        let addresses = self.cards[card].iter().map(|(address, _)| *address);
        addresses
            .into_iter()
            .find(|address| Family::of(*address) == family)
    }

    /// Everything that can be asked of it.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let served = self.serves.iter().map(|port| Target::from(*port));
        served.chain([Target::Echo]).collect()
    }
}

/// `tcp/443`, `echo`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port() {
            Some(port) => port.fmt(f),
            None => f.write_str("echo"),
        }
    }
}

impl From<Port> for Target {
    fn from(Port { protocol, number }: Port) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp(number),
            Protocol::Udp => Self::Udp(number),
        }
    }
}

impl Target {
    /// The target that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        if word == "echo" {
            return Some(Self::Echo);
        }
        let port: Port = word.parse().ok()?;
        (port.number > 0).then_some(port.into())
    }

    /// The port that it is, if it is one.
    #[must_use]
    pub const fn port(self) -> Option<Port> {
        let (protocol, number) = match self {
            Self::Tcp(number) => (Protocol::Tcp, number),
            Self::Udp(number) => (Protocol::Udp, number),
            Self::Echo => return None,
        };
        Some(Port { protocol, number })
    }
}

/// What is expected of an attempt, in words that are the same for both families.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// It is answered.
    Open,
    /// Nothing comes back.
    Dropped,
    /// The sender is told this.
    Rejected(portreeve_model::ruleset::Reject),
}

impl Expected {
    /// What must come of an attempt from an address of a family.
    #[must_use]
    pub const fn verdict(self, family: Family) -> Verdict {
        match self {
            Self::Open => Verdict::Open,
            Self::Dropped => Verdict::Dropped,
            Self::Rejected(reject) => Verdict::of_reject(reject, family),
        }
    }
}
