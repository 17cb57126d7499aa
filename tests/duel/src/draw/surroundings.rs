//! Random matches on what the machine knows of a packet: interfaces, routes, its mark.

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;
use portreeve_wire::device::Layer;

use super::aim::{Aim, Wishes};
use super::matches::Match;
use super::numeric::{Numeric, plain};
use super::theme::{Place, Theme};
use super::values::{groups, local, remote};
use crate::arena::{BARRED, HARDWARE_ADDRESS, INTERFACES, SENDER_ADDRESS};
use crate::observer::MARKS;
use crate::random::Random;

/// The interface by index, by name, by part of the name, or by group.
pub(super) fn interface(random: &mut Random, place: &Place) -> Match {
    let (way, aim) = way(random, place);
    let incoming = aim == Aim::Interface;
    let goes_out = place.hook == Hook::Forward;
    if incoming && random.one_in(6) {
        return pkttype(random);
    }
    if incoming && !goes_out && random.one_in(8) {
        return ethernet(random);
    }
    if random.one_in(12) {
        return socket(random);
    }
    if random.one_in(12) {
        return clock(random);
    }
    let one = random.pick(&INTERFACES);
    let other = random.pick(&INTERFACES);
    let wish = |index: u32| vec![(aim, u128::from(index))];
    let (hits, text): (Vec<u32>, String) = match random.up_to(6) {
        0 => ([one.index].into(), format!("{way} {{}}\"{}\"", one.name)),
        1 => (
            [one.index].into(),
            format!("{way}name {{}}\"{}\"", one.name),
        ),
        2 if one.index != other.index => (
            [one.index, other.index].into(),
            format!("{way}name {{}}{{ \"{}\", \"{}\" }}", one.name, other.name),
        ),
        3 => {
            let length = 1 + random.up_to(one.name.len());
            let start = &one.name[..length];
            let named = INTERFACES.iter().filter(|it| it.name.starts_with(start));
            let hits = named.map(|it| it.index).collect();
            (hits, format!("{way}name {{}}\"{start}*\""))
        }
        4 => (
            [one.index].into(),
            format!("{way}name {{}}{{ \"{}\", \"ppp0\" }}", one.name),
        ),
        _ => {
            let group = INTERFACES.iter().filter(|it| it.group == one.group);
            let hits = group.map(|it| it.index).collect();
            (hits, format!("{way}group {{}}{}", one.group))
        }
    };
    let negated = random.one_in(4);
    let rest = INTERFACES
        .iter()
        .map(|it| it.index)
        .filter(|it| !hits.contains(it));
    let wishes = Wishes {
        near: rest.map(wish).collect(),
        hits: hits.iter().copied().map(wish).collect(),
    };
    Match {
        text: text.replacen("{}", if negated { "!= " } else { "" }, 1),
        construct: if incoming { "iif" } else { "oif" },
        wishes: wishes.negated(negated),
    }
}

/// The interface that a packet comes in by there, or the one it goes out by.
fn way(random: &mut Random, place: &Place) -> (&'static str, Aim) {
    let incoming = match place.hook {
        Hook::Prerouting | Hook::Input => true,
        Hook::Forward => random.one_in(2),
        Hook::Output | Hook::Postrouting => false,
    };
    if incoming {
        ("iif", Aim::Interface)
    } else {
        ("oif", Aim::Oif)
    }
}

/// Who sends it: a packet that was received has no socket.
fn socket(random: &mut Random) -> Match {
    let left = random.pick(&["meta skuid", "meta skgid"]);
    let right = random.pick(&[
        "0",
        "!= 0",
        "1000",
        "0-999",
        "!= 5-7",
        "< 1000",
        "{ 0, 1000-2000 }",
    ]);
    Match {
        text: format!("{left} {right}"),
        construct: "socket",
        wishes: Wishes::default(),
    }
}

/// The hour or the day.
fn clock(random: &mut Random) -> Match {
    let not = random.pick(&["", "", "!= "]);
    let mut hour = || format!("\"{:02}:{:02}\"", random.up_to(24), random.up_to(60));
    let (one, other) = (hour(), hour());
    let (first, last) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    let text = match random.up_to(5) {
        0 if first < last => format!("meta hour {not}{first}-{last}"),
        0 | 1 => format!("meta hour < {last}"),
        2 => format!("meta hour >= {first}"),
        3 => format!("meta day {not}{}", random.pick(&DAYS)),
        _ => format!("meta day {not}{{ {} }}", random.some_of(&DAYS).join(", ")),
    };
    Match {
        text,
        construct: "hour and day",
        wishes: Wishes::default(),
    }
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// What kind of an interface it is, and whether IPsec brought the packet.
pub(super) fn hardware(random: &mut Random, place: &Place) -> Match {
    let (way, aim) = way(random, place);
    if way == "iif" && random.one_in(4) {
        let word = random.pick(&["exists", "missing"]);
        return Match {
            text: format!("meta ipsec {word}"),
            construct: "ipsec",
            wishes: Wishes::default(),
        };
    }
    let (word, kind) = random.pick(&[("ether", Layer::Link), ("65534", Layer::Network)]);
    let of = |layer: Layer| {
        let all = INTERFACES.iter().filter(move |it| it.layer == layer);
        all.map(|it| vec![(aim, u128::from(it.index))]).collect()
    };
    let other = match kind {
        Layer::Link => Layer::Network,
        Layer::Network => Layer::Link,
    };
    let negated = random.one_in(3);
    let not = if negated { "!= " } else { "" };
    Match {
        text: format!("meta {way}type {not}{word}"),
        construct: "interface type",
        wishes: Wishes {
            hits: of(kind),
            near: of(other),
        }
        .negated(negated),
    }
}

/// The header of the link layer, which a tunnel has not.
fn ethernet(random: &mut Random) -> Match {
    let ([a, b, c, d, e, f], sender) = (HARDWARE_ADDRESS, SENDER_ADDRESS);
    let own = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let [a, b, c, d, e, f] = sender;
    let sender = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let text = match random.up_to(5) {
        0 => format!("ether saddr {sender}"),
        1 => format!("ether saddr != {sender}"),
        2 => format!("ether daddr {own}"),
        3 => format!("ether daddr {{ 01:00:5e:00:00:01, {own} }}"),
        _ => "ether daddr ff:ff:ff:ff:ff:ff".to_owned(),
    };
    Match {
        text,
        construct: "ethernet",
        wishes: Wishes::of(vec![(Aim::Interface, 3)], vec![(Aim::Interface, 2)]),
    }
}

fn pkttype(random: &mut Random) -> Match {
    let types = [("host", 0), ("broadcast", 1), ("multicast", 2)];
    let (name, number) = random.pick(&types);
    let negated = random.one_in(3);
    let wish = |number| vec![(Aim::Pkttype, number)];
    Match {
        text: format!("meta pkttype {}{name}", if negated { "!= " } else { "" }),
        construct: "pkttype",
        wishes: Wishes::of(wish(number), wish((number + 1) % 3)).negated(negated),
    }
}

pub(super) fn mark(random: &mut Random) -> Match {
    Numeric {
        left: "meta mark".to_owned(),
        construct: "mark",
        max: u32::MAX.into(),
        pick: &|random| random.pick(&MARKS).into(),
        write: &plain,
        wish: &|value| vec![(Aim::Mark, value)],
        masks: true,
    }
    .draw(random)
}

/// What the routing tables say.
pub(super) fn fib(random: &mut Random, theme: &Theme) -> Match {
    let negated = random.one_in(4);
    let not = if negated { "!= " } else { "" };
    let family = theme.family;
    let place = theme.place;
    let received = matches!(place.hook, Hook::Prerouting | Hook::Input | Hook::Forward);
    let (text, wishes) = match random.up_to(3) {
        0 if received => {
            let one = random.pick(&INTERFACES[..1]);
            let behind = vec![
                (Aim::Interface, u128::from(one.index)),
                (Aim::Saddr(Family::Ip), 0xc612_0000),
            ];
            let not_behind = vec![(Aim::Interface, 5), (Aim::Saddr(Family::Ip), 0xc612_0000)];
            let (word, swapped) = random.pick(&[("exists", false), ("missing", true)]);
            return Match {
                text: format!("fib saddr . iif oif {word}"),
                construct: "fib",
                wishes: Wishes::of(behind, not_behind).negated(swapped),
            };
        }
        1 if received => {
            let one = random.pick(&INTERFACES);
            (
                format!("fib saddr oif {not}\"{}\"", one.name),
                Wishes::of(
                    vec![(Aim::Saddr(family), remote(random, family))],
                    vec![(Aim::Saddr(family), local(random, family))],
                ),
            )
        }
        _ => {
            let (kind, aim) = random.pick(&TYPES);
            let (_, other) = random.pick(&TYPES);
            let asked = if random.one_in(3) {
                format!("{{ {kind}, anycast }}")
            } else {
                kind.to_owned()
            };
            let wish =
                |random: &mut Random, aim| vec![(Aim::Daddr(family), of_type(random, family, aim))];
            (
                format!("fib daddr type {not}{asked}"),
                Wishes::of(wish(random, aim), wish(random, other)),
            )
        }
    };
    Match {
        text,
        construct: "fib",
        wishes: wishes.negated(negated),
    }
}

/// What the routing tables can say of a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Destination {
    Here,
    Away,
    Group,
    Everybody,
    /// One of the networks that [`BARRED`] says.
    Barred(usize),
}

const TYPES: [(&str, Destination); 8] = [
    ("local", Destination::Here),
    ("local", Destination::Here),
    ("unicast", Destination::Away),
    ("multicast", Destination::Group),
    ("broadcast", Destination::Everybody),
    ("blackhole", Destination::Barred(0)),
    ("unreachable", Destination::Barred(1)),
    ("prohibit", Destination::Barred(2)),
];

fn of_type(random: &mut Random, family: Family, destination: Destination) -> u128 {
    match (destination, family) {
        (Destination::Here, _) => local(random, family),
        (Destination::Away, _) | (Destination::Everybody, Family::Ip6) => remote(random, family),
        (Destination::Group, _) => random.pick(&groups(family)),
        (Destination::Everybody, Family::Ip) => 0xffff_ffff,
        (Destination::Barred(at), _) => BARRED[at].first(family) | u128::from(random.next() & 0xf),
    }
}
