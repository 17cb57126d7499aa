//! The tables put together: each object in its table, each rule in its chain.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::tables::{Base, Chain, Opaque, Part, Rule, Scope, Table, TableFamily, Tables};
use serde_json::Value;
use serde_json::value::RawValue;

use super::attributes::Attributes;
use super::base::perhaps;
use super::document::{Entries, Item};
use super::sets::ListedSet;
use super::statements::{changed_set, parts};
use super::surroundings::{Surroundings, counts_itself};

/// Tables as they are put together.
#[derive(Default)]
pub(super) struct Assembly {
    /// Every table; none where one was deleted.
    tables: Vec<Option<ListedTable>>,
    places: BTreeMap<(TableFamily, String), usize>,
    unknown: Vec<String>,
}

struct ListedTable {
    family: TableFamily,
    name: String,
    dormant: bool,
    /// Whether it has a flag that is not known.
    maybe_dormant: bool,
    listed: bool,
    sets: Vec<ListedSet>,
    set_places: BTreeMap<String, usize>,
    chains: Vec<ListedChain>,
    chain_places: BTreeMap<String, usize>,
    unknown: Vec<String>,
}

struct ListedChain {
    name: String,
    base: Option<Base>,
    rules: Vec<ListedRule>,
}

/// A rule as it is listed.
struct ListedRule {
    handle: Option<u64>,
    comment: Option<String>,
    /// What it says; its whole text when it has not the form of a rule.
    says: Result<Vec<Value>, String>,
}

/// Expressions of a rule at most (`NFT_RULE_MAXEXPRS` in `nf_tables_api.c`).
const PARTS_MAX: usize = 128;

/// Objects that change no packet by being there: what they do, rules do with them.
const QUIET: [&str; 11] = [
    "flowtable",
    "counter",
    "quota",
    "limit",
    "ct helper",
    "ct timeout",
    "ct expectation",
    "secmark",
    "synproxy",
    "tunnel",
    "metainfo",
];

impl Assembly {
    /// No tables, but what is no object of a document.
    pub(super) fn with_unknown(unknown: Vec<String>) -> Self {
        Self {
            unknown,
            ..Self::default()
        }
    }

    /// Takes the next item of the document.
    pub(super) fn take(&mut self, item: &Item<'_>) {
        if self.understand(&item.kind, item.body).is_none() {
            self.unknown
                .push(format!("{:?}: {}", item.kind, item.body.get()));
        }
    }

    fn understand(&mut self, kind: &str, body: &RawValue) -> Option<()> {
        match kind {
            "add" | "create" => {
                let (kind, body) = Entries::of(body)?.only()?;
                match kind.as_str() {
                    "add" | "create" => None,
                    object => self.object(object, body, false),
                }
            }
            "delete" | "destroy" => {
                let (kind, body) = Entries::of(body)?.only()?;
                let table = Attributes::of(body)?;
                (kind == "table").then(|| self.delete(&table))?
            }
            "flush" => {
                let (kind, body) = Entries::of(body)?.only()?;
                (kind == "ruleset" && body.get() == "null").then(|| {
                    self.tables.clear();
                    self.places.clear();
                })
            }
            object => self.object(object, body, true),
        }
    }

    /// An object, `listed` or put there by a command.
    fn object(&mut self, kind: &str, body: &RawValue, listed: bool) -> Option<()> {
        if kind == "metainfo" {
            return Some(());
        }
        let attributes = Attributes::of(body)?;
        if kind == "table" {
            return self.table(&attributes, body, listed);
        }
        let table = self.find(&attributes, "table")?;
        let read = match kind {
            "set" | "map" | "meter" => table.set(&attributes),
            "chain" => table.chain(&attributes),
            "rule" => table.rule(&attributes, body),
            "element" => table.elements(&attributes),
            quiet if QUIET.contains(&quiet) => Some(()),
            _ => None,
        };
        if read.is_none() {
            table.unknown.push(format!("{kind:?}: {}", body.get()));
        }
        Some(())
    }

    fn find(&mut self, attributes: &Attributes<'_>, key: &str) -> Option<&mut ListedTable> {
        let family = TableFamily::from_keyword(&attributes.text("family")?)?;
        let place = self.places.get(&(family, attributes.text(key)?))?;
        self.tables.get_mut(*place)?.as_mut()
    }

    fn table(&mut self, attributes: &Attributes<'_>, body: &RawValue, listed: bool) -> Option<()> {
        let family = TableFamily::from_keyword(&attributes.text("family")?)?;
        let name = attributes.text("name")?;
        let next = self.tables.len();
        let place = *self.places.entry((family, name.clone())).or_insert(next);
        if place == next {
            self.tables.push(None);
        }
        let table =
            self.tables[place].get_or_insert_with(|| ListedTable::new(family, name, listed));
        table.dormant |= attributes.has_flag("dormant");
        // Until version 1.1 nft lists the only flag of a table as some other word.
        let known = ["dormant", "owner", "persist"];
        let flags = attributes.flags();
        table.maybe_dormant |= attributes.raw("flags").is_some()
            && (flags.is_empty() || flags.iter().any(|flag| !known.contains(&flag.as_str())));
        if table.maybe_dormant || !attributes.are(&["family", "name", "handle", "comment", "flags"])
        {
            table.unknown.push(body.get().to_owned());
        }
        Some(())
    }

    fn delete(&mut self, attributes: &Attributes<'_>) -> Option<()> {
        let family = TableFamily::from_keyword(&attributes.text("family")?)?;
        let place = self.places.remove(&(family, attributes.text("name")?));
        if let Some(place) = place {
            self.tables[place] = None;
        }
        Some(())
    }

    /// The tables, with everything in them that leads somewhere leading there.
    pub(super) fn finish(self) -> Tables {
        Tables {
            tables: self
                .tables
                .into_iter()
                .flatten()
                .map(ListedTable::finish)
                .collect(),
            unknown: self.unknown,
        }
    }
}

impl ListedTable {
    fn new(family: TableFamily, name: String, listed: bool) -> Self {
        Self {
            family,
            name,
            dormant: false,
            maybe_dormant: false,
            listed,
            sets: Vec::new(),
            set_places: BTreeMap::new(),
            chains: Vec::new(),
            chain_places: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }

    fn set(&mut self, attributes: &Attributes<'_>) -> Option<()> {
        let set = ListedSet::read(attributes.entries(), self.family)?;
        // Adding what is there changes nothing.
        if !self.set_places.contains_key(&set.name) {
            self.set_places.insert(set.name.clone(), self.sets.len());
            self.sets.push(set);
        }
        Some(())
    }

    fn elements(&mut self, attributes: &Attributes<'_>) -> Option<()> {
        if !attributes.are(&["family", "table", "name", "elem"]) {
            return None;
        }
        let place = self.set_places.get(&attributes.text("name")?)?;
        self.sets[*place].add(attributes.raw("elem")?);
        Some(())
    }

    fn chain(&mut self, attributes: &Attributes<'_>) -> Option<()> {
        let name = attributes.text("name")?;
        let base = attributes.base(self.family);
        if !self.chain_places.contains_key(&name) {
            self.chain_places.insert(name.clone(), self.chains.len());
            self.chains.push(ListedChain {
                name,
                base,
                rules: Vec::new(),
            });
        }
        let known = [
            "family", "table", "name", "handle", "comment", "type", "hook", "prio", "policy", "dev",
        ];
        attributes.are(&known).then_some(())
    }

    fn rule(&mut self, attributes: &Attributes<'_>, body: &RawValue) -> Option<()> {
        let place = self.chain_places.get(&attributes.text("chain")?)?;
        let known = ["family", "table", "chain", "handle", "comment", "expr"];
        let says = match attributes.raw("expr") {
            None => Some(Vec::new()),
            Some(expr) => serde_json::from_str(expr.get()).ok(),
        };
        let fits = |parts: &Vec<Value>| parts.len() <= PARTS_MAX && attributes.are(&known);
        let says = says.filter(fits);
        self.chains[*place].rules.push(ListedRule {
            handle: attributes.value("handle").and_then(|it| it.as_u64()),
            comment: attributes.text("comment"),
            says: says.ok_or_else(|| body.get().to_owned()),
        });
        Some(())
    }

    fn finish(self) -> Table {
        let mut surroundings = Surroundings::new(self.family, self.listed);
        self.chains
            .iter()
            .for_each(|chain| surroundings.add_chain(&chain.name));
        for set in &self.sets {
            surroundings.add_set(&set.name, set.shape.clone());
            if set.counting {
                surroundings.count_in(&set.name);
            }
        }
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let parts = rules.filter_map(|rule| rule.says.as_ref().ok()).flatten();
        for part in parts {
            if let Some(set) = changed_set(part).filter(|_| counts_itself(part)) {
                surroundings.count_in(set);
            }
        }
        let mut changed = BTreeSet::new();
        let chains = self.chains.into_iter().map(|chain| {
            let rules = chain.rules.into_iter();
            let rules = rules.map(|rule| rule.finish(&surroundings, &mut changed));
            let rules = rules.collect();
            let base = match self.maybe_dormant {
                true => chain.base.map(perhaps),
                false => chain.base,
            };
            Chain {
                name: chain.name,
                base,
                rules,
            }
        });
        let chains = chains.collect();
        let sets = self.sets.into_iter().map(|mut set| {
            set.changing |= changed.contains(&set.name);
            set.resolve(&surroundings)
        });
        let sets = sets.collect();
        Table {
            sets,
            family: self.family,
            name: self.name,
            dormant: self.dormant,
            listed: self.listed,
            chains,
            unknown: self.unknown,
        }
    }
}

/// The sets that a part names, if it may do anything with them.
fn named_by(part: &Part) -> impl Iterator<Item = &str> {
    let text = match part {
        Part::Opaque(opaque) if opaque.scope == Scope::Anything => opaque.text.as_str(),
        _ => "",
    };
    // In a string, or in nft's words, where a name has only such letters (nft(8), "Lexical
    // conventions").
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || "/\\_.-".contains(letter);
    text.split('@').skip(1).flat_map(move |rest| {
        let rest = rest.get(..NAME_BYTES_MAX).unwrap_or(rest);
        let ends = [rest.find('"'), rest.find(|letter| !in_word(letter))];
        ends.map(|end| end.map_or(rest, |end| &rest[..end]))
    })
}

/// Bytes of a set's name, and one more (`NFT_SET_MAXNAMELEN` in `nf_tables.h`).
const NAME_BYTES_MAX: usize = 256;

impl ListedRule {
    /// The rule; the sets that it changes go into `changed`.
    fn finish(self, surroundings: &Surroundings, changed: &mut BTreeSet<String>) -> Rule {
        let parts = match self.says {
            Ok(expr) => {
                changed.extend(expr.iter().filter_map(changed_set).map(str::to_owned));
                parts(surroundings, &expr)
            }
            Err(text) => {
                let scope = Scope::Anything;
                vec![Part::Opaque(Opaque { text, scope })]
            }
        };
        let named = parts.iter().flat_map(named_by);
        let sets = named.filter(|name| surroundings.set(name).is_some());
        changed.extend(sets.map(str::to_owned));
        Rule {
            handle: self.handle,
            comment: self.comment,
            parts,
        }
    }
}
