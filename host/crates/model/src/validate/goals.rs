//! Goals: the operator's values filled into what a policy promises.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::defect::Defect;
use super::{Feeds, Validator};
use crate::address::{AddressSet, Family};
use crate::diagnostic::{Diagnostic, Quoted};
use crate::draft::{self, Element, Test};
use crate::field::Field;
use crate::goal::{Clause, Goal, GoalTemplate};
use crate::inputs::{Inputs, Value};
use crate::ruleset::{Key, Match, Operand};

/// The goal that `template` means under `inputs`.
///
/// # Errors
/// Every defect of the template: it names a setting or feed that is not there, or a match is
/// malformed.
pub fn instantiate(
    template: &GoalTemplate,
    inputs: &Inputs,
    feeds: &Feeds,
) -> Result<Goal, Vec<Diagnostic>> {
    let mut validator = Validator::new(feeds);
    let subject = format!("goal {}", Quoted(&template.name));
    let mut region = Vec::new();
    for clause in &template.clauses {
        if validator.counts(clause, inputs, &subject) {
            region.extend(validator.clause(clause, inputs, &subject));
        }
    }
    if !validator.found.is_empty() {
        return Err(validator.found);
    }
    let (name, hook, quantifier) = (template.name.clone(), template.hook, template.quantifier);
    Ok(Goal {
        name,
        hook,
        quantifier,
        region,
    })
}

impl Validator<'_> {
    /// Whether the clause's condition on a setting is met.
    fn counts(&mut self, clause: &Clause, inputs: &Inputs, subject: &str) -> bool {
        let Some(name) = &clause.when else {
            return true;
        };
        match inputs.value(name) {
            Some(Value::Boolean(on)) => *on,
            _ => {
                self.say(subject, &Defect::UnknownSetting { name: name.clone() });
                false
            }
        }
    }

    /// The clause as conjunctions: one, or one for each family when it names addresses. A family of
    /// which these leave no address is not spoken of.
    fn clause(&mut self, clause: &Clause, inputs: &Inputs, subject: &str) -> Vec<Vec<Match>> {
        let mut drafted = clause.matches.clone();
        if let Some((protocol, name)) = &clause.dport_setting {
            let ports = match inputs.value(name) {
                Some(Value::Port(port)) => vec![*port..=*port],
                Some(Value::Ports(ports)) if ports.is_empty() => return Vec::new(),
                Some(Value::Ports(ports)) => ports.clone(),
                _ => {
                    self.say(subject, &Defect::UnknownSetting { name: name.clone() });
                    return Vec::new();
                }
            };
            drafted.push(draft::Match {
                negated: false,
                test: Test::Dport(*protocol, ports),
            });
        }
        let matches = self.matches(&drafted, &[], subject);
        let mut sources = Vec::new();
        for (name, negated) in [(&clause.saddr_from, false), (&clause.saddr_not_from, true)] {
            let Some(name) = name else { continue };
            match self.addresses_named(name, inputs, subject) {
                Some(addresses) => sources.push((addresses, negated)),
                None => return Vec::new(),
            }
        }
        if sources.is_empty() {
            return vec![matches];
        }
        let leaves_some = |family: &Family| {
            sources.iter().all(|(addresses, negated)| {
                let addresses = addresses.of(*family);
                if *negated {
                    !addresses.complement((*family).max()).is_empty()
                } else {
                    !addresses.is_empty()
                }
            })
        };
        let of_family = |family: Family| {
            let sources = sources.iter().map(|(addresses, negated)| Match {
                key: Key::Field(Field::Saddr(family)),
                negated: *negated,
                operand: Operand::Numbers(addresses.of(family).clone()),
            });
            matches.iter().cloned().chain(sources).collect()
        };
        let families = Family::BOTH.into_iter().filter(leaves_some);
        families.map(of_family).collect()
    }

    fn addresses_named(
        &mut self,
        name: &str,
        inputs: &Inputs,
        subject: &str,
    ) -> Option<AddressSet> {
        if let Some(Value::Prefixes(prefixes)) = inputs.value(name) {
            let elements: Vec<_> = prefixes.iter().copied().map(Element::from).collect();
            return Some(self.elements(&elements, subject));
        }
        let feed = self.feeds.get(name).cloned();
        if feed.is_none() {
            self.say(
                subject,
                &Defect::UnknownSetting {
                    name: name.to_string(),
                },
            );
        }
        feed
    }
}
