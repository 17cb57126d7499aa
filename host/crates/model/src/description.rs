//! What a policy says about itself before it decides anything.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::diagnostic::Quoted;
use crate::goal::GoalTemplate;
use crate::inputs::Value;

/// A policy's description of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Description {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// Its version, as its author counts.
    pub version: String,
    /// What it does, in one line.
    pub summary: String,
    /// The settings it takes.
    pub settings: Vec<SettingSpec>,
    /// The feeds it needs.
    pub feeds: Vec<FeedSpec>,
    /// Whether it needs the machine's interfaces.
    pub needs_interfaces: bool,
    /// Whether it needs the sockets that wait for packets.
    pub needs_listeners: bool,
    /// What it promises of every rule set it drafts.
    pub goals: Vec<GoalTemplate>,
}

/// One setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingSpec {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// Its value when the operator gives none. It also fixes the type.
    pub default: Value,
    /// What else a value must satisfy.
    pub constraint: Constraint,
    /// What it is for, in one line.
    pub help: String,
}

/// What a value of a setting must satisfy beyond its type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Constraint {
    /// Nothing.
    None,
    /// An integer lies between two numbers, both included.
    Between {
        /// The lowest value allowed.
        min: i64,
        /// The highest value allowed.
        max: i64,
    },
    /// A list has so many entries at least and at most.
    Entries {
        /// The fewest entries allowed.
        min: u32,
        /// The most entries allowed.
        max: u32,
    },
    /// A choice is one of these.
    OneOf(Vec<String>),
}

impl Constraint {
    /// How `value` breaks it, with what was found and what is allowed; `None` when it does not.
    #[must_use]
    pub fn breach(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::None, _) => None,
            (Self::Between { min, max }, Value::Integer(found)) => {
                let allowed = (min..=max).contains(&found);
                (!allowed).then(|| format!("found {found}, allowed is {min} to {max}"))
            }
            (Self::Entries { min, max }, Value::Ports(ports)) => {
                entries_breach(ports.len(), *min, *max)
            }
            (Self::Entries { min, max }, Value::Prefixes(prefixes)) => {
                entries_breach(prefixes.len(), *min, *max)
            }
            (Self::OneOf(choices), Value::Choice(found)) => (!choices.contains(found)).then(|| {
                let choices: Vec<_> = choices.iter().map(|one| Quoted(one).to_string()).collect();
                format!(
                    "found {}, allowed is one of {}",
                    Quoted(found),
                    choices.join(", ")
                )
            }),
            (Self::Between { .. } | Self::Entries { .. } | Self::OneOf(_), _) => {
                Some("the policy puts a constraint on it that does not fit its type".to_string())
            }
        }
    }
}

fn entries_breach(found: usize, min: u32, max: u32) -> Option<String> {
    let allowed = min as usize..=max as usize;
    (!allowed.contains(&found))
        .then(|| format!("found {found} entries once merged, allowed are {min} to {max}"))
}

/// One feed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedSpec {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// Whether the policy must see the elements, not just the summary.
    pub needs_elements: bool,
    /// What it is for, in one line.
    pub help: String,
}
