//! What a policy says about itself before it decides anything.

use alloc::string::String;
use alloc::vec::Vec;

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
