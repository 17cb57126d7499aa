//! One generation out of a listing: what packets meet when the switch leads into it.
//!
//! Made of what [`read()`](crate::read()) makes of a listing, so that rules which were installed can
//! be compared with a rule set by another way than [`lift_installed`](crate::lift_installed).

use portreeve_model::tables::{Chain, Part, Rule, Table, Tables, Verdict};

use crate::is_ours;
use crate::layout::{Number, parse_entry_chain};

/// Our table alone, with every base chain led into generation `number` whether it is on trial or
/// not; base chains that do not lead there are none.
#[must_use]
pub fn single_generation(listed: Tables, number: Number) -> Tables {
    let ours = listed.tables.into_iter();
    let ours = ours.filter(|it| is_ours(it.family, &it.name));
    Tables {
        tables: ours.map(|table| led_into(table, number)).collect(),
        ..Tables::default()
    }
}

fn led_into(mut table: Table, number: Number) -> Table {
    let entries: Vec<Option<Rule>> = table
        .chains
        .iter()
        .map(|chain| entry(chain, &table.chains, number))
        .collect();
    for (chain, entry) in table.chains.iter_mut().zip(entries) {
        if chain.base.is_none() {
            continue;
        }
        match entry {
            Some(entry) => chain.rules = vec![entry],
            None => chain.base = None,
        }
    }
    table
}

/// The rule of a base chain that leads into a generation, without what it asks of the trial.
fn entry(chain: &Chain, all: &[Chain], number: Number) -> Option<Rule> {
    let leads_there = |rule: &&Rule| match rule.parts.last() {
        Some(Part::Verdict(Verdict::Goto(to))) => {
            let name = all.get(to.0).map(|chain| chain.name.as_str());
            name.and_then(parse_entry_chain)
                .is_some_and(|(of, _)| of == number)
        }
        _ => false,
    };
    let found = chain.rules.iter().find(leads_there)?;
    Some(Rule {
        parts: found.parts.last().cloned().into_iter().collect(),
        ..found.clone()
    })
}
