//! Sets, maps and meters as they are listed.

use std::collections::BTreeMap;

use portreeve_model::field::Kind;
use portreeve_model::tables::{Set, TableFamily};
use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_json::value::RawValue;

use super::document::Entries;
use super::elements::{ElementsOf, Holds, Listed, Shape};
use super::surroundings::{Surroundings, counts_itself};
use super::types::Datatype;
use super::values::only_entry;

/// A set, a map or a meter.
pub(super) struct ListedSet {
    pub(super) name: String,
    /// What its elements are, where that is known.
    pub(super) shape: Option<Shape>,
    /// Its elements, where they can be known.
    elements: Option<Listed>,
    /// Whether packets or time add and take elements.
    pub(super) changing: bool,
    /// Whether its elements count connections.
    pub(super) counting: bool,
}

/// What a set may say of itself besides its elements, without changing what they mean.
const KNOWN: [&str; 17] = [
    "family",
    "table",
    "name",
    "handle",
    "comment",
    "type",
    "map",
    "policy",
    "flags",
    "timeout",
    "gc-interval",
    "size",
    "auto-merge",
    "stmt",
    "elem",
    "count",
    "typeof",
];

impl ListedSet {
    /// The set that an object's entries say, in a table of `family`.
    pub(super) fn read(Entries(entries): &Entries<'_>, family: TableFamily) -> Option<Self> {
        let attributes: BTreeMap<&str, &RawValue> = entries
            .iter()
            .map(|(key, text)| (key.as_str(), *text))
            .collect();
        let value =
            |key: &str| -> Option<Value> { serde_json::from_str(attributes.get(key)?.get()).ok() };
        let is_known = attributes.len() == entries.len()
            && attributes.keys().all(|key| KNOWN.contains(key))
            && value("stmt").is_none_or(|statements| only_count(&statements));
        let shape = shape(value("type"), value("map"), family);
        let flags = value("flags");
        let has_flag = |flag: &str| match &flags {
            Some(Value::Array(flags)) => flags.iter().any(|it| it == flag),
            Some(one) => one == flag,
            None => false,
        };
        let elements = match (&shape, attributes.get("elem")) {
            _ if !is_known => None,
            (Some(_), None) => Some(Listed::default()),
            // A star in a set without intervals is one that was meant as one.
            (Some(shape), Some(text)) if !has_flag("interval") && has_wildcard(shape, text) => None,
            (Some(shape), Some(text)) => elements(text, shape),
            (None, _) => None,
        };
        Some(Self {
            name: value("name")?.as_str()?.to_owned(),
            changing: has_flag("dynamic")
                || attributes.contains_key("timeout")
                || elements.as_ref().is_some_and(|listed| listed.expires),
            counting: value("stmt").is_some_and(|statements| counts_itself(&statements)),
            shape,
            elements,
        })
    }

    /// Adds elements that a transaction adds.
    pub(super) fn add(&mut self, text: &RawValue) {
        let more = self.shape.as_ref().and_then(|shape| elements(text, shape));
        self.elements = self
            .elements
            .take()
            .zip(more)
            .map(|(there, more)| there.with(more));
    }

    /// The set, with the chains that it leads to.
    pub(super) fn resolve(self, chains: &Surroundings) -> Set {
        let elements = self.shape.as_ref().and_then(|shape| {
            let listed = self.elements?;
            listed.resolve(shape, |leads| chains.verdict(leads))
        });
        let key = self.shape.map_or(Vec::new(), |shape| shape.key);
        Set {
            name: self.name,
            key: key.into_iter().map(Datatype::kind).collect::<Vec<Kind>>(),
            changing: self.changing,
            elements,
        }
    }
}

fn elements(text: &RawValue, shape: &Shape) -> Option<Listed> {
    let mut json = serde_json::Deserializer::from_str(text.get());
    ElementsOf(shape).deserialize(&mut json).ok()
}

/// Whether an element looks like the beginning of an interface's name.
fn has_wildcard(shape: &Shape, text: &RawValue) -> bool {
    let everything = "\"*\"";
    let stars = text.get().matches("*\"").count();
    shape.key.contains(&Datatype::Interface) && stars > text.get().matches(everything).count()
}

/// Whether the statements that are done with an element always go on.
fn only_count(statements: &Value) -> bool {
    let goes_on = |statement: &Value| {
        only_entry(statement).is_some_and(|(kind, _)| matches!(kind, "counter" | "last"))
    };
    statements
        .as_array()
        .is_some_and(|all| all.iter().all(goes_on))
}

/// What the elements are of a set with this `type`, or of a map with this `map` too.
fn shape(key: Option<Value>, data: Option<Value>, family: TableFamily) -> Option<Shape> {
    let holds = match data {
        None => Holds::Nothing,
        Some(data) if data == "verdict" => Holds::Verdict,
        Some(data) => match types(&data, family) {
            Some(types) => Holds::Values(types),
            None => Holds::Other,
        },
    };
    let key = types(&key?, family)?;
    Some(Shape { key, holds })
}

/// The types of a key or of data: a name, a list of names, or the expression that it is made for.
fn types(json: &Value, family: TableFamily) -> Option<Vec<Datatype>> {
    match json {
        // Older versions write the parts of data in one word.
        Value::String(names) => names.split(" . ").map(Datatype::declared).collect(),
        Value::Array(names) => {
            let names = names.iter().map(|name| Datatype::declared(name.as_str()?));
            names.collect()
        }
        Value::Object(_) => match only_entry(json)? {
            ("typeof", expression) => Some(
                Surroundings::new(family, false)
                    .expression(expression)?
                    .types,
            ),
            _ => None,
        },
        _ => None,
    }
}
