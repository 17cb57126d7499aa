//! Every table of a machine, ours and those of others, in the whole language of nft(8).
//!
//! This is what a rule set says, part by part, in the order in which the kernel does it. What is
//! not known stands here too, as [`Opaque`]: a reader skips nothing and guesses nothing, so a
//! rule that is not understood is one that may do anything. Plain data: a chain or a set that an
//! index does not lead to is one that may do anything as well.

pub mod elements;
mod modelled;
mod own;
mod text;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::address::Family;
use crate::field::{Field, Kind};
use crate::intervals::{Interval, Intervals};
use crate::packet::Hook;
pub use crate::ruleset::{ChainPolicy, Reject};
pub use crate::tables::elements::{Data, Elements, Row, Rows};
pub use crate::tables::modelled::Modelled;

/// Every table, in the order in which they were registered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tables {
    /// The tables.
    pub tables: Vec<Table>,
    /// What else a listing had that is not known, in its own words.
    pub unknown: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// Which packets its chains see.
    pub family: TableFamily,
    /// Its name.
    pub name: String,
    /// Whether it is switched off: its base chains are attached to no hook.
    pub dormant: bool,
    /// Whether its rules come from a listing, in which nft leaves out the dependencies of a match.
    /// It does so too where the kernel has none: `meta l4proto icmpv6 icmpv6 type 8` loads the
    /// type without asking for IPv6, and is listed as `icmpv6 type 8`.
    pub listed: bool,
    /// Its sets and maps.
    pub sets: Vec<Set>,
    /// Its chains, in the order in which they were registered.
    pub chains: Vec<Chain>,
    /// What else it has that is not known, in its own words.
    pub unknown: Vec<String>,
}

impl Table {
    /// The chain that a verdict leads to.
    #[must_use]
    pub fn chain(&self, index: ChainIndex) -> Option<&Chain> {
        self.chains.get(index.0)
    }

    /// The set that a part names.
    #[must_use]
    pub fn set(&self, index: SetIndex) -> Option<&Set> {
        self.sets.get(index.0)
    }
}

/// The family of a table.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TableFamily {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// IPv4 and IPv6.
    Inet,
    /// ARP.
    Arp,
    /// What passes a bridge.
    Bridge,
    /// What a device receives, or sends.
    Netdev,
}

impl TableFamily {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::Ip,
        Self::Ip6,
        Self::Inet,
        Self::Arp,
        Self::Bridge,
        Self::Netdev,
    ];

    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }

    /// The family that nft calls `word`.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.keyword() == word)
    }

    /// Whether its chains at the hooks of routed packets see those of `family`.
    #[must_use]
    pub const fn sees(self, family: Family) -> bool {
        matches!(
            (self, family),
            (Self::Inet, _) | (Self::Ip, Family::Ip) | (Self::Ip6, Family::Ip6)
        )
    }
}

/// A position among a table's chains.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChainIndex(pub usize);

/// A position among a table's sets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SetIndex(pub usize);

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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Base {
    /// Its type.
    pub chain_type: ChainType,
    /// Where it is attached.
    pub attachment: Attachment,
    /// Its place there: the lowest runs first.
    pub priority: i32,
    /// What happens to a packet that no rule decides.
    pub policy: ChainPolicy,
}

/// The type of a base chain.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChainType {
    /// `filter`
    Filter,
    /// `nat`: sees the packets that begin a connection, and runs where NAT does.
    Nat,
    /// `route`: at output; a changed packet is routed again.
    Route,
}

impl ChainType {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Filter, Self::Nat, Self::Route];

    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }
}

/// Where a base chain sees packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attachment {
    /// A hook of routed packets, or of a bridge or ARP, by the table's family.
    Hook(Hook),
    /// What these devices receive, before anything else.
    Ingress(Vec<String>),
    /// What these devices send, after everything else.
    Egress(Vec<String>),
    /// A hook that is not known, by its name.
    Unknown(String),
}

/// A rule: parts, done from first to last until one fails or decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The number that the kernel gave it, if it is listed.
    pub handle: Option<u64>,
    /// Its comment.
    pub comment: Option<String>,
    /// Its expressions and statements.
    pub parts: Vec<Part>,
}

/// One thing that a rule asks or does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part {
    /// Goes on only if a condition holds.
    Match(Match),
    /// Does what the element for the key says (`vmap`); without one the rule fails.
    VerdictMap {
        /// What is looked up.
        key: Expression,
        /// Where.
        map: Lookup,
    },
    /// Decides where the packet goes next.
    Verdict(Verdict),
    /// Drops the packet and tells the sender.
    Reject(Reject),
    /// Gives a field of the packet, or of its connection, another value.
    Assign {
        /// The field.
        field: Field,
        /// Its value from here on.
        value: Expression,
    },
    /// Tells conntrack to leave the packet alone.
    Notrack,
    /// Translates addresses, and accepts.
    Nat(Nat),
    /// Counts packets and bytes.
    Counter,
    /// Changes nothing that a rule can see: `log`, `dup`, a comment. In nft's words.
    Note(String),
    /// Goes on or not by something that is no part of the packet: `limit`, `quota`, `numgen`,
    /// `add @set`, `tproxy`, `flow add`. In nft's words.
    Chance(String),
    /// Counts the packet's connection among others, and goes on or not; drops a packet of which it
    /// cannot tell the connection: `ct count`. In nft's words.
    Connections(String),
    /// Hands the packet over to something that accepts it or drops it: `queue`.
    Queue(String),
    /// Takes the packet, drops it, or goes on: `synproxy`, `fwd`. In nft's words.
    Take(String),
    /// What is not known.
    Opaque(Opaque),
}

/// Something that is not known.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Opaque {
    /// How the listing says it.
    pub text: String,
    /// What it may do.
    pub scope: Scope,
}

/// What something unknown may do.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// It is a test, or a value, that depends on nothing but the packet: the same for the same
    /// packet wherever it stands, and without any effect.
    Test,
    /// It may go on or not, but decides nothing and changes nothing.
    Chance,
    /// It may accept, drop, go on, go elsewhere, or change the packet.
    Anything,
}

/// A condition. A value that cannot be loaded fails it, negated or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    /// What is compared.
    pub left: Expression,
    /// Whether it must *not* be among the values.
    pub negated: bool,
    /// The values.
    pub right: Operand,
}

/// What a match compares with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operand {
    /// Numbers.
    Numbers(Intervals),
    /// The elements of a set.
    Elements(Lookup),
    /// Another value of the packet.
    Value(Expression),
}

/// Where something is looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// In a named set or map of the table.
    Named(SetIndex),
    /// In elements written out in the rule.
    Anonymous(Elements),
}

/// A value that a rule computes: one number, or as many as a concatenation has parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expression {
    /// A field of the packet.
    Field(Field),
    /// Numbers written out.
    Constant(u128),
    /// `(value & mask) ^ flip`: every combination of `&`, `|` and `^` with constants is one.
    Bits {
        /// The value.
        of: Box<Expression>,
        /// The bits that are kept.
        mask: u128,
        /// The bits that are then turned over.
        flip: u128,
    },
    /// Values one after the other (`a . b`).
    Concatenation(Vec<Expression>),
    /// The data of the element for a key; without one the rule fails.
    Map {
        /// What is looked up.
        key: Box<Expression>,
        /// Where.
        map: Lookup,
    },
    /// What is not known.
    Opaque(Opaque),
}

impl Expression {
    /// Every field that it loads, in order.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Field(field) => [*field].into(),
            Self::Constant(_) | Self::Opaque(_) => Vec::new(),
            Self::Bits { of, .. } => of.fields(),
            Self::Concatenation(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Map { key, .. } => key.fields(),
        }
    }
}

/// A verdict.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
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
    Jump(ChainIndex),
    /// Go through another chain, then return from this one.
    Goto(ChainIndex),
}

/// A translation of addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nat {
    /// Which.
    pub kind: NatKind,
    /// The only family that it is for, if it says one.
    pub family: Option<Family>,
    /// The address that is put in; none: the old one, or that of the machine.
    pub address: Option<Rewrite>,
    /// The port that is put in; none: the old one, or any that is free.
    pub port: Option<Rewrite>,
    /// What else it says (`random`, `persistent`), in nft's words.
    pub flags: Vec<String>,
}

/// The kinds of NAT.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NatKind {
    /// Another source.
    Snat,
    /// Another destination.
    Dnat,
    /// The address of the interface that the packet goes out by, as source.
    Masquerade,
    /// This machine, as destination.
    Redirect,
}

impl NatKind {
    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Snat => "snat",
            Self::Dnat => "dnat",
            Self::Masquerade => "masquerade",
            Self::Redirect => "redirect",
        }
    }
}

/// What is put in by NAT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rewrite {
    /// One of these.
    OneOf(Interval),
    /// What an expression gives.
    Value {
        /// The expression: most often a map.
        of: Expression,
        /// Which of its numbers, when it is a concatenation.
        part: usize,
    },
}

/// A set or a map.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What the numbers of its keys stand for, one for each part of a concatenation.
    pub key: Vec<Kind>,
    /// Whether packets or time add and take elements, so that what was listed may be past.
    pub changing: bool,
    /// Its elements; none when they cannot be known.
    pub elements: Option<Elements>,
}
