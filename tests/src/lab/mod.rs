//! Who really reaches what: real connections through a real kernel, compared with the model.
//!
//! A server and a client live in two network namespaces joined by a veth pair. The client owns
//! addresses inside, just outside and far from a feed; it tries every service of the server from
//! each of them, before the rules are applied and after. Nothing here touches the network of the
//! machine it runs on, and "dropped" is never a timeout: see the module `barrier`.

pub(crate) mod barrier;
mod client;
mod network;
mod packets;
mod report;
mod server;
mod sources;
mod subject;
mod world;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use client::serve as serve_client;
pub use report::Paint;
pub use sources::Source;
pub use subject::Subject;
pub use world::run;

/// The port of the third TCP service and of the UDP service: no policy lets it in.
pub const HIGH_PORT: u16 = 50_000;

/// Something that the server offers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Service {
    /// A TCP port that accepts connections.
    Tcp(u16),
    /// A UDP port that sends back what it gets.
    Udp(u16),
    /// ICMP or ICMPv6 echo.
    Echo,
}

impl Service {
    /// Everything that is tried, in the order of the columns.
    pub const ALL: [Self; 6] = [
        Self::Tcp(22),
        Self::Tcp(443),
        Self::Tcp(80),
        Self::Tcp(HIGH_PORT),
        Self::Udp(HIGH_PORT),
        Self::Echo,
    ];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Tcp(22) => "ssh 22".to_owned(),
            Self::Tcp(443) => "web 443".to_owned(),
            Self::Tcp(port) => format!("tcp {port}"),
            Self::Udp(port) => format!("udp {port}"),
            Self::Echo => "ping".to_owned(),
        }
    }
}

/// One attempt: from where, to what.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Probe {
    /// The client's address.
    pub saddr: IpAddr,
    /// The server's address.
    pub daddr: IpAddr,
    /// What is tried.
    pub service: Service,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// It was answered.
    Open,
    /// TCP was reset.
    Reset,
    /// An ICMP "destination unreachable" came back, with this code.
    Rejected(u8),
    /// Everything that was on the wire has been dealt with, and nothing came back.
    Dropped,
}

/// One attempt and everything known about it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Observation {
    /// The attempt.
    pub probe: Probe,
    /// What the kernel did.
    pub outcome: Outcome,
    /// What the model allows: more than one where a `limit` decides.
    pub expected: Vec<Outcome>,
}

impl Observation {
    /// Whether the kernel did what the model says.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.expected.contains(&self.outcome)
    }
}

/// A connection that was open before the rules came.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Held {
    /// Who held it, to what.
    pub probe: Probe,
    /// Whether bytes still went there and back afterwards.
    pub survived: bool,
}

/// Everything that one run found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// The policy that was applied.
    pub policy: String,
    /// Who tried, in the order of the rows.
    pub sources: Vec<Source>,
    /// With no rules but a bystander's.
    pub before: Vec<Observation>,
    /// With the policy's rules.
    pub after: Vec<Observation>,
    /// The connections that were open while the rules came.
    pub held: Vec<Held>,
    /// Whether somebody else's table is what it was before.
    pub bystander_untouched: bool,
}
