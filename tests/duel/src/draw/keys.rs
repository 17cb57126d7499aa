//! Random keys of maps.

use portreeve_model::packet::{CtState, Hook};

use super::aim::{Aim, Wish, Wishes};
use super::matches::an_address;
use super::sets::{NamedSet, address_type};
use super::theme::{Theme, header};
use super::values::{Span, address_span, number_span, port, spans};
use crate::arena::{INTERFACES, Interface};
use crate::random::Random;

/// Keys of a map: how the field is written, and for each key its text and its wish.
pub(super) struct Keys {
    /// How the field is written.
    pub(super) left: String,
    /// nft's type for it.
    pub(super) kind: String,
    /// Each key, and what gives a packet that key.
    pub(super) keys: Vec<(String, Wish)>,
}

impl Keys {
    /// Packets with one of them.
    pub(super) fn wishes(&self) -> Wishes {
        Wishes {
            hits: self.keys.iter().map(|(_, wish)| wish.clone()).collect(),
            near: Vec::new(),
        }
    }

    /// A map with these keys, and the data of each: as an expression and, where it has a name, as
    /// an object of the table. `data` is nft's type for the data.
    pub(super) fn map(&self, random: &mut Random, data: &str, of: &[String]) -> Map {
        let keys = self.keys.iter().zip(of);
        let elements: Vec<String> = keys
            .map(|((key, _), data)| format!("{key} : {data}"))
            .collect();
        if !random.one_in(3) {
            return Map {
                text: format!("{{ {} }}", elements.join(", ")),
                object: None,
            };
        }
        let name = format!("m{:x}", random.next());
        let intervals = elements.iter().any(|it| it.contains(['-', '/']));
        let flags = if intervals { " flags interval;" } else { "" };
        let head = format!("type {} : {data};{flags}", self.kind);
        Map {
            text: format!("@{name}"),
            object: Some(NamedSet::object(format!("map {name}"), head, elements)),
        }
    }
}

/// A map as a rule has it.
pub(super) struct Map {
    /// Its elements or its name.
    pub(super) text: String,
    /// Its declaration, if it has a name.
    pub(super) object: Option<NamedSet>,
}

/// Random keys for a map that a rule with this theme looks into.
pub(super) fn keys(random: &mut Random, theme: &Theme) -> Keys {
    let received = matches!(
        theme.place.hook,
        Hook::Prerouting | Hook::Input | Hook::Forward
    );
    match (random.up_to(6), theme.ports_word()) {
        (4, Some(ports)) => addresses_with_ports(random, theme, ports),
        (5, Some(ports)) => of_ports(random, ports),
        (3, _) if received => interfaces(random),
        (2, _) => protocols(random),
        (1, _) => states(random),
        _ => addresses(random, theme),
    }
}

fn sources(random: &mut Random, theme: &Theme) -> Vec<Span> {
    spans(random, 4, |random| {
        an_address(random, theme.family, true, theme.place.hook)
    })
}

fn addresses(random: &mut Random, theme: &Theme) -> Keys {
    let family = theme.family;
    let spans = sources(random, theme);
    let key = |span: Span| {
        let text = address_span(random, family, span);
        (text, vec![(Aim::Saddr(family), span.0)])
    };
    Keys {
        left: format!("{} saddr", header(family)),
        kind: address_type(family).to_owned(),
        keys: spans.into_iter().map(key).collect(),
    }
}

fn addresses_with_ports(random: &mut Random, theme: &Theme, (name, number): (&str, u128)) -> Keys {
    let family = theme.family;
    let spans = sources(random, theme);
    let key = |span: Span| {
        let (text, port) = (address_span(random, family, span), port(random));
        let wish = vec![
            (Aim::Protocol, number),
            (Aim::Saddr(family), span.1),
            (Aim::Dport, port),
        ];
        (format!("{text} . {port}"), wish)
    };
    Keys {
        left: format!("{} saddr . {name} dport", header(family)),
        kind: format!("{} . inet_service", address_type(family)),
        keys: spans.into_iter().map(key).collect(),
    }
}

fn of_ports(random: &mut Random, (name, number): (&str, u128)) -> Keys {
    let key = |span: Span| {
        let wish = vec![(Aim::Protocol, number), (Aim::Dport, span.1)];
        (number_span(span), wish)
    };
    Keys {
        left: format!("{name} dport"),
        kind: "inet_service".to_owned(),
        keys: spans(random, 5, port).into_iter().map(key).collect(),
    }
}

fn states(random: &mut Random) -> Keys {
    let states = random.some_of(&CtState::ALL);
    let key = |it: CtState| (it.keyword().to_owned(), vec![(Aim::State(it), 0)]);
    Keys {
        left: "ct state".to_owned(),
        kind: "ct_state".to_owned(),
        keys: states.into_iter().map(key).collect(),
    }
}

fn protocols(random: &mut Random) -> Keys {
    let some = random.some_of(&[("tcp", 6), ("udp", 17), ("icmp", 1), ("ipv6-icmp", 58)]);
    let key = |(name, number): (&str, u128)| (name.to_owned(), vec![(Aim::Protocol, number)]);
    Keys {
        left: "meta l4proto".to_owned(),
        kind: "inet_proto".to_owned(),
        keys: some.into_iter().map(key).collect(),
    }
}

fn interfaces(random: &mut Random) -> Keys {
    let key = |it: Interface| {
        let wish = vec![(Aim::Interface, u128::from(it.index))];
        (format!("\"{}\"", it.name), wish)
    };
    Keys {
        left: "iifname".to_owned(),
        kind: "ifname".to_owned(),
        keys: random.some_of(&INTERFACES).into_iter().map(key).collect(),
    }
}
