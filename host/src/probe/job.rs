//! What the process that probes is told, and what it tells.

use std::net::IpAddr;

use portreeve_nft::netlink::{Connection, Ends};
use serde::{Deserialize, Serialize};

/// What is to be tried.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Job {
    /// The interfaces that there shall be, besides `lo`.
    pub(super) interfaces: Vec<String>,
    /// The tables of others, as nft lists them.
    pub(super) foreign: Option<String>,
    /// The planned rule set, as nft loads it.
    pub(super) candidate: String,
    /// The packets, in order.
    pub(super) shots: Vec<Shot>,
}

/// A packet.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Shot {
    /// Its number.
    pub(super) number: u16,
    /// The interface that it comes in by, by its place among those of the job.
    pub(super) interface: usize,
    /// Its bytes, in a frame.
    pub(super) frame: Vec<u8>,
    /// The connections that it finds, the one that it belongs to last: those before have announced
    /// the next.
    pub(super) finds: Vec<Flow>,
}

/// A connection, as its first packet showed it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Flow {
    pub(super) protocol: u8,
    pub(super) saddr: IpAddr,
    pub(super) daddr: IpAddr,
    pub(super) ends: FlowEnds,
}

/// What tells it from others between its addresses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum FlowEnds {
    Ports(u16, u16),
    Echo(u16),
    None,
}

impl Flow {
    /// The same, as conntrack is told.
    pub(super) const fn connection(self) -> Connection {
        Connection {
            protocol: self.protocol,
            saddr: self.saddr,
            daddr: self.daddr,
            ends: match self.ends {
                FlowEnds::Ports(sport, dport) => Ends::Ports(sport, dport),
                FlowEnds::Echo(id) => Ends::Echo(id),
                FlowEnds::None => Ends::None,
            },
        }
    }
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Told {
    /// What became of each packet, in order.
    Seen(Vec<Seen>),
    /// Nothing could be tried.
    Failed(Failed),
}

/// Why nothing could be tried.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Failed {
    /// This machine does not allow it.
    Here(String),
    /// The kernel does not take the tables of others.
    Foreign(String),
    /// The kernel does not take the planned rule set.
    Candidate(String),
}

/// How far a packet came.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Seen {
    /// To the beginning of prerouting.
    pub(super) came: bool,
    /// What conntrack said of it, as the model numbers states.
    pub(super) state: Option<u8>,
    /// To the end of prerouting.
    pub(super) left_prerouting: bool,
    /// To the beginning of input.
    pub(super) routed: bool,
    /// To the end of input.
    pub(super) accepted: bool,
}
