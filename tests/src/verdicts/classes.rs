//! The classes of probes: what each tries, from where, and what must come of it.
//!
//! Every probe but those of a conversation is the first packet of a connection to a port on which
//! nobody listens. The kernel answers it with a reset when the rules let it in, and connection
//! tracking forgets it at once; when they drop it, nothing comes back.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portreeve_model::address::Family;
use serde::{Deserialize, Serialize};

use super::List;
use super::feed::Feed;
use super::frames::{self, Segment};

/// The machine's addresses.
pub(super) const MACHINE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The machine's address for IPv6.
pub(super) const MACHINE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10);

/// What a probe tries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Kind {
    /// The SSH port, from anybody.
    Ssh,
    /// Port 443, from an address that may.
    Allowed,
    /// Port 443, from an address that may not.
    Refused,
    /// A port that is closed to all, from an address that may open 443.
    Closed,
    /// A message in a connection that was open before the rules came, on a port that is closed.
    Conversation,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Ssh,
        Self::Allowed,
        Self::Refused,
        Self::Closed,
        Self::Conversation,
    ];

    /// Whether an answer must come.
    const fn is_accepted(self) -> bool {
        match self {
            Self::Ssh | Self::Allowed | Self::Conversation => true,
            Self::Refused | Self::Closed => false,
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Ssh => 22,
            Self::Allowed | Self::Refused => 443,
            Self::Closed => 8080,
            Self::Conversation => 50_000,
        }
    }
}

/// What a probe tries, in which family.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Class {
    /// Whether over IPv6.
    pub ipv6: bool,
    /// What is tried.
    pub kind: Kind,
}

impl Class {
    /// How many there are.
    pub(super) const COUNT: usize = Kind::ALL.len() * 2;

    /// Every class.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Kind::ALL
            .into_iter()
            .flat_map(|kind| [false, true].map(|ipv6| Self { ipv6, kind }))
    }

    /// Its place in [`Self::all`].
    pub(super) const fn index(self) -> usize {
        self.kind as usize * 2 + self.ipv6 as usize
    }

    /// Whether an answer must come.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        self.kind.is_accepted()
    }

    const fn machine(self) -> SocketAddr {
        let address = if self.ipv6 {
            IpAddr::V6(MACHINE_V6)
        } else {
            IpAddr::V4(MACHINE_V4)
        };
        SocketAddr::new(address, self.kind.port())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.ipv6 { Family::Ip6 } else { Family::Ip };
        let kind = match self.kind {
            Kind::Ssh => "ssh",
            Kind::Allowed => "443, allowed",
            Kind::Refused => "443, refused",
            Kind::Closed => "closed port",
            Kind::Conversation => "conversation",
        };
        write!(f, "{} {kind}", family.nfproto())
    }
}

/// Who asks.
#[derive(Debug)]
pub(super) struct Sources {
    /// By [`Class::index`]; those of conversations are not used.
    addresses: [Vec<IpAddr>; Class::COUNT],
}

impl Sources {
    /// Addresses for each class, when the addresses of `feed` are what `list` says.
    pub(super) fn new(feed: &Feed, list: List) -> Self {
        let (members, strangers) = (feed.members(), feed.strangers());
        let (allowed, refused) = match list {
            List::Allow => (members, strangers.clone()),
            List::Block => (strangers.clone(), members),
        };
        let mut addresses = [const { Vec::new() }; Class::COUNT];
        for class in Class::all() {
            let from = match class.kind {
                Kind::Ssh | Kind::Conversation => &strangers,
                Kind::Allowed | Kind::Closed => &allowed,
                Kind::Refused => &refused,
            };
            addresses[class.index()].clone_from(&from[usize::from(class.ipv6)]);
        }
        Self { addresses }
    }

    /// The probe of a class that is sent in this tick.
    pub(super) fn probe(&self, class: Class, tick: u64) -> Segment {
        let addresses = &self.addresses[class.index()];
        let address = addresses[tick as usize % addresses.len()];
        // A port comes again after half a minute.
        let port = FIRST_PORT + (tick % PORTS) as u16;
        Segment {
            from: SocketAddr::new(address, port),
            to: class.machine(),
            seq: mark(class, tick),
            ack: 0,
            flags: frames::SYN,
            data: 0,
        }
    }
}

impl Sources {
    /// So many probes of [`BURST`], the same in each tick.
    pub(super) fn burst(&self, count: u16) -> impl Iterator<Item = Segment> {
        let probe = Segment {
            seq: BURST_MARK,
            ..self.probe(BURST, 0)
        };
        (0..count).map(move |nth| {
            let mut one = probe;
            one.from.set_port(FIRST_PORT + nth);
            one
        })
    }
}

const FIRST_PORT: u16 = 1024;
const PORTS: u64 = 60_000;

/// The sequence number of a probe says which it is, and the answer says it back.
const fn mark(class: Class, tick: u64) -> u32 {
    (tick as u32) << 4 | class.index() as u32
}

/// The class of which many more probes can be sent: where the chain policy and a rule take turns in
/// keeping them out, a moment between the two lets in who comes in that moment.
pub(super) const BURST: Class = Class {
    ipv6: false,
    kind: Kind::Closed,
};

/// Says of a probe that it is one of many. No [`mark`] is the same.
const BURST_MARK: u32 = 0xf;

/// Whether a segment from the machine answers one of [`Sources::burst`].
pub(super) fn answers_burst(segment: &Segment) -> bool {
    segment.ack.wrapping_sub(1) == BURST_MARK && segment.from == BURST.machine()
}

/// The class of the probe of this tick that a segment from the machine answers.
pub(super) fn answered(segment: &Segment, tick: u64) -> Option<Class> {
    let mark_said = segment.ack.wrapping_sub(1);
    Class::all().find(|class| {
        class.kind != Kind::Conversation
            && mark(*class, tick) == mark_said
            && segment.from == class.machine()
    })
}
