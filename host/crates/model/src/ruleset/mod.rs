//! A rule set that makes sense: every reference leads somewhere, every value is in its range.
//!
//! Only [`crate::validate::validate`] makes one, in one canonical form: sets are sorted by name,
//! base chains by hook and priority, regular chains by name, the matches of a rule by field;
//! nothing is said that follows from something else, or that no packet can meet. So `==` compares
//! what the kernel would do, and a rule set read back from it can be compared with the one sent.

pub mod text;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::address::Family;
pub use crate::draft::Base;
use crate::field::Field;
use crate::intervals::Intervals;
use crate::names::{InterfaceName, Name, Text};
use crate::packet::{Hook, Packet};

/// A well-formed rule set: what the table `inet portreeve` will hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ruleset {
    sets: Vec<Set>,
    chains: Vec<Chain>,
}

impl Ruleset {
    /// Sets and chains that `validate` has found to make sense, put in canonical order. Those that
    /// no packet can meet are left out.
    pub(crate) fn new(mut sets: Vec<Set>, mut chains: Vec<Chain>) -> Self {
        let reached = reached(&chains);
        chains.retain(|chain| reached.contains(&chain.name));
        let rules = chains.iter().flat_map(|chain| &chain.rules);
        let operands = rules.flat_map(|rule| rule.matches.iter().map(Match::operand));
        let named: BTreeSet<Name> = operands
            .filter_map(|operand| match operand {
                Operand::Set(name) => Some(name.clone()),
                Operand::Numbers(_) | Operand::Interfaces(_) => None,
            })
            .collect();
        sets.retain(|set| named.contains(&set.name));
        sets.sort_by(|a, b| a.name.cmp(&b.name));
        chains.sort_by_key(|chain| {
            let place = chain.base.map(|base| (base.hook, base.priority));
            (place.is_none(), place, chain.name.clone())
        });
        Self { sets, chains }
    }

    /// The named sets, by name.
    #[must_use]
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// The chains: base chains by hook and priority, then regular chains by name.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The set that a rule of this rule set names.
    #[must_use]
    pub fn set(&self, name: &Name) -> Option<&Set> {
        self.sets
            .binary_search_by(|set| set.name.cmp(name))
            .ok()
            .map(|at| &self.sets[at])
    }

    /// The chain that a rule of this rule set names.
    #[must_use]
    pub fn chain(&self, name: &Name) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == *name)
    }

    /// The base chains of `hook`, in the order in which a packet meets them.
    pub fn base_chains(&self, hook: Hook) -> impl Iterator<Item = (&Chain, Base)> {
        self.chains
            .iter()
            .filter_map(|chain| chain.base.map(|base| (chain, base)))
            .filter(move |(_, base)| base.hook == hook)
    }
}

/// The chains that some hook leads to.
fn reached(chains: &[Chain]) -> BTreeSet<Name> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&Chain> = chains.iter().filter(|chain| chain.base.is_some()).collect();
    while let Some(chain) = ahead.pop() {
        if !reached.insert(chain.name.clone()) {
            continue;
        }
        let statements = chain.rules.iter().flat_map(|rule| &rule.statements);
        let targets = statements.filter_map(|statement| match statement {
            Statement::Verdict(Verdict::Jump(name) | Verdict::Goto(name)) => Some(name),
            Statement::Verdict(
                Verdict::Accept | Verdict::Drop | Verdict::Continue | Verdict::Return,
            )
            | Statement::Counter
            | Statement::Limit(_)
            | Statement::Log { .. }
            | Statement::Reject(_) => None,
        });
        ahead.extend(targets.filter_map(|name| chains.iter().find(|chain| chain.name == *name)));
    }
    reached
}

/// A named set of addresses of one family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    pub(crate) name: Name,
    pub(crate) family: Family,
    pub(crate) elements: Intervals,
}

impl Set {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The family of its elements.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Its elements.
    #[must_use]
    pub const fn elements(&self) -> &Intervals {
        &self.elements
    }
}

/// A chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    pub(crate) name: Name,
    pub(crate) base: Option<Base>,
    pub(crate) rules: Vec<Rule>,
}

impl Chain {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Where it is attached, if it is a base chain.
    #[must_use]
    pub const fn base(&self) -> Option<Base> {
        self.base
    }

    /// Its rules, first to last.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// What happens to a packet that no rule of a base chain decides.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ChainPolicy {
    /// It passes.
    Accept,
    /// It is dropped.
    Drop,
}

/// A rule: matches, then statements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    pub(crate) label: Text,
    pub(crate) matches: Vec<Match>,
    pub(crate) statements: Vec<Statement>,
}

impl Rule {
    /// Our name for it, kept as nft's comment.
    #[must_use]
    pub const fn label(&self) -> &Text {
        &self.label
    }

    /// What must hold of the packet, sorted by field.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// What is done then, first to last. Only the last one may decide.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

/// One condition on a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    pub(crate) field: Field,
    pub(crate) negated: bool,
    pub(crate) operand: Operand,
}

impl Match {
    /// The field it loads.
    #[must_use]
    pub const fn field(&self) -> Field {
        self.field
    }

    /// Whether the field must not have one of the values.
    #[must_use]
    pub const fn negated(&self) -> bool {
        self.negated
    }

    /// The values.
    #[must_use]
    pub const fn operand(&self) -> &Operand {
        &self.operand
    }

    /// Whether `packet` has the field, with a value as asked. `sets` holds every set the operand
    /// may name.
    #[must_use]
    pub fn holds(&self, packet: &Packet, sets: &Ruleset) -> bool {
        let found = match &self.operand {
            Operand::Interfaces(names) => {
                let interface = match self.field {
                    Field::Oifname => &packet.oifname,
                    _ => &packet.iifname,
                };
                Some(names.iter().any(|name| name.as_str() == interface))
            }
            Operand::Numbers(numbers) => packet.load(self.field).map(|v| numbers.contains(v)),
            Operand::Set(name) => packet
                .load(self.field)
                .and_then(|value| sets.set(name).map(|set| set.elements.contains(value))),
        };
        // A packet without the field fails, negated or not: so does the kernel (NFT_BREAK).
        found.is_some_and(|found| found != self.negated)
    }
}

/// The values of a match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operand {
    /// Numbers, for every field but an interface name.
    Numbers(Intervals),
    /// Interface names, sorted.
    Interfaces(Vec<InterfaceName>),
    /// The elements of a named set of the field's family.
    Set(Name),
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
        prefix: Option<Text>,
        /// Its syslog level.
        level: LogLevel,
    },
    /// Drop and tell the sender.
    Reject(Reject),
    /// Decide where the packet goes next.
    Verdict(Verdict),
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
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
}
