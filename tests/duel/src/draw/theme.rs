//! Where a random rule stands, and what it is about.

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;

use crate::random::Random;

/// Where a rule stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The families whose packets its chain sees.
    pub families: &'static [Family],
    /// The hook.
    pub hook: Hook,
    /// The priority of the chain.
    pub priority: i32,
    /// Whether the chain translates addresses.
    pub nat: bool,
}

/// What a rule is about: nft refuses one that is about two families or two protocols.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Where the rule stands.
    pub place: Place,
    /// The family of its packets, where it asks for one.
    pub family: Family,
    /// The protocol of its packets, by nft's name and number; none: any.
    pub protocol: Option<(&'static str, u128)>,
    /// Whether it is about echoes, if it is about ICMP, and about ports, if it is about any protocol.
    pub echo: bool,
}

impl Theme {
    /// What a rule in this place can be about.
    pub fn draw(random: &mut Random, place: Place) -> Self {
        let family = random.pick(place.families);
        let protocol = match random.up_to(10) {
            0..=3 => Some(PORTS[0]),
            4 | 5 => Some(PORTS[1]),
            6 => Some(random.pick(&PORTS)),
            7 => Some(icmp(family)),
            _ => None,
        };
        Self {
            place,
            family,
            protocol,
            echo: random.one_in(3),
        }
    }

    /// The protocol, if it has ports.
    #[must_use]
    pub fn with_ports(&self) -> Option<(&'static str, u128)> {
        self.protocol.filter(|it| PORTS.contains(it))
    }

    /// What ports are called, with a protocol that has them; none where there are none. nft 1.0.6
    /// lists `th` after ICMP as a field of ICMP, and fails itself over some of them.
    #[must_use]
    pub fn ports_word(&self) -> Option<(&'static str, u128)> {
        match self.protocol {
            None => self
                .echo
                .then_some(("th", PORTS[self.place.families.len() % 2].1)),
            Some(_) => self.with_ports(),
        }
    }
}

/// nft's word for the fields of a family's header.
#[must_use]
pub const fn header(family: Family) -> &'static str {
    match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
    }
}

/// The ICMP of a family: its name and its number.
#[must_use]
pub const fn icmp(family: Family) -> (&'static str, u128) {
    match family {
        Family::Ip => ("icmp", 1),
        Family::Ip6 => ("icmpv6", 58),
    }
}

/// Protocols with ports, by nft's name and number.
pub const PORTS: [(&str, u128); 5] = [
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("sctp", 132),
    ("dccp", 33),
];
