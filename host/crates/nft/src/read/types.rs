//! nft's data types: what a number stands for, and by which names a listing calls it.
//!
//! A name that only the machine knows (of a mark, a user, a class) is not read: its number is not
//! certain. Names that nft takes from `/etc/protocols` and `/etc/services` are those that every
//! Linux distribution ships.

use portreeve_model::address::{Family, address_bits};
use portreeve_model::field::kind::{PKTTYPES, TCP_FLAGS};
use portreeve_model::field::{ADDRESS_TYPES, FibResult, Field, Kind, interface};
use portreeve_model::icmp;
use portreeve_model::packet::CtState;

use super::names::{CT_STATUS, DAYS, DSCP, ECN, ETHER_TYPES, HARDWARE, ICMP_CODES, ICMPV6_CODES};
use crate::protocols;

/// A data type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Datatype {
    Address(Family),
    EtherAddress,
    /// An interface by name.
    Interface,
    /// An interface by index, which nft lists by the interface's name.
    InterfaceIndex,
    Protocol,
    Service,
    Nfproto,
    IcmpType(Family),
    IcmpCode(Family),
    CtState,
    CtDirection,
    CtStatus,
    AddressType,
    Pkttype,
    EtherType,
    Dscp,
    Ecn,
    TcpFlags,
    Mark,
    Group,
    Class,
    Hardware,
    Day,
    /// A time or an hour, which nft lists in the time zone of whoever asked.
    Clock,
    User,
    Exists,
    Number,
}

/// The types that sets are declared with, by nft's name.
const DECLARED: [(&str, Datatype); 31] = [
    ("ipv4_addr", Datatype::Address(Family::Ip)),
    ("ipv6_addr", Datatype::Address(Family::Ip6)),
    ("ether_addr", Datatype::EtherAddress),
    ("ifname", Datatype::Interface),
    ("iface_index", Datatype::InterfaceIndex),
    ("iface_type", Datatype::Hardware),
    ("devgroup", Datatype::Group),
    ("inet_proto", Datatype::Protocol),
    ("inet_service", Datatype::Service),
    ("nf_proto", Datatype::Nfproto),
    ("icmp_type", Datatype::IcmpType(Family::Ip)),
    ("icmpv6_type", Datatype::IcmpType(Family::Ip6)),
    ("icmp_code", Datatype::IcmpCode(Family::Ip)),
    ("icmpv6_code", Datatype::IcmpCode(Family::Ip6)),
    ("ct_state", Datatype::CtState),
    ("ct_dir", Datatype::CtDirection),
    ("ct_status", Datatype::CtStatus),
    ("fib_addrtype", Datatype::AddressType),
    ("pkt_type", Datatype::Pkttype),
    ("ether_type", Datatype::EtherType),
    ("dscp", Datatype::Dscp),
    ("ecn", Datatype::Ecn),
    ("tcp_flag", Datatype::TcpFlags),
    ("mark", Datatype::Mark),
    ("classid", Datatype::Class),
    ("day", Datatype::Day),
    ("hour", Datatype::Clock),
    ("time", Datatype::Clock),
    ("uid", Datatype::User),
    ("gid", Datatype::User),
    ("integer", Datatype::Number),
];

impl Datatype {
    /// The type that a set is declared with.
    pub(super) fn declared(name: &str) -> Option<Self> {
        let mut known = DECLARED.iter();
        known.find(|(of, _)| *of == name).map(|(_, it)| *it)
    }

    /// The type of a field.
    pub(crate) const fn of(field: Field) -> Self {
        match field {
            Field::Saddr(family)
            | Field::Daddr(family)
            | Field::CtSaddr(_, family)
            | Field::CtDaddr(_, family) => Self::Address(family),
            Field::EtherSaddr | Field::EtherDaddr => Self::EtherAddress,
            Field::Iifname | Field::Oifname => Self::Interface,
            Field::Iif | Field::Oif => Self::InterfaceIndex,
            Field::L4proto | Field::NextHeader(_) | Field::CtProtocol(_) => Self::Protocol,
            Field::Sport(_)
            | Field::Dport(_)
            | Field::ThSport
            | Field::ThDport
            | Field::CtSport(_)
            | Field::CtDport(_) => Self::Service,
            Field::Nfproto | Field::CtL3proto => Self::Nfproto,
            Field::IcmpType(family) => Self::IcmpType(family),
            Field::IcmpCode(family) => Self::IcmpCode(family),
            Field::CtState => Self::CtState,
            Field::CtDirection => Self::CtDirection,
            Field::CtStatus => Self::CtStatus,
            Field::Fib(fib) => match fib.result {
                FibResult::Type => Self::AddressType,
                FibResult::Oif => Self::InterfaceIndex,
                FibResult::Oifname => Self::Interface,
                FibResult::Exists => Self::Exists,
            },
            Field::Pkttype => Self::Pkttype,
            Field::Protocol | Field::EtherType => Self::EtherType,
            Field::Dscp(_) => Self::Dscp,
            Field::Ecn(_) => Self::Ecn,
            Field::TcpFlags => Self::TcpFlags,
            Field::Mark | Field::CtMark => Self::Mark,
            Field::Iifgroup | Field::Oifgroup => Self::Group,
            Field::Priority => Self::Class,
            Field::Iiftype | Field::Oiftype => Self::Hardware,
            Field::Day => Self::Day,
            Field::Hour | Field::Time | Field::CtExpiration => Self::Clock,
            Field::Skuid | Field::Skgid => Self::User,
            Field::Ipsec | Field::Exthdr(_) => Self::Exists,
            Field::Length
            | Field::NetworkLength(_)
            | Field::IpId
            | Field::IpFragOff
            | Field::Flowlabel
            | Field::HopLimit(_)
            | Field::IcmpId(_)
            | Field::IcmpSequence(_)
            | Field::CtZone => Self::Number,
        }
    }

    /// What its numbers stand for to the model.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Address(family) => Kind::Address(family),
            Self::EtherAddress => Kind::EtherAddress,
            Self::Interface | Self::InterfaceIndex => Kind::Interface,
            Self::Protocol => Kind::Protocol,
            Self::Nfproto => Kind::Nfproto,
            Self::IcmpType(family) => Kind::IcmpType(family),
            Self::CtState => Kind::CtState,
            Self::CtDirection => Kind::Direction,
            Self::AddressType => Kind::AddressType,
            Self::Pkttype => Kind::Pkttype,
            Self::Exists => Kind::Exists,
            Self::CtStatus | Self::EtherType | Self::TcpFlags | Self::Mark | Self::Class => {
                Kind::Bits
            }
            Self::Service
            | Self::IcmpCode(_)
            | Self::Dscp
            | Self::Ecn
            | Self::Group
            | Self::Hardware
            | Self::Day
            | Self::Clock
            | Self::User
            | Self::Number => Kind::Number,
        }
    }

    /// How many bits a prefix of the type is counted in, where nft writes prefixes.
    pub(super) const fn prefix_bits(self) -> Option<u32> {
        match self {
            Self::Address(family) => Some(family.bits() as u32),
            Self::EtherAddress => Some(48),
            Self::Mark | Self::Group => Some(32),
            _ => None,
        }
    }

    /// Whether values are bits, so that a list of them means any of them.
    pub(super) const fn has_bits(self) -> bool {
        matches!(self, Self::CtState | Self::CtStatus | Self::TcpFlags)
    }

    /// Whether nft writes its values as bare numbers, so that one is no name.
    const fn is_numbered(self) -> bool {
        !matches!(
            self,
            Self::Address(_)
                | Self::EtherAddress
                | Self::Interface
                | Self::InterfaceIndex
                | Self::Clock
                | Self::Exists
        )
    }

    /// The value that nft writes as a number.
    pub(super) fn numbered(self, number: u64) -> Option<u128> {
        // `nft -n` 1.0.6 lists the numbers of the named ones with their bytes exchanged.
        let exchanged = |(known, _): &(u16, &str)| u64::from(known.swap_bytes()) == number;
        if self == Self::EtherType && ETHER_TYPES.iter().any(exchanged) {
            return None;
        }
        self.is_numbered().then_some(number.into())
    }

    /// The one value that nft writes as `text`.
    pub(super) fn named(self, text: &str) -> Option<u128> {
        let among = |table: &[(u8, &str)]| {
            let mut known = table.iter();
            known
                .find(|(_, of)| *of == text)
                .map(|(it, _)| (*it).into())
        };
        let name = match self {
            Self::Address(family) => {
                let address = text.parse().ok()?;
                return (Family::of(address) == family).then(|| address_bits(address));
            }
            Self::EtherAddress => return ether_address(text),
            // The number of an interface that is gone looks like a name.
            Self::InterfaceIndex if text.bytes().all(|byte| byte.is_ascii_digit()) => return None,
            Self::Interface | Self::InterfaceIndex => {
                return interface::number(text);
            }
            Self::Protocol => protocols::number(text).map(u128::from),
            Self::Service => protocols::service(text).map(u128::from),
            Self::Nfproto => Family::BOTH
                .into_iter()
                .find(|family| family.nfproto() == text)
                .map(|family| family.number().into()),
            Self::IcmpType(family) => icmp::type_number(family, text).map(u128::from),
            Self::IcmpCode(Family::Ip) => among(&ICMP_CODES),
            Self::IcmpCode(Family::Ip6) => among(&ICMPV6_CODES),
            Self::CtState => CtState::from_keyword(text).map(state_bit),
            Self::CtDirection => among(&[(0, "original"), (1, "reply")]),
            Self::CtStatus => CT_STATUS
                .iter()
                .position(|name| *name == text)
                .map(|bit| 1 << bit),
            Self::AddressType => among(&ADDRESS_TYPES),
            // The second name of `host` in nft's table.
            Self::Pkttype if text == "unicast" => Some(0),
            Self::Pkttype => among(&PKTTYPES),
            Self::EtherType => ETHER_TYPES
                .iter()
                .find(|(_, name)| *name == text)
                .map(|(number, _)| (*number).into()),
            Self::Dscp => among(&DSCP),
            Self::Ecn => among(&ECN),
            Self::TcpFlags => among(&TCP_FLAGS),
            Self::Group => (text == "default").then_some(0),
            Self::Class => return class(text),
            Self::Hardware => HARDWARE
                .iter()
                .find(|(_, name)| *name == text)
                .map(|(number, _)| (*number).into()),
            Self::Day => DAYS
                .iter()
                .position(|day| *day == text)
                .map(|it| it as u128),
            // The one user, and the one group, that has this name everywhere.
            Self::User => (text == "root").then_some(0),
            Self::Mark | Self::Clock | Self::Exists | Self::Number => None,
        };
        name.or_else(|| self.numbered(plain_number(text)?))
    }
}

/// A number as text, as a transaction may have it.
fn plain_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The bit by which the kernel says a state (`NF_CT_STATE_BIT` and its neighbours in
/// `nf_conntrack_common.h`).
pub(super) const fn state_bit(state: CtState) -> u128 {
    match state {
        CtState::Invalid => 1,
        CtState::Established => 2,
        CtState::Related => 4,
        CtState::New => 8,
        CtState::Untracked => 64,
    }
}

/// `00:11:22:33:44:55`
fn ether_address(text: &str) -> Option<u128> {
    let mut bytes = text.split(':');
    let mut number = 0;
    for _ in 0..6 {
        let byte = bytes.next().filter(|byte| byte.len() == 2)?;
        number = number << 8 | u128::from(u8::from_str_radix(byte, 16).ok()?);
    }
    bytes.next().is_none().then_some(number)
}

/// A traffic control class: `MAJOR:MINOR` in hexadecimal, or one of two names (`TC_H_*` in
/// `linux/pkt_sched.h`).
fn class(text: &str) -> Option<u128> {
    match text {
        "none" => Some(0),
        "root" => Some(u32::MAX.into()),
        _ => {
            let Some((major, minor)) = text.split_once(':') else {
                return plain_number(text).map(u128::from);
            };
            let half = |text: &str| match text {
                "" => Some(0),
                digits => u16::from_str_radix(digits, 16).ok(),
            };
            Some(u128::from(half(major)?) << 16 | u128::from(half(minor)?))
        }
    }
}
