//! Elements with several fields as a tree of tests: the first field, then the next.
//!
//! Rows that go on alike are taken together, so a hundred thousand elements are as many tests as
//! there are different ways to go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::tables::{self, Data, Elements, Expression, Row, Table};

use super::Reader;
use super::condition::Load;
use super::value::Part;
use crate::space::{Survey, Test};

/// What an element is looked up by, and what is found.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// What must be there: without it the rule fails.
    pub(crate) loads: Vec<Load>,
    /// Which element it is; none when that cannot be told.
    pub(crate) tree: Option<Tree>,
    /// What elements say, each once.
    pub(crate) data: Vec<Data>,
}

/// Tests that lead to an element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Tree {
    /// One of these data, by their numbers.
    Found(Vec<usize>),
    /// Where the first test that holds leads; nothing is found where none does. They exclude each
    /// other.
    Ask(Vec<(Test, Tree)>),
}

/// An element that may still be meant: what is left of its key, and the number of its datum.
type Rest<'r> = (&'r [Interval], usize);

impl Reader<'_, '_> {
    /// How an element is found.
    pub(super) fn lookup(&mut self, key: &Expression, lookup: &tables::Lookup) -> Lookup {
        let (parts, loads) = self.parts(key);
        let unknown = |loads| Lookup {
            loads,
            tree: None,
            data: Vec::new(),
        };
        let Some(parts) = parts else {
            return unknown(loads);
        };
        let (rows, data) = match elements(self.table, lookup) {
            None => return unknown(loads),
            Some(Elements::Numbers(numbers)) => {
                let row = |it: &Interval| (vec![*it], 0);
                (numbers.iter().map(row).collect(), vec![Data::None])
            }
            Some(Elements::Rows(rows)) => numbered(rows.all()),
        };
        let mut rests = Vec::new();
        for (key, datum) in &rows {
            if key.len() != parts.len() {
                return unknown(loads);
            }
            rests.push((key.as_slice(), *datum));
        }
        Lookup {
            loads,
            tree: branch(&parts, rests, self.survey),
            data,
        }
    }
}

/// The elements of a set, unless they may have changed since they were listed.
pub(super) fn elements<'t>(table: &'t Table, lookup: &'t tables::Lookup) -> Option<&'t Elements> {
    match lookup {
        tables::Lookup::Anonymous(elements) => Some(elements),
        tables::Lookup::Named(index) => {
            let set = table.set(*index)?;
            set.elements.as_ref().filter(|_| !set.changing)
        }
    }
}

/// Rows with the number of what they say.
fn numbered(rows: &[Row]) -> (Vec<(Vec<Interval>, usize)>, Vec<Data>) {
    let mut data: Vec<Data> = Vec::new();
    let mut number = |of: &Data| {
        let known = data.iter().position(|it| it == of);
        known.unwrap_or_else(|| {
            data.push(of.clone());
            data.len() - 1
        })
    };
    let rows = rows
        .iter()
        .map(|row| (row.key.clone(), number(&row.data)))
        .collect();
    (rows, data)
}

/// The tests for what is left of rows; none when some values cannot be told.
fn branch(parts: &[Part], rows: Vec<Rest<'_>>, survey: &mut Survey) -> Option<Tree> {
    let Some((part, parts)) = parts.split_first() else {
        let mut found: Vec<usize> = rows.into_iter().map(|(_, datum)| datum).collect();
        found.sort_unstable();
        found.dedup();
        return Some(Tree::Found(found));
    };
    let rest = |(key, datum): &Rest<'_>| -> Option<(Interval, usize)> {
        key.first().map(|first| (*first, *datum))
    };
    if let Part::Constant(number) = part {
        let has =
            |(first, _): &(Interval, usize)| first.first() <= *number && *number <= first.last();
        let rows = rows
            .into_iter()
            .filter(|row| rest(row).as_ref().is_some_and(has));
        let rows = rows.map(|(key, datum)| (&key[1..], datum)).collect();
        return branch(parts, rows, survey);
    }
    let mut tests = Vec::new();
    for (rests, values) in together(rows) {
        let test = part.within(&values, survey)?;
        tests.push((test, branch(parts, rests, survey)?));
    }
    Some(Tree::Ask(tests))
}

/// The values of the first part of the keys, by how the rows go on that have them.
fn together(rows: Vec<Rest<'_>>) -> Vec<(Vec<Rest<'_>>, Arc<Intervals>)> {
    let mut rests: Vec<Rest<'_>> = rows
        .iter()
        .map(|(key, datum)| (&key[1..], *datum))
        .collect();
    rests.sort_unstable();
    rests.dedup();
    // Where rows begin and end: each adds itself to those that go on so, or takes itself away.
    let mut changes: Vec<(u128, usize, bool)> = Vec::with_capacity(2 * rows.len());
    for (key, datum) in &rows {
        let rest = rests.binary_search(&(&key[1..], *datum));
        let rest = rest.expect("every rest is among them");
        changes.push((key[0].first(), rest, true));
        changes.extend(
            key[0]
                .last()
                .checked_add(1)
                .map(|after| (after, rest, false)),
        );
    }
    changes.sort_unstable();
    let mut active: BTreeMap<usize, usize> = BTreeMap::new();
    let mut by_active: BTreeMap<Vec<usize>, Vec<Interval>> = BTreeMap::new();
    let mut see = |active: &BTreeMap<usize, usize>, segment: Option<Interval>| {
        if let (false, Some(segment)) = (active.is_empty(), segment) {
            let active = active.keys().copied().collect();
            by_active.entry(active).or_default().push(segment);
        }
    };
    let mut from = 0;
    for (at, rest, begins) in changes {
        if at > from {
            see(&active, Interval::new(from, at - 1));
            from = at;
        }
        let count = active.entry(rest).or_default();
        if begins {
            *count += 1;
        } else {
            *count -= 1;
            if *count == 0 {
                active.remove(&rest);
            }
        }
    }
    see(&active, Interval::new(from, u128::MAX));
    let groups = by_active.into_iter().map(|(active, values)| {
        let rests = active.into_iter().map(|it| rests[it]).collect();
        (rests, Arc::new(values.into_iter().collect()))
    });
    groups.collect()
}
