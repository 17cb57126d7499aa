//! Puts a generation in the place of whatever is in the table, in one transaction.
//!
//! For a table that somebody else has written to, of which nothing can be built upon. Unlike
//! [`crate::stage`] and [`crate::switch`], it sends everything anew, and what packets meet is not
//! certain for the moment that the kernel takes: a table that goes and one that comes are no
//! single step to it (with 100,000 prefixes, members of a set were missed for 29 ms; with 22,
//! single packets were).

use std::collections::BTreeSet;

use portreeve_model::names::Name;
use portreeve_model::ruleset::{Base, Ruleset};

use crate::layout::{self, Number};
use crate::stage::stage;
use crate::transaction::{Subject, Transaction};
use crate::words;

/// The transaction that makes the table `inet portreeve` hold `ruleset` as generation `number`,
/// confirmed, and nothing else.
#[must_use]
pub fn replace(ruleset: &Ruleset, number: Number) -> Transaction {
    let mut transaction = Transaction::default();
    // Added first, because nothing can be deleted that is not there.
    transaction.push(Subject::Table, &words::add(words::table()));
    transaction.push(Subject::Table, &words::delete(words::table()));
    transaction.append(stage(ruleset, number, &BTreeSet::new()));
    for chain in ruleset.chains() {
        let Some(base) = chain.base() else {
            continue;
        };
        push_entry(&mut transaction, number, chain.name(), base);
    }
    transaction
}

/// The base chain, and what it leads to: the generation's chain, then its chain policy.
fn push_entry(transaction: &mut Transaction, number: Number, chain: &Name, base: Base) {
    let rule = |chain: &str, part| words::add(words::rule(chain, None, vec![part]));
    let entry = layout::entry_chain(number, chain);
    let jump = words::jump(&layout::chain(number, chain));
    let policy = words::chain_policy(base.policy);
    for command in [
        words::create(words::chain(&entry, None)),
        rule(&entry, jump),
        rule(&entry, policy),
    ] {
        transaction.push(Subject::ChainPolicy(chain.clone()), &command);
    }
    let name = layout::base_chain(base);
    for command in [
        words::add(words::chain(&name, Some(base))),
        rule(&name, words::goto(&entry)),
    ] {
        transaction.push(Subject::Chain(chain.clone()), &command);
    }
}
