//! A rule set that makes sense: every reference leads somewhere, every value is in its range.
//!
//! Only [`crate::validate::validate`] makes one, in one canonical form: sets are sorted by name,
//! base chains by hook and priority, regular chains by name, the matches of a rule by field;
//! nothing is said that follows from something else, or that no packet can meet. So `==` compares
//! what the kernel would do, and a rule set read back from it can be compared with the one sent.

pub mod key;
pub mod statement;
pub mod text;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::address::Family;
pub use crate::draft::Base;
use crate::field::Field;
use crate::intervals::{Interval, Intervals};
use crate::names::{Name, Text};
use crate::packet::Hook;
pub use crate::ruleset::key::{Key, Match, Operand};
pub use crate::ruleset::statement::{
    Limit, LogLevel, Mark, MarkValue, Nat, NatKind, Reject, SetOperation, SetUpdate, Statement,
    TimeUnit, Verdict, VerdictMap,
};

/// A well-formed rule set: what the table `inet portreeve` will hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ruleset {
    sets: Vec<Set>,
    field_sets: Vec<FieldSet>,
    chains: Vec<Chain>,
}

impl Ruleset {
    /// Sets and chains that `validate` has found to make sense, put in canonical order. Those that
    /// no packet can meet are left out.
    pub(crate) fn new(
        mut sets: Vec<Set>,
        mut field_sets: Vec<FieldSet>,
        mut chains: Vec<Chain>,
    ) -> Self {
        let reached = reached(&chains);
        chains.retain(|chain| reached.contains(&chain.name));
        let rules = chains.iter().flat_map(|chain| &chain.rules);
        let named: BTreeSet<Name> = rules.flat_map(Rule::sets).cloned().collect();
        sets.retain(|set| named.contains(&set.name));
        sets.sort_by(|a, b| a.name.cmp(&b.name));
        field_sets.retain(|set| named.contains(&set.name));
        field_sets.sort_by(|a, b| a.name.cmp(&b.name));
        chains.sort_by_key(|chain| {
            let place = chain.base.map(|base| (base.hook, base.priority));
            (place.is_none(), place, chain.name.clone())
        });
        Self {
            sets,
            field_sets,
            chains,
        }
    }

    /// The named sets of addresses, by name.
    #[must_use]
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// The named sets of what fields hold together, by name.
    #[must_use]
    pub fn field_sets(&self) -> &[FieldSet] {
        &self.field_sets
    }

    /// The chains: base chains by hook and priority, then regular chains by name.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The set of addresses that a rule of this rule set names.
    #[must_use]
    pub fn set(&self, name: &Name) -> Option<&Set> {
        self.sets
            .binary_search_by(|set| set.name.cmp(name))
            .ok()
            .map(|at| &self.sets[at])
    }

    /// The set of what fields hold together that a rule of this rule set names.
    #[must_use]
    pub fn field_set(&self, name: &Name) -> Option<&FieldSet> {
        self.field_sets.iter().find(|set| set.name == *name)
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
        let targets = statements.flat_map(Statement::targets);
        ahead.extend(targets.filter_map(|name| chains.iter().find(|chain| chain.name == *name)));
    }
    reached
}

/// A named set of addresses of one family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    pub(crate) name: Name,
    pub(crate) family: Family,
    /// Shared with the tables that the rule set is seen as.
    pub(crate) elements: Arc<Intervals>,
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
    pub fn elements(&self) -> &Intervals {
        &self.elements
    }
}

/// A named set of what some fields of a packet hold together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldSet {
    pub(crate) name: Name,
    pub(crate) fields: Vec<Field>,
    pub(crate) contents: Contents,
}

/// Where the elements of a set come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Contents {
    /// They are written out: an interval for each field, sorted; no two of them overlap.
    Elements(Vec<Vec<Interval>>),
    /// Rules add them, and time takes them away.
    Dynamic {
        /// Seconds that an element stays after it was added or updated.
        timeout: u32,
        /// How many fit.
        size: u32,
    },
}

impl FieldSet {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The fields, in the order in which each element has their values.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Where its elements come from.
    #[must_use]
    pub const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Whether rules add and delete its elements.
    #[must_use]
    pub const fn is_dynamic(&self) -> bool {
        matches!(self.contents, Contents::Dynamic { .. })
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

    /// The named sets that it looks into or writes to.
    pub fn sets(&self) -> impl Iterator<Item = &Name> {
        let asked = self.matches.iter().filter_map(|it| it.operand.set());
        asked.chain(self.statements.iter().filter_map(Statement::set))
    }
}
