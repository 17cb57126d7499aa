//! What a probe answers.

use portreeve_model::evaluate::HookVerdict;
use portreeve_model::field::Field;
use portreeve_model::packet::{CtState, Hook, Packet};
use portreeve_verify::Outcomes;
use thiserror::Error;

use super::job::Failed;
use crate::apply::nft::Unheard;

/// A packet, and what the proofs say becomes of it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The packet, on its way to this machine.
    pub packet: Packet,
    /// What may become of it.
    pub predicted: Outcomes,
}

/// What the kernel did to the packets of a probe.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Probed {
    /// How many packets the kernel has judged.
    pub sent: usize,
    /// Of how many it said what was predicted.
    pub agreed: usize,
    /// Why others were not tried, and how many, the most first.
    pub not_probed: Vec<(Obstacle, usize)>,
    /// Those of which it said something else: the proofs do not hold of this kernel.
    pub differences: Vec<Difference>,
}

/// A packet of which the kernel says something else than was predicted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The packet.
    pub packet: Packet,
    /// All that might have become of it.
    pub predicted: Outcomes,
    /// What did become of it.
    pub observed: HookVerdict,
}

/// Why a packet was not tried.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, Ord, PartialEq, PartialOrd)]
pub enum Obstacle {
    /// It goes somewhere else.
    #[error("only packets to this machine are probed, not those at {0}")]
    Hook(Hook),
    /// What comes by `lo` was sent by the machine before.
    #[error("packets of the loopback interface are not probed")]
    Loopback,
    /// It comes by no interface, and others come from wires.
    #[error("a packet that comes in has an interface")]
    NoInterface,
    /// No interface can have the name.
    #[error("no interface can be named so")]
    Interface,
    /// The kernel puts fragments together.
    #[error("fragments are not probed")]
    Fragment,
    /// It has fields behind the end of its header.
    #[error("its header would end before a field that it has")]
    CutShort,
    /// It has a value that a packet from a wire cannot be given here.
    #[error("`{0}` cannot be chosen here")]
    Field(Field),
    /// Its state cannot be brought about.
    #[error("no packet of its kind can be made `{}` here", .0.keyword())]
    State(CtState),
    /// Conntrack does not say of it what it should.
    #[error(
        "conntrack says `{}` of such a packet, not `{}`",
        .seen.keyword(),
        .wanted.keyword()
    )]
    OtherState {
        /// What it should say.
        wanted: CtState,
        /// What it says.
        seen: CtState,
    },
    /// The kernel drops it before any rule sees it.
    #[error("the kernel takes no such packet from a wire")]
    NotTaken,
    /// It was not dropped by rules, nor did it come to those of input.
    #[error("the kernel does not bring such a packet to input")]
    NotRouted,
    /// There are more packets than numbers.
    #[error("one probe has {} packets at most", super::PACKETS_MAX)]
    TooMany,
}

/// Why nothing was probed.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The process that probes could not be started, or did not answer.
    #[error("cannot probe here: the process that probes was not heard")]
    Unheard(#[from] Unheard),
    /// It ended without an answer.
    #[error("cannot probe here: the process that probes ended with {status} and said `{said}`")]
    Ended {
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// This machine does not allow it.
    #[error(
        "cannot probe here: {0}; run as root, or where user namespaces, /dev/net/tun and nftables \
         may be used"
    )]
    Here(String),
    /// The kernel does not take the tables of others a second time.
    #[error("cannot probe with the tables of others: {0}")]
    Foreign(String),
    /// The kernel does not take the planned rule set.
    #[error("the kernel does not take the planned rule set: {0}")]
    Candidate(String),
}

impl From<Failed> for ProbeError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Here(why) => Self::Here(why),
            Failed::Foreign(why) => Self::Foreign(why),
            Failed::Candidate(why) => Self::Candidate(why),
        }
    }
}
