//! The fields that a draft can ask beside those that [`super::Test`] names one by one.
//!
//! Each enumeration has just the fields that make sense in its place, so that a draft cannot ask
//! for what nft would refuse.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::Element;
use crate::address::Family;
use crate::field::kind::CT_STATUS;
use crate::field::{
    ADDRESS_TYPES, EXTENSION_HEADERS, Fib, FibResult, FibSource, Field, PortProtocol,
};
use crate::packet::CtState;

/// A field that holds a number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NumberField {
    /// `iifgroup`: the group of the interface that the packet came in by.
    Iifgroup,
    /// `oifgroup`: the group of the interface that the packet goes out by.
    Oifgroup,
    /// `meta pkttype`: 0 host, 1 broadcast, 2 multicast, 3 other.
    Pkttype,
    /// `meta mark`
    Mark,
    /// `meta skuid`: user of the socket that sent the packet.
    Skuid,
    /// `meta skgid`: group of the socket that sent the packet.
    Skgid,
    /// `meta hour`: second of the day, in UTC.
    Hour,
    /// `meta day`: day of the week, Sunday is 0.
    Day,
    /// `meta length`: bytes of the packet.
    Length,
    /// `ip length`, `ip6 length`: the length that the network header says.
    NetworkLength(Family),
    /// `ip dscp`, `ip6 dscp`
    Dscp(Family),
    /// `ip ecn`, `ip6 ecn`
    Ecn(Family),
    /// `icmp code`, `icmpv6 code`
    IcmpCode(Family),
    /// `th sport`: source port, whatever the transport protocol.
    ThSport,
    /// `th dport`: destination port, whatever the transport protocol.
    ThDport,
    /// `ct mark`
    CtMark,
    /// `ct direction`: 0 original, 1 reply.
    CtDirection,
    /// `fib saddr type`, `fib daddr type`: what kind of address the routing tables take it for.
    AddressType {
        /// Which address.
        of: FibSource,
        /// Whether only the interface that the packet came in by counts (`. iif`).
        iif: bool,
    },
    /// `fib saddr . iif oif`: 1 when there is a route back by the interface that the packet came
    /// in by, otherwise 0.
    ReversePath {
        /// Whether the packet's mark takes part (`. mark`).
        mark: bool,
    },
    /// `exthdr`: 1 when IPv6 has this extension header, otherwise 0.
    Exthdr(ExtensionHeader),
}

/// An extension header of IPv6 that nft(8) names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ExtensionHeader {
    /// `hbh`: hop-by-hop options.
    Hbh,
    /// `rt`: routing.
    Rt,
    /// `frag`: fragment.
    Frag,
    /// `dst`: destination options.
    Dst,
    /// `mh`: mobility.
    Mh,
}

impl ExtensionHeader {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Hbh, Self::Rt, Self::Frag, Self::Dst, Self::Mh];

    /// Its number (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        let [hbh, rt, frag, _, dst, mh] = EXTENSION_HEADERS;
        match self {
            Self::Hbh => hbh.0,
            Self::Rt => rt.0,
            Self::Frag => frag.0,
            Self::Dst => dst.0,
            Self::Mh => mh.0,
        }
    }
}

impl NumberField {
    /// Every one of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::from([
            Self::Iifgroup,
            Self::Oifgroup,
            Self::Pkttype,
            Self::Mark,
            Self::Skuid,
            Self::Skgid,
            Self::Hour,
            Self::Day,
            Self::Length,
            Self::ThSport,
            Self::ThDport,
            Self::CtMark,
            Self::CtDirection,
        ]);
        for family in Family::BOTH {
            all.extend([
                Self::NetworkLength(family),
                Self::Dscp(family),
                Self::Ecn(family),
                Self::IcmpCode(family),
            ]);
        }
        for of in [FibSource::Saddr, FibSource::Daddr] {
            all.extend([false, true].map(|iif| Self::AddressType { of, iif }));
        }
        all.extend([false, true].map(|mark| Self::ReversePath { mark }));
        all.extend(ExtensionHeader::ALL.map(Self::Exthdr));
        all
    }

    /// The field that it is.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::Iifgroup => Field::Iifgroup,
            Self::Oifgroup => Field::Oifgroup,
            Self::Pkttype => Field::Pkttype,
            Self::Mark => Field::Mark,
            Self::Skuid => Field::Skuid,
            Self::Skgid => Field::Skgid,
            Self::Hour => Field::Hour,
            Self::Day => Field::Day,
            Self::Length => Field::Length,
            Self::NetworkLength(family) => Field::NetworkLength(family),
            Self::Dscp(family) => Field::Dscp(family),
            Self::Ecn(family) => Field::Ecn(family),
            Self::IcmpCode(family) => Field::IcmpCode(family),
            Self::ThSport => Field::ThSport,
            Self::ThDport => Field::ThDport,
            Self::CtMark => Field::CtMark,
            Self::CtDirection => Field::CtDirection,
            Self::AddressType { of, iif } => Field::Fib(Fib {
                of,
                mark: false,
                iif,
                oif: false,
                result: FibResult::Type,
            }),
            Self::ReversePath { mark } => Field::Fib(Fib {
                of: FibSource::Saddr,
                mark,
                iif: true,
                oif: false,
                result: FibResult::Exists,
            }),
            Self::Exthdr(header) => Field::Exthdr(header.number()),
        }
    }

    /// The highest number that means something.
    #[must_use]
    pub fn max(self) -> u32 {
        match self {
            Self::Pkttype => 3,
            Self::Day => 6,
            // Seconds of a day, counted from 0.
            Self::Hour => 24 * 60 * 60 - 1,
            Self::AddressType { .. } => ADDRESS_TYPES.len() as u32 - 1,
            other => u32::try_from(other.field().max()).expect("none has more than 32 bits"),
        }
    }
}

/// A field of which single bits can be asked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BitField {
    /// `tcp flags`: FIN is 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECN 64, CWR 128.
    TcpFlags,
    /// `ct status`: what conntrack knows of the connection, as [`CT_STATUS`] counts.
    CtStatus,
    /// `meta mark`
    Mark,
    /// `ct mark`
    CtMark,
}

impl BitField {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::TcpFlags, Self::CtStatus, Self::Mark, Self::CtMark];

    /// The field that it is.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::TcpFlags => Field::TcpFlags,
            Self::CtStatus => Field::CtStatus,
            Self::Mark => Field::Mark,
            Self::CtMark => Field::CtMark,
        }
    }

    /// The bits that can be asked.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::TcpFlags => u8::MAX.into(),
            Self::CtStatus => CT_STATUS.iter().map(|(bit, _)| bit).sum(),
            Self::Mark | Self::CtMark => u32::MAX,
        }
    }
}

/// A field that can be asked together with others, or looked up in a map.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Selector {
    /// `iifname`
    Iifname,
    /// `oifname`
    Oifname,
    /// `ip saddr`, `ip6 saddr`
    Saddr(Family),
    /// `ip daddr`, `ip6 daddr`
    Daddr(Family),
    /// `meta l4proto`
    L4proto,
    /// `tcp sport`, `udp sport`
    Sport(PortProtocol),
    /// `tcp dport`, `udp dport`
    Dport(PortProtocol),
    /// `ct state`
    CtState,
}

impl Selector {
    /// Every one of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::from([Self::Iifname, Self::Oifname, Self::L4proto, Self::CtState]);
        all.extend(
            Family::BOTH
                .into_iter()
                .flat_map(|it| [Self::Saddr(it), Self::Daddr(it)]),
        );
        let protocols = PortProtocol::ALL.into_iter();
        all.extend(protocols.flat_map(|it| [Self::Sport(it), Self::Dport(it)]));
        all
    }

    /// The field that it is.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::Iifname => Field::Iifname,
            Self::Oifname => Field::Oifname,
            Self::Saddr(family) => Field::Saddr(family),
            Self::Daddr(family) => Field::Daddr(family),
            Self::L4proto => Field::L4proto,
            Self::Sport(protocol) => Field::Sport(protocol),
            Self::Dport(protocol) => Field::Dport(protocol),
            Self::CtState => Field::CtState,
        }
    }
}

/// Values of one field in an element. They must be such as the field holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Values {
    /// Numbers: ports, protocols.
    Numbers(RangeInclusive<u16>),
    /// Addresses.
    Addresses(Element),
    /// An interface's name, with nft's wildcard.
    Interface(String),
    /// A state of the connection.
    CtState(CtState),
}
