//! The matches of a rule: what is compared with what.

use alloc::vec::Vec;

use super::{Contents, Ruleset};
use crate::field::Field;
use crate::intervals::{Interval, Intervals};
use crate::names::Name;
use crate::packet::{Loaded, Packet};

/// One condition on a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    pub(crate) key: Key,
    pub(crate) negated: bool,
    pub(crate) operand: Operand,
}

/// What is compared.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// A field.
    Field(Field),
    /// Some bits of a field.
    Bits {
        /// The field.
        field: Field,
        /// The bits that count; never all of them.
        mask: u128,
    },
    /// Fields together; with a named set also a single one.
    Concatenation(Vec<Field>),
}

impl Key {
    /// The fields that it loads.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::Field(field) | Self::Bits { field, .. } => core::slice::from_ref(field),
            Self::Concatenation(fields) => fields,
        }
    }
}

/// The values of a match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operand {
    /// Numbers.
    Numbers(Intervals),
    /// Elements with an interval for each field, sorted; no two of them overlap.
    Elements(Vec<Vec<Interval>>),
    /// The elements of a named set of addresses of the field's family, or of a field set.
    Set(Name),
}

impl Operand {
    /// The named set.
    #[must_use]
    pub const fn set(&self) -> Option<&Name> {
        match self {
            Self::Set(name) => Some(name),
            Self::Numbers(_) | Self::Elements(_) => None,
        }
    }
}

impl Match {
    /// What it compares.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The fields that it loads. A packet without one of them fails.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.key.fields()
    }

    /// Whether the value must not be one of the values.
    #[must_use]
    pub const fn negated(&self) -> bool {
        self.negated
    }

    /// The values.
    #[must_use]
    pub const fn operand(&self) -> &Operand {
        &self.operand
    }

    /// The one field that it compares as a whole.
    pub(crate) const fn field(&self) -> Option<Field> {
        match self.key {
            Key::Field(field) => Some(field),
            Key::Bits { .. } | Key::Concatenation(_) => None,
        }
    }

    /// Whether `packet` certainly has the fields, with values as asked. `sets` holds every set the
    /// operand may name.
    #[must_use]
    pub fn holds(&self, packet: &Packet, sets: &Ruleset) -> bool {
        let mut values = Vec::new();
        for field in self.fields() {
            // A packet without the field fails, negated or not: so does the kernel (NFT_BREAK).
            let Loaded::Value(value) = packet.load(*field) else {
                return false;
            };
            values.push(match self.key {
                Key::Bits { mask, .. } => value & mask,
                Key::Field(_) | Key::Concatenation(_) => value,
            });
        }
        let found = match &self.operand {
            Operand::Numbers(numbers) => values.iter().all(|value| numbers.contains(*value)),
            Operand::Elements(elements) => has(elements, &values),
            Operand::Set(name) => match (sets.set(name), sets.field_set(name)) {
                (Some(set), _) => values.iter().all(|value| set.elements.contains(*value)),
                (None, Some(set)) => match &set.contents {
                    Contents::Elements(elements) => has(elements, &values),
                    // What rules have added is not known.
                    Contents::Dynamic { .. } => return false,
                },
                (None, None) => return false,
            },
        };
        found != self.negated
    }
}

/// Whether an element has these values.
fn has(elements: &[Vec<Interval>], values: &[u128]) -> bool {
    let is_in = |(interval, value): (&Interval, &u128)| {
        (interval.first()..=interval.last()).contains(value)
    };
    elements
        .iter()
        .any(|element| element.iter().zip(values).all(is_in))
}
