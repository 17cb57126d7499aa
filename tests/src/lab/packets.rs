//! The few bytes of ICMP that the client writes and reads itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portreeve_model::address::Family;
use portreeve_model::field::{PROTOCOL_ICMP, PROTOCOL_ICMPV6};

/// What an attempt is known by in the answers to it: its own address, its protocol, and its
/// source port or, for echo, its identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    pub(super) saddr: IpAddr,
    pub(super) protocol: u8,
    pub(super) id: u16,
}

/// An ICMP message that answers an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Message {
    /// The answer to the echo request with this identifier.
    EchoReply(u16),
    /// What this flow sent could not be delivered; with ICMP's code.
    Unreachable(Flow, u8),
}

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const V6_UNREACHABLE: u8 = 1;
const V6_ECHO_REQUEST: u8 = 128;
const V6_ECHO_REPLY: u8 = 129;

/// An echo request. The kernel adds the checksum of ICMPv6, but not that of ICMP.
pub(super) fn echo_request(family: Family, id: u16) -> [u8; 8] {
    let [high, low] = id.to_be_bytes();
    match family {
        Family::Ip6 => [V6_ECHO_REQUEST, 0, 0, 0, high, low, 0, 1],
        Family::Ip => {
            // RFC 1071, over the only three words that are not zero.
            let sum = u32::from(ECHO_REQUEST) * 256 + u32::from(id) + 1;
            let folded = (sum & 0xffff) + (sum >> 16);
            let [first, second] = (!(folded as u16)).to_be_bytes();
            [ECHO_REQUEST, 0, first, second, high, low, 0, 1]
        }
    }
}

/// Reads what a raw ICMP socket of `family` received: with its IP header for IPv4, without for
/// IPv6, as the kernel gives them.
pub(super) fn read(family: Family, bytes: &[u8]) -> Option<Message> {
    let icmp = match family {
        Family::Ip => bytes.get(header_length(bytes)?..)?,
        Family::Ip6 => bytes,
    };
    let id = || u16_at(icmp, 4);
    match (family, *icmp.first()?) {
        (Family::Ip, ECHO_REPLY) | (Family::Ip6, V6_ECHO_REPLY) => Some(Message::EchoReply(id()?)),
        (Family::Ip, UNREACHABLE) | (Family::Ip6, V6_UNREACHABLE) => {
            let flow = flow(family, icmp.get(8..)?)?;
            Some(Message::Unreachable(flow, *icmp.get(1)?))
        }
        _ => None,
    }
}

/// The flow of the packet that an error quotes.
fn flow(family: Family, packet: &[u8]) -> Option<Flow> {
    let (saddr, protocol, transport) = match family {
        Family::Ip => {
            let saddr: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            let transport = packet.get(header_length(packet)?..)?;
            (Ipv4Addr::from(saddr).into(), *packet.get(9)?, transport)
        }
        Family::Ip6 => {
            let saddr: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            let saddr = Ipv6Addr::from(saddr).into();
            (saddr, *packet.get(6)?, packet.get(40..)?)
        }
    };
    let at = if matches!(protocol, PROTOCOL_ICMP | PROTOCOL_ICMPV6) {
        4
    } else {
        0
    };
    Some(Flow {
        saddr,
        protocol,
        id: u16_at(transport, at)?,
    })
}

fn header_length(packet: &[u8]) -> Option<usize> {
    Some(usize::from(packet.first()? & 0x0f) * 4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let word: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_an_echo_request_makes_the_sum_all_ones() {
        for id in [0, 1, 0x1234, u16::MAX] {
            let words = echo_request(Family::Ip, id);
            let sum: u32 = words
                .chunks(2)
                .map(|word| u32::from(word[0]) * 256 + u32::from(word[1]))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{id}");
        }
    }

    #[test]
    fn an_error_is_laid_to_the_flow_that_it_quotes() {
        let mut packet = vec![0x45; 1];
        packet.resize(20, 0);
        packet.extend([UNREACHABLE, 13, 0, 0, 0, 0, 0, 0]);
        let mut quoted = [0; 28];
        quoted[0] = 0x45;
        quoted[9] = 6;
        quoted[12..16].copy_from_slice(&[192, 0, 2, 7]);
        quoted[20..22].copy_from_slice(&40_000_u16.to_be_bytes());
        packet.extend(quoted);
        let flow = Flow {
            saddr: [192, 0, 2, 7].into(),
            protocol: 6,
            id: 40_000,
        };
        assert_eq!(
            read(Family::Ip, &packet),
            Some(Message::Unreachable(flow, 13))
        );
        for length in 0..packet.len() - 6 {
            assert_eq!(read(Family::Ip, &packet[..length]), None, "cut at {length}");
        }
    }
}
