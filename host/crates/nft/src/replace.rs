//! Puts a generation in the place of whatever is in the table, in one transaction.
//!
//! For a table that somebody else has written to, of which nothing can be built upon. Unlike
//! [`crate::stage`] and [`crate::switch`], it sends everything anew, and what packets meet is not
//! certain for the moment that the kernel takes: a table that goes and one that comes are no
//! single step to it (with 100,000 prefixes, members of a set were missed for 29 ms; with 22,
//! single packets were).

use std::collections::BTreeSet;

use portreeve_model::ruleset::Ruleset;

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
    transaction.append(stage(ruleset, number, &BTreeSet::new(), None));
    for chain in ruleset.chains() {
        let Some(base) = chain.base() else {
            continue;
        };
        let name = layout::base_chain(base.hook, base.priority);
        let subject = Subject::Chain(chain.name().clone());
        let goto = words::goto(layout::entry_chain(number, chain.name()));
        let rule = words::rule(&name, None, vec![goto]);
        transaction.push(
            subject.clone(),
            &words::add(words::chain(&name, Some(base))),
        );
        transaction.push(subject, &words::add(rule));
    }
    transaction
}
