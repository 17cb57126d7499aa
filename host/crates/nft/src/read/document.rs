//! The document as it stands in the text: each object cut out, none yet understood.
//!
//! Cutting out is all that can fail, and only on what is no JSON. An object that is nested too
//! deep to be a rule is strange, but the objects next to it are not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The entries of an object, in their order, each with its text; one key may stand twice.
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Entries<'a> {
    /// The entries, if `text` is an object.
    pub(super) fn of(text: &'a RawValue) -> Option<Self> {
        serde_json::from_str(text.get()).ok()
    }

    /// The only entry of an object that has one.
    pub(super) fn only(mut self) -> Option<(String, &'a RawValue)> {
        self.0.pop().filter(|_| self.0.is_empty())
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// One object of a listing, or one command of a transaction.
pub(super) struct Item<'a> {
    /// What kind it is of, or which command it is.
    pub(super) kind: String,
    /// What it says.
    pub(super) body: &'a RawValue,
}

/// The items of a document, and the texts of what is none.
pub(super) fn items(json: &str) -> serde_json::Result<(Vec<Item<'_>>, Vec<String>)> {
    let (mut items, mut strange) = (Vec::new(), Vec::new());
    let Ok(Entries(entries)) = serde_json::from_str(json) else {
        let document: &RawValue = serde_json::from_str(json)?;
        return Ok((items, vec![document.get().to_owned()]));
    };
    for (key, body) in entries {
        let list: Option<Vec<&RawValue>> = serde_json::from_str(body.get()).ok();
        match list {
            Some(list) if key == "nftables" => {
                for item in list {
                    match Entries::of(item).and_then(Entries::only) {
                        Some((kind, body)) => items.push(Item { kind, body }),
                        None => strange.push(item.get().to_owned()),
                    }
                }
            }
            _ => strange.push(format!("{key:?}: {}", body.get())),
        }
    }
    Ok((items, strange))
}
