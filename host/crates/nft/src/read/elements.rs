//! The elements of sets and maps, of a listing or of a rule.
//!
//! A feed may have a million prefixes, so elements are read one at a time, straight from the text
//! to numbers; none is ever held as a tree for longer than that.

use std::fmt;
use std::sync::Arc;

use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::tables::{Data, Elements, Row, Rows, Verdict};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::types::Datatype;
use super::values::{attributes, element, number, only_entry};

/// What the elements of a set or a map are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Shape {
    /// The type of each part of the key.
    pub(super) key: Vec<Datatype>,
    /// What an element says.
    pub(super) holds: Holds,
}

/// What elements say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Holds {
    /// Only that they are there.
    Nothing,
    Verdict,
    /// A value, with the type of each part.
    Values(Vec<Datatype>),
    /// Something that a lookup does not tell: the name of an object, a type that is not known.
    Other,
}

/// Elements that lead to chains by name.
#[derive(Debug, Default)]
pub(super) struct Listed {
    numbers: Vec<Interval>,
    rows: Vec<ListedRow>,
    /// What is said for every key that is not an element (`*`).
    otherwise: Option<ListedData>,
    /// Whether time takes some of them away.
    pub(super) expires: bool,
    /// Whether some of them are not known, or do more than to be there.
    strange: bool,
}

#[derive(Debug)]
struct ListedRow {
    key: Vec<Interval>,
    data: ListedData,
}

#[derive(Clone, Debug)]
enum ListedData {
    Known(Data),
    Leads(Leads),
}

/// A verdict that leads to a chain by name.
#[derive(Clone, Debug)]
pub(super) enum Leads {
    Decided(Verdict),
    Jump(String),
    Goto(String),
}

impl Leads {
    /// The verdict that nft writes so.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let (word, body) = only_entry(json)?;
        let target = || {
            let target = attributes(body, &["target"])?.get("target")?.as_str();
            target.map(str::to_owned)
        };
        match word {
            "jump" => target().map(Self::Jump),
            "goto" => target().map(Self::Goto),
            _ if !body.is_null() => None,
            "accept" => Some(Self::Decided(Verdict::Accept)),
            "drop" => Some(Self::Decided(Verdict::Drop)),
            "continue" => Some(Self::Decided(Verdict::Continue)),
            "return" => Some(Self::Decided(Verdict::Return)),
            _ => None,
        }
    }
}

/// Reads the elements of a set or map of this shape.
pub(super) struct ElementsOf<'a>(pub(super) &'a Shape);

impl<'de> DeserializeSeed<'de> for ElementsOf<'_> {
    type Value = Listed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Listed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementsOf<'_> {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listed, A::Error> {
        let mut listed = Listed::default();
        loop {
            let element = ElementOf {
                shape: self.0,
                into: &mut listed,
            };
            if list.next_element_seed(element)?.is_none() {
                return Ok(listed);
            }
        }
    }
}

struct ElementOf<'a> {
    shape: &'a Shape,
    into: &'a mut Listed,
}

impl<'de> DeserializeSeed<'de> for ElementOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        match self.shape {
            // Most elements are single addresses.
            Shape {
                key,
                holds: Holds::Nothing,
            } if key.len() == 1 => {
                if let Some(address) = address(key[0], text) {
                    self.into.numbers.push(address);
                    return Ok(());
                }
            }
            _ => {}
        }
        self.take(&Value::from(text));
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.take(&Value::from(number));
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.into.strange = true;
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.into.strange = true;
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, exists: bool) -> Result<(), E> {
        self.take(&Value::from(exists));
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.into.strange = true;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let json = Value::deserialize(MapAccessDeserializer::new(map))?;
        self.take(&json);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        let json = Value::deserialize(SeqAccessDeserializer::new(list))?;
        self.take(&json);
        Ok(())
    }
}

fn address(of: Datatype, text: &str) -> Option<Interval> {
    match of {
        Datatype::Address(_) => of.named(text).map(Interval::single),
        _ => None,
    }
}

impl ElementOf<'_> {
    fn take(self, json: &Value) {
        let Self { shape, into } = self;
        if shape.read(json, into).is_none() {
            into.strange = true;
        }
    }
}

impl Shape {
    fn read(&self, json: &Value, into: &mut Listed) -> Option<()> {
        let (key, data) = match (&self.holds, json) {
            (Holds::Nothing, key) => (key, ListedData::Known(Data::None)),
            (holds, Value::Array(pair)) => {
                let [key, data] = pair.as_slice() else {
                    return None;
                };
                (key, holds.read(data)?)
            }
            _ => return None,
        };
        let key = bare(key, into)?;
        if key == "*" {
            into.otherwise = Some(data);
            return Some(());
        }
        match (self.key.as_slice(), &self.holds) {
            ([of], Holds::Nothing) => into.numbers.push(element(*of, key)?),
            _ => {
                let key = self.key(key)?;
                into.rows.push(ListedRow { key, data });
            }
        }
        Some(())
    }

    fn key(&self, json: &Value) -> Option<Vec<Interval>> {
        if let [of] = self.key.as_slice() {
            return Some([element(*of, json)?].into());
        }
        let ("concat", Value::Array(parts)) = only_entry(json)? else {
            return None;
        };
        let types = self.key.iter();
        let read = types.zip(parts).map(|(of, part)| element(*of, part));
        (self.key.len() == parts.len()).then(|| read.collect())?
    }
}

/// The key of an element without what is attached to it.
fn bare<'a>(json: &'a Value, into: &mut Listed) -> Option<&'a Value> {
    let Some(("elem", body)) = only_entry(json) else {
        return Some(json);
    };
    // A statement of an element is done when the element is found: a counter always goes on.
    let known = ["val", "timeout", "expires", "comment", "counter", "last"];
    let body = attributes(body, &known)?;
    into.expires |= body.contains_key("timeout") || body.contains_key("expires");
    body.get("val")
}

impl Holds {
    fn read(&self, json: &Value) -> Option<ListedData> {
        match self {
            Self::Nothing => None,
            Self::Verdict => Leads::read(json).map(ListedData::Leads),
            Self::Values(types) => data(types, json).map(ListedData::Known),
            Self::Other => Some(ListedData::Known(Data::Unknown)),
        }
    }
}

fn data(types: &[Datatype], json: &Value) -> Option<Data> {
    let parts = match (types, only_entry(json)) {
        ([_], _) => std::slice::from_ref(json),
        (_, Some(("concat", Value::Array(parts)))) => parts.as_slice(),
        _ => return None,
    };
    if types.len() != parts.len() {
        return None;
    }
    let both = || types.iter().zip(parts);
    let numbers: Option<Vec<u128>> = both().map(|(of, part)| number(*of, part)).collect();
    let ranges = || {
        both()
            .map(|(of, part)| element(*of, part))
            .collect::<Option<_>>()
    };
    numbers
        .map(Data::Value)
        .or_else(|| ranges().map(Data::Range))
}

impl Listed {
    /// These and more.
    pub(super) fn with(mut self, more: Self) -> Self {
        self.numbers.extend(more.numbers);
        self.rows.extend(more.rows);
        self.otherwise = more.otherwise.or(self.otherwise);
        self.expires |= more.expires;
        self.strange |= more.strange;
        self
    }

    /// The elements, if all of them are known; `chain` finds the chains that they lead to.
    pub(super) fn resolve(
        self,
        shape: &Shape,
        chain: impl Fn(Leads) -> Option<Verdict>,
    ) -> Option<Elements> {
        if self.strange {
            return None;
        }
        let resolve = |data| match data {
            ListedData::Known(data) => Some(data),
            ListedData::Leads(leads) => chain(leads).map(Data::Verdict),
        };
        if shape.key.len() == 1 && shape.holds == Holds::Nothing {
            let everything = self.otherwise.map(|_| EVERYTHING);
            let numbers: Intervals = self.numbers.into_iter().chain(everything).collect();
            return Some(Elements::Numbers(Arc::new(numbers)));
        }
        let otherwise = match self.otherwise {
            None => Vec::new(),
            Some(data) => otherwise(shape, &self.rows, &resolve(data)?)?,
        };
        let rows = self.rows.into_iter().map(|ListedRow { key, data }| {
            let data = resolve(data)?;
            Some(Row { key, data })
        });
        let rows: Option<Vec<Row>> = rows.chain(otherwise.into_iter().map(Some)).collect();
        Some(Elements::Rows(Rows::new(rows?)))
    }
}

/// Every number.
const EVERYTHING: Interval = match Interval::new(0, u128::MAX) {
    Some(interval) => interval,
    None => panic!("0 is not above the highest number"),
};

/// The rows of `*`: what is not an element.
fn otherwise(shape: &Shape, rows: &[ListedRow], data: &Data) -> Option<Vec<Row>> {
    let row = |key| Row {
        key,
        data: data.clone(),
    };
    match (shape.key.len(), &shape.holds) {
        (1, _) => {
            let elements = rows.iter().flat_map(|row| row.key.first().copied());
            let elements: Intervals = elements.collect();
            let others = elements.complement(u128::MAX);
            Some(others.iter().map(|gap| row([*gap].into())).collect())
        }
        (parts, Holds::Nothing) => Some([row([EVERYTHING].repeat(parts))].into()),
        // What is left over of several dimensions is not written out.
        _ => None,
    }
}
