//! The fields of a packet that a rule can look at, in nft(8)'s words.

use core::fmt;

use crate::address::Family;
use crate::packet::Hook;

/// What a match loads from a packet. Each field but an interface name is a number.
///
/// The order is the order in which a validated rule holds its matches.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Field {
    /// Name of the interface that the packet came in by.
    Iifname,
    /// Name of the interface that the packet goes out by.
    Oifname,
    /// Network layer protocol.
    Nfproto,
    /// Source address, of one family.
    Saddr(Family),
    /// Destination address, of one family.
    Daddr(Family),
    /// Hop limit: `ip ttl`, `ip6 hoplimit`.
    HopLimit(Family),
    /// Transport protocol, as IANA numbers them.
    L4proto,
    /// Source port.
    Sport(PortProtocol),
    /// Destination port.
    Dport(PortProtocol),
    /// ICMP type: `icmp type` of IPv4, `icmpv6 type` of IPv6.
    IcmpType(Family),
    /// State of the connection that the packet belongs to, as [`crate::packet::CtState`] counts.
    CtState,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl PortProtocol {
    /// The protocol number (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => PROTOCOL_TCP,
            Self::Udp => PROTOCOL_UDP,
        }
    }

    /// nft's name.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// Protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// Protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// Protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;

/// The protocol number of the ICMP that belongs to `family`.
#[must_use]
pub const fn icmp_protocol(family: Family) -> u8 {
    match family {
        Family::Ip => PROTOCOL_ICMP,
        Family::Ip6 => PROTOCOL_ICMPV6,
    }
}

/// nft's name of a transport protocol, when it has one in every version.
#[must_use]
pub const fn protocol_name(number: u8) -> Option<&'static str> {
    match number {
        PROTOCOL_ICMP => Some("icmp"),
        PROTOCOL_TCP => Some("tcp"),
        PROTOCOL_UDP => Some("udp"),
        PROTOCOL_ICMPV6 => Some("ipv6-icmp"),
        _ => None,
    }
}

impl Field {
    /// The highest number the field can hold.
    #[must_use]
    pub const fn max(self) -> u128 {
        match self {
            Self::Saddr(family) | Self::Daddr(family) => family.max(),
            Self::Sport(_) | Self::Dport(_) => u16::MAX as u128,
            Self::Iifname | Self::Oifname => 0,
            Self::Nfproto | Self::HopLimit(_) | Self::L4proto | Self::IcmpType(_) => {
                u8::MAX as u128
            }
            Self::CtState => 4,
        }
    }

    /// The only family in whose packets the field exists.
    ///
    /// nft checks it before it loads the field, so a rule on any other packet does not match,
    /// negated or not.
    #[must_use]
    pub const fn family(self) -> Option<Family> {
        match self {
            Self::Saddr(family)
            | Self::Daddr(family)
            | Self::HopLimit(family)
            | Self::IcmpType(family) => Some(family),
            Self::Iifname
            | Self::Oifname
            | Self::Nfproto
            | Self::L4proto
            | Self::Sport(_)
            | Self::Dport(_)
            | Self::CtState => None,
        }
    }

    /// The only transport protocol in whose packets the field exists; checked like the family.
    #[must_use]
    pub const fn protocol(self) -> Option<u8> {
        match self {
            Self::Sport(protocol) | Self::Dport(protocol) => Some(protocol.number()),
            Self::IcmpType(family) => Some(icmp_protocol(family)),
            Self::Iifname
            | Self::Oifname
            | Self::Nfproto
            | Self::Saddr(_)
            | Self::Daddr(_)
            | Self::HopLimit(_)
            | Self::L4proto
            | Self::CtState => None,
        }
    }

    /// Whether a packet at `hook` has the field at all. Where an interface is not known, the
    /// kernels disagree on what its name is, so a rule may not ask.
    #[must_use]
    pub const fn is_known_at(self, hook: Hook) -> bool {
        match self {
            Self::Iifname => matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward),
            Self::Oifname => matches!(hook, Hook::Forward | Hook::Output | Hook::Postrouting),
            Self::Nfproto
            | Self::Saddr(_)
            | Self::Daddr(_)
            | Self::HopLimit(_)
            | Self::L4proto
            | Self::Sport(_)
            | Self::Dport(_)
            | Self::IcmpType(_)
            | Self::CtState => true,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iifname => f.write_str("iifname"),
            Self::Oifname => f.write_str("oifname"),
            Self::Nfproto => f.write_str("meta nfproto"),
            Self::Saddr(family) => write!(f, "{} saddr", family.keyword()),
            Self::Daddr(family) => write!(f, "{} daddr", family.keyword()),
            Self::HopLimit(Family::Ip) => f.write_str("ip ttl"),
            Self::HopLimit(Family::Ip6) => f.write_str("ip6 hoplimit"),
            Self::L4proto => f.write_str("meta l4proto"),
            Self::Sport(protocol) => write!(f, "{} sport", protocol.keyword()),
            Self::Dport(protocol) => write!(f, "{} dport", protocol.keyword()),
            Self::IcmpType(Family::Ip) => f.write_str("icmp type"),
            Self::IcmpType(Family::Ip6) => f.write_str("icmpv6 type"),
            Self::CtState => f.write_str("ct state"),
        }
    }
}
