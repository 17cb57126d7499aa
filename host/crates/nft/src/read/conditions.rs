//! `{"match": …}`: what is compared, how, and with what.
//!
//! The meaning is that of the kernel's program. `in` asks whether any of some bits is set, and `!`
//! whether none is; `==` and `!=` compare the whole value, whatever the text looks like.

use portreeve_model::field::{FibResult, Field};
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::packet::CtState;
use portreeve_model::tables::{Elements, Expression, Lookup, Match, Operand};
use serde_json::Value;

use super::elements::Holds;
use super::expressions::{Typed, max, no_route, with_bits};
use super::surroundings::Surroundings;
use super::types::{Datatype, state_bit};
use super::values::{attributes, bits, interval, only_entry};

/// How two sides are compared.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Comparison {
    Any,
    None,
    Equal,
    NotEqual,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

impl Comparison {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "in" => Self::Any,
            "!" => Self::None,
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            ">" => Self::Greater,
            "<=" => Self::AtMost,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    /// The numbers up to `max` that compare so with `right`, if it is size that is compared.
    fn ordered(self, right: u128, max: u128) -> Option<Intervals> {
        let (first, last) = match self {
            Self::Less => (Some(0), right.checked_sub(1)),
            Self::AtMost => (Some(0), Some(right)),
            Self::Greater => (right.checked_add(1), Some(max)),
            Self::AtLeast => (Some(right), Some(max)),
            Self::Any | Self::None | Self::Equal | Self::NotEqual => return None,
        };
        let interval = first
            .zip(last)
            .and_then(|(first, last)| Interval::new(first, last));
        Some(interval.into_iter().collect())
    }
}

impl Surroundings {
    /// The condition, if all of it is known.
    pub(super) fn condition(&self, body: &Value) -> Option<Match> {
        let body = attributes(body, &["op", "left", "right"])?;
        let comparison = Comparison::read(body.get("op")?.as_str()?)?;
        let (left, right) = (body.get("left")?, body.get("right")?);
        if let Some(states) = self.states(comparison, left, right) {
            return Some(states);
        }
        self.compare(self.expression(left)?, comparison, right)
    }

    fn compare(&self, left: Typed, comparison: Comparison, right: &Value) -> Option<Match> {
        if let [of] = *left.types.as_slice()
            && let Some(found) = self.compare_one(&left, of, comparison, right)
        {
            return Some(found);
        }
        let negated = match comparison {
            Comparison::Any | Comparison::Equal => false,
            Comparison::NotEqual => true,
            _ => return None,
        };
        let right = match self.lookup(right, left.types.clone(), Some(Holds::Nothing)) {
            Some((lookup, _)) => Operand::Elements(lookup),
            None => Operand::Value(self.other_value(&left, right)?),
        };
        Some(Match {
            left: left.expression,
            negated,
            right,
        })
    }

    /// A comparison of one number with numbers that are written out.
    fn compare_one(
        &self,
        left: &Typed,
        of: Datatype,
        comparison: Comparison,
        right: &Value,
    ) -> Option<Match> {
        let found = |left, negated, numbers| Match {
            left,
            negated,
            right: Operand::Numbers(numbers),
        };
        let plain = || left.expression.clone();
        let zero = || Intervals::from_iter([Interval::single(0)]);
        // The model counts states, and here they would be bits.
        if of == Datatype::CtState {
            return None;
        }
        match comparison {
            Comparison::Any | Comparison::None if of.has_bits() && !is_set(right) => {
                let masked = with_bits(plain(), bits(of, right)?, 0);
                Some(found(masked, comparison == Comparison::Any, zero()))
            }
            Comparison::None => None,
            Comparison::Any | Comparison::Equal | Comparison::NotEqual => {
                let negated = comparison == Comparison::NotEqual;
                if let Some(index) = no_route(left, right) {
                    return Some(found(index, negated, zero()));
                }
                if let Some(exists) = route_exists(left, right) {
                    let numbers = Interval::single(right.as_bool()?.into());
                    return Some(found(exists, negated, [numbers].into_iter().collect()));
                }
                let numbers = self.numbers(of, right)?;
                Some(found(plain(), negated, numbers))
            }
            Comparison::Less | Comparison::Greater | Comparison::AtMost | Comparison::AtLeast => {
                let is_name = matches!(of, Datatype::Interface | Datatype::InterfaceIndex);
                let max = max(&left.expression);
                let numbers = comparison.ordered(bits(of, right)?, max)?;
                (!is_name).then(|| found(plain(), false, numbers))
            }
        }
    }

    /// The numbers of the right side, when they are written out.
    fn numbers(&self, of: Datatype, right: &Value) -> Option<Intervals> {
        if is_set(right) {
            let (lookup, _) = self.lookup(right, [of].into(), Some(Holds::Nothing))?;
            return match lookup {
                Lookup::Anonymous(Elements::Numbers(numbers)) => Some(numbers.as_ref().clone()),
                _ => None,
            };
        }
        let names_set = right.as_str().is_some_and(|text| {
            text.strip_prefix('@')
                .is_some_and(|name| self.set(name).is_some())
        });
        if names_set {
            return None;
        }
        let one = match right {
            Value::Array(_) => bits(of, right).map(Interval::single),
            one => interval(of, one),
        };
        Some([one?].into_iter().collect())
    }

    /// Another value of the packet, of the same type.
    fn other_value(&self, left: &Typed, right: &Value) -> Option<Expression> {
        let right = self.expression(right)?;
        let same = right.types == left.types && right.types.len() == 1;
        (same && right.types != [Datatype::CtState]).then_some(right.expression)
    }

    /// A condition on `ct state`, masked or not: which states it holds for. The kernel's states are
    /// bits, the model's are counted, and a packet has exactly one.
    fn states(&self, comparison: Comparison, left: &Value, right: &Value) -> Option<Match> {
        let (state, mask) = match only_entry(left) {
            Some(("&", Value::Array(operands))) => match operands.as_slice() {
                [state, mask] => (state, bits(Datatype::CtState, mask)?),
                _ => return None,
            },
            _ => (left, u128::MAX),
        };
        let left = self.expression(state)?;
        if left.field()? != Field::CtState {
            return None;
        }
        let numbers = kernel_states(right)?;
        let holds = |value: u128| {
            Some(match comparison {
                Comparison::Any | Comparison::None if !is_set(right) => {
                    value & numbers.single()? != 0
                }
                Comparison::Any | Comparison::None | Comparison::Equal | Comparison::NotEqual => {
                    numbers.contains(value)
                }
                Comparison::Less
                | Comparison::Greater
                | Comparison::AtMost
                | Comparison::AtLeast => comparison
                    .ordered(numbers.single()?, u128::MAX)?
                    .contains(value),
            })
        };
        let mut states = Vec::new();
        for state in CtState::ALL {
            if holds(state_bit(state) & mask)? {
                states.push(Interval::single(state as u128));
            }
        }
        Some(Match {
            left: left.expression,
            negated: matches!(comparison, Comparison::None | Comparison::NotEqual),
            right: Operand::Numbers(states.into_iter().collect()),
        })
    }
}

/// The right side of a condition on `ct state`, in the kernel's numbers.
fn kernel_states(right: &Value) -> Option<Intervals> {
    let one = |json: &Value| match json {
        Value::Array(_) => bits(Datatype::CtState, json).map(Interval::single),
        one => interval(Datatype::CtState, one),
    };
    match only_entry(right) {
        Some(("set", Value::Array(elements))) => elements.iter().map(one).collect(),
        _ => Some([one(right)?].into_iter().collect()),
    }
}

/// Whether elements are written out.
fn is_set(json: &Value) -> bool {
    only_entry(json).is_some_and(|(kind, _)| kind == "set")
}

/// `fib … exists`: nft asks for the interface, and compares whether there is one.
fn route_exists(left: &Typed, right: &Value) -> Option<Expression> {
    let Some(Field::Fib(mut fib)) = left.field() else {
        return None;
    };
    let asks = fib.result == FibResult::Oifname && right.is_boolean();
    fib.result = FibResult::Exists;
    asks.then_some(Expression::Field(Field::Fib(fib)))
}
