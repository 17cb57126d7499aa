//! What a rule may name: the sets and chains of its table.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::tables::{ChainIndex, SetIndex, TableFamily, Verdict};
use serde_json::Value;

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
    /// The sets whose elements count connections: whoever finds an element has it count.
    counting: BTreeSet<String>,
}

impl Surroundings {
    /// A table without sets and chains; one that is `listed`, or one that is sent to nft.
    pub(crate) fn new(family: TableFamily, listed: bool) -> Self {
        Self {
            family,
            listed,
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
            counting: BTreeSet::new(),
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

    /// The elements of a set count connections.
    pub(super) fn count_in(&mut self, set: &str) {
        self.counting.insert(set.to_owned());
    }

    /// Whether a part has connections counted: itself, or by a set that it names.
    pub(super) fn counts(&self, json: &Value) -> bool {
        counts_itself(json) || !self.counting.is_empty() && self.names_counting(json)
    }

    fn names_counting(&self, json: &Value) -> bool {
        let is_counting = |text: &str| {
            let name = text.strip_prefix('@').unwrap_or(text);
            self.counting.contains(name)
        };
        says(json, &is_counting, &|_| false)
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

/// Whether `ct count` is said in a part: as an object, or in the text that old versions of nft have
/// for what they have no JSON for.
pub(super) fn counts_itself(json: &Value) -> bool {
    let is_said = |text: &str| text.contains(" ct count ");
    says(json, &is_said, &|key| key == "ct count")
}

/// Whether some text in a part, or some key, is what is looked for.
fn says(json: &Value, text: &impl Fn(&str) -> bool, key: &impl Fn(&str) -> bool) -> bool {
    match json {
        Value::String(found) => text(found),
        Value::Array(parts) => parts.iter().any(|part| says(part, text, key)),
        Value::Object(entries) => entries
            .iter()
            .any(|(name, part)| key(name) || says(part, text, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
