//! What a policy says: a rule set as it was drafted, which may still be nonsense.
//!
//! The shape follows `wit/` field by field. Names are texts, references may dangle, ranges may
//! be reversed; [`crate::validate::validate`] finds all of that at once.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use crate::address::{Family, Prefix};
use crate::field::PortProtocol;
use crate::packet::{CtState, Hook};
use crate::ruleset::{ChainPolicy, Limit, LogLevel, Reject};

/// A drafted rule set: one nft table of family `inet`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Draft {
    /// Named sets.
    pub sets: Vec<Set>,
    /// Base chains and regular chains.
    pub chains: Vec<Chain>,
}

/// A named set of addresses of one family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The family of its elements. Other addresses that the expression yields are left out.
    pub family: Family,
    /// The expression: each node refers to earlier ones only, the last one is the value.
    pub expression: Vec<SetNode>,
}

/// One node of a set expression. Operands are positions of earlier nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SetNode {
    /// Elements written out.
    Elements(Vec<Element>),
    /// Every address of a feed.
    Feed(String),
    /// Every address of any operand.
    Union(Vec<u32>),
    /// Every address of all operands; at least one is needed.
    Intersection(Vec<u32>),
    /// Every address of the first that is not in the second.
    Difference(u32, u32),
}

/// Addresses written out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Element {
    /// A prefix, with its length as the policy gave it.
    Prefix {
        /// First address.
        address: IpAddr,
        /// Leading bits that count.
        length: u8,
    },
    /// Every address from `first` to `last`.
    Range {
        /// Lowest address.
        first: IpAddr,
        /// Highest address.
        last: IpAddr,
    },
}

impl From<Prefix> for Element {
    fn from(prefix: Prefix) -> Self {
        Self::Prefix {
            address: prefix.address(),
            length: prefix.length(),
        }
    }
}

/// A chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it is attached, if it is a base chain.
    pub base: Option<Base>,
    /// Its rules, first to last.
    pub rules: Vec<Rule>,
}

/// What makes a chain a base chain. The type is `filter`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Base {
    /// The hook that it is attached to.
    pub hook: Hook,
    /// Its place among the hook's chains: the lowest runs first; `filter` is 0.
    pub priority: i32,
    /// What happens to a packet that no rule decides.
    pub policy: ChainPolicy,
}

/// A rule: matches, then statements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Our name for it, kept as nft's comment.
    pub label: String,
    /// What must hold of the packet; all of them.
    pub matches: Vec<Match>,
    /// What is done then, first to last.
    pub statements: Vec<Statement>,
}

/// One condition on a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    /// Whether the field must *not* have one of the values. A packet without the field fails
    /// either way.
    pub negated: bool,
    /// The field and its values.
    pub test: Test,
}

/// A field with the values asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Test {
    /// `iifname`
    Iifname(Vec<String>),
    /// `oifname`
    Oifname(Vec<String>),
    /// `meta nfproto`
    Nfproto(Family),
    /// `ip saddr`, `ip6 saddr`
    Saddr(Family, AddressOperand),
    /// `ip daddr`, `ip6 daddr`
    Daddr(Family, AddressOperand),
    /// `ip ttl`, `ip6 hoplimit`
    HopLimit(Family, Vec<RangeInclusive<u8>>),
    /// `meta l4proto`
    L4proto(Vec<RangeInclusive<u8>>),
    /// `tcp sport`, `udp sport`
    Sport(PortProtocol, Vec<RangeInclusive<u16>>),
    /// `tcp dport`, `udp dport`
    Dport(PortProtocol, Vec<RangeInclusive<u16>>),
    /// `icmp type`, `icmpv6 type`
    IcmpType(Family, Vec<RangeInclusive<u8>>),
    /// `ct state`
    CtState(Vec<CtState>),
}

/// The addresses that a field is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AddressOperand {
    /// Written out in the rule.
    Elements(Vec<Element>),
    /// A named set of the same draft.
    Set(String),
}

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
        prefix: Option<String>,
        /// Its syslog level.
        level: LogLevel,
    },
    /// Drop and tell the sender.
    Reject(Reject),
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
