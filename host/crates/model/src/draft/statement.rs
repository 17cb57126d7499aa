//! What the rules of a draft do.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use super::fields::{Selector, Values};
use crate::ruleset::{Limit, LogLevel, Mark, MarkValue, Reject};

/// Something that a rule does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Statement {
    /// Count packets and bytes.
    Counter,
    /// Go on only within, or only over, a rate.
    Limit(Limit),
    /// Go on only until, or only after, so many bytes.
    Quota {
        /// How many.
        bytes: u64,
        /// Whether the rule goes on after them instead of until then.
        over: bool,
    },
    /// Go on only while the machine has at most, or only while it has more than, so many
    /// connections that came through this rule.
    CtCount {
        /// How many.
        count: u32,
        /// Whether the rule goes on for more instead.
        over: bool,
    },
    /// Write a line to the kernel log.
    Log {
        /// What the line begins with.
        prefix: Option<String>,
        /// Its syslog level.
        level: LogLevel,
    },
    /// Hand the packet to a program that listens to this group (nflog).
    LogGroup {
        /// What is said with it.
        prefix: Option<String>,
        /// The group.
        group: u16,
    },
    /// Give the packet, or its connection, a mark.
    SetMark(Mark, MarkValue),
    /// Tell conntrack to leave the packet alone.
    Notrack,
    /// Add, update or delete the element of a dynamic field set that this packet is.
    UpdateSet {
        /// The set.
        set: String,
        /// What is done.
        operation: SetOperation,
        /// Goes on only within, or only over, this rate of each element.
        limit: Option<Limit>,
    },
    /// Drop and tell the sender.
    Reject(Reject),
    /// Translate addresses, and accept.
    Nat(Nat),
    /// Decide by the element that the fields are (`vmap`); without one go on with the next rule.
    VerdictMap {
        /// The fields.
        fields: Vec<Selector>,
        /// Elements, with what each decides.
        elements: Vec<(Vec<Values>, Verdict)>,
    },
    /// Let the packet pass this base chain.
    Accept,
    /// Drop the packet, silently.
    Drop,
    /// Go on with the next rule.
    Continue,
    /// Go back to the calling chain; in a base chain, to its chain policy.
    Return,
    /// Go through another chain, then go on with the next rule.
    Jump(String),
    /// Go through another chain, then return from this one.
    Goto(String),
}

impl Statement {
    /// The chains that it may lead to.
    pub fn targets(&self) -> impl Iterator<Item = &String> {
        let (one, several): (Option<&String>, &[_]) = match self {
            Self::Jump(target) | Self::Goto(target) => (Some(target), &[]),
            Self::VerdictMap { elements, .. } => (None, elements),
            _ => (None, &[]),
        };
        let several = several.iter().filter_map(|(_, verdict)| match verdict {
            Verdict::Jump(target) | Verdict::Goto(target) => Some(target),
            Verdict::Accept | Verdict::Drop | Verdict::Continue | Verdict::Return => None,
        });
        one.into_iter().chain(several)
    }
}

/// What the element of a verdict map decides.
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
    Jump(String),
    /// Go through another chain, then return from this one.
    Goto(String),
}

/// What a rule does to a dynamic set.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SetOperation {
    /// Adds the element; its time begins when it is not there yet.
    Add,
    /// Adds the element; its time begins anew.
    Update,
    /// Deletes the element.
    Delete,
}

impl SetOperation {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Add, Self::Update, Self::Delete];

    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A translation of addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Nat {
    /// Another source: `snat`.
    Snat(Target),
    /// Another destination: `dnat`.
    Dnat(Target),
    /// The address of the interface that the packet goes out by, as source: `masquerade`.
    Masquerade {
        /// Ports to choose the source port from.
        ports: Option<RangeInclusive<u16>>,
    },
    /// This machine, as destination: `redirect`.
    Redirect {
        /// Ports to choose the destination port from.
        ports: Option<RangeInclusive<u16>>,
    },
}

/// What NAT puts in, for packets of the family of the addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The lowest address to choose from.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
    /// Ports to choose from.
    pub ports: Option<RangeInclusive<u16>>,
}
