//! Goals that the operator states in the configuration, and what they mean once feeds, settings and
//! her own address are known.
//!
//! A goal that could be about nothing is refused, so that none holds by saying nothing.

mod words;

use std::net::IpAddr;

use portreeve_model::address::{AddressSet, Family, Prefix};
use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::draft::Match;
use portreeve_model::goal::{Clause, Goal, GoalTemplate, Quantifier};
use portreeve_model::inputs::{Inputs, Value};
use portreeve_model::intervals::Intervals;
use portreeve_model::packet::Hook;
use portreeve_model::validate::{Feeds, instantiate};

use super::nearest::did_you_mean;
use super::raw::Place;
pub(super) use words::{Packets, packets};

/// The feed by which a template names the addresses that a goal says. No policy can have one of
/// this name.
const SOURCE: &str = "source of the goal";

/// A goal as the operator states it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatedGoal {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) hook: Hook,
    pub(super) quantifier: Quantifier,
    /// What must hold of the packets, but for where they come from: any of these.
    pub(super) clauses: Vec<Vec<Match>>,
    pub(super) from: Vec<Source>,
}

/// Where packets come from, or do not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Source {
    pub(super) negated: bool,
    pub(super) of: Addresses,
}

/// Some addresses, as a configuration can name them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Addresses {
    Any,
    /// Where this session comes from.
    Operator,
    Prefix(Prefix),
    /// A feed, or a setting of prefixes.
    Named(String),
}

/// Why a goal cannot be stated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotStated {
    /// It makes no sense.
    Invalid(Vec<Diagnostic>),
    /// It speaks of the operator, and this session does not say where she is.
    NoOperator(Diagnostic),
}

impl NotStated {
    /// Everything that is wrong, at least one thing.
    #[must_use]
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::Invalid(found) => found,
            Self::NoOperator(found) => vec![found],
        }
    }
}

impl StatedGoal {
    /// What it promises, in the operator's words.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with it whatever its addresses are: a goal that no packet could break.
    pub(super) fn defects(&self) -> Vec<Diagnostic> {
        let goal = match self.stated(None) {
            Ok(goal) => goal,
            Err(found) => return found,
        };
        let conditions = goal.region.iter().flatten();
        let fields = conditions.flat_map(|condition| condition.fields());
        let unknown = fields.filter(|field| !field.is_known_at(self.hook));
        let diagnostic = |field| Diagnostic {
            code: "C013",
            subject: self.subject(),
            message: format!("no packet has {field} at hook {}", self.hook),
            help: "judge the packets at another hook, or take the condition out".to_owned(),
        };
        unknown.map(diagnostic).collect()
    }

    /// The goal for packets from these addresses, or from any.
    fn stated(&self, from: Option<AddressSet>) -> Result<Goal, Vec<Diagnostic>> {
        let clause = |matches: &Vec<Match>| Clause {
            matches: matches.clone(),
            saddr_from: from.is_some().then(|| SOURCE.to_owned()),
            ..Clause::default()
        };
        let template = GoalTemplate {
            name: self.name.clone(),
            hook: self.hook,
            quantifier: self.quantifier,
            clauses: self.clauses.iter().map(clause).collect(),
        };
        let feeds = from.map(|addresses| (SOURCE.to_owned(), addresses));
        let feeds: Feeds = feeds.into_iter().collect();
        instantiate(&template, &Inputs::default(), &feeds).map_err(|mut found| {
            for diagnostic in &mut found {
                diagnostic.subject = self.subject();
            }
            found
        })
    }

    fn subject(&self) -> String {
        format!("{}, goal {}", self.place, Quoted(&self.name))
    }
}

/// What a goal means for these feeds and settings, and an operator at one of these addresses.
///
/// # Errors
/// Everything that is wrong with it, or that it speaks of an operator whose address nobody knows.
pub fn resolve(
    stated: &StatedGoal,
    feeds: &Feeds,
    inputs: &Inputs,
    operator: &[IpAddr],
) -> Result<Goal, NotStated> {
    let [mut from, mut not_from] = [false, true].map(|_| AddressSet::default());
    let mut found = Vec::new();
    for source in &stated.from {
        let addresses = match &source.of {
            Addresses::Any => everywhere(),
            Addresses::Operator if operator.is_empty() => return Err(no_operator(stated)),
            Addresses::Operator => operator.iter().copied().map(alone).collect(),
            Addresses::Prefix(prefix) => [*prefix].into_iter().collect(),
            Addresses::Named(name) => match named(name, feeds, inputs) {
                Some(addresses) => addresses,
                None => {
                    found.push(unknown(stated, name, inputs));
                    continue;
                }
            },
        };
        let all = if source.negated {
            &mut not_from
        } else {
            &mut from
        };
        *all = each_family(|family| all.of(family).union(addresses.of(family)));
    }
    if stated.from.iter().all(|source| source.negated) {
        from = everywhere();
    }
    let left = each_family(|family| from.of(family).difference(not_from.of(family)));
    if found.is_empty() && left == AddressSet::default() {
        found.push(nowhere(stated));
    }
    if !found.is_empty() {
        return Err(NotStated::Invalid(found));
    }
    let left = Some(left).filter(|left| *left != everywhere());
    stated.stated(left).map_err(NotStated::Invalid)
}

fn each_family(of: impl Fn(Family) -> Intervals) -> AddressSet {
    let [ip, ip6] = Family::BOTH.map(of);
    AddressSet { ip, ip6 }
}

fn everywhere() -> AddressSet {
    each_family(|family| Intervals::EMPTY.complement(family.max()))
}

/// One address. An IPv4 address that a socket of IPv6 shows is one of IPv4.
fn alone(address: IpAddr) -> Prefix {
    Prefix::around(address.to_canonical(), u8::MAX)
}

/// The addresses of a feed, or of a setting of prefixes.
fn named(name: &str, feeds: &Feeds, inputs: &Inputs) -> Option<AddressSet> {
    match inputs.value(name) {
        Some(Value::Prefixes(prefixes)) => Some(prefixes.iter().copied().collect()),
        _ => feeds.get(name).cloned(),
    }
}

fn unknown(stated: &StatedGoal, name: &str, inputs: &Inputs) -> Diagnostic {
    let settings = inputs.settings.iter();
    let settings = settings.filter(|it| matches!(it.value, Value::Prefixes(_)));
    let settings = settings.map(|setting| setting.name.as_str());
    let feeds = inputs.feeds.iter().map(|feed| feed.name.as_str());
    let known: Vec<&str> = feeds.chain(settings).chain(["any", "operator"]).collect();
    let names: Vec<_> = known.iter().map(|it| Quoted(it).to_string()).collect();
    Diagnostic {
        code: "C014",
        subject: stated.subject(),
        message: format!(
            "there is no feed or setting of prefixes called {}, allowed are {} and prefixes",
            Quoted(name),
            names.join(", ")
        ),
        help: did_you_mean(name, known),
    }
}

fn nowhere(stated: &StatedGoal) -> Diagnostic {
    Diagnostic {
        code: "C015",
        subject: stated.subject(),
        message: "`from` leaves no address, so the goal is about no packet".to_owned(),
        help: "name addresses that there are".to_owned(),
    }
}

fn no_operator(stated: &StatedGoal) -> NotStated {
    NotStated::NoOperator(Diagnostic {
        code: "C016",
        subject: stated.subject(),
        message: "it speaks of the operator, and this session comes from no address".to_owned(),
        help: "run the command over the connection that must stay, or name the address".to_owned(),
    })
}

#[cfg(test)]
mod tests;
