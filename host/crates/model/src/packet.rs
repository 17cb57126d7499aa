//! One packet at one hook, as the rules of that hook see it.

mod facts;
mod load;
mod text;

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Family;
use crate::field::{Field, PortProtocol, icmp_protocol};
pub use crate::packet::load::Loaded;
pub use crate::packet::text::PacketError;

/// The netfilter hook at which a base chain sees packets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hook {
    /// Everything that arrives, before routing.
    Prerouting,
    /// What is addressed to this machine.
    Input,
    /// What passes through this machine.
    Forward,
    /// What this machine sends.
    Output,
    /// Everything that leaves, after routing.
    Postrouting,
}

impl Hook {
    /// Every hook, in the order a packet meets them.
    pub const ALL: [Self; 5] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
    ];

    /// nft's name.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    /// The hook that nft calls `word`.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.keyword() == word)
    }

    /// Whether the packet's own interface is the one it leaves by.
    const fn is_outbound(self) -> bool {
        matches!(self, Self::Output | Self::Postrouting)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// What conntrack says of a packet: exactly one of these.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CtState {
    /// Conntrack cannot make sense of the packet.
    Invalid,
    /// Part of a connection that has seen packets in both directions.
    Established,
    /// Begins a connection that belongs to another one, or is an error about one.
    Related,
    /// Begins a connection.
    New,
    /// Conntrack was told to leave the packet alone; neighbour discovery always is.
    Untracked,
}

impl CtState {
    /// Every state, by number.
    pub const ALL: [Self; 5] = [
        Self::Invalid,
        Self::Established,
        Self::Related,
        Self::New,
        Self::Untracked,
    ];

    /// nft's name.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Established => "established",
            Self::Related => "related",
            Self::New => "new",
            Self::Untracked => "untracked",
        }
    }

    /// The state that nft calls `word`.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.keyword() == word)
    }
}

/// The source and destination of a packet; both have one family.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Addresses {
    /// IPv4.
    Ip {
        /// Source.
        saddr: Ipv4Addr,
        /// Destination.
        daddr: Ipv4Addr,
    },
    /// IPv6.
    Ip6 {
        /// Source.
        saddr: Ipv6Addr,
        /// Destination.
        daddr: Ipv6Addr,
    },
}

impl Addresses {
    /// The two addresses, or `None` when their families differ.
    #[must_use]
    pub const fn new(saddr: IpAddr, daddr: IpAddr) -> Option<Self> {
        match (saddr, daddr) {
            (IpAddr::V4(saddr), IpAddr::V4(daddr)) => Some(Self::Ip { saddr, daddr }),
            (IpAddr::V6(saddr), IpAddr::V6(daddr)) => Some(Self::Ip6 { saddr, daddr }),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// The family of both.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Ip { .. } => Family::Ip,
            Self::Ip6 { .. } => Family::Ip6,
        }
    }

    /// The source.
    #[must_use]
    pub const fn saddr(self) -> IpAddr {
        match self {
            Self::Ip { saddr, .. } => IpAddr::V4(saddr),
            Self::Ip6 { saddr, .. } => IpAddr::V6(saddr),
        }
    }

    /// The destination.
    #[must_use]
    pub const fn daddr(self) -> IpAddr {
        match self {
            Self::Ip { daddr, .. } => IpAddr::V4(daddr),
            Self::Ip6 { daddr, .. } => IpAddr::V6(daddr),
        }
    }
}

/// The transport header, as far as rules can look into it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// TCP or UDP.
    Ports {
        /// Which of the two.
        protocol: PortProtocol,
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
    },
    /// The ICMP that belongs to the packet's family.
    Icmp {
        /// The type of the message.
        icmp_type: u8,
    },
    /// Any other protocol, by number; also one family's ICMP inside the other family.
    Other(u8),
    /// A fragment that is not the first, of a packet of the protocol with this number. Where the
    /// transport header would be, it has bytes that say nothing.
    Fragment(u8),
}

/// A packet at a hook.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Packet {
    /// Where the packet is.
    pub hook: Hook,
    /// The interface it came in by; empty where the hook does not know it.
    pub iifname: String,
    /// The interface it goes out by; empty where the hook does not know it.
    pub oifname: String,
    /// Source and destination address.
    pub addresses: Addresses,
    /// `ip ttl` or `ip6 hoplimit`.
    pub hop_limit: u8,
    /// The transport header.
    pub transport: Transport,
    /// Conntrack's word on it.
    pub ct_state: CtState,
    /// What else is known of it, or known not to be there. What is neither said here nor follows
    /// from the rest is not known.
    pub facts: BTreeMap<Field, Loaded>,
}

impl Packet {
    /// Whether it carries the ICMP that belongs to the other family.
    #[must_use]
    pub fn has_icmp_of_other_family(&self) -> bool {
        let family = self.addresses.family();
        let mut others = Family::BOTH.into_iter().filter(|other| *other != family);
        others.any(|other| icmp_protocol(other) == self.protocol())
    }

    /// The transport protocol's number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Ports { protocol, .. } => protocol.number(),
            Transport::Icmp { .. } => icmp_protocol(self.addresses.family()),
            Transport::Other(number) | Transport::Fragment(number) => number,
        }
    }

    /// The interface that the packet is said to be on: where it came in, or where it goes out.
    fn interface(&self) -> &str {
        if self.hook.is_outbound() {
            &self.oifname
        } else {
            &self.iifname
        }
    }
}
