//! Random matches on what the machine knows of a packet: interfaces, routes, its mark.

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;

use super::aim::{Aim, Wishes};
use super::matches::Match;
use super::numeric::{Numeric, plain};
use super::theme::{Place, Theme};
use super::values::{local, remote};
use crate::arena::{HARDWARE_ADDRESS, INTERFACES, SENDER_ADDRESS};
use crate::observer::MARKS;
use crate::random::Random;

/// The interface by index, by name, by part of the name, or by group.
pub(super) fn interface(random: &mut Random, place: &Place) -> Match {
    let comes_in = matches!(place.hook, Hook::Prerouting | Hook::Input | Hook::Forward);
    let goes_out = matches!(place.hook, Hook::Forward | Hook::Output | Hook::Postrouting);
    let incoming = comes_in && (!goes_out || random.one_in(2));
    let (way, aim) = if incoming {
        ("iif", Aim::Interface)
    } else {
        ("oif", Aim::Oif)
    };
    if incoming && random.one_in(6) {
        return pkttype(random);
    }
    if incoming && !goes_out && random.one_in(8) {
        return ethernet(random);
    }
    if random.one_in(12) {
        return socket(random);
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
    let here = vec![(Aim::Daddr(family), local(random, family))];
    let away = vec![(Aim::Daddr(family), remote(random, family))];
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
            let kind = random.pick(&["local", "unicast", "multicast", "broadcast"]);
            (
                format!("fib daddr type {not}{kind}"),
                Wishes::of(here, away),
            )
        }
    };
    Match {
        text,
        construct: "fib",
        wishes: wishes.negated(negated),
    }
}
