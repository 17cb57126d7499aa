//! Packets as bytes, from what is wanted of them.

use portreeve_model::address::Family;
use portreeve_model::field::{
    PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE,
};

/// What a packet shall be. Fields that its protocol has not are of no account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipe {
    /// What tells it from others: `ip id`, or `ip6 flowlabel`; and its sequence numbers if it is TCP.
    pub number: u16,
    /// Its family.
    pub family: Family,
    /// Source address.
    pub saddr: u128,
    /// Destination address.
    pub daddr: u128,
    /// `ip ttl`, `ip6 hoplimit`.
    pub hop_limit: u8,
    /// `dscp` and `ecn`, as they stand in one byte.
    pub traffic_class: u8,
    /// Protocol above IP.
    pub protocol: u8,
    /// The number of an extension header of IPv6 that only fills.
    pub extension: Option<u8>,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// `tcp flags`
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Identifier of an echo.
    pub icmp_id: u16,
    /// Number of an echo.
    pub icmp_sequence: u16,
    /// What comes after the transport header.
    pub payload: Vec<u8>,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damage {
    /// Nothing.
    None,
    /// The checksum of the transport header is.
    Checksum,
    /// The packet ends after this many bytes of its transport header.
    Truncated(u8),
    /// It is a fragment: the one at this multiple of eight bytes, and whether more follow.
    Fragment(u16, bool),
}

impl Recipe {
    /// The packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut transport = self.transport();
        if let Damage::Truncated(length) = self.damage {
            transport.truncate(length.into());
        }
        match self.family {
            Family::Ip => self.ip(&transport),
            Family::Ip6 => self.ip6(&transport),
        }
    }

    /// The packet in a frame of Ethernet.
    #[must_use]
    pub fn frame(&self, from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
        // `ETH_P_IP` and `ETH_P_IPV6` in `linux/if_ether.h`.
        let ethertype: [u8; 2] = match self.family {
            Family::Ip => [0x08, 0x00],
            Family::Ip6 => [0x86, 0xdd],
        };
        [to.as_slice(), &from, &ethertype, &self.bytes()].concat()
    }

    fn ip(&self, transport: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + transport.len()).unwrap_or(u16::MAX);
        let fragment = match self.damage {
            Damage::Fragment(offset, more) => offset | u16::from(more) << 13,
            Damage::None | Damage::Checksum | Damage::Truncated(_) => 0,
        };
        let mut header = vec![0x45, self.traffic_class];
        for number in [length, self.number, fragment] {
            header.extend(number.to_be_bytes());
        }
        header.extend([self.hop_limit, self.protocol, 0, 0]);
        header.extend((self.saddr as u32).to_be_bytes());
        header.extend((self.daddr as u32).to_be_bytes());
        let sum = checksum(&[&header]).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        header.extend_from_slice(transport);
        header
    }

    fn ip6(&self, transport: &[u8]) -> Vec<u8> {
        let (mut next, mut extension) = match self.damage {
            Damage::Fragment(offset, more) => {
                let place = (offset << 3 | u16::from(more)).to_be_bytes();
                let id = u32::from(self.number).to_be_bytes();
                let header = [[self.protocol, 0, place[0], place[1]], id].concat();
                (FRAGMENT_HEADER, header)
            }
            Damage::None | Damage::Checksum | Damage::Truncated(_) => (self.protocol, Vec::new()),
        };
        if let Some(number) = self.extension {
            // The option `PadN` (RFC 8200, 4.2).
            let filling = [next, 0, 1, 4, 0, 0, 0, 0];
            extension.splice(0..0, filling);
            next = number;
        }
        let length = u16::try_from(extension.len() + transport.len()).unwrap_or(u16::MAX);
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | u32::from(self.number);
        let mut packet = first.to_be_bytes().to_vec();
        packet.extend(length.to_be_bytes());
        packet.extend([next, self.hop_limit]);
        packet.extend(self.saddr.to_be_bytes());
        packet.extend(self.daddr.to_be_bytes());
        packet.extend(extension);
        packet.extend_from_slice(transport);
        packet
    }

    /// Transport header and payload.
    fn transport(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(20 + self.payload.len());
        let checksum_at = match self.protocol {
            PROTOCOL_TCP => {
                // Any answer repeats one of these numbers.
                let number = u32::from(self.number) << 16;
                header.extend(self.ports());
                header.extend([number.to_be_bytes(), number.to_be_bytes()].concat());
                header.extend([0x50, self.tcp_flags, 4, 0, 0, 0, 0, 0]);
                Some(16)
            }
            PROTOCOL_UDP | PROTOCOL_UDPLITE => {
                let length = u16::try_from(8 + self.payload.len()).unwrap_or(u16::MAX);
                header.extend(self.ports());
                header.extend(length.to_be_bytes());
                header.extend([0, 0]);
                Some(6)
            }
            PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
                header.extend([self.icmp_type, self.icmp_code, 0, 0]);
                header.extend(self.icmp_id.to_be_bytes());
                header.extend(self.icmp_sequence.to_be_bytes());
                Some(2)
            }
            _ => {
                header.extend(self.ports());
                header.extend([0; 8]);
                None
            }
        };
        header.extend_from_slice(&self.payload);
        if let Some(at) = checksum_at {
            let mut sum = self.transport_checksum(&header);
            if self.damage == Damage::Checksum {
                sum ^= 0x0101;
            }
            // A sum of zero means "none" in UDP.
            let sum = if sum == 0 { 0xffff } else { sum };
            header[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        header
    }

    fn ports(&self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.sport.to_be_bytes(), self.dport.to_be_bytes());
        [a, b, c, d]
    }

    fn transport_checksum(&self, segment: &[u8]) -> u16 {
        if self.protocol == PROTOCOL_ICMP {
            return checksum(&[segment]);
        }
        pseudo_checksum(
            self.family,
            [self.saddr, self.daddr],
            self.protocol,
            segment,
        )
    }
}

/// Next header: fragment (`NEXTHDR_FRAGMENT` in `net/ipv6.h`).
pub const FRAGMENT_HEADER: u8 = 44;

/// Next header: hop-by-hop options and destination options (`net/ipv6.h`).
pub const OPTIONS_HEADERS: [u8; 2] = [0, 60];

/// The checksum of a segment under its pseudo header (RFC 9293, 3.1; RFC 8200, 8.1).
#[must_use]
pub fn pseudo_checksum(family: Family, addresses: [u128; 2], protocol: u8, segment: &[u8]) -> u16 {
    let bytes = addresses.map(u128::to_be_bytes);
    let from = match family {
        Family::Ip => 12,
        Family::Ip6 => 0,
    };
    let length = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let rest = [length.to_be_bytes(), [0, 0, 0, protocol]].concat();
    checksum(&[&bytes[0][from..], &bytes[1][from..], &rest, segment])
}

/// The Internet checksum (RFC 1071). Every piece but the last has an even length.
#[must_use]
pub fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for piece in pieces {
        for word in piece.chunks(2) {
            let low = word.get(1).copied().unwrap_or_default();
            sum += u64::from(u16::from_be_bytes([word[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3.
    #[test]
    fn the_checksum_is_that_of_the_internet() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&bytes]), !0xddf2);
        assert_eq!(checksum(&[&bytes[..2], &bytes[2..]]), !0xddf2);
    }
}
