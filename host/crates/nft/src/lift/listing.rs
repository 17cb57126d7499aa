//! The objects of a listing: tables, chains, sets and rules, put together as a draft.

use std::collections::BTreeMap;
use std::fmt;

use portreeve_model::address::Family;
use portreeve_model::draft::{self, Base, Draft, SetNode};
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::rule::Reader;
use super::{AddressSet, LiftError, Place, Quoted};
use crate::TABLE;
use crate::elements::Elements;

/// Our table, as far as the objects read so far make it up.
#[derive(Default)]
pub(super) struct Tables {
    is_there: bool,
    draft: Draft,
    /// The elements of each set, under its name: `validate` evaluates sets over feeds, so large
    /// sets are never written out as a draft.
    elements: Vec<(String, AddressSet)>,
}

impl Tables {
    pub(super) fn read(json: &str) -> Result<Self, LiftError> {
        let document: Document = serde_json::from_str(json).map_err(LiftError::NotAListing)?;
        let reader = Reader::default();
        let mut tables = Self::default();
        for object in document.nftables {
            tables.take(object, &reader)?;
        }
        Ok(tables)
    }

    pub(super) fn ruleset(self) -> Result<Ruleset, LiftError> {
        if !self.is_there {
            return Err(LiftError::NoTable);
        }
        let feeds: Feeds = self.elements.into_iter().collect();
        validate(&self.draft, &feeds).map_err(LiftError::Invalid)
    }

    fn take(&mut self, object: Object, reader: &Reader) -> Result<(), LiftError> {
        match object {
            Object::Metainfo => Ok(()),
            Object::Add(object) => self.take(*object, reader),
            // Ours begins by deleting what was there.
            Object::Delete(object) => match *object {
                Object::Table(table) => {
                    table.check()?;
                    *self = Self::default();
                    Ok(())
                }
                _ => Err(foreign(Place::Listing, "a command that deletes")),
            },
            Object::Table(table) => {
                table.check()?;
                self.is_there = true;
                Ok(())
            }
            Object::Set(set) => self.set(set),
            Object::Chain(chain) => {
                self.draft.chains.push(chain.draft()?);
                Ok(())
            }
            Object::Rule(rule) => self.rule(rule, reader),
            Object::Other(kind) => Err(foreign(
                Place::Listing,
                &format!("the object {}", Quoted(&kind)),
            )),
        }
    }

    fn set(&mut self, set: Set) -> Result<(), LiftError> {
        let place = Place::Set(set.name.clone());
        in_our_table(&place, &set.family, &set.table)?;
        no_more(&place, &set.rest)?;
        let of = |what: &str| foreign(place.clone(), what);
        let family = match set.key.as_str() {
            Some("ipv4_addr") => Family::Ip,
            Some("ipv6_addr") => Family::Ip6,
            _ => {
                return Err(of(&format!(
                    "keys of type {}",
                    Quoted(&set.key.to_string())
                )));
            }
        };
        // nft lists a single flag as a text or as a list, depending on its version.
        let interval = match &set.flags {
            Some(Value::Array(flags)) => flags.as_slice() == ["interval"],
            Some(flag) => flag == "interval",
            None => false,
        };
        if !interval {
            return Err(of("flags other than `interval`"));
        }
        let elements = set.elem.unwrap_or_default().of(family);
        let elements = elements.ok_or_else(|| of("an element of the other family"))?;
        let mut addresses = AddressSet::default();
        match family {
            Family::Ip => addresses.ip = elements,
            Family::Ip6 => addresses.ip6 = elements,
        }
        self.elements.push((set.name.clone(), addresses));
        self.draft.sets.push(draft::Set {
            expression: vec![SetNode::Feed(set.name.clone())],
            name: set.name,
            family,
        });
        Ok(())
    }

    fn rule(&mut self, rule: Rule, reader: &Reader) -> Result<(), LiftError> {
        let place = Place::Rule {
            chain: rule.chain.clone(),
            comment: rule.comment.clone(),
            handle: rule.handle,
        };
        in_our_table(&place, &rule.family, &rule.table)?;
        no_more(&place, &rule.rest)?;
        // Every rule of ours has its label as comment.
        let label = rule
            .comment
            .ok_or_else(|| foreign(place.clone(), "no comment"))?;
        let chain = self
            .draft
            .chains
            .iter_mut()
            .find(|chain| chain.name == rule.chain);
        let chain = chain.ok_or_else(|| foreign(place.clone(), "a chain that is not listed"))?;
        let read = reader.rule(label, &rule.expr);
        let rule = read.map_err(|unknown| foreign(place, &unknown.0))?;
        chain.rules.push(rule);
        Ok(())
    }
}

fn foreign(place: Place, what: &str) -> LiftError {
    let what = what.to_owned();
    LiftError::Foreign { place, what }
}

fn in_our_table(place: &Place, family: &str, table: &str) -> Result<(), LiftError> {
    if (family, table) == ("inet", TABLE) {
        return Ok(());
    }
    let what = format!("the table {}", Quoted(&format!("{family} {table}")));
    Err(foreign(place.clone(), &what))
}

/// What nft lists of an object beyond what was put there: the kernel's number for it, and in
/// later versions how many elements a set has.
const LISTED_ONLY: [&str; 2] = ["handle", "count"];

type Rest = BTreeMap<String, IgnoredAny>;

fn no_more(place: &Place, rest: &Rest) -> Result<(), LiftError> {
    match rest.keys().find(|key| !LISTED_ONLY.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(foreign(
            place.clone(),
            &format!("the attribute {}", Quoted(key)),
        )),
    }
}

#[derive(Deserialize)]
struct Document {
    nftables: Vec<Object>,
}

enum Object {
    Metainfo,
    Table(Table),
    Chain(Chain),
    Set(Set),
    Rule(Rule),
    Add(Box<Object>),
    Delete(Box<Object>),
    Other(String),
}

/// An object with one key, which says what the value is.
impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> Visitor<'de> for OneKey {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an nftables object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let key: Option<String> = map.next_key()?;
                let object = match key.as_deref() {
                    Some("metainfo") => map.next_value::<IgnoredAny>().map(|_| Object::Metainfo)?,
                    Some("table") => Object::Table(map.next_value()?),
                    Some("chain") => Object::Chain(map.next_value()?),
                    Some("set") => Object::Set(map.next_value()?),
                    Some("rule") => Object::Rule(map.next_value()?),
                    Some("add") => Object::Add(map.next_value()?),
                    Some("delete") => Object::Delete(map.next_value()?),
                    Some(other) => {
                        map.next_value::<IgnoredAny>()?;
                        Object::Other(other.to_owned())
                    }
                    None => return Err(de::Error::custom("an object without a kind")),
                };
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(object),
                    Some(_) => Err(de::Error::custom("an object of two kinds")),
                }
            }
        }
        deserializer.deserialize_map(OneKey)
    }
}

#[derive(Deserialize)]
struct Table {
    family: String,
    name: String,
    #[serde(flatten)]
    rest: Rest,
}

impl Table {
    fn check(&self) -> Result<(), LiftError> {
        in_our_table(&Place::Listing, &self.family, &self.name)?;
        no_more(&Place::Table, &self.rest)
    }
}

#[derive(Deserialize)]
struct Chain {
    family: String,
    table: String,
    name: String,
    #[serde(rename = "type")]
    chain_type: Option<String>,
    hook: Option<String>,
    prio: Option<i32>,
    policy: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

impl Chain {
    fn draft(self) -> Result<draft::Chain, LiftError> {
        let place = Place::Chain(self.name.clone());
        in_our_table(&place, &self.family, &self.table)?;
        no_more(&place, &self.rest)?;
        let of = |what: &str, found: &str| {
            foreign(place.clone(), &format!("the {what} {}", Quoted(found)))
        };
        let base = match (&self.chain_type, &self.hook, self.prio, &self.policy) {
            (None, None, None, None) => None,
            (Some(kind), Some(hook), Some(priority), policy) => {
                if kind != "filter" {
                    return Err(of("type", kind));
                }
                let policy = match policy.as_deref() {
                    None | Some("accept") => ChainPolicy::Accept,
                    Some("drop") => ChainPolicy::Drop,
                    Some(other) => return Err(of("chain policy", other)),
                };
                Some(Base {
                    hook: Hook::from_keyword(hook).ok_or_else(|| of("hook", hook))?,
                    priority,
                    policy,
                })
            }
            _ => return Err(foreign(place, "only half of what makes a base chain")),
        };
        Ok(draft::Chain {
            name: self.name,
            base,
            rules: Vec::new(),
        })
    }
}

#[derive(Deserialize)]
struct Set {
    family: String,
    table: String,
    name: String,
    #[serde(rename = "type")]
    key: Value,
    flags: Option<Value>,
    elem: Option<Elements>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
struct Rule {
    family: String,
    table: String,
    chain: String,
    handle: Option<u64>,
    comment: Option<String>,
    #[serde(default)]
    expr: Vec<Value>,
    #[serde(flatten)]
    rest: Rest,
}
