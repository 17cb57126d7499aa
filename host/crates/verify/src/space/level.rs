//! The variables of the packet space, and the order in which a diagram asks for them.
//!
//! Fields that lie in the same bytes are one variable, so that what a rule says of `th dport`
//! another can contradict with `tcp dport`.

use std::sync::Arc;

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE, interface};
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::packet::CtState;

/// A variable of the packet space.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Level {
    /// A field of the packet, as it comes to the first place of its way.
    Field(Field),
    /// Some bits of a field, where the values that have such bits are too many stretches.
    Slice(Slice),
    /// What rules see of `ct state` before conntrack has seen the packet.
    EarlyCtState,
    /// A value that is not known, by its number among those; the same for the same packet.
    Unknown(u32),
}

/// Some bits of a field, side by side.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slice {
    /// The field.
    pub(crate) field: Field,
    /// The bits.
    pub(crate) mask: u128,
}

impl Slice {
    /// These bits of a value of the field.
    pub(crate) fn read(self, value: u128) -> u128 {
        let bits = self.bits().enumerate();
        bits.fold(0, |read, (to, from)| read | (value >> from & 1) << to)
    }

    /// A value of the field with these bits.
    pub(crate) fn write(self, value: u128, bits: u128) -> u128 {
        let each = self.bits().enumerate();
        let kept = value & !self.mask;
        each.fold(kept, |written, (from, to)| {
            written | (bits >> from & 1) << to
        })
    }

    /// The positions of the bits, lowest first.
    fn bits(self) -> impl Iterator<Item = u32> {
        (0..u128::BITS).filter(move |bit| self.mask >> bit & 1 == 1)
    }
}

impl Level {
    /// The variable that holds a field: the ports of every protocol are in the same bytes.
    pub(crate) const fn of(field: Field) -> Self {
        Self::Field(match field {
            Field::Sport(_) => Field::ThSport,
            Field::Dport(_) => Field::ThDport,
            // The IPv4 header says its protocol itself.
            Field::NextHeader(Family::Ip) => Field::L4proto,
            Field::Protocol | Field::CtL3proto => Field::Nfproto,
            other => other,
        })
    }

    /// The field, if it is one.
    pub(crate) const fn field(self) -> Option<Field> {
        match self {
            Self::Field(field) => Some(field),
            Self::Slice(_) | Self::EarlyCtState | Self::Unknown(_) => None,
        }
    }

    /// Whether it is another variable, or some bits of it.
    pub(crate) fn is_of(self, other: Self) -> bool {
        match self {
            Self::Slice(slice) => self == other || Self::Field(slice.field) == other,
            Self::Field(_) | Self::EarlyCtState | Self::Unknown(_) => self == other,
        }
    }

    /// The place in a diagram: what splits packets into few kinds comes first, addresses and what is
    /// not known last.
    const fn place(self) -> u8 {
        match self {
            Self::Field(field) => match field {
                Field::Nfproto => 0,
                Field::Iif | Field::Iifname | Field::Iifgroup | Field::Iiftype => 1,
                Field::Oif | Field::Oifname | Field::Oifgroup | Field::Oiftype => 2,
                Field::CtState => 4,
                Field::L4proto => 5,
                Field::IcmpType(_) | Field::IcmpCode(_) => 6,
                Field::TcpFlags => 7,
                Field::ThDport => 8,
                Field::ThSport => 9,
                Field::Daddr(_) => 11,
                Field::Saddr(_) => 12,
                _ => 10,
            },
            Self::Slice(slice) => Self::Field(slice.field).place(),
            Self::EarlyCtState => 3,
            Self::Unknown(_) => 13,
        }
    }

    /// What levels are sorted by.
    pub(crate) const fn rank(self) -> (u8, Self) {
        (self.place(), self)
    }

    /// The values that there are.
    pub(crate) fn domain(self) -> Intervals {
        let field = match self {
            Self::Field(Field::Nfproto) => {
                let families = Family::BOTH.map(|it| Interval::single(it.number().into()));
                return families.into_iter().collect();
            }
            Self::Field(field) => field,
            Self::Slice(Slice { mask, .. }) => {
                let unused = u128::BITS - mask.count_ones();
                let most = u128::MAX.checked_shr(unused).unwrap_or(0);
                return Interval::new(0, most).into_iter().collect();
            }
            Self::EarlyCtState => Field::CtState,
            Self::Unknown(_) => return Interval::new(0, u128::MAX).into_iter().collect(),
        };
        Interval::new(0, field.max()).into_iter().collect()
    }

    /// Whether a packet of the right family and protocol, and with a connection where one is
    /// needed, can be without the field: a header may be cut off, a packet may have no socket.
    pub(crate) const fn may_be_absent(self) -> bool {
        match self {
            Self::Field(field) => {
                field.is_of_transport()
                    || field.is_of_iif()
                    || field.is_of_oif()
                    || matches!(
                        field,
                        Field::Skuid
                            | Field::Skgid
                            | Field::EtherSaddr
                            | Field::EtherDaddr
                            | Field::EtherType
                    )
            }
            Self::Slice(slice) => Self::Field(slice.field).may_be_absent(),
            Self::EarlyCtState => false,
            Self::Unknown(_) => true,
        }
    }

    /// Values that an ordinary packet has, the most ordinary first: a witness takes the first that
    /// fits.
    pub(crate) fn ordinary(self) -> Vec<u128> {
        let addresses = |family| match family {
            // RFC 5737: for documentation.
            Family::Ip => [
                0xc000_0207,
                0xc633_640a,
                0xcb00_7101,
                0x0a00_0002,
                0x0808_0808,
            ],
            // RFC 3849, then link-local, then what is routed.
            Family::Ip6 => [
                0x2001_0db8_0000_0000_0000_0000_0000_0007,
                0x2001_0db8_0001_0000_0000_0000_0000_000a,
                0xfe80_0000_0000_0000_0000_0000_0000_0001,
                0x2600_0000_0000_0000_0000_0000_0000_0001,
                0x2a00_0000_0000_0000_0000_0000_0000_0001,
            ],
        };
        match self {
            Self::Field(field) => match field {
                Field::Iifname | Field::Oifname => interface::number("eth0").into_iter().collect(),
                Field::Iif | Field::Oif => vec![2],
                Field::Saddr(family) | Field::CtSaddr(_, family) => addresses(family).into(),
                Field::Daddr(family) | Field::CtDaddr(_, family) => {
                    let mut from_second = addresses(family);
                    from_second.rotate_left(1);
                    from_second.into()
                }
                Field::L4proto => [PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE]
                    .map(u128::from)
                    .into(),
                Field::CtState => [CtState::New, CtState::Established, CtState::Untracked]
                    .map(|state| state as u128)
                    .into(),
                // SYN, ACK.
                Field::TcpFlags => vec![2, 16],
                Field::ThSport => vec![40_000],
                Field::ThDport => vec![22, 443, 80, 53, 50_000],
                Field::IcmpType(Family::Ip) => vec![8],
                Field::IcmpType(Family::Ip6) => vec![128],
                Field::HopLimit(_) => vec![64],
                Field::NextHeader(Family::Ip6) => {
                    [PROTOCOL_TCP, PROTOCOL_UDP].map(u128::from).into()
                }
                Field::NetworkLength(_) | Field::Length => vec![60],
                Field::Skuid | Field::Skgid => vec![1000],
                _ => vec![0],
            },
            Self::Slice(_) | Self::EarlyCtState => vec![0],
            Self::Unknown(_) => vec![1, 0],
        }
    }
}

/// A set with one value.
pub(crate) fn only(value: u128) -> Arc<Intervals> {
    Arc::new(std::iter::once(Interval::single(value)).collect())
}
