//! The fields of a packet that a rule can look at, in nft(8)'s words.
//!
//! Every field is a number. Interface names are too: the sixteen bytes that the kernel compares
//! (`IFNAMSIZ` in `linux/if.h`), the first the highest, so that `eth*` is an interval.

pub mod fib;
pub mod interface;
pub mod kind;

use core::fmt;

use crate::address::Family;
pub use crate::field::fib::{ADDRESS_TYPES, Fib, FibResult, FibSource};
pub use crate::field::kind::Kind;
use crate::packet::Hook;

/// What a match loads from a packet.
///
/// The order is the order in which a validated rule holds its matches.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Field {
    /// `iif`: index of the interface that the packet came in by.
    Iif,
    /// `iifname`: its name.
    Iifname,
    /// `iifgroup`: the group it is in.
    Iifgroup,
    /// `meta iiftype`: its hardware type (`ARPHRD_*` in `linux/if_arp.h`).
    Iiftype,
    /// `oif`: index of the interface that the packet goes out by.
    Oif,
    /// `oifname`: its name.
    Oifname,
    /// `oifgroup`: the group it is in.
    Oifgroup,
    /// `meta oiftype`: its hardware type.
    Oiftype,
    /// `meta pkttype`: whom the link layer addressed (`PACKET_*` in `linux/if_packet.h`).
    Pkttype,
    /// `meta mark`: the packet's mark.
    Mark,
    /// `meta priority`: its traffic control class.
    Priority,
    /// `meta skuid`: user that the packet's socket belongs to.
    Skuid,
    /// `meta skgid`: group that the packet's socket belongs to.
    Skgid,
    /// `meta time`: nanoseconds since 1970.
    Time,
    /// `meta day`: day of the week, Sunday is 0.
    Day,
    /// `meta hour`: second of the day, in UTC.
    Hour,
    /// `meta ipsec`: whether the packet came through IPsec.
    Ipsec,
    /// `meta length`: bytes of the packet.
    Length,
    /// `meta protocol`: the EtherType.
    Protocol,
    /// `ether saddr`: source address of the link layer.
    EtherSaddr,
    /// `ether daddr`: destination address of the link layer.
    EtherDaddr,
    /// `ether type`: the EtherType, as the frame says it.
    EtherType,
    /// `fib`: what the routing tables say of an address of the packet.
    Fib(Fib),
    /// `meta nfproto`: network layer protocol.
    Nfproto,
    /// Source address, of one family.
    Saddr(Family),
    /// Destination address, of one family.
    Daddr(Family),
    /// `dscp`: differentiated services code point (RFC 2474).
    Dscp(Family),
    /// `ecn`: explicit congestion notification (RFC 3168).
    Ecn(Family),
    /// `ip length`, `ip6 length`: the length that the network header says.
    NetworkLength(Family),
    /// `ip id`: identification of an IPv4 packet.
    IpId,
    /// `ip frag-off`: flags and fragment offset of IPv4, sixteen bits.
    IpFragOff,
    /// `ip6 flowlabel`
    Flowlabel,
    /// `exthdr NAME exists`: whether IPv6 has the extension header of this number.
    Exthdr(u8),
    /// Hop limit: `ip ttl`, `ip6 hoplimit`.
    HopLimit(Family),
    /// `ip protocol`, `ip6 nexthdr`: what the network header says comes next.
    NextHeader(Family),
    /// Transport protocol, as IANA numbers them.
    L4proto,
    /// Source port.
    Sport(PortProtocol),
    /// Destination port.
    Dport(PortProtocol),
    /// `th sport`: the first sixteen bits of any transport header.
    ThSport,
    /// `th dport`: the second sixteen bits of any transport header.
    ThDport,
    /// `tcp flags`: eight bits, FIN is 1 and CWR is 128.
    TcpFlags,
    /// ICMP type: `icmp type` of IPv4, `icmpv6 type` of IPv6.
    IcmpType(Family),
    /// ICMP code: `icmp code` of IPv4, `icmpv6 code` of IPv6.
    IcmpCode(Family),
    /// `icmp id`, `icmpv6 id`: identifier of an echo.
    IcmpId(Family),
    /// `icmp sequence`, `icmpv6 sequence`: number of an echo.
    IcmpSequence(Family),
    /// State of the connection that the packet belongs to, as [`crate::packet::CtState`] counts.
    CtState,
    /// `ct direction`: 0 original, 1 reply.
    CtDirection,
    /// `ct status`: bits (`IPS_*` in `nf_conntrack_common.h`).
    CtStatus,
    /// `ct mark`: the connection's mark.
    CtMark,
    /// `ct zone`
    CtZone,
    /// `ct expiration`: milliseconds until conntrack forgets the connection.
    CtExpiration,
    /// `ct l3proto`: network layer protocol of the connection.
    CtL3proto,
    /// `ct protocol`: transport protocol of the connection, in a direction.
    CtProtocol(Direction),
    /// `ct original ip saddr`: source address of the connection, in a direction.
    CtSaddr(Direction, Family),
    /// `ct original ip daddr`: destination address of the connection, in a direction.
    CtDaddr(Direction, Family),
    /// `ct original proto-src`: source port of the connection, in a direction.
    CtSport(Direction),
    /// `ct original proto-dst`: destination port of the connection, in a direction.
    CtDport(Direction),
}

/// A direction of a connection: as its first packet went, or back.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// As the first packet went.
    Original,
    /// Back.
    Reply,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Original, Self::Reply];

    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Reply => "reply",
        }
    }
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    Udplite,
    /// SCTP.
    Sctp,
    /// DCCP.
    Dccp,
}

impl PortProtocol {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Udplite, Self::Sctp, Self::Dccp];

    /// The protocol number (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => PROTOCOL_TCP,
            Self::Udp => PROTOCOL_UDP,
            Self::Udplite => PROTOCOL_UDPLITE,
            Self::Sctp => PROTOCOL_SCTP,
            Self::Dccp => PROTOCOL_DCCP,
        }
    }

    /// nft's name.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Udplite => "udplite",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
        }
    }
}

/// Protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// Protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// Protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// Protocol number of DCCP.
pub const PROTOCOL_DCCP: u8 = 33;
/// Protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;
/// Protocol number of SCTP.
pub const PROTOCOL_SCTP: u8 = 132;
/// Protocol number of UDP-Lite.
pub const PROTOCOL_UDPLITE: u8 = 136;

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
    /// How many bits the field has.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Iifname | Self::Oifname => interface::BITS,
            Self::Saddr(family) | Self::Daddr(family) => family_bits(family),
            Self::CtSaddr(_, family) | Self::CtDaddr(_, family) => family_bits(family),
            Self::Fib(fib) => match fib.result {
                FibResult::Oifname => interface::BITS,
                FibResult::Type | FibResult::Oif => 32,
                FibResult::Exists => 1,
            },
            Self::Time => 64,
            Self::EtherSaddr | Self::EtherDaddr => 48,
            Self::Iif
            | Self::Iifgroup
            | Self::Oif
            | Self::Oifgroup
            | Self::Mark
            | Self::Priority
            | Self::Skuid
            | Self::Skgid
            | Self::Hour
            | Self::Length
            | Self::CtStatus
            | Self::CtMark
            | Self::CtExpiration => 32,
            Self::Flowlabel => 20,
            Self::Iiftype
            | Self::Oiftype
            | Self::Protocol
            | Self::EtherType
            | Self::NetworkLength(_)
            | Self::IpId
            | Self::IpFragOff
            | Self::Sport(_)
            | Self::Dport(_)
            | Self::ThSport
            | Self::ThDport
            | Self::IcmpId(_)
            | Self::IcmpSequence(_)
            | Self::CtZone
            | Self::CtSport(_)
            | Self::CtDport(_) => 16,
            Self::Pkttype
            | Self::Day
            | Self::Nfproto
            | Self::HopLimit(_)
            | Self::NextHeader(_)
            | Self::L4proto
            | Self::TcpFlags
            | Self::IcmpType(_)
            | Self::IcmpCode(_)
            | Self::CtL3proto
            | Self::CtProtocol(_) => 8,
            Self::Dscp(_) => 6,
            Self::CtState => 3,
            Self::Ecn(_) => 2,
            Self::Ipsec | Self::Exthdr(_) | Self::CtDirection => 1,
        }
    }

    /// The highest number the field can hold.
    #[must_use]
    pub const fn max(self) -> u128 {
        match self {
            // Five states, counted from 0.
            Self::CtState => 4,
            _ => u128::MAX >> (u128::BITS - self.bits()),
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
            | Self::Dscp(family)
            | Self::Ecn(family)
            | Self::NetworkLength(family)
            | Self::HopLimit(family)
            | Self::NextHeader(family)
            | Self::IcmpType(family)
            | Self::IcmpCode(family)
            | Self::IcmpId(family)
            | Self::IcmpSequence(family)
            | Self::CtSaddr(_, family)
            | Self::CtDaddr(_, family) => Some(family),
            Self::IpId | Self::IpFragOff => Some(Family::Ip),
            Self::Flowlabel | Self::Exthdr(_) => Some(Family::Ip6),
            _ => None,
        }
    }

    /// The only transport protocol in whose packets the field exists; checked like the family.
    #[must_use]
    pub const fn protocol(self) -> Option<u8> {
        match self {
            Self::Sport(protocol) | Self::Dport(protocol) => Some(protocol.number()),
            Self::TcpFlags => Some(PROTOCOL_TCP),
            Self::IcmpType(family)
            | Self::IcmpCode(family)
            | Self::IcmpId(family)
            | Self::IcmpSequence(family) => Some(icmp_protocol(family)),
            _ => None,
        }
    }

    /// Whether the field lies in the transport header, which a later fragment does not have.
    #[must_use]
    pub const fn is_of_transport(self) -> bool {
        matches!(
            self,
            Self::Sport(_)
                | Self::Dport(_)
                | Self::ThSport
                | Self::ThDport
                | Self::TcpFlags
                | Self::IcmpType(_)
                | Self::IcmpCode(_)
                | Self::IcmpId(_)
                | Self::IcmpSequence(_)
        )
    }

    /// Whether the field lies in a header of the packet, next to others.
    #[must_use]
    pub const fn is_of_header(self) -> bool {
        self.is_of_transport()
            || matches!(
                self,
                Self::NetworkLength(_)
                    | Self::IpId
                    | Self::IpFragOff
                    | Self::Flowlabel
                    | Self::HopLimit(_)
                    | Self::NextHeader(_)
                    | Self::Dscp(_)
                    | Self::Ecn(_)
                    | Self::Saddr(_)
                    | Self::Daddr(_)
                    | Self::EtherSaddr
                    | Self::EtherDaddr
                    | Self::EtherType
            )
    }

    /// Whether the field comes from the packet's connection, which an untracked packet has not.
    #[must_use]
    pub const fn is_of_connection(self) -> bool {
        matches!(
            self,
            Self::CtDirection
                | Self::CtStatus
                | Self::CtMark
                | Self::CtZone
                | Self::CtExpiration
                | Self::CtL3proto
                | Self::CtProtocol(_)
                | Self::CtSaddr(..)
                | Self::CtDaddr(..)
                | Self::CtSport(_)
                | Self::CtDport(_)
        )
    }

    /// Whether the field is about the interface that a packet came in by.
    #[must_use]
    pub const fn is_of_iif(self) -> bool {
        matches!(
            self,
            Self::Iif | Self::Iifname | Self::Iifgroup | Self::Iiftype
        )
    }

    /// Whether the field is about the interface that a packet goes out by.
    #[must_use]
    pub const fn is_of_oif(self) -> bool {
        matches!(
            self,
            Self::Oif | Self::Oifname | Self::Oifgroup | Self::Oiftype
        )
    }

    /// Whether a packet at `hook` has the field at all. Where an interface is not known, the
    /// kernels disagree on what its name is, so a rule may not ask.
    #[must_use]
    pub const fn is_known_at(self, hook: Hook) -> bool {
        if self.is_of_iif() {
            matches!(hook, Hook::Prerouting | Hook::Input | Hook::Forward)
        } else if self.is_of_oif() {
            matches!(hook, Hook::Forward | Hook::Output | Hook::Postrouting)
        } else {
            true
        }
    }
}

/// Bits of an address.
const fn family_bits(family: Family) -> u32 {
    match family {
        Family::Ip => 32,
        Family::Ip6 => 128,
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_icmp = |family| match family {
            Family::Ip => "icmp",
            Family::Ip6 => "icmpv6",
        };
        match *self {
            Self::Fib(fib) => write!(f, "{fib}"),
            Self::Saddr(family) => write!(f, "{} saddr", family.keyword()),
            Self::Daddr(family) => write!(f, "{} daddr", family.keyword()),
            Self::Dscp(family) => write!(f, "{} dscp", family.keyword()),
            Self::Ecn(family) => write!(f, "{} ecn", family.keyword()),
            Self::NetworkLength(family) => write!(f, "{} length", family.keyword()),
            Self::Exthdr(number) => match exthdr_name(number) {
                Some(name) => write!(f, "exthdr {name}"),
                None => write!(f, "exthdr {number}"),
            },
            Self::Sport(protocol) => write!(f, "{} sport", protocol.keyword()),
            Self::Dport(protocol) => write!(f, "{} dport", protocol.keyword()),
            Self::IcmpType(family) => write!(f, "{} type", of_icmp(family)),
            Self::IcmpCode(family) => write!(f, "{} code", of_icmp(family)),
            Self::IcmpId(family) => write!(f, "{} id", of_icmp(family)),
            Self::IcmpSequence(family) => write!(f, "{} sequence", of_icmp(family)),
            Self::CtProtocol(direction) => write!(f, "ct {} protocol", direction.keyword()),
            Self::CtSaddr(direction, family) => {
                write!(f, "ct {} {} saddr", direction.keyword(), family.keyword())
            }
            Self::CtDaddr(direction, family) => {
                write!(f, "ct {} {} daddr", direction.keyword(), family.keyword())
            }
            Self::CtSport(direction) => write!(f, "ct {} proto-src", direction.keyword()),
            Self::CtDport(direction) => write!(f, "ct {} proto-dst", direction.keyword()),
            plain => f.write_str(plain.words()),
        }
    }
}

impl Field {
    /// nft's words for a field that is the same for every family, protocol and direction.
    const fn words(self) -> &'static str {
        match self {
            Self::Iif => "iif",
            Self::Iifname => "iifname",
            Self::Iifgroup => "iifgroup",
            Self::Iiftype => "meta iiftype",
            Self::Oif => "oif",
            Self::Oifname => "oifname",
            Self::Oifgroup => "oifgroup",
            Self::Oiftype => "meta oiftype",
            Self::Pkttype => "meta pkttype",
            Self::Mark => "meta mark",
            Self::Priority => "meta priority",
            Self::Skuid => "meta skuid",
            Self::Skgid => "meta skgid",
            Self::Time => "meta time",
            Self::Day => "meta day",
            Self::Hour => "meta hour",
            Self::Ipsec => "meta ipsec",
            Self::Length => "meta length",
            Self::Protocol => "meta protocol",
            Self::EtherSaddr => "ether saddr",
            Self::EtherDaddr => "ether daddr",
            Self::EtherType => "ether type",
            Self::Nfproto => "meta nfproto",
            Self::IpId => "ip id",
            Self::IpFragOff => "ip frag-off",
            Self::Flowlabel => "ip6 flowlabel",
            Self::HopLimit(Family::Ip) => "ip ttl",
            Self::HopLimit(Family::Ip6) => "ip6 hoplimit",
            Self::NextHeader(Family::Ip) => "ip protocol",
            Self::NextHeader(Family::Ip6) => "ip6 nexthdr",
            Self::L4proto => "meta l4proto",
            Self::ThSport => "th sport",
            Self::ThDport => "th dport",
            Self::TcpFlags => "tcp flags",
            Self::CtState => "ct state",
            Self::CtDirection => "ct direction",
            Self::CtStatus => "ct status",
            Self::CtMark => "ct mark",
            Self::CtZone => "ct zone",
            Self::CtExpiration => "ct expiration",
            Self::CtL3proto => "ct l3proto",
            Self::Fib(_)
            | Self::Saddr(_)
            | Self::Daddr(_)
            | Self::Dscp(_)
            | Self::Ecn(_)
            | Self::NetworkLength(_)
            | Self::Exthdr(_)
            | Self::Sport(_)
            | Self::Dport(_)
            | Self::IcmpType(_)
            | Self::IcmpCode(_)
            | Self::IcmpId(_)
            | Self::IcmpSequence(_)
            | Self::CtProtocol(_)
            | Self::CtSaddr(..)
            | Self::CtDaddr(..)
            | Self::CtSport(_)
            | Self::CtDport(_) => "",
        }
    }
}

/// The IPv6 extension headers that nft(8) names, by number (IANA).
pub const EXTENSION_HEADERS: [(u8, &str); 6] = [
    (0, "hbh"),
    (43, "rt"),
    (44, "frag"),
    (51, "ah"),
    (60, "dst"),
    (135, "mh"),
];

/// nft's name of an extension header.
fn exthdr_name(number: u8) -> Option<&'static str> {
    let mut known = EXTENSION_HEADERS.into_iter();
    known.find(|(of, _)| *of == number).map(|(_, name)| name)
}
