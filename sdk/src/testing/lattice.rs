//! Packets at which a rule set can change its mind: the ends of every interval of every field,
//! and one step beyond.
//!
//! From each rule and each clause of a goal comes a packet that it is about; from each of those
//! come all packets that differ from it in two fields, in every ct state. The order is fixed and
//! nothing is random.

use std::collections::{BTreeSet, HashSet};

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PROTOCOL_TCP, PROTOCOL_UDP, PortProtocol, icmp_protocol};
use portreeve_model::goal::Goal;
use portreeve_model::intervals::Intervals;
use portreeve_model::packet::{Addresses, CtState, Hook, Packet, Transport};
use portreeve_model::ruleset::{Match, Operand, Ruleset};

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
}

impl Axis {
    /// The axes of which any two are varied; the ct state always is.
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

    /// The axis of a field; `None` for the family, which a point never changes.
    const fn of(field: Field) -> Option<Self> {
        Some(match field {
            Field::Iifname => Self::Iifname,
            Field::Oifname => Self::Oifname,
            Field::Nfproto => return None,
            Field::Saddr(_) => Self::Saddr,
            Field::Daddr(_) => Self::Daddr,
            Field::HopLimit(_) => Self::HopLimit,
            Field::L4proto => Self::Protocol,
            Field::Sport(_) => Self::Sport,
            Field::Dport(_) => Self::Dport,
            Field::IcmpType(_) => Self::IcmpType,
            Field::CtState => Self::CtState,
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
        };
        for condition in group {
            let field = condition.field();
            if field.family().is_some_and(|needed| needed != family) {
                return None;
            }
            if let Some(protocol) = field.protocol() {
                point.protocol = protocol;
            }
            if let Some(names) = interfaces(condition) {
                let name = if condition.negated() {
                    "eth1"
                } else {
                    names.first()?
                };
                point.set_name(Axis::of(field)?, name);
                continue;
            }
            let values = numbers(condition, ruleset);
            let allowed = if condition.negated() {
                values.complement(field.max())
            } else {
                values
            };
            if field == Field::Nfproto && !allowed.contains(family.number().into()) {
                return None;
            }
            if let (Some(axis), Some(first)) = (Axis::of(field), allowed.iter().next()) {
                point.set(axis, first.first());
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
        }
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
        let values = |axis: Axis| {
            let mut values = usual(axis, hook, family);
            for condition in &conditions {
                let field = condition.field();
                let fits = field.family().is_none_or(|needed| needed == family);
                if Axis::of(field) == Some(axis) && fits {
                    values.extend(boundaries(condition, ruleset));
                }
            }
            (axis, values.into_iter().collect())
        };
        Self(Axis::PAIRED.into_iter().map(values).collect())
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
        Axis::CtState => BTreeSet::new(),
    }
}

/// The ends of every interval of a match, and the values next to them.
fn boundaries(condition: &Match, ruleset: &Ruleset) -> Vec<Coordinate> {
    if let Some(names) = interfaces(condition) {
        return names.into_iter().map(Coordinate::Name).collect();
    }
    let max = condition.field().max();
    let mut values = Vec::new();
    for interval in &numbers(condition, ruleset) {
        values.extend(interval.first().checked_sub(1));
        values.extend([interval.first(), interval.last()]);
        values.extend(interval.last().checked_add(1).filter(|next| *next <= max));
    }
    values.into_iter().map(Coordinate::Number).collect()
}

fn interfaces(condition: &Match) -> Option<Vec<String>> {
    match condition.operand() {
        Operand::Interfaces(names) => {
            Some(names.iter().map(|name| name.as_str().to_owned()).collect())
        }
        Operand::Numbers(_) | Operand::Set(_) => None,
    }
}

fn numbers(condition: &Match, ruleset: &Ruleset) -> Intervals {
    match condition.operand() {
        Operand::Numbers(numbers) => numbers.clone(),
        Operand::Set(name) => {
            let set = ruleset.set(name).expect("validated: the set exists");
            set.elements().clone()
        }
        Operand::Interfaces(_) => Intervals::EMPTY,
    }
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
                    p.load(Field::Saddr(Family::Ip)) == Some(saddr)
                        && p.load(Field::Dport(PortProtocol::Tcp)) == Some(port)
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
