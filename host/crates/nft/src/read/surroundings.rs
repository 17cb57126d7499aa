//! What a rule may name: the sets and chains of its table.

use std::collections::BTreeMap;

use portreeve_model::tables::{ChainIndex, SetIndex, TableFamily, Verdict};

use super::elements::{Leads, Shape};

/// The table that a rule is in, as far as the rule's meaning depends on it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(super) family: TableFamily,
    /// Whether its rules are as nft lists them, which leaves out more than it takes.
    pub(super) listed: bool,
    chains: BTreeMap<String, ChainIndex>,
    /// The named sets, with what their elements are, where that is known.
    sets: BTreeMap<String, (SetIndex, Option<Shape>)>,
}

impl Surroundings {
    /// A table without sets and chains; one that is `listed`, or one that is sent to nft.
    pub(crate) fn new(family: TableFamily, listed: bool) -> Self {
        Self {
            family,
            listed,
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
        }
    }

    /// Adds a chain, after those that are there.
    pub(crate) fn add_chain(&mut self, name: &str) {
        let index = ChainIndex(self.chains.len());
        self.chains.entry(name.to_owned()).or_insert(index);
    }

    /// Adds a set, after those that are there.
    pub(super) fn add_set(&mut self, name: &str, shape: Option<Shape>) {
        let index = SetIndex(self.sets.len());
        self.sets.entry(name.to_owned()).or_insert((index, shape));
    }

    /// The chain of this name.
    pub(super) fn chain(&self, name: &str) -> Option<ChainIndex> {
        self.chains.get(name).copied()
    }

    /// The set of this name, with what its elements are.
    pub(super) fn set(&self, name: &str) -> Option<(SetIndex, Option<&Shape>)> {
        let (index, shape) = self.sets.get(name)?;
        Some((*index, shape.as_ref()))
    }

    /// The verdict, if its chain is there.
    pub(super) fn verdict(&self, leads: Leads) -> Option<Verdict> {
        Some(match leads {
            Leads::Decided(verdict) => verdict,
            Leads::Jump(name) => Verdict::Jump(self.chain(&name)?),
            Leads::Goto(name) => Verdict::Goto(self.chain(&name)?),
        })
    }
}
