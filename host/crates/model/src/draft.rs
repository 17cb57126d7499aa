//! What a policy says: a rule set as it was drafted, which may still be nonsense.
//!
//! The shape follows `wit/` field by field. Names are texts, references may dangle, ranges may
//! be reversed; [`crate::validate::validate`] finds all of that at once.

pub mod fields;
pub mod statement;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use crate::address::{Family, Prefix};
pub use crate::draft::fields::{BitField, ExtensionHeader, NumberField, Selector, Values};
pub use crate::draft::statement::{Nat, SetOperation, Statement, Target, Verdict};
use crate::field::PortProtocol;
use crate::packet::{CtState, Hook};
use crate::ruleset::ChainPolicy;
pub use crate::tables::ChainType;

/// A drafted rule set: one nft table of family `inet`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Draft {
    /// Named sets of addresses.
    pub sets: Vec<Set>,
    /// Named sets of what some fields of a packet hold together.
    pub field_sets: Vec<FieldSet>,
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

/// A named set of what some fields of a packet hold together: `ip saddr . tcp dport`. With one
/// field it is a set of its values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldSet {
    /// Its name; no set of addresses has the same.
    pub name: String,
    /// The fields, in the order in which each element has their values.
    pub fields: Vec<Selector>,
    /// Where its elements come from.
    pub contents: Contents,
}

/// Where the elements of a set come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Contents {
    /// They are written out: for each field its values.
    Elements(Vec<Vec<Values>>),
    /// Rules add them, and time takes them away.
    Dynamic {
        /// Seconds that an element stays after it was added or updated.
        timeout: u32,
        /// How many fit; when it is full, nothing is added.
        size: u32,
    },
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

/// What makes a chain a base chain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Base {
    /// Its type.
    pub chain_type: ChainType,
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
    /// Any other field that is a number.
    Number(NumberField, Vec<RangeInclusive<u32>>),
    /// Some bits of a field: `(field & mask)` is one of the values.
    Bits {
        /// The field.
        field: BitField,
        /// The bits that count.
        mask: u32,
        /// What they may be; no value has bits that do not count.
        values: Vec<u32>,
    },
    /// Fields together (`ip saddr . tcp dport`), with elements that have values for each of them.
    Concatenation {
        /// The fields: two to five.
        fields: Vec<Selector>,
        /// The elements.
        elements: Vec<Vec<Values>>,
    },
    /// Whether the fields of a named field set are one of its elements.
    FieldSet(String),
}

/// The addresses that a field is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AddressOperand {
    /// Written out in the rule.
    Elements(Vec<Element>),
    /// A named set of the same draft.
    Set(String),
}
