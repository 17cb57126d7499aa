//! Conditions as tests of variables.

use std::sync::Arc;

use portreeve_model::field::Field;
use portreeve_model::intervals::Intervals;
use portreeve_model::tables::{Data, Elements, Expression, Lookup, Match, Operand};

use super::lookup::{Tree, elements};
use super::value::Part;
use super::{Doubt, Reader};
use crate::space::{Level, Test};

/// A condition. Without a value that it needs it fails, negated or not.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// What must be there.
    pub(crate) loads: Vec<Load>,
    /// What must hold of it.
    pub(crate) holds: Holds,
    /// Whether it must *not* hold.
    pub(crate) negated: bool,
}

/// Something that a condition loads.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// The variable that it is in.
    pub(crate) level: Level,
    /// The field, if it is one that is known.
    pub(crate) field: Option<Field>,
    /// What the packet must be to have it.
    pub(crate) needs: Vec<Test>,
    /// The packets of which it is in doubt what the rule asks: that may be more, or less, than the
    /// listing says.
    pub(crate) doubt: Vec<Doubt>,
}

/// What must hold.
#[derive(Clone, Debug)]
pub(crate) enum Holds {
    /// A test.
    Passes(Test),
    /// That an element is found.
    Finds(Tree),
    /// That an element is found, and that it is one of those marked: without one it fails, negated
    /// or not.
    FindsOneOf(Tree, Vec<bool>),
    /// Nothing, or the impossible.
    Constantly(bool),
    /// It cannot be told.
    Unknown,
}

impl Load {
    /// Something that is not known, which may be absent as well.
    pub(super) const fn of_unknown(level: Level) -> Self {
        Self {
            level,
            field: None,
            needs: Vec::new(),
            doubt: Vec::new(),
        }
    }
}

impl<'t> Reader<'t, '_> {
    pub(super) fn condition(&mut self, condition: &Match) -> Condition {
        let negated = condition.negated;
        if let Expression::Map { key, map } = &condition.left {
            let lookup = self.lookup(key, map);
            let holds = match (self.numbers(&condition.right), lookup.tree) {
                (Some(numbers), Some(tree)) => {
                    let marks = lookup.data.iter().map(|data| match data {
                        Data::Value(values) => match values.as_slice() {
                            [value] => Some(numbers.contains(*value) != negated),
                            _ => None,
                        },
                        Data::None | Data::Range(_) | Data::Verdict(_) | Data::Unknown => None,
                    });
                    let marks: Option<Vec<bool>> = marks.collect();
                    marks.map_or(Holds::Unknown, |marks| Holds::FindsOneOf(tree, marks))
                }
                _ => Holds::Unknown,
            };
            return Condition {
                loads: lookup.loads,
                holds,
                negated: false,
            };
        }
        let (loads, holds) = match &condition.right {
            Operand::Numbers(numbers) => self.among(&condition.left, &Arc::new(numbers.clone())),
            Operand::Elements(lookup) => match elements(self.table, lookup) {
                Some(Elements::Numbers(numbers)) => {
                    let numbers = Arc::clone(numbers);
                    let (loads, holds) = self.among(&condition.left, &numbers);
                    if let (Holds::Passes(test), Some(name)) = (&holds, self.name(lookup)) {
                        self.survey.name(*test, name);
                    }
                    (loads, holds)
                }
                Some(Elements::Rows(_)) => {
                    let found = self.lookup(&condition.left, lookup);
                    (found.loads, found.tree.map_or(Holds::Unknown, Holds::Finds))
                }
                None => (self.parts(&condition.left).1, Holds::Unknown),
            },
            Operand::Value(value) => match self.numbers(&condition.right) {
                Some(numbers) => self.among(&condition.left, &numbers),
                None => {
                    let (left, right) = (self.parts(&condition.left).1, self.parts(value).1);
                    ([left, right].concat(), Holds::Unknown)
                }
            },
        };
        Condition {
            loads,
            holds,
            negated,
        }
    }

    /// The name of a set that is looked up as it is.
    fn name(&self, lookup: &Lookup) -> Option<&'t str> {
        match lookup {
            Lookup::Named(index) => Some(&self.table.set(*index)?.name),
            Lookup::Anonymous(_) => None,
        }
    }

    /// The numbers on the right side, when they depend on no packet.
    fn numbers(&self, right: &Operand) -> Option<Arc<Intervals>> {
        match right {
            Operand::Numbers(numbers) => Some(Arc::new(numbers.clone())),
            Operand::Elements(lookup) => match elements(self.table, lookup)? {
                Elements::Numbers(numbers) => Some(Arc::clone(numbers)),
                Elements::Rows(_) => None,
            },
            Operand::Value(Expression::Constant(number)) => Some(crate::space::only(*number)),
            Operand::Value(_) => None,
        }
    }

    /// That a value of one number is one of these.
    fn among(&mut self, left: &Expression, numbers: &Arc<Intervals>) -> (Vec<Load>, Holds) {
        let (parts, loads) = self.parts(left);
        let holds = match parts.as_deref() {
            Some([Part::Constant(number)]) => Holds::Constantly(numbers.contains(*number)),
            Some([part]) => match part.within(numbers, self.survey) {
                Some(test) => Holds::Passes(test),
                None => Holds::Unknown,
            },
            _ => Holds::Unknown,
        };
        (loads, holds)
    }
}
