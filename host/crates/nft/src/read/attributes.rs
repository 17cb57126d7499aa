//! The attributes of an object, each as its text until it is asked for.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::value::RawValue;

use super::document::Entries;

/// The attributes of an object.
pub(super) struct Attributes<'a>(Entries<'a>);

impl<'a> Attributes<'a> {
    pub(super) fn of(body: &'a RawValue) -> Option<Self> {
        Entries::of(body).map(Self)
    }

    /// All of them, in their order.
    pub(super) const fn entries(&self) -> &Entries<'a> {
        &self.0
    }

    pub(super) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        let Entries(entries) = &self.0;
        entries
            .iter()
            .find(|(of, _)| of == key)
            .map(|(_, text)| *text)
    }

    pub(super) fn value(&self, key: &str) -> Option<Value> {
        serde_json::from_str(self.raw(key)?.get()).ok()
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.raw(key)?.get()).ok()
    }

    /// Whether there are none but `known`, each once.
    pub(super) fn are(&self, known: &[&str]) -> bool {
        let Entries(entries) = &self.0;
        let keys: BTreeSet<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        keys.len() == entries.len() && keys.iter().all(|key| known.contains(key))
    }

    /// One flag, or a list of them.
    pub(super) fn flags(&self) -> Vec<String> {
        self.words("flags")
    }

    pub(super) fn words(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::String(word)) => vec![word],
            Some(Value::Array(words)) => {
                let words = words.iter().filter_map(Value::as_str);
                words.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.flags().iter().any(|it| it == flag)
    }
}
