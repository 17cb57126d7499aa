//! From a rule set to the transaction that makes it the table `inet portreeve`.
//!
//! Total: whatever passed validation can be said. Every value is said as nft stores it, numbers
//! as numbers, so that nothing is looked up and nothing depends on the machine.

use std::collections::BTreeMap;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::field::Field;
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::names::Name;
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{Match, Operand, Rule, Ruleset, Statement};

use crate::layout::{self, Number};
use crate::transaction::{Subject, Transaction};
use crate::words::{self, Part, Value};

/// The transaction that replaces the table `inet portreeve` with `ruleset`.
#[must_use]
pub fn lower(ruleset: &Ruleset) -> Transaction {
    let mut transaction = Transaction::default();
    // `flush table` keeps sets and chains, and only `delete` of a table that is there succeeds;
    // so it is added, deleted with all it holds, and added again.
    transaction.push(Subject::Table, &words::add(words::table()));
    transaction.push(Subject::Table, &words::delete(words::table()));
    transaction.push(Subject::Table, &words::add(words::table()));
    for set in ruleset.sets() {
        transaction.push_set(set, set.name().as_str());
    }
    // All chains before any rule: rules jump to chains.
    for chain in ruleset.chains() {
        transaction.push(
            Subject::Chain(chain.name().clone()),
            &words::add(words::chain(chain.name().as_str(), chain.base())),
        );
    }
    push_rules(&mut transaction, ruleset, &Names::Own);
    transaction
}

/// What the parts of a rule set are called in the table.
pub(crate) enum Names {
    /// As the policy calls them.
    Own,
    /// As those of a generation, beside others.
    Generation {
        /// Its number, which every chain's name begins with.
        number: Number,
        /// What each set is called: hashed once, however many rules name it.
        sets: BTreeMap<Name, String>,
    },
}

impl Names {
    /// A chain's name in the table.
    pub(crate) fn chain(&self, name: &Name) -> String {
        match self {
            Self::Own => name.to_string(),
            Self::Generation { number, .. } => layout::chain(*number, name),
        }
    }

    /// A set's name in the table.
    pub(crate) fn set<'a>(&'a self, name: &'a Name) -> &'a str {
        match self {
            Self::Own => name.as_str(),
            Self::Generation { sets, .. } => &sets[name],
        }
    }
}

/// The rules of every chain, under the names of the table.
pub(crate) fn push_rules(transaction: &mut Transaction, ruleset: &Ruleset, names: &Names) {
    for chain in ruleset.chains() {
        let name = names.chain(chain.name());
        for rule in chain.rules() {
            let subject = Subject::Rule {
                chain: chain.name().clone(),
                label: rule.label().clone(),
            };
            let object = words::rule(&name, Some(rule.label()), parts(rule, names));
            transaction.push(subject, &words::add(object));
        }
    }
}

fn parts(rule: &Rule, names: &Names) -> Vec<Part> {
    let matches = rule.matches().iter().map(|it| condition(it, names));
    let statements = rule.statements().iter().map(|it| statement(it, names));
    matches.chain(statements).collect()
}

fn condition(condition: &Match, names: &Names) -> Part {
    let field = condition.field();
    let right = match condition.operand() {
        Operand::Set(name) => words::named_set(names.set(name)),
        Operand::Interfaces(interfaces) => {
            one_or_set(interfaces.iter().map(words::interface).collect())
        }
        Operand::Numbers(states) if field == Field::CtState => {
            return words::has_state(
                CtState::ALL
                    .into_iter()
                    .filter(|state| states.contains(*state as u128)),
            );
        }
        Operand::Numbers(numbers) => one_or_set(values(field, numbers)),
    };
    words::is(condition.negated(), words::field(field), right)
}

fn one_or_set(mut values: Vec<Value>) -> Value {
    match (values.pop(), values.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            values.extend(last);
            words::anonymous_set(values)
        }
    }
}

fn values(field: Field, numbers: &Intervals) -> Vec<Value> {
    let value = |interval: &Interval| match field {
        Field::Saddr(family) | Field::Daddr(family) => addresses(family, *interval),
        Field::Iifname
        | Field::Oifname
        | Field::Nfproto
        | Field::HopLimit(_)
        | Field::L4proto
        | Field::Sport(_)
        | Field::Dport(_)
        | Field::IcmpType(_)
        | Field::CtState => plain_numbers(*interval),
    };
    numbers.iter().map(value).collect()
}

fn addresses(family: Family, interval: Interval) -> Value {
    let (first, last) = (
        family.address(interval.first()),
        family.address(interval.last()),
    );
    match Prefix::exactly(family, interval) {
        Some(_) if first == last => words::address(first),
        Some(prefix) => words::prefix(prefix),
        None => words::range(words::address(first), words::address(last)),
    }
}

fn plain_numbers(interval: Interval) -> Value {
    let number = |number: u128| {
        words::number(u16::try_from(number).expect("validated: no field but addresses is wider"))
    };
    let (first, last) = (number(interval.first()), number(interval.last()));
    if first == last {
        first
    } else {
        words::range(first, last)
    }
}

fn statement(statement: &Statement, names: &Names) -> Part {
    match statement {
        Statement::Counter => words::counter(),
        Statement::Limit(limit) => words::limit(*limit),
        Statement::Log { prefix, level } => words::log(prefix.as_ref(), *level),
        Statement::Reject(reject) => words::reject(*reject),
        Statement::Verdict(verdict) => words::verdict(verdict, |name| names.chain(name)),
    }
}
