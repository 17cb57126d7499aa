//! The elements of sets and maps: which key has one, and what it says.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Verdict;
use crate::intervals::{Interval, Intervals};

/// Elements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Elements {
    /// Those of a set of single numbers.
    Numbers(Arc<Intervals>),
    /// Those of a map, or of a concatenation.
    Rows(Rows),
}

/// Elements with more to them than one number each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rows {
    /// Sorted by the first interval of the key.
    rows: Vec<Row>,
    /// For each row, the highest first number that it or an earlier one reaches.
    reach: Vec<u128>,
}

/// One element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// An interval for each part of the key.
    pub key: Vec<Interval>,
    /// What the element says.
    pub data: Data,
}

/// What an element says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// Only that it is there.
    None,
    /// A value, one number for each part of a concatenation.
    Value(Vec<u128>),
    /// A value that is a range, for each part of a concatenation: NAT chooses from it.
    Range(Vec<Interval>),
    /// A verdict.
    Verdict(Verdict),
    /// Something that is not known.
    Unknown,
}

impl Rows {
    /// Rows in any order.
    #[must_use]
    pub fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        let mut highest = 0;
        let reach = rows.iter().map(|row| {
            highest = row.key.first().map_or(highest, |it| it.last().max(highest));
            highest
        });
        Self {
            reach: reach.collect(),
            rows,
        }
    }

    /// Every row, sorted by key.
    #[must_use]
    pub fn all(&self) -> &[Row] {
        &self.rows
    }

    /// The rows whose first interval has `number`, last to first.
    pub fn beginning_with(&self, number: u128) -> impl Iterator<Item = &Row> {
        let begun = self
            .rows
            .partition_point(|row| row.key.first().is_some_and(|it| it.first() <= number));
        let rows = self.rows[..begun].iter().zip(&self.reach).rev();
        // No row before one that none reaches so far can have it.
        rows.take_while(move |(_, reach)| number <= **reach)
            .map(|(row, _)| row)
            .filter(move |row| row.key.first().is_some_and(|it| number <= it.last()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_wherever_they_begin() {
        let interval = |first, last| Interval::new(first, last).expect("an interval");
        let row = |first, last, second| Row {
            key: [interval(first, last), Interval::single(second)].into(),
            data: Data::None,
        };
        let rows = Rows::new([row(5, 5, 1), row(0, 9, 2), row(7, 8, 3), row(20, 30, 4)].into());
        let at = |number| -> Vec<u128> {
            rows.beginning_with(number)
                .map(|row| row.key[1].first())
                .collect()
        };
        assert_eq!(at(5), [1, 2]);
        assert_eq!(at(8), [3, 2]);
        assert_eq!(at(9), [2]);
        assert_eq!(at(10), [] as [u128; 0]);
        assert_eq!(at(30), [4]);
    }
}
