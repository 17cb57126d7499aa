//! What the number of a field stands for, and how nft(8) writes it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{ADDRESS_TYPES, FibResult, Field, interface, protocol_name};
use crate::address::{Family, Prefix};
use crate::icmp;
use crate::intervals::{Interval, Intervals};
use crate::packet::CtState;

/// What a number stands for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// An address.
    Address(Family),
    /// An interface's name, with nft's wildcard.
    Interface,
    /// A transport protocol.
    Protocol,
    /// A network layer protocol, as `meta nfproto` numbers it.
    Nfproto,
    /// A type of ICMP message.
    IcmpType(Family),
    /// A state of a connection.
    CtState,
    /// A direction of a connection.
    Direction,
    /// A type of address, as `fib` tells it.
    AddressType,
    /// Whom the link layer addressed.
    Pkttype,
    /// An address of the link layer.
    EtherAddress,
    /// Bits that are written in hexadecimal.
    Bits,
    /// `exists` or `missing`.
    Exists,
    /// Nothing but a number.
    Number,
}

/// `meta pkttype` by number (`linux/if_packet.h`).
pub const PKTTYPES: [(u8, &str); 4] = [
    (0, "host"),
    (1, "broadcast"),
    (2, "multicast"),
    (3, "other"),
];

/// The bits of `tcp flags`, by name.
pub const TCP_FLAGS: [(u8, &str); 8] = [
    (1, "fin"),
    (2, "syn"),
    (4, "rst"),
    (8, "psh"),
    (16, "ack"),
    (32, "urg"),
    (64, "ecn"),
    (128, "cwr"),
];

/// The bits of `ct status`, by name (`enum ip_conntrack_status`).
pub const CT_STATUS: [(u32, &str); 7] = [
    (1, "expected"),
    (2, "seen-reply"),
    (4, "assured"),
    (8, "confirmed"),
    (16, "snat"),
    (32, "dnat"),
    (512, "dying"),
];

impl Field {
    /// What its number stands for.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Iifname | Self::Oifname => Kind::Interface,
            Self::Saddr(family)
            | Self::Daddr(family)
            | Self::CtSaddr(_, family)
            | Self::CtDaddr(_, family) => Kind::Address(family),
            Self::L4proto | Self::NextHeader(_) | Self::CtProtocol(_) => Kind::Protocol,
            Self::Nfproto | Self::CtL3proto => Kind::Nfproto,
            Self::IcmpType(family) => Kind::IcmpType(family),
            Self::CtState => Kind::CtState,
            Self::CtDirection => Kind::Direction,
            Self::Pkttype => Kind::Pkttype,
            Self::EtherSaddr | Self::EtherDaddr => Kind::EtherAddress,
            Self::Exthdr(_) | Self::Ipsec => Kind::Exists,
            Self::Fib(fib) => match fib.result {
                FibResult::Type => Kind::AddressType,
                FibResult::Oif => Kind::Number,
                FibResult::Oifname => Kind::Interface,
                FibResult::Exists => Kind::Exists,
            },
            Self::Mark
            | Self::CtMark
            | Self::CtStatus
            | Self::TcpFlags
            | Self::Priority
            | Self::Protocol
            | Self::EtherType
            | Self::Flowlabel
            | Self::IpFragOff => Kind::Bits,
            _ => Kind::Number,
        }
    }
}

impl Kind {
    /// One number, as nft writes it.
    #[must_use]
    pub fn value(self, number: u128) -> String {
        let named = self.name(number).map(str::to_string);
        named.unwrap_or_else(|| match self {
            Self::Address(family) => family.address(number).to_string(),
            Self::Interface => alloc::format!("\"{}\"", interface::name(number)),
            Self::EtherAddress => ether_address(number),
            Self::Bits => alloc::format!("{number:#x}"),
            Self::Protocol
            | Self::Nfproto
            | Self::IcmpType(_)
            | Self::CtState
            | Self::Direction
            | Self::AddressType
            | Self::Pkttype
            | Self::Exists
            | Self::Number => number.to_string(),
        })
    }

    /// The name that nft has for a number.
    pub(crate) fn name(self, number: u128) -> Option<&'static str> {
        let small = u8::try_from(number).ok()?;
        let among = |table: &[(u8, &'static str)]| {
            let mut known = table.iter();
            known.find(|(of, _)| *of == small).map(|(_, name)| *name)
        };
        match self {
            Self::Protocol => protocol_name(small),
            Self::Nfproto => {
                let mut families = Family::BOTH.into_iter();
                let family = families.find(|family| family.number() == small);
                family.map(Family::nfproto)
            }
            Self::IcmpType(family) => icmp::type_name(family, small),
            Self::CtState => CtState::ALL.get(usize::from(small)).map(|s| s.keyword()),
            Self::Direction => among(&[(0, "original"), (1, "reply")]),
            Self::AddressType => among(&ADDRESS_TYPES),
            Self::Pkttype => among(&PKTTYPES),
            Self::Exists => among(&[(0, "missing"), (1, "exists")]),
            Self::Address(_) | Self::Interface | Self::EtherAddress | Self::Bits | Self::Number => {
                None
            }
        }
    }

    /// The numbers of an interval, as nft writes them: one value, a prefix, a wildcard, a range.
    #[must_use]
    pub fn interval(self, interval: Interval) -> String {
        let (first, last) = (interval.first(), interval.last());
        if first == last {
            return self.value(first);
        }
        let short = match self {
            Self::Address(family) => {
                Prefix::exactly(family, interval).map(|prefix| prefix.to_string())
            }
            Self::Interface => {
                interface::pattern_text(interval).map(|text| alloc::format!("\"{text}\""))
            }
            _ => None,
        };
        short.unwrap_or_else(|| {
            // A name stands for one number, so the ends of a range are written as numbers.
            let end = |number| match self.name(number) {
                Some(_) => number.to_string(),
                None => self.value(number),
            };
            alloc::format!("{}-{}", end(first), end(last))
        })
    }

    /// Every value or range of values, as nft writes it.
    #[must_use]
    pub fn texts(self, numbers: &Intervals) -> Vec<String> {
        let pieces = self.pieces(numbers);
        pieces.map(|piece| self.interval(piece)).collect()
    }

    /// What [`texts`](Self::texts) writes one by one, for whoever wants a few or their count.
    pub fn pieces(self, numbers: &Intervals) -> impl Iterator<Item = Interval> {
        numbers.iter().flat_map(move |interval| {
            // Named numbers are written out, as long as all of them have names.
            let (first, last) = (interval.first(), interval.last());
            let named =
                last - first < NAMES_AT_MOST && (first..=last).all(|it| self.name(it).is_some());
            let (whole, single) = match named {
                true => (None, Some(first..=last)),
                false => (Some(*interval), None),
            };
            let single = single.into_iter().flatten().map(Interval::single);
            whole.into_iter().chain(single)
        })
    }

    /// Values as the right side of a match: one, or nft's anonymous set.
    pub(crate) fn write_values(
        self,
        f: &mut impl fmt::Write,
        numbers: &Intervals,
        most: usize,
    ) -> fmt::Result {
        let mut pieces = self.pieces(numbers);
        let shown = pieces.by_ref().take(most);
        let texts: Vec<String> = shown.map(|piece| self.interval(piece)).collect();
        let more = pieces.count();
        if let ([only], 0) = (texts.as_slice(), more) {
            return f.write_str(only);
        }
        match more {
            0 => write!(f, "{{ {} }}", texts.join(", ")),
            more => write!(f, "{{ {}, … {more} more }}", texts.join(", ")),
        }
    }
}

/// Longest run of named numbers that is written out.
const NAMES_AT_MOST: u128 = 32;

/// `00:11:22:33:44:55`
fn ether_address(number: u128) -> String {
    let bytes = number.to_be_bytes();
    let texts: Vec<String> = bytes[10..]
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect();
    texts.join(":")
}
