//! The value of an expression, and whether a condition holds: known, absent, or unknown.

use alloc::vec::Vec;

use super::View;
use crate::address::Family;
use crate::field::{Field, icmp_protocol};
use crate::intervals::{Interval, Intervals};
use crate::packet::{Loaded, Transport};
use crate::tables::{
    Data, Elements, Expression, Lookup, Match, Operand, Row, Rows, Set, Table, TableFamily,
};

/// Whether something holds of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Truth {
    /// It does.
    Yes,
    /// It does not, or a value that it needs is absent.
    No,
    /// It is not known.
    Maybe,
}

impl Truth {
    fn of(found: bool) -> Self {
        if found { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }
}

/// A value of as many numbers as it has parts. A part that is absent ends the rule.
pub(super) struct Absent;

/// Parts of a key at most: a register file of 64 bytes, 4 for each (`NFT_REG32_COUNT`).
const KEY_PARTS_MAX: usize = 16;

/// The numbers that are looked up; each may be unknown.
pub(super) struct Key {
    parts: [Option<u128>; KEY_PARTS_MAX],
    len: usize,
}

impl Key {
    const EMPTY: Self = Self {
        parts: [None; KEY_PARTS_MAX],
        len: 0,
    };

    fn push(&mut self, part: Option<u128>) {
        if let Some(slot) = self.parts.get_mut(self.len) {
            *slot = part;
            self.len += 1;
        }
    }

    fn parts(&self) -> &[Option<u128>] {
        &self.parts[..self.len]
    }

    /// Whether a row has this key.
    fn is_in(&self, row: &Row) -> Truth {
        if row.key.len() != self.len {
            return Truth::Maybe;
        }
        let has =
            |interval: &Interval, part: u128| interval.first() <= part && part <= interval.last();
        let mut truth = Truth::Yes;
        for (interval, part) in row.key.iter().zip(self.parts()) {
            match part {
                Some(part) if has(interval, *part) => {}
                Some(_) => return Truth::No,
                None => truth = Truth::Maybe,
            }
        }
        truth
    }
}

/// What a lookup finds.
pub(super) enum Found<'a> {
    /// This, certainly.
    This(&'a Data),
    /// Nothing, certainly.
    Nothing,
    /// One of these, or nothing.
    Perhaps(Vec<&'a Data>),
    /// Anything, or nothing.
    Anything,
}

/// Computes what the rules of `table` ask of a packet.
pub(super) struct Computer<'a, 'p> {
    pub(super) table: &'a Table,
    pub(super) view: View<'p>,
}

impl<'a> Computer<'a, '_> {
    /// Whether a condition holds.
    pub(super) fn holds(&self, condition: &'a Match) -> Truth {
        let truth = match &condition.right {
            Operand::Numbers(numbers) => self.is_among(&condition.left, numbers),
            Operand::Elements(lookup) => self.is_element(&condition.left, lookup),
            Operand::Value(value) => self.equals(&condition.left, value),
        };
        match truth {
            Err(Absent) => Truth::No,
            // Among other fields, one that is not there ends the rule, whatever the others are.
            Ok(Truth::No) if condition.negated && self.may_be_absent(&condition.left) => {
                Truth::Maybe
            }
            Ok(truth) if condition.negated => truth.not(),
            Ok(truth) => truth,
        }
    }

    fn is_among(&self, left: &'a Expression, numbers: &Intervals) -> Result<Truth, Absent> {
        match self.number(left) {
            Loaded::Value(value) => Ok(Truth::of(numbers.contains(value))),
            Loaded::Absent => Err(Absent),
            Loaded::Unknown => Ok(Truth::Maybe),
        }
    }

    fn equals(&self, left: &'a Expression, right: &'a Expression) -> Result<Truth, Absent> {
        let (left, right) = (self.numbers(left)?, self.numbers(right)?);
        let known = left.len() == right.len() && !left.contains(&None) && !right.contains(&None);
        Ok(if known {
            Truth::of(left == right)
        } else {
            Truth::Maybe
        })
    }

    fn is_element(&self, left: &'a Expression, lookup: &'a Lookup) -> Result<Truth, Absent> {
        if let (Some(Elements::Numbers(numbers)), false) = self.elements(lookup) {
            return self.is_among(left, numbers);
        }
        Ok(match self.look_up(left, lookup)? {
            Found::This(_) => Truth::Yes,
            Found::Nothing => Truth::No,
            Found::Perhaps(_) | Found::Anything => Truth::Maybe,
        })
    }

    /// What is found for the value of `key`.
    pub(super) fn look_up(
        &self,
        key: &'a Expression,
        lookup: &'a Lookup,
    ) -> Result<Found<'a>, Absent> {
        let mut parts = Key::EMPTY;
        self.extend(&mut parts, key)?;
        let (elements, changing) = self.elements(lookup);
        let found = match elements {
            None => return Ok(Found::Anything),
            Some(Elements::Numbers(numbers)) => match parts.parts() {
                [Some(number)] if numbers.contains(*number) => Found::This(&Data::None),
                [Some(_)] => Found::Nothing,
                _ => Found::Perhaps([&Data::None].into()),
            },
            Some(Elements::Rows(rows)) => among(rows, &parts),
        };
        // What was listed may be gone, and what was not may have come.
        Ok(match found {
            _ if changing => Found::Anything,
            found => found,
        })
    }

    /// The elements, and whether they may have changed since they were listed.
    pub(super) fn elements(&self, lookup: &'a Lookup) -> (Option<&'a Elements>, bool) {
        match lookup {
            Lookup::Anonymous(elements) => (Some(elements), false),
            Lookup::Named(index) => match self.table.set(*index) {
                Some(Set {
                    elements, changing, ..
                }) => (elements.as_ref(), *changing),
                None => (None, true),
            },
        }
    }

    /// A value of one number.
    pub(super) fn number(&self, expression: &'a Expression) -> Loaded {
        match expression {
            Expression::Field(field) if self.hides(*field) => Loaded::Unknown,
            Expression::Field(field) => self.view.load(*field),
            Expression::Constant(number) => Loaded::Value(*number),
            Expression::Bits { of, mask, flip } => match self.number(of) {
                Loaded::Value(value) => Loaded::Value((value & mask) ^ flip),
                other => other,
            },
            Expression::Concatenation(_) | Expression::Map { .. } => {
                let mut key = Key::EMPTY;
                match (self.extend(&mut key, expression), key.parts()) {
                    (Err(Absent), _) => Loaded::Absent,
                    (Ok(()), [Some(only)]) => Loaded::Value(*only),
                    (Ok(()), _) => Loaded::Unknown,
                }
            }
            Expression::Opaque(_) => Loaded::Unknown,
        }
    }

    /// Whether an expression that has a value, known or not, may have none after all, so that the
    /// rule ends.
    pub(super) fn may_be_absent(&self, expression: &'a Expression) -> bool {
        match expression {
            Expression::Field(field) => {
                let unknown = self.view.load(*field) == Loaded::Unknown;
                self.hides(*field) || unknown && !self.is_always_there(*field)
            }
            Expression::Constant(_) => false,
            Expression::Bits { of, .. } => self.may_be_absent(of),
            Expression::Concatenation(parts) => parts.iter().any(|part| self.may_be_absent(part)),
            Expression::Map { key, map } => {
                let found = self.look_up(key, map);
                self.may_be_absent(key) || matches!(found, Ok(Found::Perhaps(_) | Found::Anything))
            }
            Expression::Opaque(_) => true,
        }
    }

    /// Whether the packet certainly has a field of which the value is not known.
    fn is_always_there(&self, field: Field) -> bool {
        let packet = self.view.packet;
        match field {
            Field::CtMark | Field::CtStatus | Field::CtDirection => {
                self.view.connection() == Some(true)
            }
            _ if field.is_of_transport() => {
                matches!(
                    packet.transport,
                    Transport::Ports { .. } | Transport::Icmp { .. }
                )
            }
            _ => {
                field.family() == Some(packet.addresses.family()) && !field.is_of_connection()
                    || matches!(
                        field,
                        Field::Mark
                            | Field::Priority
                            | Field::Length
                            | Field::Pkttype
                            | Field::Hour
                            | Field::Day
                            | Field::Time
                            | Field::Fib(_)
                    )
            }
        }
    }

    /// Whether a listing may leave out what a rule that asks for `field` asks of this packet
    /// besides, or may not ask of it.
    ///
    /// nft 1.0.6 lists `icmpv6 type` alike whether the family is asked for or not, leaves
    /// `meta nfproto ipv4` out before `meta l4proto icmp`, and in tables of family `ip6`
    /// `ip6 nexthdr tcp` before a field of TCP.
    pub(super) fn hides(&self, field: Field) -> bool {
        let packet = self.view.packet;
        let of_transport = || field.protocol() == Some(packet.protocol());
        match self.table.family {
            _ if !self.table.listed => false,
            TableFamily::Ip => false,
            TableFamily::Ip6 => {
                let next = || self.view.load(Field::NextHeader(Family::Ip6));
                of_transport() && next() != Loaded::Value(packet.protocol().into())
            }
            TableFamily::Inet | TableFamily::Arp | TableFamily::Bridge | TableFamily::Netdev => {
                let of_icmp = || field.family().map(icmp_protocol) == field.protocol();
                packet.has_icmp_of_other_family()
                    && (field == Field::L4proto || of_icmp() && of_transport())
            }
        }
    }

    /// Adds the numbers of an expression to `key`.
    pub(super) fn extend(&self, key: &mut Key, expression: &'a Expression) -> Result<(), Absent> {
        match expression {
            Expression::Concatenation(parts) => {
                for part in parts {
                    self.extend(key, part)?;
                }
                Ok(())
            }
            Expression::Map { key: of, map } => {
                match self.look_up(of, map)? {
                    Found::This(Data::Value(numbers)) => {
                        numbers.iter().for_each(|number| key.push(Some(*number)));
                    }
                    Found::This(Data::Range(ranges)) => {
                        let single =
                            |it: &Interval| Some(it.first()).filter(|_| it.first() == it.last());
                        ranges.iter().for_each(|range| key.push(single(range)));
                    }
                    Found::Nothing => return Err(Absent),
                    Found::This(Data::None | Data::Verdict(_) | Data::Unknown)
                    | Found::Perhaps(_)
                    | Found::Anything => key.push(None),
                }
                Ok(())
            }
            one => {
                match self.number(one) {
                    Loaded::Value(value) => key.push(Some(value)),
                    Loaded::Absent => return Err(Absent),
                    Loaded::Unknown => key.push(None),
                }
                Ok(())
            }
        }
    }

    /// The numbers of an expression, each of which may be unknown.
    pub(super) fn numbers(&self, of: &'a Expression) -> Result<Vec<Option<u128>>, Absent> {
        let mut key = Key::EMPTY;
        self.extend(&mut key, of)?;
        Ok(key.parts().to_vec())
    }
}

fn among<'a>(rows: &'a Rows, key: &Key) -> Found<'a> {
    let mut perhaps = Vec::new();
    let mut look = |row: &'a Row| match key.is_in(row) {
        Truth::Yes => Some(&row.data),
        Truth::No => None,
        Truth::Maybe => {
            perhaps.push(&row.data);
            None
        }
    };
    let this = match key.parts().first() {
        Some(Some(first)) => rows.beginning_with(*first).find_map(&mut look),
        _ => rows.all().iter().find_map(&mut look),
    };
    match this {
        Some(data) if perhaps.is_empty() => Found::This(data),
        Some(data) => {
            perhaps.push(data);
            Found::Perhaps(perhaps)
        }
        None if perhaps.is_empty() => Found::Nothing,
        None => Found::Perhaps(perhaps),
    }
}
