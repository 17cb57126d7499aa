//! What stands in our table, as far as the switch looks at it.

use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;

use super::items::Item;

/// The table `inet portreeve` at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Objects {
    /// Whether there is such a table at all.
    pub table: bool,
    /// Its chains.
    pub chains: Vec<Chain>,
    /// Its rules; those of one chain are in their order.
    pub rules: Vec<Rule>,
    /// Its named sets. An anonymous one is part of the rule that uses it, and goes with it.
    pub sets: Vec<Set>,
}

impl Objects {
    /// Adds what the kernel has listed. Elements of sets are not part of this.
    pub fn add(&mut self, item: Item) {
        match item {
            Item::Table => self.table = true,
            Item::Chain(chain) => self.chains.push(chain),
            Item::Rule(rule) => self.rules.push(rule),
            Item::Set(set) => self.sets.push(set),
            Item::Generation(_) | Item::Elements(_) | Item::OtherTable => {}
        }
    }
}

/// A chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it is hooked, or none: it is a regular chain, or at a hook that no rule set of ours
    /// can name, as `ingress`.
    pub base: Option<BaseChain>,
}

/// Where the kernel calls a chain by itself, and what then befalls a packet that it lets through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseChain {
    /// The hook.
    pub hook: Hook,
    /// Its place among the chains of this hook.
    pub priority: i32,
    /// What befalls a packet that no rule decides on.
    pub policy: ChainPolicy,
    /// Its type: `filter`, `nat` or `route`.
    pub chain_type: String,
}

/// A rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The chain it is in.
    pub chain: String,
    /// The kernel's number for it.
    pub handle: u64,
    /// What it does, when it is a rule of the switch.
    pub meaning: Meaning,
    /// The sets that it looks up or adds to, anonymous ones included.
    pub sets: Vec<String>,
    /// The chains that its verdicts lead to; not those of verdict maps.
    pub chains: Vec<String>,
}

/// What a rule does, as far as the switch wants to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// It leads packets somewhere and does nothing else.
    Lead {
        /// The trial's set: the rule applies only as long as the set has its elements.
        only_while: Option<String>,
        /// Where to.
        verdict: Lead,
    },
    /// Anything else.
    Other,
}

/// Where a rule of the switch leads packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lead {
    /// Through.
    Accept,
    /// To nowhere.
    Drop,
    /// Into a chain and back.
    Jump(String),
    /// Into a chain, not back.
    Goto(String),
}

/// A set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Set {
    /// Its name.
    pub name: String,
}
