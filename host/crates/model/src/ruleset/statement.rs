//! What the rules of a rule set do.

use alloc::vec::Vec;

use crate::address::Family;
pub use crate::draft::SetOperation;
use crate::field::Field;
use crate::intervals::Interval;
use crate::names::{Name, Text};
pub use crate::tables::NatKind;

/// Something that a rule does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Statement {
    /// Count packets and bytes.
    Counter,
    /// Go on only within, or only over, a rate.
    Limit(Limit),
    /// Write a line to the kernel log.
    Log {
        /// What the line begins with.
        prefix: Option<Text>,
        /// Its syslog level.
        level: LogLevel,
    },
    /// Go on only until, or only after, so many bytes.
    Quota {
        /// How many.
        bytes: u64,
        /// Whether the rule goes on after them instead of until then.
        over: bool,
    },
    /// Go on only for connections up to, or only for those beyond, a number.
    CtCount {
        /// How many.
        count: u32,
        /// Whether the rule goes on for more instead.
        over: bool,
    },
    /// Hand the packet to a program that listens to this group (nflog).
    LogGroup {
        /// What is said with it.
        prefix: Option<Text>,
        /// The group.
        group: u16,
    },
    /// Give the packet, or its connection, a mark.
    SetMark(Mark, MarkValue),
    /// Tell conntrack to leave the packet alone.
    Notrack,
    /// Add, update or delete the element of a dynamic set that this packet is.
    UpdateSet(SetUpdate),
    /// Drop and tell the sender.
    Reject(Reject),
    /// Translate addresses, and accept.
    Nat(Nat),
    /// Decide by the element that the fields are; without one go on with the next rule.
    VerdictMap(VerdictMap),
    /// Decide where the packet goes next.
    Verdict(Verdict),
}

impl Statement {
    /// The chains that it may lead to.
    pub fn targets(&self) -> impl Iterator<Item = &Name> {
        let (one, several) = match self {
            Self::Verdict(verdict) => (Some(verdict), [].as_slice()),
            Self::VerdictMap(map) => (None, map.elements.as_slice()),
            Self::Counter
            | Self::Limit(_)
            | Self::Log { .. }
            | Self::Quota { .. }
            | Self::CtCount { .. }
            | Self::LogGroup { .. }
            | Self::SetMark(..)
            | Self::Notrack
            | Self::UpdateSet(_)
            | Self::Reject(_)
            | Self::Nat(_) => (None, [].as_slice()),
        };
        let several = several.iter().map(|(_, verdict)| verdict);
        one.into_iter().chain(several).filter_map(Verdict::target)
    }

    /// The named set that it writes to.
    #[must_use]
    pub const fn set(&self) -> Option<&Name> {
        match self {
            Self::UpdateSet(update) => Some(&update.set),
            _ => None,
        }
    }

    /// The fields that it loads from the packet. One without them ends the rule.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::VerdictMap(map) => &map.fields,
            Self::UpdateSet(update) => &update.fields,
            _ => &[],
        }
    }

    /// Whether it decides about the packet, so that no statement comes after it.
    #[must_use]
    pub const fn decides(&self) -> bool {
        matches!(
            self,
            Self::Verdict(_) | Self::VerdictMap(_) | Self::Reject(_) | Self::Nat(_)
        )
    }
}

/// One of the two marks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mark {
    /// `meta mark`
    Packet,
    /// `ct mark`
    Connection,
}

impl Mark {
    /// The field that it is.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::Packet => Field::Mark,
            Self::Connection => Field::CtMark,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Packet => Self::Connection,
            Self::Connection => Self::Packet,
        }
    }
}

/// What a mark becomes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MarkValue {
    /// This number.
    Number(u32),
    /// What the other mark is.
    Copied,
}

/// What a rule does to a dynamic set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetUpdate {
    /// The set.
    pub(crate) set: Name,
    /// Its fields.
    pub(crate) fields: Vec<Field>,
    /// What is done.
    pub(crate) operation: SetOperation,
    /// Goes on only within, or only over, this rate of each element.
    pub(crate) limit: Option<Limit>,
}

impl SetUpdate {
    /// The set.
    #[must_use]
    pub const fn set(&self) -> &Name {
        &self.set
    }

    /// The fields of the set, which say which element the packet is.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What is done.
    #[must_use]
    pub const fn operation(&self) -> SetOperation {
        self.operation
    }

    /// The rate within which, or over which, the rule goes on.
    #[must_use]
    pub const fn limit(&self) -> Option<Limit> {
        self.limit
    }
}

/// A translation of addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nat {
    pub(crate) kind: NatKind,
    pub(crate) address: Option<(Family, Interval)>,
    pub(crate) ports: Option<Interval>,
}

impl Nat {
    /// Which.
    #[must_use]
    pub const fn kind(&self) -> NatKind {
        self.kind
    }

    /// The addresses to choose from, and the family that it is for.
    #[must_use]
    pub const fn address(&self) -> Option<(Family, Interval)> {
        self.address
    }

    /// The ports to choose from.
    #[must_use]
    pub const fn ports(&self) -> Option<Interval> {
        self.ports
    }
}

/// A verdict map written out in the rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerdictMap {
    pub(crate) fields: Vec<Field>,
    /// Sorted by key; no two of them overlap.
    pub(crate) elements: Vec<(Vec<Interval>, Verdict)>,
}

impl VerdictMap {
    /// The fields that are looked up.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Intervals of each field, sorted, and what is decided for them.
    #[must_use]
    pub fn elements(&self) -> &[(Vec<Interval>, Verdict)] {
        &self.elements
    }
}

/// A verdict statement of nft(8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Let the packet pass this base chain.
    Accept,
    /// Drop the packet, silently.
    Drop,
    /// Go on with the next rule.
    Continue,
    /// Go back to the calling chain; in a base chain, to its chain policy.
    Return,
    /// Go through another chain, then go on with the next rule.
    Jump(Name),
    /// Go through another chain, then return from this one.
    Goto(Name),
}

impl Verdict {
    /// The chain that it leads to.
    #[must_use]
    pub const fn target(&self) -> Option<&Name> {
        match self {
            Self::Jump(target) | Self::Goto(target) => Some(target),
            Self::Accept | Self::Drop | Self::Continue | Self::Return => None,
        }
    }
}

/// A rate of packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Limit {
    /// Packets per unit of time.
    pub rate: u32,
    /// The unit of time.
    pub per: TimeUnit,
    /// Packets that may exceed the rate at once.
    pub burst: u32,
    /// Whether the rule goes on over the rate instead of within it.
    pub over: bool,
}

/// A unit of time, as `limit` takes it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TimeUnit {
    /// One second.
    Second,
    /// One minute.
    Minute,
    /// One hour.
    Hour,
    /// One day.
    Day,
    /// Seven days.
    Week,
}

/// A syslog level.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum LogLevel {
    /// 0
    Emerg,
    /// 1
    Alert,
    /// 2
    Crit,
    /// 3
    Err,
    /// 4, which nft takes when none is given.
    #[default]
    Warn,
    /// 5
    Notice,
    /// 6
    Info,
    /// 7
    Debug,
}

/// What `reject` tells the sender.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reject {
    /// `icmpx type port-unreachable`
    PortUnreachable,
    /// `icmpx type admin-prohibited`
    AdminProhibited,
    /// `icmpx type host-unreachable`
    HostUnreachable,
    /// `icmpx type no-route`
    NoRoute,
    /// `tcp reset`; the rule must match TCP only.
    TcpReset,
    /// `icmp type`: this code of "destination unreachable", to IPv4 senders only (RFC 792).
    Icmp(u8),
    /// `icmpv6 type`: this code of "destination unreachable", to IPv6 senders only (RFC 4443).
    Icmpv6(u8),
}

impl Reject {
    /// The code of "destination unreachable" that a sender of a family is told; none when it is told
    /// by TCP. ICMP and ICMPv6 number them differently (RFC 792, RFC 4443; `nft_reject_icmp_code` and
    /// `nft_reject_icmpv6_code` in the kernel).
    #[must_use]
    pub const fn code(self, family: Family) -> Option<u8> {
        let codes = match self {
            Self::TcpReset => return None,
            Self::PortUnreachable => [3, 4],
            Self::AdminProhibited => [13, 1],
            Self::HostUnreachable => [1, 3],
            Self::NoRoute => [0, 0],
            Self::Icmp(code) | Self::Icmpv6(code) => [code, code],
        };
        Some(match family {
            Family::Ip => codes[0],
            Family::Ip6 => codes[1],
        })
    }
}
