//! What a random rule does to a packet.

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;

use super::aim::{Wish, Wishes};
use super::keys::keys;
use super::nat::translate;
use super::sets::NamedSet;
use super::theme::{Theme, header, icmp};
use crate::observer::MARKS;
use crate::random::Random;

/// The end of a rule as nft text.
#[derive(Clone, Debug)]
pub struct Action {
    /// What it says; empty for nothing.
    pub text: String,
    /// Which construct it shows.
    pub construct: &'static str,
    /// What a packet needs for it, if it asks anything.
    pub wishes: Option<Wishes>,
    /// The chains that it can lead to, and what leads a packet there.
    pub leads_to: Vec<(usize, Wish)>,
    /// What its table must have for it.
    pub object: Option<NamedSet>,
}

impl Action {
    /// An action that asks nothing and leads nowhere.
    pub(super) fn plain(text: impl Into<String>, construct: &'static str) -> Self {
        Self {
            text: text.into(),
            construct,
            wishes: None,
            leads_to: Vec::new(),
            object: None,
        }
    }
}

/// A random action for a rule with this theme, which may lead to these chains.
pub fn draw(random: &mut Random, theme: &Theme, targets: &[usize]) -> Action {
    if theme.place.nat && random.one_in(2) {
        return translate(random, theme);
    }
    match random.up_to(20) {
        0..=2 => Action::plain("accept", "accept"),
        3 | 4 => Action::plain("drop", "drop"),
        5 | 6 if !theme.place.nat => reject(random, theme),
        7 => Action::plain("return", "return"),
        8 => Action::plain("continue", "continue"),
        9..=11 if !targets.is_empty() => {
            let target = random.pick(targets);
            let (word, construct) = random.pick(&[("jump", "jump"), ("goto", "goto")]);
            Action {
                leads_to: vec![(target, Wish::new())],
                ..Action::plain(format!("{word} c{target}"), construct)
            }
        }
        12..=14 => verdict_map(random, theme, targets),
        15 | 16 => set_mark(random, theme),
        17 => connection(random, theme),
        18 => change(random, theme),
        _ => Action::plain("", "no statement"),
    }
}

/// A verdict as an element of a map has it, and the chain that it leads to.
pub fn verdict(random: &mut Random, targets: &[usize]) -> (String, Option<usize>) {
    let plain = random.pick(&["accept", "drop", "continue", "return"]);
    if targets.is_empty() || random.one_in(2) {
        return (plain.to_owned(), None);
    }
    let target = random.pick(targets);
    let word = random.pick(&["jump", "goto"]);
    (format!("{word} c{target}"), Some(target))
}

fn reject(random: &mut Random, theme: &Theme) -> Action {
    if theme.place.hook == Hook::Postrouting {
        return Action::plain("drop", "drop");
    }
    let both = [
        "port-unreachable",
        "admin-prohibited",
        "host-unreachable",
        "no-route",
    ];
    let text = match random.up_to(4) {
        0 => "reject".to_owned(),
        1 if theme.protocol.is_some_and(|(name, _)| name == "tcp") => {
            "reject with tcp reset".to_owned()
        }
        2 if theme.place.families.len() > 1 => {
            format!("reject with icmpx type {}", random.pick(&both))
        }
        _ => {
            let family = theme.family;
            let codes: &[&str] = match family {
                Family::Ip => &[
                    "net-unreachable",
                    "host-unreachable",
                    "prot-unreachable",
                    "port-unreachable",
                    "net-prohibited",
                    "host-prohibited",
                    "admin-prohibited",
                ],
                Family::Ip6 => &[
                    "no-route",
                    "admin-prohibited",
                    "addr-unreachable",
                    "port-unreachable",
                    "policy-fail",
                    "reject-route",
                ],
            };
            format!("reject with {} type {}", icmp(family).0, random.pick(codes))
        }
    };
    Action::plain(text, "reject")
}

fn verdict_map(random: &mut Random, theme: &Theme, targets: &[usize]) -> Action {
    let keys = keys(random, theme);
    let mut leads_to = Vec::new();
    let mut verdicts = Vec::new();
    for (_, wish) in &keys.keys {
        let (verdict, target) = verdict(random, targets);
        leads_to.extend(target.map(|target| (target, wish.clone())));
        verdicts.push(verdict);
    }
    let map = keys.map(random, "verdict", &verdicts);
    let construct = match map.object {
        None => "verdict map",
        Some(_) => "named verdict map",
    };
    Action {
        wishes: Some(keys.wishes()),
        leads_to,
        object: map.object,
        ..Action::plain(format!("{} vmap {}", keys.left, map.text), construct)
    }
}

fn set_mark(random: &mut Random, theme: &Theme) -> Action {
    let value = random.pick(&[0, 1, 2, 0x10, 0x11, 0xff00, u32::MAX]);
    match random.up_to(4) {
        0 => {
            let keys = keys(random, theme);
            let marks = keys
                .keys
                .iter()
                .map(|_| format!("{:#x}", random.pick(&MARKS)));
            let marks: Vec<String> = marks.collect();
            let map = keys.map(random, "mark", &marks);
            let construct = match map.object {
                None => "map",
                Some(_) => "named map",
            };
            let text = format!("meta mark set {} map {}", keys.left, map.text);
            Action {
                wishes: Some(keys.wishes()),
                object: map.object,
                ..Action::plain(text, construct)
            }
        }
        1 => {
            let operator = random.pick(&["&", "|", "^"]);
            let text = format!("meta mark set meta mark {operator} {value:#x}");
            Action::plain(text, "mark arithmetic")
        }
        _ => Action::plain(format!("meta mark set {value:#x}"), "set mark"),
    }
}

/// Something about the packet's connection.
fn connection(random: &mut Random, theme: &Theme) -> Action {
    let early =
        matches!(theme.place.hook, Hook::Prerouting | Hook::Output) && theme.place.priority < -200;
    if early && random.one_in(2) {
        return Action::plain("notrack", "notrack");
    }
    let value = random.pick(&MARKS);
    match random.up_to(3) {
        0 => Action::plain("meta mark set ct mark", "ct mark as mark"),
        1 => Action::plain("ct mark set meta mark", "set ct mark"),
        _ => Action::plain(format!("ct mark set {value:#x}"), "set ct mark"),
    }
}

/// Changes the packet itself.
fn change(random: &mut Random, theme: &Theme) -> Action {
    let family = theme.family;
    let value = random.pick(&[0_u8, 8, 46, 63]);
    // A hop is taken off between prerouting and forward: what is set here is not what is seen there.
    let choices = if theme.place.hook == Hook::Prerouting {
        1..2
    } else {
        0..2
    };
    let text = match (choices.start + random.up_to(choices.len()), family) {
        (0, Family::Ip) => format!("ip ttl set {}", 2 + value),
        (0, Family::Ip6) => format!("ip6 hoplimit set {}", 2 + value),
        _ => format!("{} dscp set {value}", header(family)),
    };
    Action::plain(text, "change of the packet")
}
