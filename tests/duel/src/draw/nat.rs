//! Random translations of addresses.

use portreeve_model::address::Family;
use portreeve_model::packet::{CtState, Hook};

use super::actions::Action;
use super::aim::{Aim, Wishes};
use super::theme::{Theme, header};
use super::values::{address_text, local, remote};
use crate::random::Random;

/// A random translation of addresses.
pub(super) fn translate(random: &mut Random, theme: &Theme) -> Action {
    let ports = theme
        .with_ports()
        .filter(|(_, number)| matches!(number, 6 | 17));
    let destination = matches!(theme.place.hook, Hook::Prerouting | Hook::Output);
    let leaves = theme.place.hook == Hook::Postrouting;
    match (random.up_to(6), ports) {
        (0 | 1, _) if destination => redirect(random, ports),
        (0..=2, _) if leaves => masquerade(random, ports),
        (2, Some((name, _))) if destination => by_map(random, theme, name),
        _ => to_one(random, theme, destination, ports),
    }
}

/// What nft wants to know before it takes a port.
fn only(ports: Option<(&str, u128)>) -> String {
    ports.map_or(String::new(), |(name, _)| format!("meta l4proto {name} "))
}

fn redirect(random: &mut Random, ports: Option<(&str, u128)>) -> Action {
    let only = only(ports);
    match (ports, random.up_to(4)) {
        (Some(_), 0) => {
            let port = random.pick(&PORTS);
            Action::plain(format!("{only}redirect to :{port}"), "redirect")
        }
        (Some(_), 1) => Action::plain(
            format!("{only}redirect to :{}", range(random)),
            "nat to ranges",
        ),
        (Some((name, _)), 2) => {
            let mut from = random.some_of(&PORTS);
            from.sort_unstable();
            let put = |port: &u16| format!("{port} : {}", random.pick(&PORTS));
            let elements: Vec<String> = from.iter().map(put).collect();
            let map = elements.join(", ");
            Action {
                wishes: Some(begins(&from)),
                ..Action::plain(
                    format!("{only}redirect to :{name} dport map {{ {map} }}"),
                    "nat by map",
                )
            }
        }
        _ => Action::plain("redirect", "redirect"),
    }
}

/// The address that the packet leaves from, and perhaps some ports.
fn masquerade(random: &mut Random, ports: Option<(&str, u128)>) -> Action {
    match ports {
        Some(_) if random.one_in(2) => {
            let (only, range) = (only(ports), range(random));
            Action::plain(format!("{only}masquerade to :{range}"), "masquerade")
        }
        _ => Action::plain("masquerade", "masquerade"),
    }
}

/// A range of ports.
fn range(random: &mut Random) -> String {
    let first = random.pick(&PORTS);
    format!("{first}-{}", first + random.pick(&[1, 10, 1000]))
}

/// Another destination for each of some ports.
fn by_map(random: &mut Random, theme: &Theme, name: &str) -> Action {
    let mut ports = random.some_of(&PORTS);
    ports.sort_unstable();
    let put = |port: &u16| format!("{port} : {}", address(random, theme.family));
    let elements: Vec<String> = ports.iter().map(put).collect();
    Action {
        wishes: Some(begins(&ports)),
        ..Action::plain(
            format!(
                "meta l4proto {name} dnat{} to {name} dport map {{ {} }}",
                family_word(theme),
                elements.join(", ")
            ),
            "nat by map",
        )
    }
}

/// Packets that begin a connection to one of these ports.
fn begins(ports: &[u16]) -> Wishes {
    let wish = |port: &u16| vec![BEGINS, (Aim::Dport, u128::from(*port))];
    Wishes {
        hits: ports.iter().map(wish).collect(),
        near: Vec::new(),
    }
}

/// One address or a few, and perhaps one port or a few.
fn to_one(
    random: &mut Random,
    theme: &Theme,
    destination: bool,
    ports: Option<(&str, u128)>,
) -> Action {
    let ranges = random.one_in(3);
    let address = if ranges {
        addresses(random, theme.family)
    } else {
        [address(random, theme.family)].into()
    };
    let port = ports.filter(|_| random.one_in(2)).map(|_| {
        if ranges && random.one_in(2) {
            range(random)
        } else {
            random.pick(&PORTS).to_string()
        }
    });
    let bracketed: Vec<String> = match (&port, theme.family) {
        (Some(_), Family::Ip6) => address.iter().map(|it| format!("[{it}]")).collect(),
        (Some(_), Family::Ip) | (None, _) => address,
    };
    let address = bracketed.join("-");
    let to = port.map_or_else(|| address.clone(), |port| format!("{address}:{port}"));
    let word = if destination { "dnat" } else { "snat" };
    let construct = if ranges { "nat to ranges" } else { word };
    let (only, family) = (only(ports), family_word(theme));
    Action {
        wishes: Some(Wishes {
            hits: vec![vec![BEGINS]],
            near: Vec::new(),
        }),
        ..Action::plain(format!("{only}{word}{family} to {to}"), construct)
    }
}

/// Only what begins a connection is translated.
const BEGINS: (Aim, u128) = (Aim::State(CtState::New), 0);

/// Ports that are translated, and put in.
const PORTS: [u16; 5] = [22, 53, 80, 443, 8080];

/// The family of the address that follows, where the table has both.
fn family_word(theme: &Theme) -> String {
    if theme.place.families.len() > 1 {
        format!(" {}", header(theme.family))
    } else {
        String::new()
    }
}

fn address(random: &mut Random, family: Family) -> String {
    address_text(family, place(random, family))
}

/// The ends of a range of addresses.
fn addresses(random: &mut Random, family: Family) -> Vec<String> {
    let first = place(random, family);
    let last = first | random.pick(&[1, 3, 0x10]);
    if first == last {
        return [address_text(family, first)].into();
    }
    [first, last].map(|it| address_text(family, it)).into()
}

fn place(random: &mut Random, family: Family) -> u128 {
    if random.one_in(2) {
        local(random, family)
    } else {
        remote(random, family)
    }
}
