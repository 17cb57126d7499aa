//! How well a rule is known: exactly, as a set of possibilities, or not.

use super::{Data, Elements, Expression, Lookup, Match, Nat, Operand, Part, Rewrite, Rule, Table};

/// How well something is modelled; the worst of its parts counts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Modelled {
    /// What it does follows from the packet.
    Exactly,
    /// What it may do is known; which of it depends on something that is no part of the packet.
    AsMaySet,
    /// Some expression or statement is not known.
    Opaquely,
}

impl Table {
    /// How well a rule of this table is modelled.
    #[must_use]
    pub fn modelled(&self, rule: &Rule) -> Modelled {
        worst(rule.parts.iter().map(|part| self.part_modelled(part)))
    }

    /// How well a part of a rule of this table is modelled.
    #[must_use]
    pub fn part_modelled(&self, part: &Part) -> Modelled {
        match part {
            Part::Match(Match { left, right, .. }) => self.expression(left).max(match right {
                Operand::Numbers(_) => Modelled::Exactly,
                Operand::Elements(lookup) => self.lookup(lookup),
                Operand::Value(value) => self.expression(value),
            }),
            Part::VerdictMap { key, map } => self.expression(key).max(self.lookup(map)),
            Part::Assign { value, .. } => self.expression(value),
            Part::Nat(Nat { address, port, .. }) => {
                let rewrites = [address, port].into_iter().flatten();
                worst(rewrites.map(|rewrite| match rewrite {
                    Rewrite::OneOf(one) if one.first() == one.last() => Modelled::Exactly,
                    // Which of several is the kernel's choice.
                    Rewrite::OneOf(_) => Modelled::AsMaySet,
                    Rewrite::Value { of, .. } => self.expression(of),
                }))
            }
            Part::Verdict(_) | Part::Reject(_) | Part::Notrack | Part::Counter | Part::Note(_) => {
                Modelled::Exactly
            }
            Part::Chance(_) | Part::Connections(_) | Part::Queue(_) | Part::Take(_) => {
                Modelled::AsMaySet
            }
            Part::Opaque(_) => Modelled::Opaquely,
        }
    }

    fn expression(&self, expression: &Expression) -> Modelled {
        match expression {
            Expression::Field(_) | Expression::Constant(_) => Modelled::Exactly,
            Expression::Bits { of, .. } => self.expression(of),
            Expression::Concatenation(parts) => {
                worst(parts.iter().map(|part| self.expression(part)))
            }
            Expression::Map { key, map } => self.expression(key).max(self.lookup(map)),
            Expression::Opaque(_) => Modelled::Opaquely,
        }
    }

    fn lookup(&self, lookup: &Lookup) -> Modelled {
        let (elements, changing) = match lookup {
            Lookup::Anonymous(elements) => (Some(elements), false),
            Lookup::Named(index) => match self.set(*index) {
                Some(set) => (set.elements.as_ref(), set.changing),
                None => (None, false),
            },
        };
        match elements {
            _ if changing => Modelled::AsMaySet,
            None => Modelled::Opaquely,
            Some(Elements::Numbers(_)) => Modelled::Exactly,
            Some(Elements::Rows(rows)) => {
                let unknown = rows.all().iter().any(|row| row.data == Data::Unknown);
                if unknown {
                    Modelled::Opaquely
                } else {
                    Modelled::Exactly
                }
            }
        }
    }
}

fn worst(parts: impl Iterator<Item = Modelled>) -> Modelled {
    parts.max().unwrap_or(Modelled::Exactly)
}
