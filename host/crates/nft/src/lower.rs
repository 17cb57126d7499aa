//! From a rule set to the transaction that makes it the table `inet portreeve`.
//!
//! Total: whatever passed validation can be said. Every value is said as nft stores it, numbers
//! as numbers, so that nothing is looked up and nothing depends on the machine.

use portreeve_model::address::{Family, Prefix};
use portreeve_model::field::Field;
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{Match, Operand, Rule, Ruleset, Statement};

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
        transaction.push_set(set);
    }
    // All chains before any rule: rules jump to chains.
    for chain in ruleset.chains() {
        let subject = Subject::Chain(chain.name().clone());
        transaction.push(
            subject,
            &words::add(words::chain(chain.name(), chain.base())),
        );
    }
    for chain in ruleset.chains() {
        for rule in chain.rules() {
            let subject = Subject::Rule {
                chain: chain.name().clone(),
                label: rule.label().clone(),
            };
            let object = words::rule(chain.name(), rule.label(), parts(rule));
            transaction.push(subject, &words::add(object));
        }
    }
    transaction
}

fn parts(rule: &Rule) -> Vec<Part> {
    let matches = rule.matches().iter().map(condition);
    matches
        .chain(rule.statements().iter().map(statement))
        .collect()
}

fn condition(condition: &Match) -> Part {
    let field = condition.field();
    let right = match condition.operand() {
        Operand::Set(name) => words::named_set(name),
        Operand::Interfaces(names) => one_or_set(names.iter().map(words::interface).collect()),
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

fn statement(statement: &Statement) -> Part {
    match statement {
        Statement::Counter => words::counter(),
        Statement::Limit(limit) => words::limit(*limit),
        Statement::Log { prefix, level } => words::log(prefix.as_ref(), *level),
        Statement::Reject(reject) => words::reject(*reject),
        Statement::Verdict(verdict) => words::verdict(verdict),
    }
}
