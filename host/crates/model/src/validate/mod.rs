//! From a draft to a rule set, or to everything that is wrong with it.
//!
//! Pure and total: every defect is found in one go, in the order of the draft, and a rule set
//! that comes out will be taken by the kernel and means what it says.

mod defect;
mod fields;
mod goals;
mod graph;
mod matches;
mod places;
mod sets;
mod statements;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use self::defect::Defect;
pub use self::goals::instantiate;
use crate::address::AddressSet;
use crate::diagnostic::{Diagnostic, Quoted};
use crate::draft::{self, Draft};
use crate::limits::{CHAINS_MAX, RULE_PARTS_MAX, RULES_MAX, SETS_MAX};
use crate::names::{Name, Text};
use crate::ruleset::{Chain, FieldSet, Rule, Ruleset, Set, Statement};

/// The feeds that set expressions may name, with their addresses.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Vec<(String, AddressSet)>);

impl Feeds {
    /// The addresses of the feed `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AddressSet> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, addresses)| addresses)
    }
}

impl FromIterator<(String, AddressSet)> for Feeds {
    fn from_iter<I: IntoIterator<Item = (String, AddressSet)>>(feeds: I) -> Self {
        Self(feeds.into_iter().collect())
    }
}

/// The rule set that `draft` means, with the sets evaluated over `feeds`.
///
/// # Errors
/// Every defect of the draft, in its order.
pub fn validate(draft: &Draft, feeds: &Feeds) -> Result<Ruleset, Vec<Diagnostic>> {
    let mut validator = Validator::new(feeds);
    validator.sizes(draft);
    if validator.found.is_empty() {
        validator.all_sets(draft);
        validator.all_field_sets(draft);
        let chains = validator.chains(draft);
        validator.places(draft);
        graph::check(draft, &mut validator.found);
        if validator.found.is_empty() {
            return Ok(Ruleset::new(validator.sets, validator.field_sets, chains));
        }
    }
    Err(validator.found)
}

struct Validator<'a> {
    feeds: &'a Feeds,
    /// The intervals that set expressions have gone through so far.
    set_work: usize,
    /// The sets that are well-formed so far; rules may name them.
    sets: Vec<Set>,
    /// The same of field sets.
    field_sets: Vec<FieldSet>,
    found: Vec<Diagnostic>,
}

impl<'a> Validator<'a> {
    const fn new(feeds: &'a Feeds) -> Self {
        Self {
            feeds,
            set_work: 0,
            sets: Vec::new(),
            field_sets: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Validator<'_> {
    fn say(&mut self, subject: &str, defect: &Defect) {
        self.found.push(defect.of(subject));
    }

    /// Limits first: a draft that breaks one is not looked at any closer.
    fn sizes(&mut self, draft: &Draft) {
        let rules = draft.chains.iter().map(|chain| chain.rules.len()).sum();
        let counts = [
            ("sets", draft.sets.len() + draft.field_sets.len(), SETS_MAX),
            ("chains", draft.chains.len(), CHAINS_MAX),
            ("rules", rules, RULES_MAX),
        ];
        for (what, found, max) in counts {
            if found > max {
                self.say("draft", &Defect::TooMany { what, found, max });
            }
        }
    }

    fn chains(&mut self, draft: &Draft) -> Vec<Chain> {
        let mut chains = Vec::with_capacity(draft.chains.len());
        for (position, chain) in draft.chains.iter().enumerate() {
            let subject = format!("chain {}", Quoted(&chain.name));
            if draft.chains[..position]
                .iter()
                .any(|earlier| earlier.name == chain.name)
            {
                self.say(&subject, &Defect::Duplicate { kind: "chain" });
            }
            let rules = self.rules(chain);
            match Name::new(&chain.name) {
                Ok(name) => chains.push(Chain {
                    name,
                    base: chain.base,
                    rules,
                }),
                Err(error) => self.say(&subject, &Defect::Name(error)),
            }
        }
        chains
    }

    fn rules(&mut self, chain: &draft::Chain) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(chain.rules.len());
        for (index, rule) in chain.rules.iter().enumerate() {
            let subject = format!(
                "rule {} ({}) in chain {}",
                index + 1,
                Quoted(&rule.label),
                Quoted(&chain.name)
            );
            rules.extend(self.rule(rule, &subject));
        }
        rules
    }

    /// The rule, unless something is wrong with it.
    fn rule(&mut self, rule: &draft::Rule, subject: &str) -> Option<Rule> {
        let before = self.found.len();
        let parts = rule.matches.len() + rule.statements.len();
        if parts > RULE_PARTS_MAX {
            let what = "matches and statements";
            self.say(
                subject,
                &Defect::TooMany {
                    what,
                    found: parts,
                    max: RULE_PARTS_MAX,
                },
            );
            return None;
        }
        let label = Text::new(&rule.label)
            .map_err(|error| self.say(subject, &Defect::Label(error)))
            .ok();
        let statements = self.statements(rule, subject);
        let mut matches = self.matches(&rule.matches, &statements, subject);
        let rejects = statements.iter().any(|s| matches!(s, Statement::Reject(_)));
        matches::say_family_so_that_it_lasts(&mut matches, rejects);
        self.ports_of_nat(&matches, &statements, subject);
        let whole = self.found.len() == before;
        label.filter(|_| whole).map(|label| Rule {
            label,
            matches,
            statements,
        })
    }
}

#[cfg(test)]
mod tests;
