//! Packets at which a rule set can change its mind: the ends of every interval of every field,
//! and one step beyond.
//!
//! From each rule and each clause of a goal comes a packet that it is about; from each of those
//! come all packets that differ from it in two fields, in every ct state. The order is fixed and
//! nothing is random.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use portreeve_model::address::Family;
use portreeve_model::field::{
    Field, Kind, PROTOCOL_TCP, PROTOCOL_UDP, PortProtocol, icmp_protocol, interface,
};
use portreeve_model::goal::Goal;
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::packet::{Addresses, CtState, Hook, Loaded, Packet, Transport};
use portreeve_model::ruleset::{Contents, Key, Match, Operand, Ruleset};

/// Packets at the boundaries of `ruleset` and `goals`, each once, in a fixed order.
///
/// ```
/// use portreeve_model::validate::{Feeds, validate};
/// use portreeve_sdk::testing::lattice;
/// use portreeve_sdk::{Chain, ChainPolicy, draft, rule};
///
/// let ssh = rule("ssh").tcp_dport(22).accept();
/// let draft = draft([Chain::input(ChainPolicy::Drop).rule(ssh)]);
/// let ruleset = validate(&draft, &Feeds::default()).expect("a sound draft");
/// let packets = lattice(&ruleset, &[]);
/// let just_outside = "tcp 192.0.2.1 > 192.0.2.2:23".parse().expect("a packet");
/// assert!(packets.contains(&just_outside));
/// ```
#[must_use]
pub fn lattice(ruleset: &Ruleset, goals: &[Goal]) -> Vec<Packet> {
    let rules = ruleset.chains().iter().flat_map(|chain| chain.rules());
    let regions = goals
        .iter()
        .flat_map(|goal| goal.region.iter().map(Vec::as_slice));
    let mut groups: Vec<&[Match]> = rules.map(|rule| rule.matches()).chain(regions).collect();
    groups.push(&[]);
    let mut seen = HashSet::new();
    let mut packets = Vec::new();
    for hook in Hook::ALL {
        let judged = goals.iter().any(|goal| goal.hook == hook);
        if !judged && ruleset.base_chains(hook).next().is_none() {
            continue;
        }
        for family in Family::BOTH {
            let axes = Axes::new(&groups, ruleset, hook, family);
            let mut seeds: Vec<Point> = Vec::new();
            for group in &groups {
                let seed = Point::about(group, ruleset, hook, family);
                seeds.extend(seed.filter(|seed| !seeds.contains(seed)));
            }
            for seed in seeds {
                axes.around(&seed, &mut |point| {
                    let packet = point.packet();
                    if seen.insert(packet.clone()) {
                        packets.push(packet);
                    }
                });
            }
        }
    }
    packets
}

/// A packet whose fields can all be set, whether its protocol has them or not.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Point {
    hook: Hook,
    family: Family,
    iifname: String,
    oifname: String,
    saddr: u128,
    daddr: u128,
    hop_limit: u8,
    protocol: u8,
    sport: u16,
    dport: u16,
    icmp_type: u8,
    ct_state: CtState,
    /// What else is said of it.
    facts: BTreeMap<Field, u128>,
}

/// One field of a point; interface names by position in a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Axis {
    Iifname,
    Oifname,
    Saddr,
    Daddr,
    HopLimit,
    Protocol,
    Sport,
    Dport,
    IcmpType,
    CtState,
    /// Any other field.
    Fact(Field),
}

impl Axis {
    /// The axes of which any two are varied, with those of other fields that some rule asks; the ct
    /// state always is.
    const PAIRED: [Self; 9] = [
        Self::Iifname,
        Self::Oifname,
        Self::Saddr,
        Self::Daddr,
        Self::HopLimit,
        Self::Protocol,
        Self::Sport,
        Self::Dport,
        Self::IcmpType,
    ];

    /// The axis of a field; `None` for one that a point never changes.
    const fn of(field: Field) -> Option<Self> {
        Some(match field {
            Field::Iifname => Self::Iifname,
            Field::Oifname => Self::Oifname,
            Field::Saddr(_) => Self::Saddr,
            Field::Daddr(_) => Self::Daddr,
            Field::HopLimit(_) => Self::HopLimit,
            Field::L4proto => Self::Protocol,
            Field::Sport(_) | Field::ThSport => Self::Sport,
            Field::Dport(_) | Field::ThDport => Self::Dport,
            Field::IcmpType(_) => Self::IcmpType,
            Field::CtState => Self::CtState,
            Field::Nfproto => return None,
            other => Self::Fact(other),
        })
    }
}

impl Point {
    /// A packet that meets the matches, as far as fields one by one can; none of another family.
    fn about(group: &[Match], ruleset: &Ruleset, hook: Hook, family: Family) -> Option<Self> {
        let known = |field: Field, name: &str| {
            if field.is_known_at(hook) {
                name.to_owned()
            } else {
                String::new()
            }
        };
        let (saddr, daddr) = match family {
            Family::Ip => (0xc000_0201, 0xc000_0202),
            Family::Ip6 => (0x2001_0db8 << 96 | 1, 0x2001_0db8 << 96 | 2),
        };
        let mut point = Self {
            hook,
            family,
            iifname: known(Field::Iifname, "eth0"),
            oifname: known(Field::Oifname, "eth0"),
            saddr,
            daddr,
            hop_limit: 64,
            protocol: PROTOCOL_TCP,
            sport: 40000,
            dport: 22,
            icmp_type: 8,
            ct_state: CtState::New,
            facts: BTreeMap::new(),
        };
        for condition in group {
            for field in condition.fields() {
                if field.family().is_some_and(|needed| needed != family) {
                    return None;
                }
                if let Some(protocol) = field.protocol() {
                    point.protocol = protocol;
                }
            }
            for (field, value) in meeting(condition, ruleset)? {
                if field == Field::Nfproto && value != u128::from(family.number()) {
                    return None;
                }
                if let Some(axis) = Axis::of(field) {
                    point.place(axis, &coordinate(field, value));
                }
            }
        }
        Some(point)
    }

    fn set_name(&mut self, axis: Axis, name: &str) {
        match axis {
            Axis::Oifname => name.clone_into(&mut self.oifname),
            _ => name.clone_into(&mut self.iifname),
        }
    }

    fn set(&mut self, axis: Axis, value: u128) {
        match axis {
            Axis::Iifname | Axis::Oifname => {}
            Axis::Saddr => self.saddr = value,
            Axis::Daddr => self.daddr = value,
            Axis::HopLimit => self.hop_limit = value as u8,
            Axis::Protocol => self.protocol = value as u8,
            Axis::Sport => self.sport = value as u16,
            Axis::Dport => self.dport = value as u16,
            Axis::IcmpType => self.icmp_type = value as u8,
            Axis::CtState => {
                let state = CtState::ALL
                    .into_iter()
                    .find(|state| *state as u128 == value);
                self.ct_state = state.unwrap_or(CtState::New);
            }
            Axis::Fact(field) => {
                self.facts.insert(field, value);
            }
        }
    }

    fn place(&mut self, axis: Axis, value: &Coordinate) {
        match value {
            Coordinate::Name(name) => self.set_name(axis, name),
            Coordinate::Number(number) => self.set(axis, *number),
        }
    }

    fn packet(&self) -> Packet {
        let (family, protocol) = (self.family, self.protocol);
        let ports = |protocol| Transport::Ports {
            protocol,
            sport: self.sport,
            dport: self.dport,
        };
        let transport = match protocol {
            PROTOCOL_TCP => ports(PortProtocol::Tcp),
            PROTOCOL_UDP => ports(PortProtocol::Udp),
            _ if protocol == icmp_protocol(family) => Transport::Icmp {
                icmp_type: self.icmp_type,
            },
            other => Transport::Other(other),
        };
        Packet {
            hook: self.hook,
            iifname: self.iifname.clone(),
            oifname: self.oifname.clone(),
            addresses: Addresses::new(family.address(self.saddr), family.address(self.daddr))
                .expect("both are of one family"),
            hop_limit: self.hop_limit,
            transport,
            ct_state: self.ct_state,
            facts: self
                .facts
                .iter()
                .map(|(field, value)| (*field, Loaded::Value(*value)))
                .collect(),
        }
    }
}

/// Values with which a packet meets a condition, field by field; none when there is no such value.
fn meeting(condition: &Match, ruleset: &Ruleset) -> Option<Vec<(Field, u128)>> {
    let rows = rows(condition, ruleset);
    let first = rows.first();
    let each = condition.fields().iter().enumerate();
    let value = |(at, field): (usize, &Field)| {
        let of_field = |row: &Vec<Interval>| row.get(at).copied();
        if condition.negated() {
            let taken: Intervals = rows.iter().filter_map(of_field).collect();
            let left = taken.complement((*field).max());
            let other = interface::number("eth1").filter(|other| left.contains(*other));
            let free = match field.kind() {
                Kind::Interface => other,
                _ => left.iter().next().map(|interval| interval.first()),
            };
            return Some((*field, free?));
        }
        Some((*field, of_field(first?)?.first()))
    };
    each.map(value).collect()
}

/// The elements that a condition compares with, an interval for each field.
fn rows(condition: &Match, ruleset: &Ruleset) -> Vec<Vec<Interval>> {
    let single = |numbers: &Intervals| numbers.iter().map(|interval| vec![*interval]).collect();
    match condition.operand() {
        Operand::Numbers(numbers) => single(numbers),
        Operand::Elements(elements) => elements.clone(),
        Operand::Set(name) => match (ruleset.set(name), ruleset.field_set(name)) {
            (Some(set), _) => single(set.elements()),
            (None, Some(set)) => match set.contents() {
                Contents::Elements(elements) => elements.clone(),
                Contents::Dynamic { .. } => Vec::new(),
            },
            (None, None) => Vec::new(),
        },
    }
}

fn coordinate(field: Field, value: u128) -> Coordinate {
    match field.kind() {
        Kind::Interface => Coordinate::Name(interface::name(value)),
        _ => Coordinate::Number(value),
    }
}

/// A value on an axis.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Coordinate {
    Name(String),
    Number(u128),
}

/// The values that are worth trying, axis by axis, in the order of [`Axis::PAIRED`].
struct Axes(Vec<(Axis, Vec<Coordinate>)>);

impl Axes {
    fn new(groups: &[&[Match]], ruleset: &Ruleset, hook: Hook, family: Family) -> Self {
        let conditions: Vec<&Match> = groups.iter().copied().flatten().collect();
        let asked = conditions.iter().flat_map(|condition| condition.fields());
        let facts: BTreeSet<Field> = asked
            .filter(|field| field.family().is_none_or(|needed| needed == family))
            .filter(|field| matches!(Axis::of(**field), Some(Axis::Fact(_))))
            .copied()
            .collect();
        let values = |axis: Axis| {
            let mut values = usual(axis, hook, family);
            for condition in &conditions {
                for (at, field) in condition.fields().iter().enumerate() {
                    let fits = field.family().is_none_or(|needed| needed == family);
                    if Axis::of(*field) == Some(axis) && fits {
                        values.extend(boundaries(condition, at, ruleset));
                    }
                }
            }
            (axis, values.into_iter().collect())
        };
        let axes = Axis::PAIRED
            .into_iter()
            .chain(facts.into_iter().map(Axis::Fact));
        Self(axes.map(values).collect())
    }

    /// Every point that differs from `seed` in at most two fields, in every ct state.
    fn around(&self, seed: &Point, meet: &mut impl FnMut(&Point)) {
        for (index, (first, first_values)) in self.0.iter().enumerate() {
            for (second, second_values) in &self.0[index + 1..] {
                let pairs = first_values
                    .iter()
                    .flat_map(|a| second_values.iter().map(move |b| (a, b)));
                for (a, b) in pairs {
                    let mut point = seed.clone();
                    point.place(*first, a);
                    point.place(*second, b);
                    for state in CtState::ALL {
                        point.ct_state = state;
                        meet(&point);
                    }
                }
            }
        }
    }
}

/// Values of an axis that matter whatever the rules say.
fn usual(axis: Axis, hook: Hook, family: Family) -> BTreeSet<Coordinate> {
    let names = |field: Field, names: [&str; 2]| -> BTreeSet<Coordinate> {
        let known = if field.is_known_at(hook) {
            names.as_slice()
        } else {
            &[]
        };
        known
            .iter()
            .map(|name| Coordinate::Name((*name).to_owned()))
            .collect()
    };
    let numbers = |numbers: &[u128]| numbers.iter().copied().map(Coordinate::Number).collect();
    match axis {
        Axis::Iifname => names(Field::Iifname, ["eth0", "lo"]),
        Axis::Oifname => names(Field::Oifname, ["eth0", "lo"]),
        Axis::Saddr | Axis::Daddr => numbers(&[0, family.max()]),
        Axis::HopLimit => numbers(&[0, 1, 64, 254, 255]),
        Axis::Protocol => {
            let known = [PROTOCOL_TCP, PROTOCOL_UDP, icmp_protocol(family), 47];
            numbers(&known.map(u128::from))
        }
        Axis::Sport | Axis::Dport => numbers(&[0, u16::MAX.into()]),
        Axis::IcmpType => numbers(&[0, u8::MAX.into()]),
        Axis::CtState | Axis::Fact(_) => BTreeSet::new(),
    }
}

/// The ends of every interval of one field of a match, and the values next to them; of bits, each
/// value with one bit turned over.
fn boundaries(condition: &Match, at: usize, ruleset: &Ruleset) -> Vec<Coordinate> {
    let field = condition.fields()[at];
    let max = field.max();
    let rows = rows(condition, ruleset);
    let intervals = rows.iter().filter_map(|row| row.get(at));
    let mut values = Vec::new();
    for interval in intervals {
        let (first, last) = (interval.first(), interval.last());
        values.extend([first, last]);
        match (condition.key(), field.kind()) {
            (_, Kind::Interface) => {}
            (Key::Bits { mask, .. }, _) => {
                let bits = (0..field.bits()).map(|bit| 1 << bit);
                values.extend(bits.filter(|bit| mask & bit != 0).map(|bit| first ^ bit));
            }
            (Key::Field(_) | Key::Concatenation(_), _) => {
                values.extend(first.checked_sub(1));
                values.extend(last.checked_add(1).filter(|next| *next <= max));
            }
        }
    }
    values
        .into_iter()
        .map(|value| coordinate(field, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use portreeve_model::address::address_bits;
    use portreeve_model::validate::{Feeds, validate};

    use super::*;
    use crate::{Chain, ChainPolicy, draft, prefixes, rule};

    #[test]
    fn both_sides_of_every_boundary_are_tried() {
        let web = rule("web")
            .saddr(prefixes(["192.0.2.0/24"]))
            .tcp_dport(80..=90)
            .accept();
        let draft = draft([Chain::input(ChainPolicy::Drop).rule(web)]);
        let packets = lattice(&validate(&draft, &Feeds::default()).unwrap(), &[]);
        for saddr in ["192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"] {
            let saddr = address_bits(saddr.parse::<IpAddr>().unwrap());
            for port in [79, 80, 90, 91] {
                let there = packets.iter().any(|p| {
                    p.load(Field::Saddr(Family::Ip)) == Loaded::Value(saddr)
                        && p.load(Field::Dport(PortProtocol::Tcp)) == Loaded::Value(port)
                });
                assert!(there, "{saddr:x} to port {port}");
            }
        }
    }

    #[test]
    fn the_same_rules_give_the_same_packets() {
        let draft = draft([Chain::input(ChainPolicy::Drop)]);
        let ruleset = validate(&draft, &Feeds::default()).unwrap();
        assert_eq!(lattice(&ruleset, &[]), lattice(&ruleset, &[]));
    }
}
