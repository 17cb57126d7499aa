//! One packet out of many: the most ordinary that a region has.
//!
//! A witness says every variable that anybody asks for, so that the evaluator, which is asked
//! whether it agrees, need not guess. The same region has the same witness.

use std::collections::BTreeMap;

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PortProtocol, icmp_protocol, interface};
use portreeve_model::packet::{Addresses, CtState, Loaded, Packet, Transport};

use crate::space::{Atom, EVERYTHING, Level, NOTHING, Region, Space, Within};
use crate::transfer::Way;

/// A value for every variable; none where the packet does not have the field.
pub(crate) type Valuation = BTreeMap<Level, Option<u128>>;

/// The most ordinary packet of a region; none when there is none.
pub(crate) fn ordinary(space: &Space, region: Region) -> Option<Valuation> {
    if region == NOTHING {
        return None;
    }
    let mut valuation = Valuation::new();
    let mut node = region.0;
    for (at, level) in space.levels().iter().enumerate() {
        let asks = space
            .store
            .open(node)
            .is_some_and(|(asked, _)| usize::from(asked) == at);
        let leads = |atom| !asks || space.store.follow(node, atom) != NOTHING.0;
        let (value, atom) = most_ordinary(space, at as u16, *level, &leads);
        valuation.insert(*level, value);
        if asks {
            node = space.store.follow(node, atom);
        }
    }
    Some(valuation)
}

/// The packets that nothing tells from one with these values.
pub(crate) fn alike(space: &mut Space, valuation: &Valuation) -> Within<Region> {
    let mut all = EVERYTHING;
    for (level, value) in valuation {
        let region = match value {
            Some(value) => space.like_value(*level, *value)?,
            None => {
                let having = space.having(*level)?;
                space.store.without(EVERYTHING, having)?
            }
        };
        all = space.store.and(all, region)?;
    }
    Ok(all)
}

/// The first ordinary value whose atom leads somewhere, or the first plausible one, or any.
pub(crate) fn most_ordinary(
    space: &Space,
    at: u16,
    level: Level,
    leads: &impl Fn(Atom) -> bool,
) -> (Option<u128>, Atom) {
    let partition = space.partition(at);
    for value in level.ordinary() {
        if let Some(atom) = partition.atom_of(value).filter(|atom| leads(*atom)) {
            return (Some(value), atom);
        }
    }
    let leading = || (0..partition.len()).map(Atom).filter(|atom| leads(*atom));
    let firsts = || leading().filter_map(|atom| Some((partition.first(atom)?, atom)));
    let plausible = firsts().find(|(value, _)| is_plausible(level, *value));
    match plausible.or_else(|| firsts().next()) {
        Some((value, atom)) => (Some(value), atom),
        None => (None, leading().next().expect("a node leads somewhere")),
    }
}

/// Whether a host on the internet can have the address, as far as that is easily said.
fn is_plausible(level: Level, value: u128) -> bool {
    match level {
        Level::Field(Field::Saddr(Family::Ip) | Field::Daddr(Family::Ip)) => {
            let first = value >> 24;
            (1..224).contains(&first) && first != 127
        }
        Level::Field(Field::Saddr(Family::Ip6) | Field::Daddr(Family::Ip6)) => {
            // Global unicast, RFC 4291.
            value >> 125 == 1
        }
        _ => true,
    }
}

/// The packet with these values that goes a way. Of a field and some bits of it, the bits count.
pub(crate) fn packet(valuation: &Valuation, way: Way) -> Packet {
    let mut whole = valuation.clone();
    for (level, bits) in valuation {
        if let (Level::Slice(slice), Some(bits)) = (level, bits) {
            let field = whole.entry(Level::Field(slice.field)).or_insert(Some(0));
            *field = field.map(|value| slice.write(value, *bits));
        }
    }
    let valuation = &whole;
    let of = |field| valuation.get(&Level::of(field)).copied();
    let number = |field, usual: u128| of(field).flatten().unwrap_or(usual);
    let family = match number(Field::Nfproto, Family::Ip.number().into()) {
        ip if ip == u128::from(Family::Ip.number()) => Family::Ip,
        _ => Family::Ip6,
    };
    let address = |field: Field| {
        let usual = Level::Field(field).ordinary();
        family.address(number(field, usual[0]))
    };
    let addresses = Addresses::new(address(Field::Saddr(family)), address(Field::Daddr(family)));
    let protocol = number(Field::L4proto, PortProtocol::Tcp.number().into()) as u8;
    let transport = transport(family, protocol, &number);
    let hook = way.hook();
    let name = |field: Field| match of(field) {
        Some(Some(value)) => interface::name(value),
        Some(None) => String::new(),
        None => "eth0".to_owned(),
    };
    let at = |field: Field| {
        if field.is_known_at(hook) {
            name(field)
        } else {
            String::new()
        }
    };
    let state = number(Field::CtState, CtState::New as u128);
    let ct_state = CtState::ALL.into_iter().find(|it| *it as u128 == state);
    let mut packet = Packet {
        hook,
        iifname: at(Field::Iifname),
        oifname: at(Field::Oifname),
        addresses: addresses.expect("both of one family"),
        hop_limit: number(Field::HopLimit(family), 64) as u8,
        transport,
        ct_state: ct_state.unwrap_or(CtState::New),
        facts: BTreeMap::new(),
    };
    for (level, value) in valuation {
        say(&mut packet, *level, *value);
    }
    packet
}

fn transport(family: Family, protocol: u8, number: &impl Fn(Field, u128) -> u128) -> Transport {
    let with_ports = PortProtocol::ALL
        .into_iter()
        .find(|it| it.number() == protocol);
    match with_ports {
        Some(protocol) => Transport::Ports {
            protocol,
            sport: number(Field::ThSport, 40_000) as u16,
            dport: number(Field::ThDport, 443) as u16,
        },
        None if protocol == icmp_protocol(family) => Transport::Icmp {
            icmp_type: number(Field::IcmpType(family), 8) as u8,
        },
        None => Transport::Other(protocol),
    }
}

/// Adds to a packet what its other parts do not say.
fn say(packet: &mut Packet, level: Level, value: Option<u128>) {
    let Level::Field(mut field) = level else {
        return;
    };
    if let (Field::ThSport | Field::ThDport, Transport::Ports { protocol, .. }) =
        (field, packet.transport)
    {
        // The ports say it, unless the header is cut off.
        field = match field {
            Field::ThSport => Field::Sport(protocol),
            _ => Field::Dport(protocol),
        };
    }
    let loaded = value.map_or(Loaded::Absent, Loaded::Value);
    if packet.load(field) == loaded {
        return;
    }
    let family = packet.addresses.family();
    let has = field.family().is_none_or(|it| it == family)
        && field.protocol().is_none_or(|it| it == packet.protocol())
        && field.is_known_at(packet.hook)
        && !(field.is_of_connection() && packet.load(Field::CtDirection) == Loaded::Absent);
    if has {
        packet.facts.insert(field, loaded);
        if let Field::Sport(_) | Field::Dport(_) = field {
            packet.facts.insert(level.field().unwrap_or(field), loaded);
        }
    }
}

/// A random packet: an atom of each variable, as `choose` picks one of so many.
pub(crate) fn random(space: &Space, choose: &mut impl FnMut(u32) -> u32) -> Valuation {
    let levels = space.levels().iter().enumerate();
    let values = levels.map(|(at, level)| {
        let partition = space.partition(at as u16);
        let atom = Atom(choose(partition.len()));
        (*level, partition.first(atom))
    });
    values.collect()
}
