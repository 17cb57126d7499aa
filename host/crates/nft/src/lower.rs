//! From a rule set to the transaction that makes it the table `inet portreeve`.
//!
//! Total: whatever passed validation can be said. Every value is said as nft stores it, numbers
//! as numbers, so that nothing is looked up and nothing depends on the machine.

use std::collections::BTreeMap;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::field::{Field, Kind, interface};
use portreeve_model::intervals::Interval;
use portreeve_model::names::Name;
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{Key, Match, Operand, Rule, Ruleset, Statement};
use serde_json::Value;

use crate::layout::{self, Number};
use crate::transaction::{Subject, Transaction};
use crate::words;

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
    for set in ruleset.field_sets() {
        transaction.push_field_set(set, set.name().as_str());
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

fn parts(rule: &Rule, names: &Names) -> Vec<Value> {
    let matches = rule.matches().iter().map(|it| condition(it, names));
    let statements = rule.statements().iter().map(|it| statement(it, names));
    matches.chain(statements).collect()
}

fn condition(condition: &Match, names: &Names) -> Value {
    let left = match condition.key() {
        Key::Field(field) => words::field(*field),
        Key::Bits { field, mask } => words::bits(*field, *mask),
        Key::Concatenation(fields) => words::fields(fields),
    };
    let right = match (condition.operand(), condition.key()) {
        (Operand::Set(name), _) => words::named_set(names.set(name)),
        (Operand::Elements(elements), _) => {
            let fields = condition.fields();
            words::anonymous_set(elements.iter().map(|it| key(fields, it)).collect())
        }
        (Operand::Numbers(states), Key::Field(Field::CtState)) => {
            return words::has_state(
                CtState::ALL
                    .into_iter()
                    .filter(|state| states.contains(*state as u128)),
            );
        }
        // nft has no ranges of bits, and lists one up to the last `ecn` as if that were 255.
        (
            Operand::Numbers(bits),
            Key::Bits { .. } | Key::Field(Field::TcpFlags | Field::Ecn(_)),
        ) => {
            let singles = bits.iter().flat_map(|it| it.first()..=it.last());
            one_or_set(singles.map(words::number).collect())
        }
        (Operand::Numbers(numbers), key) => {
            let values = key
                .fields()
                .iter()
                .flat_map(|field| numbers.iter().map(|interval| value(*field, *interval)));
            one_or_set(values.collect())
        }
    };
    words::is(condition.negated(), left, right)
}

fn one_or_set(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.remove(0),
        _ => words::anonymous_set(values),
    }
}

/// An element with a value for each field.
pub(crate) fn key(fields: &[Field], key: &[Interval]) -> Value {
    let each = fields.iter().zip(key);
    words::together(
        each.map(|(field, interval)| value(*field, *interval))
            .collect(),
    )
}

/// What an interval is to nft, of this field.
fn value(field: Field, interval: Interval) -> Value {
    match field.kind() {
        Kind::Address(family) => addresses(family, interval),
        Kind::Interface => {
            let pattern = interface::pattern_text(interval);
            words::text(&pattern.expect("validated: it is one name or one wildcard"))
        }
        Kind::CtState => {
            let mut states = CtState::ALL.into_iter();
            let state = states.find(|it| *it as u128 == interval.first());
            words::text(state.expect("validated: it is a state").keyword())
        }
        Kind::Exists => (interval.first() == 1).into(),
        _ => plain_numbers(interval),
    }
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
    let (first, last) = (
        words::number(interval.first()),
        words::number(interval.last()),
    );
    if first == last {
        first
    } else {
        words::range(first, last)
    }
}

fn statement(statement: &Statement, names: &Names) -> Value {
    let chain = |name: &Name| names.chain(name);
    match statement {
        Statement::Counter => words::counter(),
        Statement::Limit(limit) => words::limit(*limit),
        Statement::Quota { bytes, over } => words::quota(*bytes, *over),
        Statement::CtCount { count, over } => words::ct_count(*count, *over),
        Statement::Log { prefix, level } => words::log(prefix.as_ref(), *level),
        Statement::LogGroup { prefix, group } => words::log_group(prefix.as_ref(), *group),
        Statement::SetMark(mark, value) => words::set_mark(*mark, *value),
        Statement::Notrack => words::notrack(),
        Statement::UpdateSet(update) => words::update_set(
            update.operation().keyword(),
            update.fields(),
            names.set(update.set()),
            update.limit(),
        ),
        Statement::Reject(reject) => words::reject(*reject),
        Statement::Nat(nat) => words::nat(nat),
        Statement::VerdictMap(map) => {
            let elements = map.elements().iter();
            let elements = elements
                .map(|(it, verdict)| (key(map.fields(), it), words::verdict(verdict, chain)));
            words::verdict_map(map.fields(), elements.collect())
        }
        Statement::Verdict(verdict) => words::verdict(verdict, chain),
    }
}
