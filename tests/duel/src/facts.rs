//! What the model is told of a packet: what stands in its bytes, and what this machine and its
//! connection tracking know of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use portreeve_model::address::Family;
use portreeve_model::field::{
    Direction, Fib, FibResult, FibSource, Field, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP,
    PROTOCOL_UDP, PortProtocol,
};
use portreeve_model::packet::{Addresses, CtState, Hook, Loaded, Packet, Transport};
use portreeve_wire::device::Layer;
use portreeve_wire::packet::OPTIONS_HEADERS;

use crate::arena::{BARRED, INTERFACES, Interface};
use crate::conntrack::{Connection, Connections};
use crate::dissect::Dissected;
use crate::draw::values::groups;
use crate::shots::{Entry, Shot};

/// `ARPHRD_ETHER` and `ARPHRD_NONE` in `linux/if_arp.h`.
const ETHERNET: u128 = 1;
const TUNNEL: u128 = 0xfffe;

/// `RTN_*` in `linux/rtnetlink.h`.
const UNICAST: u128 = 1;
const LOCAL: u128 = 2;
const BROADCAST: u128 = 3;
const ANYCAST: u128 = 4;
const MULTICAST: u128 = 5;
const UNREACHABLE: u128 = 7;

/// Where the machine's routing tables lead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// To the machine itself.
    Here,
    /// Out by the interface at this position of [`INTERFACES`].
    Out(usize),
    /// To a group; whether this machine is in it.
    Group(bool),
    /// To everybody on the wire.
    Everybody,
    /// Nowhere, which the network at this position of [`BARRED`] says.
    Barred(usize),
    /// Nowhere.
    Nowhere,
}

impl Route {
    /// Whether somebody can be reached: this machine or another.
    #[must_use]
    pub const fn is_reached(self) -> bool {
        matches!(self, Self::Here | Self::Out(_))
    }
}

/// Where a packet to this address goes.
#[must_use]
pub fn route(family: Family, address: u128) -> Route {
    match family {
        Family::Ip => match address {
            0x0a00_0000..=0x0a00_3fff | 0x0aff_0000..=0x0aff_0003 | 0x7f00_0000..=0x7fff_ffff => {
                Route::Here
            }
            0xc612_0000..=0xc612_ffff => Route::Out(0),
            0xc613_0000..=0xc613_ffff => Route::Out(1),
            0xcb00_7100..=0xcb00_71ff => Route::Out(2),
            0xc000_0200..=0xc000_02ff => Route::Out(3),
            0xc633_6400..=0xc633_64bf => Route::Barred((address >> 6 & 3) as usize),
            0xe000_0000..=0xefff_ffff => Route::Group(address == groups(family)[0]),
            0xffff_ffff => Route::Everybody,
            _ => Route::Nowhere,
        },
        Family::Ip6 => match address >> 80 {
            _ if address >> 14 == 0xfd00 << 98 || address == 1 => Route::Here,
            _ if address >> 2 == 0xfdff << 110 => Route::Here,
            0x2001_0db8_0018 => Route::Out(0),
            0x2001_0db8_0019 => Route::Out(1),
            0x2001_0db8_0203 => Route::Out(2),
            0x2001_0db8_0192 => Route::Out(3),
            0x2001_0db8_0051 if address >> 64 & 0xffff < 3 => {
                Route::Barred((address >> 64 & 3) as usize)
            }
            high if high >> 40 == 0xff => Route::Group(address == groups(family)[0]),
            _ => Route::Nowhere,
        },
    }
}

/// The packet as the first hook sees it; none when it has no whole header.
#[must_use]
pub fn packet(shot: &Shot, connections: &mut Connections) -> Option<Packet> {
    let parts = Dissected::of(shot.packet())?;
    let received = shot.entry != Entry::Sent;
    let (ct_state, connection) = if shot.number().is_untracked() {
        (CtState::Untracked, None)
    } else {
        connections.judge(&parts, received)
    };
    let mut packet = Packet {
        hook: if received {
            Hook::Prerouting
        } else {
            Hook::Output
        },
        iifname: String::new(),
        oifname: String::new(),
        addresses: addresses(&parts),
        hop_limit: parts.hop_limit(),
        transport: transport(&parts),
        ct_state,
        facts: BTreeMap::new(),
    };
    network_header(&mut packet, &parts);
    transport_header(&mut packet, &parts);
    if let Some(connection) = connection {
        of_connection(&mut packet, parts.family, connection);
    }
    let mark = shot.number().mark();
    packet.facts.insert(Field::Mark, Loaded::Value(mark.into()));
    match shot.interface() {
        Some(interface) => comes_in(&mut packet, &parts, interface, shot.link_header()),
        None => {
            for field in [Field::Skuid, Field::Skgid] {
                packet.facts.insert(field, Loaded::Value(0));
            }
            goes_out(&mut packet, route(parts.family, parts.daddr));
        }
    }
    Some(packet)
}

fn addresses(parts: &Dissected<'_>) -> Addresses {
    let address = |bits: u128| match parts.family {
        Family::Ip => IpAddr::V4(Ipv4Addr::from(bits as u32)),
        Family::Ip6 => IpAddr::V6(Ipv6Addr::from(bits)),
    };
    Addresses::new(address(parts.saddr), address(parts.daddr)).expect("both of one family")
}

fn transport(parts: &Dissected<'_>) -> Transport {
    if parts.fragment.is_some_and(|(offset, _)| offset > 0) {
        return Transport::Fragment(parts.protocol);
    }
    let with_ports = PortProtocol::ALL
        .into_iter()
        .find(|it| it.number() == parts.protocol);
    match (with_ports, parts.protocol, parts.family) {
        (Some(protocol), ..) => Transport::Ports {
            protocol,
            sport: parts.word(0).unwrap_or_default(),
            dport: parts.word(2).unwrap_or_default(),
        },
        (_, PROTOCOL_ICMP, Family::Ip) | (_, PROTOCOL_ICMPV6, Family::Ip6) => Transport::Icmp {
            icmp_type: parts.transport.first().copied().unwrap_or_default(),
        },
        _ => Transport::Other(parts.protocol),
    }
}

impl Dissected<'_> {
    /// Sixteen bits of the transport header.
    fn word(&self, at: usize) -> Option<u16> {
        let bytes = self.transport.get(at..at + 2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

fn network_header(packet: &mut Packet, parts: &Dissected<'_>) {
    let bytes = parts.bytes;
    let length = bytes.len() as u128;
    let mut say = |field, value: u128| {
        packet.facts.insert(field, Loaded::Value(value));
    };
    say(Field::Length, length);
    let class = match parts.family {
        Family::Ip => {
            say(Field::NetworkLength(Family::Ip), length);
            say(Field::IpId, u16::from_be_bytes([bytes[4], bytes[5]]).into());
            say(
                Field::IpFragOff,
                u16::from_be_bytes([bytes[6], bytes[7]]).into(),
            );
            bytes[1]
        }
        Family::Ip6 => {
            say(Field::NetworkLength(Family::Ip6), length - 40);
            let flow = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            say(Field::Flowlabel, u128::from(flow & 0xf_ffff));
            (flow >> 20) as u8
        }
    };
    say(Field::Dscp(parts.family), (class >> 2).into());
    say(Field::Ecn(parts.family), (class & 3).into());
    if parts.family == Family::Ip6 {
        let fragment = parts.fragment.is_some();
        say(Field::Exthdr(44), fragment.into());
        for number in OPTIONS_HEADERS {
            say(
                Field::Exthdr(number),
                (parts.options == Some(number)).into(),
            );
        }
        say(Field::NextHeader(Family::Ip6), bytes[6].into());
    }
}

fn transport_header(packet: &mut Packet, parts: &Dissected<'_>) {
    if matches!(packet.transport, Transport::Fragment(_)) {
        return;
    }
    let family = parts.family;
    let byte = |at: usize| parts.transport.get(at).map(|it| u128::from(*it));
    let word = |at: usize| parts.word(at).map(u128::from);
    let mut say = |field, value: Option<u128>| {
        packet
            .facts
            .insert(field, value.map_or(Loaded::Absent, Loaded::Value));
    };
    say(Field::ThSport, word(0));
    say(Field::ThDport, word(2));
    for protocol in PortProtocol::ALL
        .into_iter()
        .filter(|it| it.number() == parts.protocol)
    {
        say(Field::Sport(protocol), word(0));
        say(Field::Dport(protocol), word(2));
    }
    match (parts.protocol, family) {
        (PROTOCOL_TCP, _) => say(Field::TcpFlags, byte(13)),
        (PROTOCOL_ICMP, Family::Ip) | (PROTOCOL_ICMPV6, Family::Ip6) => {
            say(Field::IcmpType(family), byte(0));
            say(Field::IcmpCode(family), byte(1));
            // nft looks at these in echoes only.
            let echo = match family {
                Family::Ip => matches!(parts.transport.first(), Some(0 | 8)),
                Family::Ip6 => matches!(parts.transport.first(), Some(128 | 129)),
            };
            say(Field::IcmpId(family), word(4).filter(|_| echo));
            say(Field::IcmpSequence(family), word(6).filter(|_| echo));
        }
        _ => {}
    }
}

fn of_connection(packet: &mut Packet, family: Family, connection: Connection) {
    let mark = connection
        .mark
        .map_or(Loaded::Unknown, |it| Loaded::Value(it.into()));
    packet.facts.insert(Field::CtMark, mark);
    let mut say = |field, value: u128| {
        packet.facts.insert(field, Loaded::Value(value));
    };
    let (protocol, saddr, sport, daddr, dport) = connection.original;
    say(Field::CtDirection, connection.reply.into());
    say(Field::CtStatus, connection.status.into());
    say(Field::CtZone, 0);
    for direction in Direction::BOTH {
        say(Field::CtProtocol(direction), protocol.into());
        let (from, to) = match direction {
            Direction::Original => ((saddr, sport), (daddr, dport)),
            Direction::Reply => ((daddr, dport), (saddr, sport)),
        };
        say(Field::CtSaddr(direction, family), from.0);
        say(Field::CtDaddr(direction, family), to.0);
        if matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP) {
            say(Field::CtSport(direction), from.1.into());
            say(Field::CtDport(direction), to.1.into());
        }
    }
}

fn comes_in(packet: &mut Packet, parts: &Dissected<'_>, by: &Interface, link_header: &[u8]) {
    packet.iifname = by.name.to_owned();
    let mut say = |field, value: u128| {
        packet.facts.insert(field, Loaded::Value(value));
    };
    say(Field::Iif, by.index.into());
    say(Field::Iifgroup, by.group.into());
    say(
        Field::Iiftype,
        match by.layer {
            Layer::Network => TUNNEL,
            Layer::Link => ETHERNET,
        },
    );
    say(
        Field::Pkttype,
        match link_header.first() {
            Some(0xff) => 1,
            Some(first) if first & 1 == 1 => 2,
            _ => 0,
        },
    );
    for field in [Field::Skuid, Field::Skgid] {
        packet.facts.insert(field, Loaded::Absent);
    }
    let link = |at: usize| {
        let address = link_header.get(at..at + 6)?;
        Some(
            address
                .iter()
                .fold(0, |bits, byte| bits << 8 | u128::from(*byte)),
        )
    };
    for (field, address) in [(Field::EtherDaddr, link(0)), (Field::EtherSaddr, link(6))] {
        let loaded = address.map_or(Loaded::Absent, Loaded::Value);
        packet.facts.insert(field, loaded);
    }
    // The reverse path, and the way back whatever way the packet came.
    let back = route(parts.family, parts.saddr);
    let interface = match back {
        Route::Out(at) => Some(INTERFACES[at]),
        Route::Here | Route::Group(_) | Route::Everybody | Route::Barred(_) | Route::Nowhere => {
            None
        }
    };
    let behind = interface.is_some_and(|it| it.index == by.index);
    let mut say = |iif: bool, result, value: u128| {
        let fib = Fib {
            of: FibSource::Saddr,
            mark: false,
            iif,
            oif: false,
            result,
        };
        packet.facts.insert(Field::Fib(fib), Loaded::Value(value));
    };
    say(true, FibResult::Exists, behind.into());
    say(false, FibResult::Exists, interface.is_some().into());
    say(
        true,
        FibResult::Oif,
        if behind { by.index.into() } else { 0 },
    );
    say(
        false,
        FibResult::Oif,
        interface.map_or(0, |it| it.index.into()),
    );
    destination_type(packet, parts.family, parts.daddr);
}

/// What `fib daddr type` says of a destination.
fn destination_type(packet: &mut Packet, family: Family, daddr: u128) {
    let kind = match route(family, daddr) {
        // The first address of a network means any router in it (RFC 4291, 2.6.1).
        Route::Here if family == Family::Ip6 && daddr.trailing_zeros() >= 14 => ANYCAST,
        Route::Here => LOCAL,
        Route::Out(_) => UNICAST,
        Route::Group(_) => MULTICAST,
        Route::Everybody => BROADCAST,
        // Of IPv4, only the machine's own addresses are looked for.
        Route::Barred(_) | Route::Nowhere if family == Family::Ip => UNICAST,
        Route::Barred(at) => BARRED[at].code.into(),
        Route::Nowhere => UNREACHABLE,
    };
    let fib = Fib {
        of: FibSource::Daddr,
        mark: false,
        iif: false,
        oif: false,
        result: FibResult::Type,
    };
    packet.facts.insert(Field::Fib(fib), Loaded::Value(kind));
}

/// When packets were sent: between two seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    first: u64,
    last: u64,
}

/// How far behind the kernel's clock of seconds may be: it goes on with each tick.
const TICK: Duration = Duration::from_millis(20);

impl Clock {
    /// From now on.
    #[must_use]
    pub fn start() -> Self {
        let first = seconds(SystemTime::now() - TICK);
        Self { first, last: first }
    }

    /// Until now.
    pub fn stop(&mut self) {
        self.last = seconds(SystemTime::now());
    }

    /// Tells the packet the hour and the day, where it is certain.
    pub fn tell(self, packet: &mut Packet) {
        let of = |second: fn(u64) -> u64| match second(self.first) {
            one if one == second(self.last) => Loaded::Value(one.into()),
            _ => Loaded::Unknown,
        };
        packet.facts.insert(Field::Hour, of(|it| it % DAY));
        // 1970 began on a Thursday.
        packet.facts.insert(Field::Day, of(|it| (it / DAY + 4) % 7));
    }
}

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// The packet leaves by an interface that is not known.
pub fn goes_out_somewhere(packet: &mut Packet) {
    for field in [Field::Oif, Field::Oifname, Field::Oifgroup, Field::Oiftype] {
        packet.facts.insert(field, Loaded::Unknown);
    }
}

/// Whether the packet is a fragment of IPv4.
#[must_use]
pub fn is_fragment(packet: &Packet) -> bool {
    match packet.facts.get(&Field::IpFragOff) {
        Some(Loaded::Value(place)) => place & 0x3fff != 0,
        Some(Loaded::Absent | Loaded::Unknown) | None => false,
    }
}

/// The packet leaves by the interface that a route says.
pub fn goes_out(packet: &mut Packet, route: Route) {
    let (name, index, group, kind) = match route {
        Route::Out(at) => {
            let Interface {
                name,
                index,
                group,
                layer,
                ..
            } = INTERFACES[at];
            let kind = match layer {
                Layer::Network => TUNNEL,
                Layer::Link => ETHERNET,
            };
            (name, index, group, kind)
        }
        // `ARPHRD_LOOPBACK`.
        Route::Here | Route::Group(_) | Route::Everybody | Route::Barred(_) | Route::Nowhere => {
            ("lo", 1, 0, 772)
        }
    };
    packet.oifname = name.to_owned();
    let mut say = |field, value: u128| {
        packet.facts.insert(field, Loaded::Value(value));
    };
    say(Field::Oif, index.into());
    say(Field::Oifgroup, group.into());
    say(Field::Oiftype, kind);
}
