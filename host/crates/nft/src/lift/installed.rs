//! The table in which generations stand side by side: which of them packets meet, and what those
//! say.
//!
//! Generations that no base chain leads to are leftovers and part of neither, but they must be
//! ours all the same.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::Family;
use portreeve_model::draft::{self, AddressOperand, Draft, SetNode, Statement, Test, Verdict};
use portreeve_model::names::Name;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::{Feeds, validate};

use super::field_sets::FieldSets;
use super::leads;
use super::listed::{Chain, Document, Object, Rule, Set};
use super::rule::{Lifted, Reader};
use super::{AddressSet, LiftError, Place, Quoted, Shape, foreign};
use crate::layout::{self, ARRIVALS, Number};
use crate::netlink::{self, BaseChain, Meaning, Objects};
use crate::switch::{Side, Standing};

/// The generations that packets meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Installed {
    /// The confirmed one. Without one, nothing is filtered but by a trial.
    pub confirmed: Option<(Number, Ruleset)>,
    /// The one that packets meet instead, for as long as its trial runs; none after a lapse.
    pub trial: Option<(Number, Ruleset)>,
}

/// The same, as far as a terse listing says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstalledShape {
    /// The confirmed one.
    pub confirmed: Option<(Number, Shape)>,
    /// The one that packets meet instead while the set of its trial has elements. Whether it has
    /// is not in a terse listing.
    pub trial: Option<(Number, Shape)>,
}

/// What a full listing of our table says.
///
/// # Errors
/// See [`LiftError`].
pub fn lift_installed(json: &str) -> Result<Installed, LiftError> {
    let table = Table::read(json)?;
    let standing = table.standing()?;
    let runs = |side: &&Side| table.running.contains(&side.number);
    let ruleset = |side: &Side| Ok((side.number, table.generation(side)?.ruleset));
    Ok(Installed {
        confirmed: standing.confirmed.as_ref().map(ruleset).transpose()?,
        trial: standing
            .trial
            .as_ref()
            .filter(runs)
            .map(ruleset)
            .transpose()?,
    })
}

/// What a terse listing (`nft -t`) of our table says.
///
/// # Errors
/// See [`LiftError`].
pub fn lift_installed_terse(json: &str) -> Result<InstalledShape, LiftError> {
    let table = Table::read(json)?;
    let standing = table.standing()?;
    let shape = |side: &Side| Ok((side.number, table.generation(side)?.shape()));
    Ok(InstalledShape {
        confirmed: standing.confirmed.as_ref().map(shape).transpose()?,
        trial: standing.trial.as_ref().map(shape).transpose()?,
    })
}

/// Our table, as far as the objects read so far make it up.
#[derive(Default)]
struct Table {
    /// The base chains and what leads on from them, as the kernel would list it.
    switch: Objects,
    /// The chains of each generation, under their own names.
    generations: BTreeMap<Number, Vec<draft::Chain>>,
    /// The chains of records of arrivals.
    records: BTreeSet<String>,
    /// The sets of addresses of policies, under their names in the table.
    sets: BTreeMap<String, (Family, AddressSet)>,
    /// The other sets of policies.
    field_sets: FieldSets,
    /// The trials whose sets have elements.
    running: BTreeSet<Number>,
}

impl Table {
    fn read(json: &str) -> Result<Self, LiftError> {
        let mut reader = Reader::default();
        let mut table = Self::default();
        for object in Document::read(json)?.nftables {
            table.take(object, &mut reader)?;
        }
        Ok(table)
    }

    fn standing(&self) -> Result<Standing, LiftError> {
        if !self.switch.table {
            return Err(LiftError::NoTable);
        }
        Standing::read(&self.switch).map_err(LiftError::Astray)
    }

    fn take(&mut self, object: Object, reader: &mut Reader) -> Result<(), LiftError> {
        match object {
            Object::Metainfo => Ok(()),
            Object::Add(object) => self.take(*object, reader),
            Object::Delete(_) => Err(foreign(Place::Listing, "a command that deletes")),
            Object::Table(table) => {
                table.check()?;
                self.switch.table = true;
                Ok(())
            }
            Object::Set(set) => self.set(set, reader),
            Object::Chain(chain) => self.chain(chain),
            Object::Rule(rule) => self.rule(rule, reader),
            Object::Other(kind) => {
                let what = format!("the object {}", Quoted(&kind));
                Err(foreign(Place::Listing, &what))
            }
        }
    }

    fn set(&mut self, set: Set, reader: &mut Reader) -> Result<(), LiftError> {
        let name = set.name.clone();
        if let Some(number) = layout::parse_trial_set(&name) {
            if set.trial()? > 0 {
                self.running.insert(number);
            }
        } else if let Some(family) = leads::parse_arrivals_set(&name) {
            set.arrivals(family)?;
        } else if layout::parse_set(&name).is_some() && set.has_addresses() {
            let addresses = set.addresses()?;
            self.sets.insert(name, addresses);
        } else if own_name(&name).is_some() {
            reader.has_field_set(&name);
            self.field_sets.listed(set)?;
        } else {
            let what = format!("a set named {}", Quoted(&name));
            return Err(foreign(Place::Table, &what));
        }
        Ok(())
    }

    fn chain(&mut self, chain: Chain) -> Result<(), LiftError> {
        let chain = chain.draft()?;
        let name = chain.name.clone();
        if let Some(base) = chain.base {
            let base = Some(BaseChain {
                hook: base.hook,
                priority: base.priority,
                policy: base.policy,
                chain_type: base.chain_type.keyword().to_owned(),
            });
            self.switch.chains.push(netlink::Chain { name, base });
        } else if let Some((number, own)) = layout::parse_chain(&name) {
            let name = own.to_string();
            let chains = self.generations.entry(number).or_default();
            chains.push(draft::Chain { name, ..chain });
        } else if layout::parse_entry_chain(&name).is_some() {
            let base = None;
            self.switch.chains.push(netlink::Chain { name, base });
        } else if leads::parse_arrivals_chain(&name).is_some() {
            self.records.insert(name);
        } else {
            let what = format!("a chain named {}", Quoted(&name));
            return Err(foreign(Place::Table, &what));
        }
        Ok(())
    }

    fn rule(&mut self, rule: Rule, reader: &Reader) -> Result<(), LiftError> {
        let place = rule.place()?;
        let mut switch = self.switch.chains.iter();
        if switch.any(|chain| chain.name == rule.chain) {
            return self.lead(rule, place);
        }
        if self.records.contains(&rule.chain) {
            let number = leads::parse_arrivals_chain(&rule.chain);
            let ours = number.is_some_and(|number| leads::records_arrivals(&rule.expr, number));
            return if ours && rule.comment.is_none() {
                Ok(())
            } else {
                Err(not_of_the_switch(&rule, place))
            };
        }
        let generation = layout::parse_chain(&rule.chain).and_then(|(number, own)| {
            let mut chains = self.generations.get_mut(&number)?.iter_mut();
            let chain = chains.find(|chain| chain.name == own.as_str())?;
            Some((number, chain))
        });
        let Some((number, chain)) = generation else {
            return Err(foreign(place, "a chain that is not listed"));
        };
        let Lifted { mut rule, uses } = rule.draft(reader)?;
        let named = name_targets(&mut rule, number).and_then(|()| self.field_sets.used(&uses));
        named.map_err(|what| foreign(place, &what))?;
        chain.rules.push(rule);
        Ok(())
    }

    /// A rule of a base chain or of an entry chain.
    fn lead(&mut self, rule: Rule, place: Place) -> Result<(), LiftError> {
        let meaning = leads::meaning(&rule.expr).filter(|_| rule.comment.is_none());
        let ours = |meaning: &Meaning| rule.chain != ARRIVALS || leads::leads_to_record(meaning);
        let Some(meaning) = meaning.filter(ours) else {
            return Err(not_of_the_switch(&rule, place));
        };
        self.switch.rules.push(netlink::Rule {
            chain: rule.chain,
            handle: rule.handle.unwrap_or_default(),
            meaning,
            sets: Vec::new(),
            chains: Vec::new(),
        });
        Ok(())
    }

    /// The rule set of one generation, whose base chains the switch leads to.
    fn generation(&self, side: &Side) -> Result<Generation, LiftError> {
        let none = Vec::new();
        let mut draft = Draft {
            chains: self.generations.get(&side.number).unwrap_or(&none).clone(),
            ..Draft::default()
        };
        for entry in &side.entries {
            let mut chains = draft.chains.iter_mut();
            let chain = chains.find(|chain| chain.name == entry.chain.as_str());
            let Some(chain) = chain else {
                let name = layout::chain(side.number, &entry.chain);
                let what = format!("a lead to chain {}, which is not there", Quoted(&name));
                return Err(foreign(Place::Table, &what));
            };
            if chain.base.replace(entry.base).is_some() {
                let place = Place::Chain(layout::chain(side.number, &entry.chain));
                return Err(foreign(place, "two base chains that lead to it"));
            }
        }
        let mut feeds = Vec::new();
        let mut sets = BTreeSet::new();
        let rules = draft.chains.iter_mut().flat_map(|chain| &mut chain.rules);
        for name in rules.flat_map(set_names) {
            if let Some(set) = self.field_sets.named(name) {
                let of_other = layout::parse_dynamic_set(name)
                    .filter(|_| matches!(set.contents, draft::Contents::Dynamic { .. }))
                    .filter(|(number, _)| *number != side.number);
                let Some(own) = own_name(name).filter(|_| of_other.is_none()) else {
                    let what = format!("a rule that names the set {}", Quoted(name));
                    return Err(foreign(Place::Table, &what));
                };
                if let draft::Contents::Elements(_) = set.contents {
                    sets.insert(name.clone());
                }
                *name = own.to_string();
                if draft.field_sets.iter().all(|known| known.name != *name) {
                    let name = name.clone();
                    draft.field_sets.push(draft::FieldSet { name, ..set });
                }
                continue;
            }
            let listed = self.sets.get_key_value(name.as_str());
            let own = layout::parse_set(name).zip(listed);
            let Some((own, (called, (family, addresses)))) = own else {
                let what = format!("a rule that names the set {}", Quoted(name));
                return Err(foreign(Place::Table, &what));
            };
            *name = own.to_string();
            if sets.insert(called.clone()) {
                feeds.push((called.clone(), addresses.clone()));
                draft.sets.push(set(own, *family, called));
            }
        }
        let feeds: Feeds = feeds.into_iter().collect();
        let ruleset = validate(&draft, &feeds).map_err(LiftError::Invalid)?;
        Ok(Generation { ruleset, sets })
    }
}

/// A generation as it was listed.
struct Generation {
    ruleset: Ruleset,
    /// What its sets are called in the table.
    sets: BTreeSet<String>,
}

impl Generation {
    fn shape(self) -> Shape {
        Shape {
            ruleset: self.ruleset,
            sets: Some(self.sets),
        }
    }
}

/// A set with its elements in the feed of the name that the table knows it by, so that large sets
/// are never written out as a draft.
fn set(name: Name, family: Family, called: &str) -> draft::Set {
    draft::Set {
        name: name.to_string(),
        family,
        expression: vec![SetNode::Feed(called.to_owned())],
    }
}

/// The policy's own name of a set of what fields hold together.
fn own_name(name: &str) -> Option<Name> {
    let of_generation = || layout::parse_dynamic_set(name).map(|(_, own)| own);
    layout::parse_set(name).or_else(of_generation)
}

/// The names of sets in a rule.
fn set_names(rule: &mut draft::Rule) -> impl Iterator<Item = &mut String> {
    let matches = rule.matches.iter_mut();
    let asked = matches.filter_map(|condition| match &mut condition.test {
        Test::Saddr(_, AddressOperand::Set(name))
        | Test::Daddr(_, AddressOperand::Set(name))
        | Test::FieldSet(name) => Some(name),
        _ => None,
    });
    let statements = rule.statements.iter_mut();
    asked.chain(statements.filter_map(|statement| match statement {
        Statement::UpdateSet { set, .. } => Some(set),
        _ => None,
    }))
}

/// Calls the chains that a rule leads to by their own names: all are of its own generation.
fn name_targets(rule: &mut draft::Rule, number: Number) -> Result<(), String> {
    for target in rule.statements.iter_mut().flat_map(targets) {
        let named = layout::parse_chain(target).filter(|named| named.0 == number);
        let (_, own) = named.ok_or_else(|| format!("a jump to chain {}", Quoted(target)))?;
        *target = own.to_string();
    }
    Ok(())
}

/// The chains that a statement leads to.
fn targets(statement: &mut Statement) -> Vec<&mut String> {
    match statement {
        Statement::Jump(target) | Statement::Goto(target) => vec![target],
        Statement::VerdictMap { elements, .. } => {
            let verdicts = elements.iter_mut().map(|(_, verdict)| verdict);
            verdicts
                .filter_map(|verdict| match verdict {
                    Verdict::Jump(target) | Verdict::Goto(target) => Some(target),
                    Verdict::Accept | Verdict::Drop | Verdict::Continue | Verdict::Return => None,
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

fn not_of_the_switch(rule: &Rule, place: Place) -> LiftError {
    let parts = serde_json::to_string(&rule.expr).expect("plain data has a JSON form");
    foreign(place, &format!("the expressions {}", Quoted(&parts)))
}
