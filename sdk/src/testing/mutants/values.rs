//! A test that is wrong by one value.

use std::ops::RangeInclusive;

use portreeve_model::address::{Family, address_bits};
use portreeve_model::draft::{AddressOperand, BitField, Element, NumberField, Test};
use portreeve_model::packet::CtState;

/// The test with one value more or less.
pub(super) fn test_mutants(test: &Test) -> Vec<(String, Test)> {
    let named = |changes: Vec<(String, Vec<RangeInclusive<u8>>)>,
                 make: &dyn Fn(Vec<RangeInclusive<u8>>) -> Test| {
        let made = changes
            .into_iter()
            .map(|(name, ranges)| (name, make(ranges)));
        made.collect::<Vec<_>>()
    };
    match test {
        Test::HopLimit(family, ranges) => named(byte_mutants(ranges), &|ranges| {
            Test::HopLimit(*family, ranges)
        }),
        Test::L4proto(ranges) => named(byte_mutants(ranges), &Test::L4proto),
        Test::IcmpType(family, ranges) => named(byte_mutants(ranges), &|ranges| {
            Test::IcmpType(*family, ranges)
        }),
        Test::Sport(protocol, ranges) => port_mutants(ranges)
            .into_iter()
            .map(|(name, ranges)| (name, Test::Sport(*protocol, ranges)))
            .collect(),
        Test::Dport(protocol, ranges) => port_mutants(ranges)
            .into_iter()
            .map(|(name, ranges)| (name, Test::Dport(*protocol, ranges)))
            .collect(),
        Test::CtState(states) => state_mutants(states),
        Test::Saddr(family, AddressOperand::Elements(elements)) => {
            element_mutants(*family, elements)
                .into_iter()
                .map(|(name, list)| (name, Test::Saddr(*family, AddressOperand::Elements(list))))
                .collect()
        }
        Test::Daddr(family, AddressOperand::Elements(elements)) => {
            element_mutants(*family, elements)
                .into_iter()
                .map(|(name, list)| (name, Test::Daddr(*family, AddressOperand::Elements(list))))
                .collect()
        }
        Test::Iifname(names) => interface_mutants(names)
            .into_iter()
            .map(|(name, names)| (name, Test::Iifname(names)))
            .collect(),
        Test::Oifname(names) => interface_mutants(names)
            .into_iter()
            .map(|(name, names)| (name, Test::Oifname(names)))
            .collect(),
        // The elements of a set have mutants of their own; another family is `negated`.
        Test::Saddr(_, AddressOperand::Set(_))
        | Test::Daddr(_, AddressOperand::Set(_))
        | Test::FieldSet(_)
        | Test::Nfproto(_) => Vec::new(),
        Test::Number(field, ranges) => number_mutants(*field, ranges),
        Test::Bits {
            field,
            mask,
            values,
        } => bit_mutants(*field, *mask, values),
        Test::Concatenation { fields, elements } => without_one(elements)
            .map(|(name, elements)| {
                let fields = fields.clone();
                (name, Test::Concatenation { fields, elements })
            })
            .collect(),
    }
}

/// The elements without one of them, as long as others are left.
fn without_one<T: Clone>(elements: &[T]) -> impl Iterator<Item = (String, Vec<T>)> {
    let several = if elements.len() > 1 {
        elements.len()
    } else {
        0
    };
    (0..several).map(|at| {
        let mut left = elements.to_vec();
        drop(left.remove(at));
        (format!("without element {}", at + 1), left)
    })
}

fn number_mutants(field: NumberField, ranges: &[RangeInclusive<u32>]) -> Vec<(String, Test)> {
    let wide = ranges
        .iter()
        .map(|r| (u128::from(*r.start()), u128::from(*r.end())));
    let narrow = |(first, last): (u128, u128)| first as u32..=last as u32;
    range_mutants(&wide.collect::<Vec<_>>(), field.max().into())
        .into_iter()
        .map(|(name, ranges)| {
            let ranges = ranges.into_iter().map(narrow).collect();
            (name, Test::Number(field, ranges))
        })
        .collect()
}

/// One bit more or less that counts, and each value gone.
fn bit_mutants(field: BitField, mask: u32, values: &[u32]) -> Vec<(String, Test)> {
    let bits = (0..u32::BITS).map(|bit| 1 << bit);
    let masks = bits.filter(|bit| field.bits() & bit != 0).map(|bit| {
        let mask = mask ^ bit;
        let values = values.iter().map(|value| value & mask).collect();
        (format!("with mask {mask:#x}"), (mask, values))
    });
    let values = without_one(values).map(|(name, values)| (name, (mask, values)));
    masks
        .chain(values)
        .map(|(name, (mask, values))| {
            let test = Test::Bits {
                field,
                mask,
                values,
            };
            (name, test)
        })
        .collect()
}

/// The interface of a packet that names none, or else any other.
fn interface_mutants(names: &[String]) -> Vec<(String, Vec<String>)> {
    let other = ["eth0", "other0"]
        .into_iter()
        .find(|other| !names.iter().any(|n| n == other));
    let added = other.map(|other| [names, &[other.to_owned()]].concat());
    let mut found: Vec<_> = added
        .map(|names| ("with another".to_owned(), names))
        .into_iter()
        .collect();
    if names.len() > 1 {
        for gone in names {
            let left = names.iter().filter(|name| *name != gone).cloned().collect();
            found.push((format!("without {gone}"), left));
        }
    }
    found
}

fn state_mutants(states: &[CtState]) -> Vec<(String, Test)> {
    let change = |state: CtState| {
        let mut changed: Vec<_> = states.iter().copied().filter(|s| *s != state).collect();
        if changed.len() == states.len() {
            changed.push(state);
            (format!("with {}", state.keyword()), Test::CtState(changed))
        } else {
            (
                format!("without {}", state.keyword()),
                Test::CtState(changed),
            )
        }
    };
    CtState::ALL.into_iter().map(change).collect()
}

fn byte_mutants(ranges: &[RangeInclusive<u8>]) -> Vec<(String, Vec<RangeInclusive<u8>>)> {
    let wide = ranges
        .iter()
        .map(|r| (u128::from(*r.start()), u128::from(*r.end())));
    let narrow = |(first, last): (u128, u128)| first as u8..=last as u8;
    range_mutants(&wide.collect::<Vec<_>>(), u8::MAX.into())
        .into_iter()
        .map(|(name, ranges)| (name, ranges.into_iter().map(narrow).collect()))
        .collect()
}

fn port_mutants(ranges: &[RangeInclusive<u16>]) -> Vec<(String, Vec<RangeInclusive<u16>>)> {
    let wide = ranges
        .iter()
        .map(|r| (u128::from(*r.start()), u128::from(*r.end())));
    let narrow = |(first, last): (u128, u128)| first as u16..=last as u16;
    range_mutants(&wide.collect::<Vec<_>>(), u16::MAX.into())
        .into_iter()
        .map(|(name, ranges)| (name, ranges.into_iter().map(narrow).collect()))
        .collect()
}

fn element_mutants(family: Family, elements: &[Element]) -> Vec<(String, Vec<Element>)> {
    let ends = |element: &Element| match *element {
        Element::Prefix { address, length } => {
            let host = match family.bits().saturating_sub(length) {
                0 => 0,
                bits => u128::MAX >> (128 - u32::from(bits)),
            };
            (address_bits(address) & !host, address_bits(address) | host)
        }
        Element::Range { first, last } => (address_bits(first), address_bits(last)),
    };
    let element = |(first, last)| Element::Range {
        first: family.address(first),
        last: family.address(last),
    };
    let ranges: Vec<_> = elements.iter().map(ends).collect();
    range_mutants(&ranges, family.max())
        .into_iter()
        .map(|(name, ranges)| (name, ranges.into_iter().map(element).collect()))
        .collect()
}

/// The ranges with one of them wider or narrower by one at one end, or gone.
fn range_mutants(ranges: &[(u128, u128)], max: u128) -> Vec<(String, Vec<(u128, u128)>)> {
    let mut found = Vec::new();
    for (at, &(first, last)) in ranges.iter().enumerate() {
        let mut add = |name: &str, range: Option<(u128, u128)>| {
            let mut changed = ranges.to_vec();
            match range {
                Some(range) => changed[at] = range,
                None => drop(changed.remove(at)),
            }
            found.push((format!("range {} {name}", at + 1), changed));
        };
        if first > 0 {
            add("wider at its first value", Some((first - 1, last)));
        }
        if last < max {
            add("wider at its last value", Some((first, last + 1)));
        }
        if first < last {
            add("without its first value", Some((first + 1, last)));
            add("without its last value", Some((first, last - 1)));
        } else if ranges.len() > 1 {
            add("gone", None);
        }
    }
    found
}
