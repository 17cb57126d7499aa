//! What a sender is told when its packet is rejected.

use portreeve_model::address::Family;
use portreeve_model::field::PortProtocol;
use portreeve_model::packet::{Packet, Transport};
use portreeve_model::tables::Reject;

use crate::dissect::Dissected;
use crate::facts::{Route, route};
use crate::shots::{Entry, Shot};

/// The codes of "destination unreachable" by nft's names (RFC 792, RFC 1812).
const CODES: [(u8, &str); 8] = [
    (0, "net-unreachable"),
    (1, "host-unreachable"),
    (2, "prot-unreachable"),
    (3, "port-unreachable"),
    (4, "frag-needed"),
    (9, "net-prohibited"),
    (10, "host-prohibited"),
    (13, "admin-prohibited"),
];

/// The same for ICMPv6 (RFC 4443).
const CODES6: [(u8, &str); 6] = [
    (0, "no-route"),
    (1, "admin-prohibited"),
    (3, "addr-unreachable"),
    (4, "port-unreachable"),
    (5, "policy-fail"),
    (6, "reject-route"),
];

/// The answer to a packet of this family, as nft lists it; none when there is none for it.
#[must_use]
pub fn to(family: Family, reject: Reject) -> Option<String> {
    let code = |code: u8, code6: u8| match family {
        Family::Ip => of(&CODES, code).map(|name| format!("icmp {name}")),
        Family::Ip6 => of(&CODES6, code6).map(|name| format!("icmpv6 {name}")),
    };
    // `icmp_code` and `icmpv6_code` in `nft_reject.c`.
    match reject {
        Reject::NoRoute => code(0, 0),
        Reject::PortUnreachable => code(3, 4),
        Reject::HostUnreachable => code(1, 3),
        Reject::AdminProhibited => code(13, 1),
        Reject::TcpReset => Some("tcp reset".to_owned()),
        Reject::Icmp(number) => code(number, u8::MAX),
        Reject::Icmpv6(number) => code(u8::MAX, number),
    }
}

fn of(codes: &[(u8, &'static str)], code: u8) -> Option<&'static str> {
    codes
        .iter()
        .find(|(number, _)| *number == code)
        .map(|(_, name)| *name)
}

/// Whether the packet is one that no rule of ICMP and TCP keeps the machine from answering: whole,
/// no message of ICMP, no reset, from somebody who can be reached, and said to this machine alone.
#[must_use]
pub fn must_come(packet: &Packet, shot: &Shot) -> bool {
    let Some(parts) = Dissected::of(shot.packet()) else {
        return false;
    };
    let alone = shot.link_header().first().is_none_or(|it| it & 1 == 0);
    // A group is not answered for, and nobody answers to one.
    let reachable = matches!(route(parts.family, parts.saddr), Route::Out(_))
        && route(parts.family, parts.daddr).is_reached();
    let plain = match packet.transport {
        Transport::Ports {
            protocol: PortProtocol::Udp,
            ..
        } => parts.transport.len() >= 8,
        Transport::Ports {
            protocol: PortProtocol::Tcp,
            ..
        } => parts.transport.len() >= 20 && parts.transport[13] & 4 == 0,
        _ => false,
    };
    let sound = plain && !parts.has_wrong_checksum();
    shot.entry != Entry::Sent && alone && reachable && sound && parts.fragment.is_none()
}
