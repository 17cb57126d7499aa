//! What stands in the bytes of a packet.

use portreeve_model::address::Family;
use portreeve_wire::packet::{FRAGMENT_HEADER, OPTIONS_HEADERS};

/// A packet of IP in its parts.
#[derive(Clone, Copy, Debug)]
pub struct Dissected<'a> {
    /// Its family.
    pub family: Family,
    /// The whole packet.
    pub bytes: &'a [u8],
    /// Source address.
    pub saddr: u128,
    /// Destination address.
    pub daddr: u128,
    /// The protocol above IP and its extension headers.
    pub protocol: u8,
    /// The number of the extension header of IPv6 that comes first, other than of a fragment.
    pub options: Option<u8>,
    /// The place of a fragment in its packet, in eight bytes, and whether more follow; none for a
    /// whole packet.
    pub fragment: Option<(u16, bool)>,
    /// Transport header and payload.
    pub transport: &'a [u8],
}

impl<'a> Dissected<'a> {
    /// The parts of a packet; none when it ends before its header does.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::of_ip(bytes),
            6 => Self::of_ip6(bytes),
            _ => None,
        }
    }

    /// `ip ttl`, `ip6 hoplimit`.
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        match self.family {
            Family::Ip => self.bytes[8],
            Family::Ip6 => self.bytes[7],
        }
    }

    fn of_ip(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..20)?;
        let address = |at: usize| -> u128 {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_be_bytes(bytes).into()
        };
        let place = u16::from_be_bytes([header[6], header[7]]);
        let fragment = (place & 0x1fff, place & 0x2000 != 0);
        Some(Self {
            family: Family::Ip,
            bytes,
            saddr: address(12),
            daddr: address(16),
            protocol: header[9],
            options: None,
            fragment: (fragment != (0, false)).then_some(fragment),
            transport: &bytes[20..],
        })
    }

    fn of_ip6(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..40)?;
        let address = |at: usize| {
            let mut address = [0; 16];
            address.copy_from_slice(&header[at..at + 16]);
            u128::from_be_bytes(address)
        };
        let (mut protocol, mut from) = (header[6], 40);
        let (mut options, mut fragment) = (None, None);
        if OPTIONS_HEADERS.contains(&protocol) {
            options = Some(protocol);
            protocol = *bytes.get(from)?;
            from += 8;
        }
        if protocol == FRAGMENT_HEADER {
            let extension = bytes.get(from..from + 8)?;
            let place = u16::from_be_bytes([extension[2], extension[3]]);
            protocol = extension[0];
            fragment = Some((place >> 3, place & 1 == 1));
            from += 8;
        }
        Some(Self {
            family: Family::Ip6,
            bytes,
            saddr: address(8),
            daddr: address(24),
            protocol,
            options,
            fragment,
            transport: bytes.get(from..)?,
        })
    }
}
