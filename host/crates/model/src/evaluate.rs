//! What tables do to one packet, and why.
//!
//! Follows nft(8) and `nf_tables_core.c`: base chains of the hook in order of priority; rules in
//! order; `accept` leaves the base chain and the next one goes on; `drop` and `reject` are final.
//! A value may be known, absent or unknown, and so may what a rule does: where it is not certain,
//! all fates that are possible are given, never a guess.

mod changes;
mod compute;
mod effects;
mod journey;
mod order;
mod region;
mod view;
mod walk;

use alloc::vec::Vec;
use core::fmt;

pub use self::changes::Changes;
pub use self::compute::Truth;
pub use self::journey::{Aside, Caveat, End, Journey, Place, Stop, Verdict, journey};
pub use self::order::{Placed, Side, base_chains, device_chains};
pub use self::region::{Extent, Inexact, Membership, Region, region};
pub use self::view::View;
use crate::packet::{Hook, Packet};
use crate::ruleset::Reject;
use crate::tables::{Chain, Part, Rule, Table, Tables};

/// What can happen to a packet at a hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evaluation<'a> {
    /// Every fate that is possible, in the order found; at least one.
    pub fates: Vec<Fate<'a>>,
    /// Every rule that was looked at, in order.
    pub walk: Vec<Step<'a>>,
    /// What the rules have changed of the packet where it is accepted.
    pub changes: Changes,
}

impl Evaluation<'_> {
    /// Whether the packet is accepted, whatever is not certain.
    #[must_use]
    pub fn must_accept(&self) -> bool {
        self.all(HookVerdict::Accept)
    }

    /// Whether the packet is dropped or rejected, whatever is not certain.
    #[must_use]
    pub fn must_drop(&self) -> bool {
        self.all(HookVerdict::Drop)
    }

    fn all(&self, verdict: HookVerdict) -> bool {
        self.fates.iter().all(|fate| fate.verdict == verdict)
    }
}

/// One possible end of a packet's way through a hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fate<'a> {
    /// What the hook returns.
    pub verdict: HookVerdict,
    /// What the sender is told, if the packet is rejected.
    pub reject: Option<Reject>,
    /// What decided.
    pub by: Decider<'a>,
}

/// What a hook finally returns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HookVerdict {
    /// The packet goes on.
    Accept,
    /// The packet is gone.
    Drop,
}

/// What decided a packet's fate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decider<'a> {
    /// A rule.
    Rule(RuleRef<'a>),
    /// The chain policy of a base chain, because no rule decided.
    ChainPolicy(ChainRef<'a>),
    /// Nothing: no base chain is attached to the hook.
    NoChain,
    /// Not found out: the rules lead through more rules than [`crate::limits::WALK_MAX`], or
    /// deeper than the kernel follows, or to a chain that is not there.
    NotFollowed(ChainRef<'a>),
}

/// A chain by its place.
#[derive(Clone, Copy)]
pub struct ChainRef<'a> {
    /// The table it is in.
    pub table: &'a Table,
    /// The chain.
    pub chain: &'a Chain,
}

impl PartialEq for ChainRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.chain, other.chain)
    }
}

impl Eq for ChainRef<'_> {}

impl fmt::Debug for ChainRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.table.family.keyword();
        write!(f, "{family} {:?} {:?}", self.table.name, self.chain.name)
    }
}

/// A rule by its place.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct RuleRef<'a> {
    /// The chain it is in.
    pub place: ChainRef<'a>,
    /// Its position in the chain, counted from 0.
    pub index: usize,
}

impl<'a> RuleRef<'a> {
    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &'a Rule {
        &self.place.chain.rules[self.index]
    }

    /// Its comment: the label of one of ours. Empty without one.
    #[must_use]
    pub fn label(&self) -> &'a str {
        self.rule().comment.as_deref().unwrap_or_default()
    }

    /// The name of its chain.
    #[must_use]
    pub fn chain_name(&self) -> &'a str {
        &self.place.chain.name
    }
}

impl fmt::Debug for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} rule {} {:?}", self.place, self.index, self.label())
    }
}

/// One rule that was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step<'a> {
    /// The rule.
    pub rule: RuleRef<'a>,
    /// How many jumps and gotos led to it.
    pub depth: u8,
    /// Whether the packet certainly came to the rule.
    pub certain: bool,
    /// How the rule went.
    pub result: StepResult,
    /// Where the packet ended that came to the end of the rule: parts before this one were done,
    /// certainly if the packet certainly came here.
    pub surely: usize,
    /// Parts before this one may have been done.
    pub maybe: usize,
}

impl<'a> Step<'a> {
    /// The part that failed, or the first that is not certain.
    #[must_use]
    pub fn part(&self) -> Option<&'a Part> {
        match self.result {
            StepResult::Failed(at) | StepResult::MayMatch(at) => self.rule.rule().parts.get(at),
            StepResult::Matched => None,
        }
    }
}

/// How a rule went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StepResult {
    /// The part at this position failed, and ended the rule.
    Failed(usize),
    /// Everything held and the rule did what it says.
    Matched,
    /// It is not certain whether the rule goes on after the part at this position.
    MayMatch(usize),
}

/// What `tables` do to `packet` at the packet's hook.
#[must_use]
pub fn evaluate<'a>(tables: &'a Tables, packet: &Packet) -> Evaluation<'a> {
    evaluate_at(tables, packet, packet.hook, Changes::default())
}

/// What `tables` do to `packet` at `hook`, on its way to the packet's own hook or past it, when
/// earlier hooks have changed it so.
#[must_use]
pub fn evaluate_at<'a>(
    tables: &'a Tables,
    packet: &Packet,
    hook: Hook,
    changes: Changes,
) -> Evaluation<'a> {
    let placed = base_chains(tables, hook, packet.addresses.family());
    walk::through(placed, packet, (hook, changes), None)
}

#[cfg(test)]
mod tests;
