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
        (0..=2, _) if leaves => Action::plain("masquerade", "masquerade"),
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
    match ports {
        Some(_) if random.one_in(2) => {
            let port = random.pick(&PORTS);
            Action::plain(format!("{only}redirect to :{port}"), "redirect")
        }
        _ => Action::plain("redirect", "redirect"),
    }
}

/// Another destination for each of some ports.
fn by_map(random: &mut Random, theme: &Theme, name: &str) -> Action {
    let mut ports = random.some_of(&PORTS);
    ports.sort_unstable();
    let put = |port: &u16| format!("{port} : {}", address(random, theme.family));
    let elements: Vec<String> = ports.iter().map(put).collect();
    let wish = |port: &u16| vec![BEGINS, (Aim::Dport, u128::from(*port))];
    Action {
        wishes: Some(Wishes {
            hits: ports.iter().map(wish).collect(),
            near: Vec::new(),
        }),
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

/// One address, and perhaps one port.
fn to_one(
    random: &mut Random,
    theme: &Theme,
    destination: bool,
    ports: Option<(&str, u128)>,
) -> Action {
    let address = address(random, theme.family);
    let port = ports
        .filter(|_| random.one_in(2))
        .map(|_| random.pick(&PORTS));
    let to = match (port, theme.family) {
        (None, _) => address,
        (Some(port), Family::Ip) => format!("{address}:{port}"),
        (Some(port), Family::Ip6) => format!("[{address}]:{port}"),
    };
    let word = if destination { "dnat" } else { "snat" };
    let (only, family) = (only(ports), family_word(theme));
    Action {
        wishes: Some(Wishes {
            hits: vec![vec![BEGINS]],
            near: Vec::new(),
        }),
        ..Action::plain(format!("{only}{word}{family} to {to}"), word)
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
    let address = if random.one_in(2) {
        local(random, family)
    } else {
        remote(random, family)
    };
    address_text(family, address)
}
