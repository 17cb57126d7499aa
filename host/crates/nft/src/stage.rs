//! The inert half of putting a generation in: everything it consists of, and nothing that leads
//! packets there.
//!
//! The kernel takes it while packets go on through what is in force, and large sets are complete
//! before a rule that any packet meets names them. Chains are created, not added: a number that
//! is in use already is refused instead of written over.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::Family;
use portreeve_model::names::Name;
use portreeve_model::ruleset::{Operand, Ruleset, Set};

use crate::layout::{self, Number};
use crate::lower::{Names, push_rules};
use crate::transaction::{Subject, Transaction};
use crate::words;

/// Connections that the record of arrivals has room for. Ours: a flood fills it and no more; the
/// connections recorded before it stay.
const ARRIVALS_MAX: u32 = 65_535;

/// The transaction that puts `ruleset` in the table as generation `number`, with no packet led
/// there.
///
/// `present` are the names of the sets in the table: what is there is not sent again, and a set
/// that no rule names is never sent. `arrivals` is for a generation that goes on trial: how long
/// the record remembers a connection, in whole seconds, rounded up.
#[must_use]
pub fn stage(
    ruleset: &Ruleset,
    number: Number,
    present: &BTreeSet<String>,
    arrivals: Option<Duration>,
) -> Transaction {
    let mut transaction = Transaction::default();
    transaction.push(Subject::Table, &words::add(words::table()));
    let mut sets = BTreeMap::new();
    for set in named_by_rules(ruleset) {
        let name = layout::set(set);
        if !present.contains(&name) {
            transaction.push_set(set, &name);
        }
        sets.insert(set.name().clone(), name);
    }
    let names = Names::Generation { number, sets };
    // All chains before any rule: rules jump to chains.
    for chain in ruleset.chains() {
        transaction.push(
            Subject::Chain(chain.name().clone()),
            &words::create(words::chain(&names.chain(chain.name()), None)),
        );
    }
    push_rules(&mut transaction, ruleset, &names);
    push_entry_chains(&mut transaction, ruleset, number);
    if let Some(timeout) = arrivals {
        push_arrivals(&mut transaction, number, timeout);
    }
    transaction
}

/// Nothing would ever lead to the others, so they would be swept away.
fn named_by_rules(ruleset: &Ruleset) -> impl Iterator<Item = &Set> {
    let rules = ruleset.chains().iter().flat_map(|chain| chain.rules());
    let matches = rules.flat_map(|rule| rule.matches());
    let named: BTreeSet<&Name> = matches
        .filter_map(|condition| match condition.operand() {
            Operand::Set(name) => Some(name),
            Operand::Numbers(_) | Operand::Interfaces(_) => None,
        })
        .collect();
    let sets = ruleset.sets().iter();
    sets.filter(move |set| named.contains(set.name()))
}

/// What the switch leads to: each base chain, then its chain policy.
fn push_entry_chains(transaction: &mut Transaction, ruleset: &Ruleset, number: Number) {
    for chain in ruleset.chains() {
        let Some(base) = chain.base() else {
            continue;
        };
        let name = layout::entry_chain(number, chain.name());
        let subject = Subject::ChainPolicy(chain.name().clone());
        let rule = |part| words::add(words::rule(&name, None, vec![part]));
        transaction.push(subject.clone(), &words::create(words::chain(&name, None)));
        let jump = words::jump(layout::chain(number, chain.name()));
        transaction.push(subject.clone(), &rule(jump));
        transaction.push(subject, &rule(words::chain_policy(base.policy)));
    }
}

/// The chain and the sets that remember who opened a TCP connection during the trial.
fn push_arrivals(transaction: &mut Transaction, number: Number, timeout: Duration) {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    // A set with a timeout of 0 would keep connections for ever.
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
    let chain = layout::arrivals_chain(number);
    let mut push = |command| transaction.push(Subject::Arrivals, &command);
    for family in Family::BOTH {
        let set = layout::arrivals_set(number, family);
        push(words::create(words::connections(
            &set,
            family,
            ARRIVALS_MAX,
            seconds,
        )));
    }
    push(words::create(words::chain(&chain, None)));
    for family in Family::BOTH {
        let set = layout::arrivals_set(number, family);
        let parts = vec![
            words::from_outside(),
            words::opens_connection(),
            words::remember_connection(family, &set),
        ];
        push(words::add(words::rule(&chain, None, parts)));
    }
}
