//! Why a part of a rule holds or fails, as conditions on the packet as it came.
//!
//! Each answer is conditions under which the part does the same as it did: as wide as they are
//! easily said, never wider.

use alloc::vec;
use alloc::vec::Vec;

use super::{Condition, Membership, Together};
use crate::address::Family;
use crate::evaluate::compute::{Computer, Truth};
use crate::field::{Field, icmp_protocol};
use crate::intervals::{Interval, Intervals};
use crate::limits::CONNTRACK_PRIORITY;
use crate::packet::{CtState, Hook, Loaded};
use crate::tables::{Elements, Expression, Lookup, Match, Operand, Row, Set, TableFamily};

/// Values of a masked field that are tried one by one, at most.
const TRIED: u128 = 0xffff;

impl<'a> Computer<'a, '_> {
    /// Conditions under which `condition` holds as it does.
    pub(super) fn holds_because(&self, condition: &'a Match) -> Together<'a> {
        let told = self.values_of(condition, Truth::Yes);
        told.unwrap_or_else(|| self.pins_match(condition))
    }

    /// Conditions, each of which is enough for `condition` to fail as it does.
    pub(super) fn fails_because(&self, condition: &'a Match) -> Vec<Together<'a>> {
        let mut absent = self.absent(&condition.left);
        if let Operand::Value(value) = &condition.right {
            absent.extend(self.absent(value));
        }
        if !absent.is_empty() {
            return absent;
        }
        if let Some(told) = self.values_of(condition, Truth::No) {
            return vec![told];
        }
        match (&condition.right, condition.negated) {
            (Operand::Elements(lookup), false) => self.is_missing(&condition.left, lookup),
            _ => vec![self.pins_match(condition)],
        }
    }

    /// Conditions under which `key` has the element `row` of a set or a map.
    pub(super) fn is_row(&self, key: &'a Expression, row: Option<&Row>) -> Together<'a> {
        let Some(row) = row else {
            return self.pins(key);
        };
        let parts = flat(key);
        if parts.len() != row.key.len() {
            return self.pins(key);
        }
        let mut all = Vec::new();
        for (part, interval) in parts.into_iter().zip(&row.key) {
            match part {
                Expression::Field(field) => {
                    all.extend(self.within(*field, [*interval].into_iter().collect()));
                }
                other => all.extend(self.pins(other)),
            }
        }
        all
    }

    /// The row that `key` finds, if it is rows that are looked through.
    pub(super) fn row(&self, key: &'a Expression, lookup: &'a Lookup) -> Option<&'a Row> {
        let Some(Elements::Rows(rows)) = self.elements(lookup).0 else {
            return None;
        };
        let numbers: Option<Vec<u128>> = self.numbers(key).ok()?.into_iter().collect();
        let numbers = numbers?;
        let first = *numbers.first()?;
        let mut found = rows.beginning_with(first);
        found.find(|row| {
            row.key.len() == numbers.len()
                && row.key.iter().zip(&numbers).all(|(it, n)| has(*it, *n))
        })
    }

    /// Conditions, each of which is enough for `key` to have no element.
    pub(super) fn is_missing(&self, key: &'a Expression, lookup: &'a Lookup) -> Vec<Together<'a>> {
        let absent = self.absent(key);
        if !absent.is_empty() {
            return absent;
        }
        let (Some(elements), false) = self.elements(lookup) else {
            return vec![self.pins(key)];
        };
        match elements {
            Elements::Numbers(numbers) => match key {
                Expression::Field(field) => {
                    let others = numbers.complement(Field::max(*field));
                    let mut told = self.within(*field, others);
                    self.name(&mut told, lookup, true);
                    vec![told]
                }
                other => vec![self.pins(other)],
            },
            Elements::Rows(rows) => self.no_row(key, rows.all()),
        }
    }

    /// Some part of the key is in no row; or it is in none of those that the parts before it leave.
    fn no_row(&self, key: &'a Expression, rows: &[Row]) -> Vec<Together<'a>> {
        let parts = flat(key);
        let Ok(numbers) = self.numbers(key) else {
            return vec![self.pins(key)];
        };
        let numbers: Option<Vec<u128>> = numbers.into_iter().collect();
        let Some(numbers) = numbers.filter(|it| it.len() == parts.len()) else {
            return vec![self.pins(key)];
        };
        let mut alternatives = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let taken = column(rows.iter(), at);
            if let (Expression::Field(field), false) = (part, taken.contains(numbers[at])) {
                alternatives.push(self.within(*field, taken.complement(Field::max(*field))));
            }
        }
        if !alternatives.is_empty() {
            return alternatives;
        }
        let mut left: Vec<&Row> = rows.iter().collect();
        let mut told = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let taken = column(left.iter().copied(), at);
            match part {
                Expression::Field(field) if !taken.contains(numbers[at]) => {
                    told.extend(self.within(*field, taken.complement(Field::max(*field))));
                    return vec![told];
                }
                Expression::Field(field) => {
                    let same = same_rows(&left, at, numbers[at], Field::max(*field));
                    told.extend(self.within(*field, [same].into_iter().collect()));
                }
                other => told.extend(self.pins(other)),
            }
            left.retain(|row| row.key.get(at).is_some_and(|it| has(*it, numbers[at])));
        }
        vec![self.pins(key)]
    }

    /// Conditions under which a match of one field, as it is or masked, comes out as `truth`.
    fn values_of(&self, condition: &'a Match, truth: Truth) -> Option<Together<'a>> {
        let (numbers, lookup) = match &condition.right {
            Operand::Numbers(numbers) => (numbers, None),
            Operand::Elements(lookup) => match self.elements(lookup) {
                (Some(Elements::Numbers(numbers)), false) => (&**numbers, Some(lookup)),
                _ => return None,
            },
            Operand::Value(_) => return None,
        };
        let outside = condition.negated == (truth == Truth::Yes);
        let (field, inside) = match &condition.left {
            Expression::Field(field) => (*field, None),
            Expression::Bits { of, mask, flip } => match &**of {
                Expression::Field(field) => {
                    (*field, Some(unmasked(*field, *mask, *flip, numbers)?))
                }
                _ => return None,
            },
            _ => return None,
        };
        let values = inside.as_ref().unwrap_or(numbers);
        let values = if outside {
            values.complement(field.max())
        } else {
            values.clone()
        };
        let mut told = self.within(field, values);
        if let (Some(lookup), None) = (lookup, inside) {
            self.name(&mut told, lookup, outside);
        }
        Some(told)
    }

    /// Says by which named set the only condition of `told` can be told, too.
    fn name(&self, told: &mut Together<'a>, lookup: &'a Lookup, negated: bool) {
        let Lookup::Named(index) = lookup else { return };
        let set: Option<&'a Set> = self.table.set(*index);
        if let (Some(set), [only]) = (set, told.as_mut_slice()) {
            only.set = Some(Membership { set, negated });
        }
    }

    /// Conditions under which `field`, which has a value here, has one of `values`.
    fn within(&self, field: Field, values: Intervals) -> Together<'a> {
        // What an earlier rule has put there does not depend on the packet: where it did, that has
        // been told.
        if self.view.changes.get(field).is_some() {
            return Vec::new();
        }
        if field == Field::CtState && !self.view.is_tracked() {
            return self.pins_state();
        }
        let mut told = vec![Condition::within(field, values)];
        if field == Field::CtState || field.is_of_connection() {
            told.extend(self.way_to_conntrack());
        }
        told.extend(self.nothing_hidden(field));
        told
    }

    /// Conditions under which a listing leaves out nothing that a rule asks besides `field`.
    fn nothing_hidden(&self, field: Field) -> Together<'a> {
        let packet = self.view.packet;
        match self.table.family {
            _ if !self.table.listed => Vec::new(),
            // Then nothing certain depends on the field.
            _ if self.hides(field) => Vec::new(),
            TableFamily::Ip => Vec::new(),
            TableFamily::Ip6 if field.protocol().is_some() => [
                self.exactly(Field::NextHeader(Family::Ip6)),
                self.exactly(Field::L4proto),
            ]
            .concat(),
            TableFamily::Inet | TableFamily::Arp | TableFamily::Bridge | TableFamily::Netdev
                if field == Field::L4proto =>
            {
                let family = packet.addresses.family();
                let others = Family::BOTH.into_iter().filter(|other| *other != family);
                let foreign: Intervals = others
                    .map(|other| Interval::single(icmp_protocol(other).into()))
                    .collect();
                let own = Condition::within(field, foreign.complement(field.max()));
                [self.exactly(Field::Nfproto), vec![own]].concat()
            }
            _ => Vec::new(),
        }
    }

    /// Conditions under which the fields of an expression that are not there are not there.
    fn absent(&self, expression: &'a Expression) -> Vec<Together<'a>> {
        let mut absent = expression
            .fields()
            .into_iter()
            .filter(|field| self.view.load(*field) == Loaded::Absent);
        absent
            .next()
            .map_or_else(Vec::new, |field| self.absence(field))
    }

    /// Conditions, each of which is enough for `field` not to be there.
    fn absence(&self, field: Field) -> Vec<Together<'a>> {
        let packet = self.view.packet;
        let mut enough = Vec::new();
        let other = |of: Field, number: u8| {
            let only: Intervals = [Interval::single(number.into())].into_iter().collect();
            vec![Condition::within(of, only.complement(of.max()))]
        };
        let protocol = field.protocol().filter(|it| *it != packet.protocol());
        enough.extend(protocol.map(|it| other(Field::L4proto, it)));
        let family = packet.addresses.family();
        let other_family = field.family().filter(|it| *it != family);
        // Whether the type of an ICMP message is asked for in a packet of the other family does
        // not stand in a listing.
        let of_icmp = field.family().map(icmp_protocol) == field.protocol();
        if !of_icmp || enough.is_empty() {
            enough.extend(other_family.map(|it| other(Field::Nfproto, it.number())));
        }
        if !enough.is_empty() {
            return enough;
        }
        let has_connection = self.view.connection() != Some(false);
        if !field.is_of_connection() || has_connection {
            let mut told = vec![Condition::absent(field)];
            if field.is_of_connection() {
                told.extend(self.way_to_conntrack());
            }
            return vec![told];
        }
        if self.view.changes.get(Field::CtState).is_some() {
            return vec![Vec::new()];
        }
        if !self.view.is_tracked() {
            return vec![self.pins_state()];
        }
        let without = [CtState::Invalid, CtState::Untracked];
        let without = without.map(|state| Interval::single(state as u128));
        let without = Condition::within(Field::CtState, without.into_iter().collect());
        let mut told = self.way_to_conntrack();
        told.push(without);
        vec![told]
    }

    /// The state of the connection, and by which interface the packet came: where conntrack has
    /// not seen it yet, both count.
    fn pins_state(&self) -> Together<'a> {
        let mut told = self.exactly(Field::CtState);
        told.extend(self.way_to_conntrack());
        told
    }

    /// Before conntrack, what comes by `lo` has been seen already, and nothing else has.
    fn way_to_conntrack(&self) -> Together<'a> {
        let before = self.view.priority <= CONNTRACK_PRIORITY;
        if before && self.view.hook == Hook::Prerouting {
            self.exactly(Field::Iifname)
        } else {
            Vec::new()
        }
    }

    fn pins_match(&self, condition: &'a Match) -> Together<'a> {
        let mut told = self.pins(&condition.left);
        if let Operand::Value(value) = &condition.right {
            told.extend(self.pins(value));
        }
        told
    }

    /// Every field of an expression is what it is.
    pub(super) fn pins(&self, expression: &Expression) -> Together<'a> {
        let mut told = Vec::new();
        for field in expression.fields() {
            if self.view.changes.get(field).is_some() {
                continue;
            }
            if field == Field::CtState || field.is_of_connection() {
                told.extend(self.way_to_conntrack());
            }
            match self.view.load(field) {
                _ if field == Field::CtState && !self.view.is_tracked() => {
                    told.extend(self.pins_state());
                }
                Loaded::Value(_) => {
                    told.extend(self.exactly(field));
                    told.extend(self.nothing_hidden(field));
                }
                Loaded::Absent => {
                    let mut enough = self.absence(field).into_iter();
                    told.extend(enough.next().into_iter().flatten());
                }
                // Then nothing certain depends on it.
                Loaded::Unknown => {}
            }
        }
        told
    }

    /// The field is what it came as.
    fn exactly(&self, field: Field) -> Together<'a> {
        match self.view.packet.load_at(self.view.hook, field) {
            Loaded::Value(value) => {
                let only = [Interval::single(value)];
                vec![Condition::within(field, only.into_iter().collect())]
            }
            Loaded::Absent | Loaded::Unknown => Vec::new(),
        }
    }
}

/// The parts of a key, one after the other.
fn flat(expression: &Expression) -> Vec<&Expression> {
    match expression {
        Expression::Concatenation(parts) => parts.iter().flat_map(flat).collect(),
        one => vec![one],
    }
}

/// The numbers that some row has at a position of its key.
fn column<'r>(rows: impl Iterator<Item = &'r Row>, at: usize) -> Intervals {
    rows.filter_map(|row| row.key.get(at).copied()).collect()
}

/// The numbers around `number` that are in the same rows.
fn same_rows(rows: &[&Row], at: usize, number: u128, max: u128) -> Interval {
    let (mut first, mut last) = (0, max);
    for interval in rows.iter().filter_map(|row| row.key.get(at)) {
        if has(*interval, number) {
            first = first.max(interval.first());
            last = last.min(interval.last());
        } else if interval.last() < number {
            first = first.max(interval.last() + 1);
        } else {
            last = last.min(interval.first() - 1);
        }
    }
    Interval::new(first, last).unwrap_or(Interval::single(number))
}

/// The values of `field` that are among `numbers` once masked; none when they are too many to tell.
fn unmasked(field: Field, mask: u128, flip: u128, numbers: &Intervals) -> Option<Intervals> {
    if field.max() <= TRIED {
        let values = 0..=field.max();
        let among = values.filter(|value| numbers.contains((value & mask) ^ flip));
        return Some(among.map(Interval::single).collect());
    }
    // Of a mask of leading bits, what is left open is an interval.
    let open = field.max() & !mask;
    let leading = open < u128::MAX && open & (open + 1) == 0;
    if !leading || numbers.count() > TRIED {
        return None;
    }
    let of_one = |number: u128| {
        let first = (number ^ flip) & field.max();
        let possible = first & open == 0 && (first & mask) ^ flip == number;
        possible
            .then(|| Interval::new(first, first | open))
            .flatten()
    };
    let numbers = numbers.iter().flat_map(|it| it.first()..=it.last());
    Some(numbers.filter_map(of_one).collect())
}

const fn has(interval: Interval, number: u128) -> bool {
    interval.first() <= number && number <= interval.last()
}
