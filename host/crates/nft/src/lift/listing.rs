//! The standalone table: its objects put together as one draft.

use portreeve_model::draft::{self, Draft, SetNode};
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::{Feeds, validate};

use super::field_sets::FieldSets;
use super::listed::{Document, Object, Rule, Set};
use super::rule::Reader;
use super::{AddressSet, LiftError, Place, Quoted, foreign};

/// Our table, as far as the objects read so far make it up.
#[derive(Default)]
pub(super) struct Tables {
    is_there: bool,
    draft: Draft,
    /// The elements of each set of addresses, under its name: `validate` evaluates sets over feeds,
    /// so large sets are never written out as a draft.
    elements: Vec<(String, AddressSet)>,
    /// The other sets: their fields are known once a rule has named them.
    field_sets: FieldSets,
}

impl Tables {
    pub(super) fn read(json: &str) -> Result<Self, LiftError> {
        let mut reader = Reader::default();
        let mut tables = Self::default();
        for object in Document::read(json)?.nftables {
            tables.take(object, &mut reader)?;
        }
        Ok(tables)
    }

    pub(super) fn ruleset(mut self) -> Result<Ruleset, LiftError> {
        if !self.is_there {
            return Err(LiftError::NoTable);
        }
        self.draft.field_sets = self.field_sets.drafted();
        let feeds: Feeds = self.elements.into_iter().collect();
        validate(&self.draft, &feeds).map_err(LiftError::Invalid)
    }

    fn take(&mut self, object: Object, reader: &mut Reader) -> Result<(), LiftError> {
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
            Object::Set(set) if set.has_addresses() => self.set(set),
            Object::Set(set) => {
                reader.has_field_set(&set.name);
                self.field_sets.listed(set)
            }
            Object::Chain(chain) => {
                self.draft.chains.push(chain.draft()?);
                Ok(())
            }
            Object::Rule(rule) => self.rule(rule, reader),
            Object::Other(kind) => {
                let what = format!("the object {}", Quoted(&kind));
                Err(foreign(Place::Listing, &what))
            }
        }
    }

    fn set(&mut self, set: Set) -> Result<(), LiftError> {
        let name = set.name.clone();
        let (family, addresses) = set.addresses()?;
        self.elements.push((name.clone(), addresses));
        self.draft.sets.push(draft::Set {
            expression: vec![SetNode::Feed(name.clone())],
            name,
            family,
        });
        Ok(())
    }

    fn rule(&mut self, rule: Rule, reader: &Reader) -> Result<(), LiftError> {
        let place = rule.place()?;
        let mut chains = self.draft.chains.iter_mut();
        let chain = chains.find(|chain| chain.name == rule.chain);
        let lifted = rule.draft(reader)?;
        let chain = chain.ok_or_else(|| foreign(place.clone(), "a chain that is not listed"))?;
        self.field_sets
            .used(&lifted.uses)
            .map_err(|what| foreign(place, &what))?;
        chain.rules.push(lifted.rule);
        Ok(())
    }
}
