//! The Ethernet frames that the prober writes and reads itself: TCP segments, and ARP.
//!
//! Frames of our own let each probe have a source address, a port and a sequence number of its
//! own, whatever addresses the prober's side has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portreeve_model::field::PROTOCOL_TCP;

use crate::lab::barrier;

/// The hardware addresses of the two ends of the cable: locally administered ones.
pub(super) const PROBER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The machine's end.
pub(super) const MACHINE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERNET_BYTES: usize = 14;
const ARP_REPLY: u8 = 2;

/// A TCP segment without options.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Segment {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// How many bytes of data it carries. They are zeros.
    pub(super) data: usize,
}

/// What a frame from the machine is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Received {
    Segment(Segment),
    /// The answer to [`barrier`].
    Barrier,
    /// Neighbour discovery and the like.
    Other,
}

impl Segment {
    /// The segment as a frame from the prober to the machine.
    ///
    /// # Panics
    /// When its ends are of different families.
    pub(super) fn frame(&self) -> Vec<u8> {
        let (from, to) = (octets(self.from.ip()), octets(self.to.ip()));
        assert_eq!(from.len(), to.len(), "both ends are of one family");
        let tcp = self.tcp(&from, &to);
        let length = (tcp.len() as u16).to_be_bytes();
        let (ethertype, mut ip) = if self.from.is_ipv4() {
            let total = (tcp.len() as u16 + 20).to_be_bytes();
            // "Do not fragment", so that the identification may be zero (RFC 6864).
            let mut ip = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0];
            ip.extend([HOP_LIMIT, PROTOCOL_TCP, 0, 0]);
            (ETHERTYPE_IPV4, ip)
        } else {
            let ip = vec![0x60, 0, 0, 0, length[0], length[1], PROTOCOL_TCP, HOP_LIMIT];
            (ETHERTYPE_IPV6, ip)
        };
        ip.extend(&from);
        ip.extend(&to);
        if ethertype == ETHERTYPE_IPV4 {
            let checksum = checksum(&[&ip], 0);
            ip[10..12].copy_from_slice(&checksum);
        }
        let mut frame = ethernet(MACHINE_MAC, ethertype);
        frame.extend(ip);
        frame.extend(tcp);
        frame
    }

    fn tcp(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + self.data);
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        // Five words of header; the largest window; no checksum yet; nothing urgent.
        tcp.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.resize(20 + self.data, 0);
        // The pseudo-headers of both families come to the same sum.
        let pseudo = u32::from(PROTOCOL_TCP) + tcp.len() as u32;
        let checksum = checksum(&[from, to, &tcp], pseudo);
        tcp[16..18].copy_from_slice(&checksum);
        tcp
    }

    /// The sequence number after this segment.
    pub(super) fn next_seq(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.seq.wrapping_add(self.data as u32 + flags)
    }
}

const HOP_LIMIT: u8 = 64;

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ethernet(to: [u8; 6], ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(80);
    frame.extend(to);
    frame.extend(PROBER_MAC);
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// RFC 1071, over parts that each begin at an even place.
fn checksum(parts: &[&[u8]], start: u32) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let words = parts.iter().flat_map(|part| part.chunks(2)).map(word);
    let mut sum = words.fold(start, u32::wrapping_add);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A frame that the kernel of the machine answers whatever a table of the family `inet` says:
/// who has `machine`? Tell `asker`.
pub(super) fn barrier(asker: Ipv4Addr, machine: Ipv4Addr) -> Vec<u8> {
    barrier::request(PROBER_MAC, asker, machine)
}

/// Reads a frame from the machine.
pub(super) fn read(frame: &[u8]) -> Received {
    let segment = match u16_at(frame, 12) {
        Some(ETHERTYPE_ARP) if frame.get(21) == Some(&ARP_REPLY) => return Received::Barrier,
        Some(ETHERTYPE_IPV4) => segment_v4(&frame[ETHERNET_BYTES..]),
        Some(ETHERTYPE_IPV6) => segment_v6(&frame[ETHERNET_BYTES..]),
        _ => None,
    };
    segment.map_or(Received::Other, Received::Segment)
}

fn segment_v4(packet: &[u8]) -> Option<Segment> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(packet, 2)?);
    let address = |at: usize| {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets).into())
    };
    let is_tcp = *packet.get(9)? == PROTOCOL_TCP;
    is_tcp.then_some(())?;
    segment(address(12)?, address(16)?, packet.get(header..total)?)
}

fn segment_v6(packet: &[u8]) -> Option<Segment> {
    let total = 40 + usize::from(u16_at(packet, 4)?);
    let address = |at: usize| {
        let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).into())
    };
    let is_tcp = *packet.get(6)? == PROTOCOL_TCP;
    is_tcp.then_some(())?;
    segment(address(8)?, address(24)?, packet.get(40..total)?)
}

fn segment(from: IpAddr, to: IpAddr, tcp: &[u8]) -> Option<Segment> {
    let header = usize::from(*tcp.get(12)? >> 4) * 4;
    Some(Segment {
        from: SocketAddr::new(from, u16_at(tcp, 0)?),
        to: SocketAddr::new(to, u16_at(tcp, 2)?),
        seq: u32_at(tcp, 4)?,
        ack: u32_at(tcp, 8)?,
        flags: *tcp.get(13)?,
        data: tcp.len().checked_sub(header)?,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let word: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(word))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> [Segment; 2] {
        let ends = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        [
            ends("198.51.100.7:1025", "203.0.113.10:443"),
            ends("[2001:db8:bad::7]:1025", "[2001:db8:10::10]:443"),
        ]
        .map(|(from, to)| Segment {
            from,
            to,
            seq: 0xffff_fffe,
            ack: 7,
            flags: SYN | ACK,
            data: 1,
        })
    }

    #[test]
    fn a_segment_is_read_as_it_was_written_and_not_at_all_when_cut() {
        for segment in examples() {
            let frame = segment.frame();
            assert_eq!(read(&frame), Received::Segment(segment));
            for length in 0..frame.len() {
                assert_eq!(read(&frame[..length]), Received::Other, "cut at {length}");
            }
            assert_eq!(segment.next_seq(), 0, "SYN and data count one each");
        }
    }

    #[test]
    fn the_checksum_makes_the_sum_all_ones() {
        for segment in examples() {
            let frame = segment.frame();
            let tcp = frame.len() - 21;
            // From the source address on, with the protocol and the length.
            let addresses = if segment.from.is_ipv4() { 26 } else { 22 };
            let (before, after) = (&frame[addresses..tcp], &frame[tcp..]);
            assert_eq!(checksum(&[before, after], 6 + 21), [0, 0]);
        }
    }

    #[test]
    fn only_an_answer_is_a_barrier() {
        let mut frame = barrier([203, 0, 113, 254].into(), [203, 0, 113, 10].into());
        assert_eq!(read(&frame), Received::Other);
        frame[21] = ARP_REPLY;
        assert_eq!(read(&frame), Received::Barrier);
    }
}
