//! Fields together and bits of fields: what a draft wrote becomes intervals, one for each field.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::Validator;
use super::defect::Defect;
use super::sets::interval;
use crate::diagnostic::Quoted;
use crate::draft::{self, BitField, Draft, NumberField, Rule, Selector, Statement, Test, Values};
use crate::field::{Field, Kind};
use crate::intervals::{Interval, Intervals};
use crate::limits::{
    DYNAMIC_SET_SIZE_MAX, FIELD_SET_ELEMENTS_MAX, FIELDS_TOGETHER_MAX, KEY_BYTES_MAX, TIMEOUT_MAX,
};
use crate::names::Name;
use crate::ruleset::{Contents, FieldSet, Key, Operand};

impl Validator<'_> {
    pub(super) fn all_field_sets(&mut self, draft: &Draft) {
        for (position, set) in draft.field_sets.iter().enumerate() {
            let subject = format!("set {}", Quoted(&set.name));
            let earlier = draft.field_sets[..position].iter().map(|it| &it.name);
            let mut others = earlier.chain(draft.sets.iter().map(|it| &it.name));
            if others.any(|other| *other == set.name) {
                self.say(&subject, &Defect::Duplicate { kind: "set" });
            }
            let fields = self.fields(&set.fields, 1, &subject);
            let contents = self.contents(set, &subject);
            match (Name::new(&set.name), contents) {
                (Ok(name), Some(contents)) => self.field_sets.push(FieldSet {
                    name,
                    fields,
                    contents,
                }),
                (Ok(_), None) => {}
                (Err(error), _) => self.say(&subject, &Defect::Name(error)),
            }
        }
    }

    fn contents(&mut self, set: &draft::FieldSet, subject: &str) -> Option<Contents> {
        match &set.contents {
            draft::Contents::Elements(elements) => {
                if let [Selector::Saddr(_) | Selector::Daddr(_)] = set.fields.as_slice() {
                    self.say(subject, &Defect::PlainAddresses);
                }
                let (found, max) = (elements.len(), FIELD_SET_ELEMENTS_MAX);
                if found > max {
                    let what = "elements";
                    self.say(subject, &Defect::TooMany { what, found, max });
                    return None;
                }
                let plain = elements.iter().map(|values| (values.as_slice(), ()));
                let elements = self.elements_of(&set.fields, plain, subject)?;
                let keys = elements.into_iter().map(|(key, ())| key);
                Some(Contents::Elements(keys.collect()))
            }
            draft::Contents::Dynamic { timeout, size } => {
                let numbers = [
                    ("timeout", *timeout, TIMEOUT_MAX),
                    ("size", *size, DYNAMIC_SET_SIZE_MAX),
                ];
                for (what, found, max) in numbers {
                    self.number(what, found.into(), 1..=max.into(), subject);
                }
                Some(Contents::Dynamic {
                    timeout: *timeout,
                    size: *size,
                })
            }
        }
    }

    /// The fields, at least `least` of them.
    pub(super) fn fields(
        &mut self,
        selectors: &[Selector],
        least: usize,
        subject: &str,
    ) -> Vec<Field> {
        let (found, max) = (selectors.len(), FIELDS_TOGETHER_MAX);
        if !(least..=max).contains(&found) {
            self.say(subject, &Defect::FieldsTogether { found, least, max });
        }
        let fields: Vec<Field> = selectors.iter().map(|it| it.field()).collect();
        let found = fields.iter().copied().map(key_bytes).sum();
        if found > KEY_BYTES_MAX {
            let max = KEY_BYTES_MAX;
            self.say(subject, &Defect::KeyTooWide { found, max });
        }
        let twice = fields
            .iter()
            .enumerate()
            .find(|(at, it)| fields[..*at].contains(it));
        if let Some((_, field)) = twice {
            self.say(subject, &Defect::FieldTwice { field: *field });
        }
        fields
    }

    /// Elements with an interval for each field, sorted, each with what it says.
    pub(super) fn elements_of<'d, T: Clone + PartialEq>(
        &mut self,
        selectors: &[Selector],
        drafted: impl Iterator<Item = (&'d [Values], T)>,
        subject: &str,
    ) -> Option<Vec<(Vec<Interval>, T)>> {
        let before = self.found.len();
        let mut elements: Vec<(Vec<Interval>, T)> = Vec::new();
        for (values, says) in drafted {
            if values.len() != selectors.len() {
                let (found, fields) = (values.len(), selectors.len());
                self.say(subject, &Defect::ElementLength { found, fields });
                continue;
            }
            let key = selectors.iter().zip(values);
            let key = key.map(|(selector, it)| self.values(selector.field(), it, subject));
            let key: Vec<Option<Interval>> = key.collect();
            let key: Option<Vec<Interval>> = key.into_iter().collect();
            elements.extend(key.map(|key| (key, says)));
        }
        elements.sort_by(|(one, _), (other, _)| one.cmp(other));
        elements.dedup();
        if let [selector] = selectors {
            merge(&mut elements, selector.field());
            if selector.field().kind() == Kind::Interface {
                let keys = elements.iter().flat_map(|(key, _)| key.iter().copied());
                self.apart(&keys.collect::<Intervals>(), subject);
            }
        }
        if let Some((one, other)) = overlapping(&elements) {
            let text = |key: &[Interval]| {
                let texts = selectors.iter().zip(key);
                let texts = texts.map(|(it, interval)| it.field().kind().interval(*interval));
                texts.collect::<Vec<_>>().join(" . ")
            };
            let (one, other) = (text(one), text(other));
            self.say(subject, &Defect::Overlap { one, other });
        }
        (self.found.len() == before).then_some(elements)
    }

    /// The values of one field in an element.
    fn values(&mut self, field: Field, values: &Values, subject: &str) -> Option<Interval> {
        let found = match values {
            Values::Numbers(range) => {
                let plain = matches!(field.kind(), Kind::Number | Kind::Protocol);
                let Operand::Numbers(numbers) =
                    self.ranges(core::slice::from_ref(range), subject)?
                else {
                    return None;
                };
                let mut numbers = numbers.iter().copied();
                numbers.find(|it| plain && it.last() <= field.max())
            }
            Values::Addresses(element) => match interval(element) {
                Ok((family, interval)) => {
                    (field.kind() == Kind::Address(family)).then_some(interval)
                }
                Err(defect) => {
                    self.say(subject, &defect);
                    return None;
                }
            },
            Values::Interface(name) => {
                let pattern = self.interface(name, subject)?;
                (field.kind() == Kind::Interface).then_some(pattern)
            }
            Values::CtState(state) => {
                let state = Interval::single(*state as u128);
                (field.kind() == Kind::CtState).then_some(state)
            }
        };
        if found.is_none() {
            self.say(subject, &Defect::NotOfField { field });
        }
        found
    }

    /// `(field & mask)` compared with values.
    pub(super) fn bits(
        &mut self,
        field: BitField,
        mask: u32,
        values: &[u32],
        subject: &str,
    ) -> Option<(Key, Operand)> {
        let known = field.bits();
        if mask == 0 || mask & !known != 0 {
            let (field, mask) = (field.field(), mask);
            self.say(subject, &Defect::Mask { field, mask, known });
            return None;
        }
        if let Some(value) = values.iter().find(|value| **value & !mask != 0) {
            let (field, value) = (field.field(), *value);
            self.say(subject, &Defect::OutsideMask { field, value, mask });
            return None;
        }
        // The upper bits of a mark are those of a range of marks, and nft lists them so.
        let rest = !mask & known;
        let upper = known == u32::MAX && rest & rest.wrapping_add(1) == 0;
        let field = field.field();
        let (key, rest) = if upper || u128::from(mask) == field.max() {
            (Key::Field(field), rest)
        } else {
            let mask = mask.into();
            (Key::Bits { field, mask }, 0)
        };
        let intervals = values.iter().filter_map(|value| {
            let (first, last) = (*value, value | rest);
            Interval::new(first.into(), last.into())
        });
        Some((key, Operand::Numbers(intervals.collect())))
    }

    /// Fields together, with elements written out.
    pub(super) fn concatenation(
        &mut self,
        selectors: &[Selector],
        elements: &[Vec<Values>],
        subject: &str,
    ) -> Option<(Key, Operand)> {
        let fields = self.fields(selectors, 2, subject);
        if elements.is_empty() {
            self.say(subject, &Defect::NoElements);
            return None;
        }
        let plain = elements.iter().map(|values| (values.as_slice(), ()));
        let elements = self.elements_of(selectors, plain, subject)?;
        let keys = elements.into_iter().map(|(key, ())| key).collect();
        Some((Key::Concatenation(fields), Operand::Elements(keys)))
    }

    /// The fields of a named field set.
    pub(super) fn field_set_named(&mut self, name: &str, subject: &str) -> Option<(Key, Operand)> {
        let set = self.field_sets.iter().find(|set| set.name.as_str() == name);
        let found = set.map(|set| {
            let (fields, name) = (set.fields.clone(), set.name.clone());
            (Key::Concatenation(fields), Operand::Set(name))
        });
        if found.is_none() {
            self.no_such_set(name, subject);
        }
        found
    }

    pub(super) fn no_such_set(&mut self, name: &str, subject: &str) {
        let name = name.to_string();
        self.say(subject, &Defect::NoSuchSet { name });
    }

    /// That no value is higher than the field can hold.
    pub(super) fn no_higher(
        &mut self,
        number: NumberField,
        ranges: &[RangeInclusive<u32>],
        subject: &str,
    ) {
        let (field, max) = (number.field(), number.max());
        let higher = ranges
            .iter()
            .map(|range| *range.end())
            .find(|last| *last > max);
        if let Some(found) = higher {
            self.say(subject, &Defect::TooHigh { field, found, max });
        }
    }

    /// That a number lies in its range.
    pub(super) fn number(
        &mut self,
        what: &'static str,
        found: u64,
        allowed: RangeInclusive<u64>,
        subject: &str,
    ) {
        if !allowed.contains(&found) {
            let (first, last) = allowed.into_inner();
            let defect = Defect::Number {
                what,
                found,
                first,
                last,
            };
            self.say(subject, &defect);
        }
    }
}

/// Bytes that a field has in a key: whole registers of four.
pub(super) const fn key_bytes(field: Field) -> u32 {
    4 * field.bits().div_ceil(u32::BITS)
}

/// Joins intervals of a single field that touch and say the same. States and names stay as they
/// are: nft has no ranges of them.
fn merge<T: PartialEq>(elements: &mut Vec<(Vec<Interval>, T)>, field: Field) {
    if matches!(field.kind(), Kind::CtState | Kind::Interface) {
        return;
    }
    elements.dedup_by(|(next, says), (key, said)| {
        let ([next], [interval]) = (next.as_slice(), key.as_slice()) else {
            return false;
        };
        let joined: Intervals = [*interval, *next].into_iter().collect();
        let touch = joined.len() == 1 && says == said;
        if touch {
            *key = joined.iter().copied().collect();
        }
        touch
    });
}

/// Two elements that some packet is at once.
fn overlapping<T>(elements: &[(Vec<Interval>, T)]) -> Option<(&[Interval], &[Interval])> {
    let meet = |(a, b): (&Interval, &Interval)| a.first() <= b.last() && b.first() <= a.last();
    for (at, (one, _)) in elements.iter().enumerate() {
        let later = elements[at + 1..].iter().map(|(other, _)| other.as_slice());
        // Sorted by the first interval, so that none after this one begins in it.
        let mut near = later.take_while(|other| match (one.first(), other.first()) {
            (Some(one), Some(other)) => other.first() <= one.last(),
            _ => false,
        });
        if let Some(other) = near.find(|other| one.iter().zip(*other).all(meet)) {
            return Some((one, other));
        }
    }
    None
}

/// Every field that a drafted rule asks.
pub(super) fn asked(rule: &Rule, draft: &Draft) -> Vec<Field> {
    let of_set = |name: &str| {
        let set = draft.field_sets.iter().find(|set| set.name == name);
        set.map_or(&[][..], |set| set.fields.as_slice())
    };
    let plain = |selectors: &[Selector]| -> Vec<Field> {
        selectors.iter().map(|selector| selector.field()).collect()
    };
    let tests = rule
        .matches
        .iter()
        .flat_map(|condition| match &condition.test {
            Test::Iifname(_) => [Field::Iifname].into(),
            Test::Oifname(_) => [Field::Oifname].into(),
            Test::CtState(_) => [Field::CtState].into(),
            Test::Number(number, _) => [number.field()].into(),
            Test::Bits { field, .. } => [field.field()].into(),
            Test::Concatenation { fields, .. } => plain(fields),
            Test::FieldSet(name) => plain(of_set(name)),
            // Every packet that comes to a hook shows these there.
            Test::Nfproto(_)
            | Test::Saddr(..)
            | Test::Daddr(..)
            | Test::HopLimit(..)
            | Test::L4proto(_)
            | Test::Sport(..)
            | Test::Dport(..)
            | Test::IcmpType(..) => Vec::new(),
        });
    let statements = rule
        .statements
        .iter()
        .flat_map(|statement| match statement {
            Statement::VerdictMap { fields, .. } => plain(fields),
            Statement::UpdateSet { set, .. } => plain(of_set(set)),
            _ => Vec::new(),
        });
    tests.chain(statements).collect()
}
