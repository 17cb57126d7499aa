//! What random rules ask beside the tests that have a name of their own: numbers, bits, fields
//! together, field sets.

use portreeve_model::address::Family;
use portreeve_model::draft::{
    BitField, Contents, Element, ExtensionHeader, FieldSet, Match, NumberField, Selector, Test,
    Values,
};
use portreeve_model::field::{FibSource, PortProtocol, interface};
use portreeve_model::limits::{FIELDS_TOGETHER_MAX, KEY_BYTES_MAX};
use portreeve_model::packet::{CtState, Hook};

use super::{Layer, Place, Random, any, element, numbers};

/// The names that interfaces have, with and without a wildcard.
pub(super) const INTERFACES: [&str; 10] = [
    "lo",
    "eth0",
    "br-0a1b2c3d4e5f",
    "wg0.12",
    "802",
    "all",
    "a:b",
    "-",
    "veth*",
    "vet-*",
];

/// What a rule is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) place: &'a Place,
    pub(super) family: Option<Family>,
    pub(super) transport: Layer,
    /// Whether the rule says something of the transport protocol by itself.
    pub(super) names_protocol: bool,
}

/// Field sets, fixed and dynamic.
pub(super) fn field_sets(random: &mut Random) -> Vec<FieldSet> {
    let tcp = Selector::Dport(PortProtocol::Tcp);
    let kinds = [
        vec![tcp],
        vec![Selector::Saddr(Family::Ip), tcp],
        vec![
            Selector::Daddr(Family::Ip6),
            Selector::Sport(PortProtocol::Udp),
        ],
        vec![Selector::L4proto],
        vec![Selector::Saddr(Family::Ip)],
        vec![
            Selector::Saddr(Family::Ip6),
            Selector::Dport(PortProtocol::Udp),
        ],
    ];
    (0..random.up_to(4))
        .map(|index| {
            let fields = random.pick(&kinds);
            let plain = fields == [Selector::Saddr(Family::Ip)];
            let contents = if plain || random.one_in(3) {
                Contents::Dynamic {
                    timeout: random.pick(&[1, 60, 3_600, 86_401]),
                    size: random.pick(&[1, 1_000, 65_535]),
                }
            } else {
                Contents::Elements(elements(random, &fields))
            };
            FieldSet {
                name: format!("fields_{index}"),
                fields,
                contents,
            }
        })
        .collect()
}

pub(super) fn asks(
    random: &mut Random,
    about: About<'_>,
    sets: &[FieldSet],
    matches: &mut Vec<Match>,
) {
    if random.one_in(3) {
        let field = random.pick(&number_fields(about));
        let test = Test::Number(field, small_numbers(random, field));
        matches.push(any(random, test));
    }
    if random.one_in(5) {
        let test = bits(random, about);
        matches.push(any(random, test));
    }
    let fields = selectors(about);
    if fields.len() > 1 && random.one_in(4) {
        let chosen = some_that_fit(random, &fields);
        if chosen.len() > 1 {
            let elements = elements(random, &chosen);
            let fields = chosen;
            matches.push(any(random, Test::Concatenation { fields, elements }));
        }
    }
    let fitting: Vec<_> = sets.iter().filter(|set| fits(set, about)).collect();
    if !fitting.is_empty() && random.one_in(3) {
        let test = Test::FieldSet(random.pick(&fitting).name.clone());
        matches.push(any(random, test));
    }
}

/// Some fields, as many as the kernel can look up together.
pub(super) fn some_that_fit(random: &mut Random, fields: &[Selector]) -> Vec<Selector> {
    let mut chosen = random.some_of(fields);
    chosen.truncate(FIELDS_TOGETHER_MAX);
    let bytes = |fields: &[Selector]| -> u32 {
        fields
            .iter()
            .map(|it| 4 * it.field().bits().div_ceil(u32::BITS))
            .sum()
    };
    while bytes(&chosen) > KEY_BYTES_MAX {
        chosen.pop();
    }
    chosen
}

/// Whether a rule can ask, or write to, the set.
pub(super) fn fits(set: &FieldSet, about: About<'_>) -> bool {
    let known = selectors(about);
    set.fields.iter().all(|field| known.contains(field))
}

/// The fields that a rule can ask together.
pub(super) fn selectors(about: About<'_>) -> Vec<Selector> {
    let mut fields = Vec::new();
    if let Some(family) = about.family {
        fields.extend([Selector::Saddr(family), Selector::Daddr(family)]);
    }
    match about.transport {
        Layer::Tcp => fields.extend([PortProtocol::Tcp].map(Selector::Dport)),
        Layer::Udp => fields.extend([PortProtocol::Udp].map(Selector::Sport)),
        Layer::Any if !about.names_protocol => fields.push(Selector::L4proto),
        Layer::Any | Layer::Icmp => {}
    }
    if about.place.is_inbound() {
        fields.push(Selector::Iifname);
    }
    if about.place.is_outbound() {
        fields.push(Selector::Oifname);
    }
    if about.place.tracked {
        fields.push(Selector::CtState);
    }
    fields
}

fn number_fields(about: About<'_>) -> Vec<NumberField> {
    let About { place, family, .. } = about;
    let mut fields = vec![
        NumberField::Pkttype,
        NumberField::Mark,
        NumberField::Hour,
        NumberField::Day,
        NumberField::Length,
    ];
    let address_type = |of, iif| NumberField::AddressType { of, iif };
    fields.extend([FibSource::Saddr, FibSource::Daddr].map(|of| address_type(of, false)));
    if let Some(family) = family {
        fields.extend([
            NumberField::NetworkLength(family),
            NumberField::Dscp(family),
            NumberField::Ecn(family),
        ]);
    }
    if family == Some(Family::Ip6) {
        fields.extend(ExtensionHeader::ALL.map(NumberField::Exthdr));
    }
    match about.transport {
        Layer::Icmp => {
            fields.push(NumberField::IcmpCode(family.unwrap_or(Family::Ip6)));
        }
        Layer::Tcp | Layer::Udp => fields.extend([NumberField::ThSport, NumberField::ThDport]),
        Layer::Any if !about.names_protocol => fields.push(NumberField::ThDport),
        Layer::Any => {}
    }
    if place.is_inbound() {
        fields.extend([NumberField::Iifgroup, address_type(FibSource::Daddr, true)]);
    }
    if place.is_outbound() {
        fields.push(NumberField::Oifgroup);
    }
    match place.hook {
        Some(Hook::Prerouting) => {
            fields.extend([false, true].map(|mark| NumberField::ReversePath { mark }));
        }
        Some(Hook::Output | Hook::Postrouting) => {
            fields.extend([NumberField::Skuid, NumberField::Skgid]);
        }
        Some(Hook::Input | Hook::Forward) | None => {}
    }
    if place.tracked {
        fields.extend([NumberField::CtMark, NumberField::CtDirection]);
    }
    fields
}

/// Ranges that never are all of the field.
fn small_numbers(random: &mut Random, field: NumberField) -> Vec<std::ops::RangeInclusive<u32>> {
    let max = field.max();
    if max == 1 {
        let value = random.pick(&[0, 1]);
        return vec![value..=value];
    }
    let some = [0, 1, 2, 3, 5, 8, 10, 46, 255, 1_000, 3_600, 65_535, 70_000];
    let some: Vec<u32> = some.into_iter().filter(|number| *number < max).collect();
    numbers(random, &some)
}

fn bits(random: &mut Random, about: About<'_>) -> Test {
    let mut fields = vec![BitField::Mark];
    if about.transport == Layer::Tcp {
        fields.push(BitField::TcpFlags);
    }
    if about.place.tracked {
        fields.extend([BitField::CtStatus, BitField::CtMark]);
    }
    let field = random.pick(&fields);
    let mask = loop {
        let mask = random.pick(&[1, 2, 3, 0x12, 0x17, 0x30, 0xff, 0x3f, 0xffff_0000, u32::MAX]);
        let mask = mask & field.bits();
        // A whole mark is a number, and drawn as such.
        if mask != 0 && mask != u32::MAX {
            break mask;
        }
    };
    let one = |random: &mut Random| random.pick(&[0, 1, 2, 3, 0x10, 0x12, 0x20, u32::MAX]) & mask;
    let values = (0..=random.up_to(2)).map(|_| one(random)).collect();
    Test::Bits {
        field,
        mask,
        values,
    }
}

/// One to four elements, no two of which meet.
pub(super) fn elements(random: &mut Random, fields: &[Selector]) -> Vec<Vec<Values>> {
    let mut elements: Vec<Vec<Values>> = Vec::new();
    for _ in 0..=random.up_to(4) {
        let element: Vec<Values> = fields.iter().map(|field| values(random, *field)).collect();
        let meets = |other: &Vec<Values>| {
            let mut pairs = other.iter().zip(&element);
            pairs.all(|(one, other)| meet(one, other))
        };
        if !elements.iter().any(meets) {
            elements.push(element);
        }
    }
    elements
}

fn values(random: &mut Random, field: Selector) -> Values {
    match field {
        Selector::Iifname | Selector::Oifname => {
            Values::Interface(random.pick(&INTERFACES).to_owned())
        }
        Selector::Saddr(family) | Selector::Daddr(family) => {
            Values::Addresses(element(random, family))
        }
        Selector::L4proto => Values::Numbers(random.pick(&[6..=6, 17..=17, 50..=51, 1..=1])),
        Selector::Sport(_) | Selector::Dport(_) => {
            let ports = numbers(random, &[22, 53, 80, 443, 1023, 8080, 65535]);
            Values::Numbers(ports[0].clone())
        }
        Selector::CtState => Values::CtState(random.pick(&CtState::ALL)),
    }
}

fn meet(one: &Values, other: &Values) -> bool {
    match (one, other) {
        (Values::Numbers(one), Values::Numbers(other)) => {
            one.start() <= other.end() && other.start() <= one.end()
        }
        (Values::Addresses(one), Values::Addresses(other)) => {
            let ends = |element: &Element| match *element {
                Element::Range { first, last } => (first, last),
                // Prefixes are drawn where they may cover anything.
                Element::Prefix { address, .. } => (address, address),
            };
            let prefix = |element: &Element| matches!(element, Element::Prefix { .. });
            let ((a, b), (c, d)) = (ends(one), ends(other));
            prefix(one) || prefix(other) || (a <= d && c <= b)
        }
        (Values::Interface(one), Values::Interface(other)) => {
            let [one, other] = [one, other].map(|name| interface::pattern(name));
            one.zip(other)
                .is_some_and(|(a, b)| a.first() <= b.last() && b.first() <= a.last())
        }
        (Values::CtState(one), Values::CtState(other)) => one == other,
        _ => false,
    }
}
