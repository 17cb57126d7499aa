//! Sets of what fields hold together: listed with the types of the fields, and with the fields
//! themselves only where a rule names them.

use std::collections::BTreeMap;

use portreeve_model::diagnostic::Quoted;
use portreeve_model::draft::{Contents, FieldSet, Selector};
use portreeve_model::ruleset::text::type_name;

use super::LiftError;
use super::listed::Set;

/// Such sets of a table, under their names there.
#[derive(Default)]
pub(super) struct FieldSets(BTreeMap<String, Listed>);

struct Listed {
    types: Vec<String>,
    contents: Contents,
    /// What rules look up in it.
    fields: Option<Vec<Selector>>,
}

impl FieldSets {
    /// Adds a set that was listed.
    pub(super) fn listed(&mut self, set: Set) -> Result<(), LiftError> {
        let name = set.name.clone();
        let (types, contents) = set.field_set()?;
        let fields = None;
        self.0.insert(
            name,
            Listed {
                types,
                contents,
                fields,
            },
        );
        Ok(())
    }

    /// Notes what a rule looks up in these sets, or says what it does that no rule of ours does.
    pub(super) fn used(&mut self, uses: &[(String, Vec<Selector>)]) -> Result<(), String> {
        for (name, fields) in uses {
            let set = self.0.get_mut(name);
            let set = set.ok_or_else(|| format!("a use of the set {}", Quoted(name)))?;
            let types = fields.iter().map(|it| type_name(it.field()));
            let fits = set.types.iter().map(String::as_str).eq(types);
            let known = set.fields.get_or_insert_with(|| fields.clone());
            if !fits || known != fields {
                return Err(format!("another use of the set {}", Quoted(name)));
            }
        }
        Ok(())
    }

    /// The sets as a draft has them. Those that no rule names mean nothing.
    pub(super) fn drafted(&self) -> Vec<FieldSet> {
        self.0.keys().filter_map(|name| self.named(name)).collect()
    }

    /// The set of this name, if some rule names it.
    pub(super) fn named(&self, name: &str) -> Option<FieldSet> {
        let listed = self.0.get(name)?;
        Some(FieldSet {
            name: name.to_owned(),
            fields: listed.fields.clone()?,
            contents: listed.contents.clone(),
        })
    }
}
