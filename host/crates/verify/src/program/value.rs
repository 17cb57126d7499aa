//! Values that rules compute: which variable they are in, and how.

use std::sync::Arc;

use portreeve_model::address::Family;
use portreeve_model::field::{Field, Kind};
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::tables::{Data, Expression, Nat, NatKind, Rewrite, Scope};

use super::Reader;
use super::condition::Load;
use super::lookup::Lookup;
use super::preimage::Bits;
use crate::space::{Level, Slice, Survey, Test};

/// One number of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Written out.
    Constant(u128),
    /// Bits of a variable.
    Variable {
        level: Level,
        /// What the variable's number is to the rule.
        reads: Reads,
        bits: Bits,
        width: u32,
    },
}

/// What a variable's number is to a rule that asks for a field in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reads {
    /// The field's own.
    Itself,
    /// The family, as an `EtherType` (`ETH_P_IP`, `ETH_P_IPV6` in `linux/if_ether.h`).
    EtherType,
}

/// The two families as `meta nfproto` and as `meta protocol` say them.
const ETHER_TYPES: [(Family, u128); 2] = [(Family::Ip, 0x0800), (Family::Ip6, 0x86dd)];

/// What a field is given.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// This number.
    Constant(u128),
    /// What an element says: its number for each datum, none when it is not known.
    Element {
        lookup: Lookup,
        numbers: Vec<Option<u128>>,
    },
    /// Something that is not known, but there only when all this is.
    Unknown(Vec<Load>),
}

/// What is put into fields, with the value where it is known.
pub(crate) type Puts = Vec<(Field, Option<u128>)>;

/// A translation of addresses.
#[derive(Clone, Debug)]
pub(crate) struct Translation {
    /// The families of which packets are translated, and how; others pass by.
    pub(crate) families: Vec<(Family, Puts)>,
    /// What must be there for it: without it the rule fails.
    pub(crate) loads: Vec<Load>,
    /// Whether the rule may fail for want of an element.
    pub(crate) may_fail: bool,
}

impl Part {
    /// That its number is one of these; none when it cannot be told.
    pub(super) fn within(&self, numbers: &Arc<Intervals>, survey: &mut Survey) -> Option<Test> {
        match *self {
            Self::Constant(_) => None,
            Self::Variable {
                level,
                reads,
                bits,
                width,
            } => {
                if let (Reads::EtherType, Some(numbers)) = (reads, bits.preimage(numbers, width)) {
                    let families = ETHER_TYPES.into_iter();
                    let families = families.filter(|(_, number)| numbers.contains(*number));
                    let values = families.map(|(it, _)| Interval::single(it.number().into()));
                    return Some(survey.test(level, &Arc::new(values.collect())));
                }
                if bits == Bits::ALL {
                    return Some(survey.test(level, numbers));
                }
                if let Some(values) = bits.preimage(numbers, width) {
                    return Some(survey.test(level, &Arc::new(values)));
                }
                // Low bits of a wide field have values in too many places: they are a variable of
                // their own.
                // Names are never looked at so, and hardly any of their bits make a name.
                let field = level.field().filter(|it| it.kind() != Kind::Interface)?;
                let slice = Slice {
                    field,
                    mask: bits.within(width).mask,
                };
                let values = bits.packed(numbers, width)?;
                Some(survey.test(Level::Slice(slice), &Arc::new(values)))
            }
        }
    }
}

impl Reader<'_, '_> {
    /// The numbers of a value, and what must be there for them. No numbers when some cannot be
    /// told; what must be there is told all the same.
    pub(super) fn parts(&mut self, of: &Expression) -> (Option<Vec<Part>>, Vec<Load>) {
        match of {
            Expression::Concatenation(each) => {
                let mut all = Some(Vec::new());
                let mut loads = Vec::new();
                for part in each {
                    let (parts, more) = self.parts(part);
                    loads.extend(more);
                    all = all.zip(parts).map(|(all, parts)| [all, parts].concat());
                }
                (all, loads)
            }
            one => {
                let (part, loads) = self.part(one);
                (part.map(|part| vec![part]), loads)
            }
        }
    }

    /// A value of one number.
    fn part(&mut self, of: &Expression) -> (Option<Part>, Vec<Load>) {
        match of {
            Expression::Constant(number) => (Some(Part::Constant(*number)), Vec::new()),
            Expression::Field(field) => {
                let reads = match field {
                    Field::Protocol => Reads::EtherType,
                    _ => Reads::Itself,
                };
                let part = Part::Variable {
                    level: Level::of(*field),
                    reads,
                    bits: Bits::ALL,
                    width: field.bits(),
                };
                (Some(part), vec![self.load(*field)])
            }
            Expression::Bits { of, mask, flip } => {
                let (part, loads) = self.part(of);
                let part = part.map(|part| match part {
                    Part::Constant(number) => Part::Constant(number & mask ^ flip),
                    Part::Variable {
                        level,
                        reads,
                        bits,
                        width,
                    } => Part::Variable {
                        level,
                        reads,
                        bits: bits.then(*mask, *flip),
                        width,
                    },
                });
                (part, loads)
            }
            Expression::Opaque(opaque) if opaque.scope == Scope::Test => {
                let level = self.survey.unknown(&opaque.text);
                let part = Part::Variable {
                    level,
                    reads: Reads::Itself,
                    bits: Bits::ALL,
                    width: u128::BITS,
                };
                (Some(part), vec![Load::of_unknown(level)])
            }
            Expression::Opaque(_) => (None, Vec::new()),
            // The keys of a map that is looked up in another are not followed.
            Expression::Map { key, .. } => (None, self.parts(key).1),
            Expression::Concatenation(_) => {
                let (parts, loads) = self.parts(of);
                let only = parts.filter(|parts| parts.len() == 1);
                (only.map(|parts| parts[0]), loads)
            }
        }
    }

    /// What a variable is given.
    pub(super) fn value(&mut self, level: Level, of: &Expression) -> Value {
        let known = |reader: &mut Self, number: u128| {
            reader.survey.value(level, number);
            number
        };
        if let Expression::Map { key, map } = of {
            let lookup = self.lookup(key, map);
            let number = |data: &Data| match data {
                Data::Value(numbers) => match numbers.as_slice() {
                    [number] => Some(*number),
                    _ => None,
                },
                Data::None | Data::Range(_) | Data::Verdict(_) | Data::Unknown => None,
            };
            let numbers: Vec<Option<u128>> = lookup.data.iter().map(number).collect();
            for number in numbers.iter().flatten() {
                known(self, *number);
            }
            return Value::Element { lookup, numbers };
        }
        match self.part(of) {
            (Some(Part::Constant(number)), _) => Value::Constant(known(self, number)),
            (Some(Part::Variable { .. }) | None, loads) => Value::Unknown(loads),
        }
    }

    /// What NAT puts in, as far as the rule says it.
    pub(super) fn translation(&mut self, nat: &Nat) -> Translation {
        let mut loads = Vec::new();
        let mut may_fail = false;
        let mut put = |reader: &mut Self, rewrite: &Option<Rewrite>| match rewrite {
            None => None,
            Some(Rewrite::OneOf(interval)) => {
                Some(Some(interval.first()).filter(|_| interval.first() == interval.last()))
            }
            Some(Rewrite::Value { of, .. }) => {
                let (parts, more) = reader.parts(of);
                loads.extend(more);
                may_fail |= matches!(of, Expression::Map { .. });
                match parts.as_deref() {
                    Some([Part::Constant(number)]) => Some(Some(*number)),
                    _ => Some(None),
                }
            }
        };
        let (address, port) = (put(self, &nat.address), put(self, &nat.port));
        let families = Family::BOTH.into_iter();
        let families = families.filter(|family| nat.family.is_none_or(|only| only == *family));
        let families = families.map(|family| {
            let (of_address, of_port, usual_address, usual_port) = match nat.kind {
                NatKind::Snat => (Field::Saddr(family), Field::ThSport, None, Some(None)),
                NatKind::Masquerade => {
                    (Field::Saddr(family), Field::ThSport, Some(None), Some(None))
                }
                NatKind::Dnat => (Field::Daddr(family), Field::ThDport, None, None),
                NatKind::Redirect => (Field::Daddr(family), Field::ThDport, Some(None), None),
            };
            let puts = [
                (of_address, address.or(usual_address)),
                (of_port, port.or(usual_port)),
            ];
            let puts = puts
                .into_iter()
                .filter_map(|(field, put)| Some((field, put?)));
            (family, puts.collect())
        });
        let families: Vec<(Family, Puts)> = families.collect();
        for (field, value) in families.iter().flat_map(|(_, puts)| puts) {
            if let Some(value) = value {
                self.survey.value(Level::of(*field), *value);
            }
        }
        Translation {
            families,
            loads,
            may_fail,
        }
    }
}

/// The field that an assignment changes; none when it would change what makes a packet one of its
/// family and protocol.
pub(super) const fn assigned(field: Field) -> Option<Field> {
    match Level::of(field) {
        Level::Field(Field::Nfproto | Field::L4proto | Field::CtState) => None,
        _ => Some(field),
    }
}
