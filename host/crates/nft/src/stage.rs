//! The inert half of putting a generation in: everything it consists of, and nothing that leads
//! packets there.
//!
//! How packets enter it, and the record of who does while it is on trial, is no part of it: that
//! comes with the switch ([`crate::switch`]).
//!
//! The kernel takes it while packets go on through what is in force, and large sets are complete
//! before a rule that any packet meets names them. Chains are created, not added: a number that
//! is in use already is refused instead of written over.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::ruleset::Ruleset;

use crate::layout::{self, Number};
use crate::lower::{Names, push_rules};
use crate::transaction::{Subject, Transaction};
use crate::words;

/// The transaction that puts `ruleset` in the table as generation `number`, with no packet led
/// there.
///
/// `present` are the names of the sets in the table: what is there is not sent again, and a set
/// that no rule names is never sent.
#[must_use]
pub fn stage(ruleset: &Ruleset, number: Number, present: &BTreeSet<String>) -> Transaction {
    let mut transaction = Transaction::default();
    transaction.push(Subject::Table, &words::add(words::table()));
    let mut sets = BTreeMap::new();
    for set in ruleset.sets() {
        let name = layout::set(set);
        if !present.contains(&name) {
            transaction.push_set(set, &name);
        }
        sets.insert(set.name().clone(), name);
    }
    for set in ruleset.field_sets() {
        let name = layout::field_set(number, set);
        if !present.contains(&name) {
            transaction.push_field_set(set, &name);
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
    transaction
}
