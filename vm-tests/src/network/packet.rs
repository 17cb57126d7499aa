//! The packets that ask a machine for something, and what its answers are answers to.

use std::net::IpAddr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpProtocol, IpRepr, Ipv4Packet,
    Ipv6Packet, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
    /// An echo.
    Echo,
}

/// An attempt, as the answers to it say: by whom, and by which numbers of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Flow {
    /// The protocol above IP.
    pub protocol: IpProtocol,
    /// Who asked.
    pub from: IpAddr,
    /// The source port; of an echo, its identifier.
    pub id: u16,
    /// The destination port; of an echo, nothing.
    pub port: u16,
}

/// What came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// A connection, with the number that its next segment has; a datagram; an echo.
    Open {
        /// The sequence number that the machine expects, if it is TCP.
        next: u32,
    },
    /// TCP was reset.
    Reset,
    /// ICMP says that it cannot be delivered.
    Unreachable {
        /// The code of the message "destination unreachable".
        code: u8,
    },
}

/// The hops that a packet of the internet has left.
const HOP_LIMIT: u8 = 57;

/// A packet that asks for something, and how its answers will be known. `id` is its source port.
#[must_use]
pub fn question(from: IpAddr, to: IpAddr, target: Target, id: u16) -> (Flow, Vec<u8>) {
    let (protocol, port) = match target {
        Target::Tcp(port) => (IpProtocol::Tcp, port),
        Target::Udp(port) => (IpProtocol::Udp, port),
        Target::Echo if from.is_ipv4() => (IpProtocol::Icmp, 0),
        Target::Echo => (IpProtocol::Icmpv6, 0),
    };
    let flow = Flow {
        protocol,
        from,
        id,
        port,
    };
    let payload = match target {
        Target::Tcp(_) => tcp(&flow, to, TcpControl::Syn, u32::from(id) << 16),
        Target::Udp(_) => udp(&flow, to),
        Target::Echo => echo(from, to, id),
    };
    (flow, packet(&flow, to, &payload))
}

/// The segment that ends at once what has just been opened, so that nobody sends anything again.
#[must_use]
pub fn reset(flow: &Flow, to: IpAddr, next: u32) -> Vec<u8> {
    packet(flow, to, &tcp(flow, to, TcpControl::Rst, next))
}

/// What a packet of the machine answers, and how; none when it answers nothing.
#[must_use]
pub fn answer(packet: &[u8]) -> Option<(Flow, Answer)> {
    let (header, payload) = read(packet)?;
    let asker = header.dst_addr().into();
    let flow = |id, port| Flow {
        protocol: header.next_header(),
        from: asker,
        id,
        port,
    };
    match header.next_header() {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            let flow = flow(segment.dst_port(), segment.src_port());
            match (segment.rst(), segment.syn() && segment.ack()) {
                (true, _) => Some((flow, Answer::Reset)),
                (false, true) => {
                    let next = segment.ack_number().0.cast_unsigned();
                    Some((flow, Answer::Open { next }))
                }
                (false, false) => None,
            }
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(payload).ok()?;
            let flow = flow(datagram.dst_port(), datagram.src_port());
            Some((flow, Answer::Open { next: 0 }))
        }
        IpProtocol::Icmp => {
            let message = Icmpv4Packet::new_checked(payload).ok()?;
            match u8::from(message.msg_type()) {
                // RFC 792: echo reply, destination unreachable.
                0 => Some((flow(message.echo_ident(), 0), Answer::Open { next: 0 })),
                3 => Some((quoted(message.data())?, unreachable(message.msg_code()))),
                _ => None,
            }
        }
        IpProtocol::Icmpv6 => {
            let message = Icmpv6Packet::new_checked(payload).ok()?;
            match u8::from(message.msg_type()) {
                // RFC 4443: echo reply, destination unreachable.
                129 => Some((flow(message.echo_ident(), 0), Answer::Open { next: 0 })),
                1 => Some((quoted(message.payload())?, unreachable(message.msg_code()))),
                _ => None,
            }
        }
        _ => None,
    }
}

const fn unreachable(code: u8) -> Answer {
    Answer::Unreachable { code }
}

/// A packet's header and what it carries.
fn read(packet: &[u8]) -> Option<(IpRepr, &[u8])> {
    let checksums = ChecksumCapabilities::default();
    match packet.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            let header = smoltcp::wire::Ipv4Repr::parse(&packet, &checksums).ok()?;
            Some((IpRepr::Ipv4(header), packet.payload()))
        }
        6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            let header = smoltcp::wire::Ipv6Repr::parse(&packet).ok()?;
            Some((IpRepr::Ipv6(header), packet.payload()))
        }
        _ => None,
    }
}

/// The attempt that an error quotes: the packet that it is about, perhaps only its first bytes.
fn quoted(packet: &[u8]) -> Option<Flow> {
    let (from, protocol, transport): (IpAddr, _, _) = match packet.first()? >> 4 {
        4 => {
            let header = packet.get(..20)?;
            let octets: [u8; 4] = header[12..16].try_into().ok()?;
            let length = usize::from(header[0] & 0xf) * 4;
            (octets.into(), header[9], packet.get(length..)?)
        }
        6 => {
            let header = packet.get(..40)?;
            let octets: [u8; 16] = header[8..24].try_into().ok()?;
            (octets.into(), header[6], &packet[40..])
        }
        _ => return None,
    };
    let word = |at: usize| {
        let bytes: [u8; 2] = transport.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    let protocol = IpProtocol::from(protocol);
    let (id, port) = match protocol {
        IpProtocol::Tcp | IpProtocol::Udp => (word(0)?, word(2)?),
        IpProtocol::Icmp | IpProtocol::Icmpv6 => (word(4)?, 0),
        _ => return None,
    };
    Some(Flow {
        protocol,
        from,
        id,
        port,
    })
}

fn packet(flow: &Flow, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let header = IpRepr::new(
        flow.from.into(),
        to.into(),
        flow.protocol,
        payload.len(),
        HOP_LIMIT,
    );
    let mut bytes = vec![0; header.buffer_len()];
    header.emit(&mut bytes[..], &ChecksumCapabilities::default());
    bytes[header.header_len()..].copy_from_slice(payload);
    bytes
}

fn tcp(flow: &Flow, to: IpAddr, control: TcpControl, sequence: u32) -> Vec<u8> {
    let opens = control == TcpControl::Syn;
    let segment = TcpRepr {
        src_port: flow.id,
        dst_port: flow.port,
        control,
        seq_number: TcpSeqNumber(sequence.cast_signed()),
        ack_number: None,
        window_len: u16::MAX,
        window_scale: None,
        max_seg_size: opens.then_some(1_460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let mut bytes = vec![0; segment.buffer_len()];
    let (from, to): (IpAddress, IpAddress) = (flow.from.into(), to.into());
    let mut packet = TcpPacket::new_unchecked(&mut bytes[..]);
    segment.emit(&mut packet, &from, &to, &ChecksumCapabilities::default());
    bytes
}

fn udp(flow: &Flow, to: IpAddr) -> Vec<u8> {
    let header = UdpRepr {
        src_port: flow.id,
        dst_port: flow.port,
    };
    let data = flow.id.to_be_bytes();
    let mut bytes = vec![0; header.header_len() + data.len()];
    let mut packet = UdpPacket::new_unchecked(&mut bytes[..]);
    header.emit(
        &mut packet,
        &flow.from.into(),
        &to.into(),
        data.len(),
        |payload| payload.copy_from_slice(&data),
        &ChecksumCapabilities::default(),
    );
    bytes
}

fn echo(from: IpAddr, to: IpAddr, ident: u16) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let (seq_no, data) = (1, &b"portreeve"[..]);
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let echo = Icmpv6Repr::EchoRequest {
                ident,
                seq_no,
                data,
            };
            let mut bytes = vec![0; echo.buffer_len()];
            let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[..]);
            echo.emit(&from, &to, &mut packet, &checksums);
            bytes
        }
        _ => {
            let echo = Icmpv4Repr::EchoRequest {
                ident,
                seq_no,
                data,
            };
            let mut bytes = vec![0; echo.buffer_len()];
            let mut packet = Icmpv4Packet::new_unchecked(&mut bytes[..]);
            echo.emit(&mut packet, &checksums);
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [(&str, &str); 2] = [
        ("198.51.100.7", "203.0.113.10"),
        ("2001:db8:bad::7", "2001:db8:10::10"),
    ];
    const TARGETS: [Target; 3] = [Target::Tcp(443), Target::Udp(53), Target::Echo];

    fn questions() -> impl Iterator<Item = (Flow, IpAddr, Vec<u8>)> {
        ENDS.into_iter().flat_map(|(from, to)| {
            let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
            TARGETS.into_iter().map(move |target| {
                let (flow, packet) = question(from, to, target, 40_000);
                (flow, to, packet)
            })
        })
    }

    /// An error of the machine about a packet, cut to what is quoted at least.
    fn refusal(about: &[u8], flow: &Flow, to: IpAddr, code: u8) -> Vec<u8> {
        let (kind, protocol, quoted) = match flow.from {
            IpAddr::V4(_) => (3, IpProtocol::Icmp, &about[..28]),
            IpAddr::V6(_) => (1, IpProtocol::Icmpv6, &about[..48]),
        };
        let message = [&[kind, code, 0, 0, 0, 0, 0, 0], quoted].concat();
        let back = Flow {
            protocol,
            from: to,
            ..*flow
        };
        packet(&back, flow.from, &message)
    }

    #[test]
    fn an_error_is_laid_to_the_question_that_it_quotes() {
        for (flow, to, about) in questions() {
            let error = refusal(&about, &flow, to, 13);
            assert_eq!(answer(&error), Some((flow, unreachable(13))));
            for length in 0..error.len() - 1 {
                let told = answer(&error[..length]);
                assert_eq!(told, None, "cut at {length}");
            }
        }
    }

    #[test]
    fn a_question_is_no_answer() {
        for (_, _, packet) in questions() {
            assert!(!matches!(answer(&packet), Some((_, Answer::Reset))));
        }
    }

    #[test]
    fn what_is_accepted_and_what_is_reset_are_told_apart() {
        for (from, to) in ENDS {
            let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let (flow, _) = question(from, to, Target::Tcp(443), 40_000);
            let back = Flow {
                from: to,
                id: 443,
                port: 40_000,
                ..flow
            };
            let mut accepted = tcp(&back, from, TcpControl::Syn, 7);
            let mut segment = TcpPacket::new_unchecked(&mut accepted[..]);
            segment.set_ack(true);
            segment.set_ack_number(TcpSeqNumber(99));
            segment.fill_checksum(&to.into(), &from.into());
            let packet_of = |segment: &[u8]| packet(&back, from, segment);
            let open = Answer::Open { next: 99 };
            assert_eq!(answer(&packet_of(&accepted)), Some((flow, open)));
            let refused = tcp(&back, from, TcpControl::Rst, 0);
            let reset = Some((flow, Answer::Reset));
            assert_eq!(answer(&packet_of(&refused)), reset);
        }
    }
}
