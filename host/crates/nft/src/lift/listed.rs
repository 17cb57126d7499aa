//! The objects of a listing as nft writes them: tables, chains, sets and rules, one by one.
//!
//! Whatever an object has that ours have not is an error.

use std::collections::BTreeMap;
use std::fmt;

use portreeve_model::address::Family;
use portreeve_model::draft::{self, Base, ChainType};
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::rule::{Lifted, Reader, values_of_types};
use super::{AddressSet, LiftError, Place, Quoted, foreign};
use crate::TABLE;
use crate::elements::Elements;

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

type Rest = BTreeMap<String, Value>;

/// That an object has no attributes but those that are read, and `ours`.
fn no_more(place: &Place, rest: &Rest, ours: &[&str]) -> Result<(), LiftError> {
    let known = |key: &str| LISTED_ONLY.contains(&key) || ours.contains(&key);
    match rest.keys().find(|key| !known(key)) {
        None => Ok(()),
        Some(key) => Err(foreign(
            place.clone(),
            &format!("the attribute {}", Quoted(key)),
        )),
    }
}

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) nftables: Vec<Object>,
}

impl Document {
    pub(super) fn read(json: &str) -> Result<Self, LiftError> {
        serde_json::from_str(json).map_err(LiftError::NotAListing)
    }
}

/// An object of a listing, or a command of a transaction with one.
pub(super) enum Object {
    Metainfo,
    Table(Table),
    Chain(Chain),
    Set(Set),
    Rule(Rule),
    /// To be there: added or created.
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
                    Some("add" | "create") => Object::Add(map.next_value()?),
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
pub(super) struct Table {
    family: String,
    name: String,
    #[serde(flatten)]
    rest: Rest,
}

impl Table {
    /// That it is ours.
    pub(super) fn check(&self) -> Result<(), LiftError> {
        in_our_table(&Place::Listing, &self.family, &self.name)?;
        no_more(&Place::Table, &self.rest, &[])
    }
}

#[derive(Deserialize)]
pub(super) struct Chain {
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
    /// The chain, without rules yet.
    pub(super) fn draft(self) -> Result<draft::Chain, LiftError> {
        let place = Place::Chain(self.name.clone());
        in_our_table(&place, &self.family, &self.table)?;
        no_more(&place, &self.rest, &[])?;
        let of = |what: &str, found: &str| {
            foreign(place.clone(), &format!("the {what} {}", Quoted(found)))
        };
        let base = match (&self.chain_type, &self.hook, self.prio, &self.policy) {
            (None, None, None, None) => None,
            (Some(kind), Some(hook), Some(priority), policy) => {
                let mut types = ChainType::ALL.into_iter();
                let chain_type = types.find(|it| it.keyword() == kind);
                let policy = match policy.as_deref() {
                    None | Some("accept") => ChainPolicy::Accept,
                    Some("drop") => ChainPolicy::Drop,
                    Some(other) => return Err(of("chain policy", other)),
                };
                Some(Base {
                    chain_type: chain_type.ok_or_else(|| of("type", kind))?,
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
pub(super) struct Set {
    family: String,
    table: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    key: Value,
    flags: Option<Value>,
    elem: Option<Elements>,
    #[serde(flatten)]
    rest: Rest,
}

impl Set {
    /// A set of a policy: addresses of one family.
    pub(super) fn addresses(self) -> Result<(Family, AddressSet), LiftError> {
        let place = Place::Set(self.name.clone());
        in_our_table(&place, &self.family, &self.table)?;
        no_more(&place, &self.rest, &[])?;
        let family = match self.key.as_str() {
            Some("ipv4_addr") => Family::Ip,
            Some("ipv6_addr") => Family::Ip6,
            _ => return Err(self.of_foreign_type()),
        };
        if self.flags() != ["interval"] {
            return Err(foreign(place, "flags other than `interval`"));
        }
        let elements = self.elem.unwrap_or_default().of(family);
        let elements = elements.map_err(|what| foreign(place, &what))?;
        let mut addresses = AddressSet::default();
        match family {
            Family::Ip => addresses.ip = elements,
            Family::Ip6 => addresses.ip6 = elements,
        }
        Ok((family, addresses))
    }

    /// Whether it is a set of addresses of a policy, whose elements may be many.
    pub(super) fn has_addresses(&self) -> bool {
        let types = ["ipv4_addr", "ipv6_addr"];
        self.key.as_str().is_some_and(|of| types.contains(&of))
            && !self.rest.contains_key("timeout")
    }

    /// A set of what fields hold together: the types of the fields, and its contents.
    pub(super) fn field_set(self) -> Result<(Vec<String>, draft::Contents), LiftError> {
        let place = Place::Set(self.name.clone());
        in_our_table(&place, &self.family, &self.table)?;
        let types: Option<Vec<String>> = match &self.key {
            Value::String(of) => Some(vec![of.clone()]),
            Value::Array(parts) => parts
                .iter()
                .map(|part| part.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        let types = types.ok_or_else(|| self.of_foreign_type())?;
        let flags = self.flags();
        if flags == ["interval"] {
            no_more(&place, &self.rest, &[])?;
            let names: Vec<&str> = types.iter().map(String::as_str).collect();
            let listed = self.elem.map(Elements::all).unwrap_or_default();
            let elements = listed.iter().map(|item| values_of_types(&names, item));
            let elements = elements.collect::<Result<_, _>>();
            let elements = elements.map_err(|unknown| foreign(place, &unknown.0))?;
            return Ok((types, draft::Contents::Elements(elements)));
        }
        no_more(&place, &self.rest, &["size", "timeout"])?;
        let number = |key: &str| {
            let found = self.rest.get(key).and_then(Value::as_u64);
            found.and_then(|number| u32::try_from(number).ok())
        };
        // `dynamic` is listed by later versions of nft.
        let ours = |flag: &&str| ["timeout", "dynamic"].contains(flag);
        match (number("timeout"), number("size")) {
            (Some(timeout), Some(size)) if flags.iter().all(ours) => {
                Ok((types, draft::Contents::Dynamic { timeout, size }))
            }
            _ => Err(foreign(
                place,
                "neither intervals, nor a timeout and a size",
            )),
        }
    }

    /// The set that a trial lasts as long as: how many elements it has left.
    pub(super) fn trial(self) -> Result<usize, LiftError> {
        let place = Place::Set(self.name.clone());
        in_our_table(&place, &self.family, &self.table)?;
        no_more(&place, &self.rest, &[])?;
        if self.key != "nf_proto" {
            return Err(self.of_foreign_type());
        }
        if self.flags() != ["timeout"] {
            return Err(foreign(place, "flags other than `timeout`"));
        }
        let elements = self.elem.unwrap_or_default().timed();
        elements.map_err(|what| foreign(place, &what))
    }

    /// A record of arrivals, of which the elements do not matter here.
    pub(super) fn arrivals(self, family: Family) -> Result<(), LiftError> {
        let place = Place::Set(self.name.clone());
        in_our_table(&place, &self.family, &self.table)?;
        no_more(&place, &self.rest, &["size", "timeout"])?;
        let address = match family {
            Family::Ip => "ipv4_addr",
            Family::Ip6 => "ipv6_addr",
        };
        let port = "inet_service";
        if self.key != Value::from(vec![address, port, address, port]) {
            return Err(self.of_foreign_type());
        }
        // `dynamic` is listed by later versions of nft.
        let ours = |flag: &&str| ["timeout", "dynamic"].contains(flag);
        if !self.flags().iter().all(ours) {
            return Err(foreign(place, "flags other than `timeout` and `dynamic`"));
        }
        Ok(())
    }

    fn of_foreign_type(&self) -> LiftError {
        let what = format!("keys of type {}", Quoted(&self.key.to_string()));
        foreign(Place::Set(self.name.clone()), &what)
    }

    /// nft lists a single flag as a text or as a list, depending on its version.
    fn flags(&self) -> Vec<&str> {
        match &self.flags {
            None => Vec::new(),
            Some(Value::Array(flags)) => {
                let text = |flag| Value::as_str(flag).unwrap_or_default();
                flags.iter().map(text).collect()
            }
            Some(flag) => vec![flag.as_str().unwrap_or_default()],
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Rule {
    family: String,
    table: String,
    pub(super) chain: String,
    pub(super) handle: Option<u64>,
    pub(super) comment: Option<String>,
    #[serde(default)]
    pub(super) expr: Vec<Value>,
    #[serde(flatten)]
    rest: Rest,
}

impl Rule {
    /// Where it is, which is in our table.
    pub(super) fn place(&self) -> Result<Place, LiftError> {
        let place = Place::Rule {
            chain: self.chain.clone(),
            comment: self.comment.clone(),
            handle: self.handle,
        };
        in_our_table(&place, &self.family, &self.table)?;
        no_more(&place, &self.rest, &[])?;
        Ok(place)
    }

    /// The rule of a policy: every such rule has its label as comment.
    pub(super) fn draft(self, reader: &Reader) -> Result<Lifted, LiftError> {
        let place = self.place()?;
        let Some(label) = self.comment else {
            return Err(foreign(place, "no comment"));
        };
        let read = reader.rule(label, &self.expr);
        read.map_err(|unknown| foreign(place, &unknown.0))
    }
}
