//! Named sets, which rules look their packets up in.

use std::fmt::Write as _;

use portreeve_model::address::Family;

use super::aim::{Aim, Wish, Wishes};
use super::matches::Match;
use super::theme::{Theme, header};
use super::values::{Span, address_span, edges, local, merged, number_span, port, source, spans};
use crate::random::Random;

/// A set, a map or another object of a table.
#[derive(Clone, Debug)]
pub struct NamedSet {
    /// What it is and its name, as nft text.
    name: String,
    /// Its type and flags.
    head: String,
    /// Its elements, as nft text.
    pub elements: Vec<String>,
    /// What is looked up in it, and its name.
    asks: Vec<Match>,
    /// The family of its addresses.
    family: Option<Family>,
}

/// Elements that are declared with their set, at most: all of a declaration is one message to the
/// kernel, whose length a user namespace limits.
const DECLARED_MAX: usize = 2_000;

/// Elements of a large set.
pub const LARGE: usize = 100_000;

/// One set of addresses in so many is a large one.
const LARGE_ONE_IN: usize = 3_000;

impl NamedSet {
    /// An object that only rules know that have it made: `name` says what it is as well.
    pub(super) fn object(name: String, head: String, elements: Vec<String>) -> Self {
        Self {
            name,
            head,
            elements,
            asks: Vec::new(),
            family: None,
        }
    }

    /// Its declaration.
    #[must_use]
    pub fn declaration(&self) -> String {
        let mut text = format!(" {} {{ {}", self.name, self.head);
        if let Some(first) = self.elements.chunks(DECLARED_MAX).next() {
            let _ = write!(text, " elements = {{ {} }}", first.join(", "));
        }
        text + "\n }\n"
    }

    /// Commands that add the elements that are not declared, a line each, to its table.
    pub fn additions(&self, table: &str) -> impl Iterator<Item = String> {
        let name = self.name.rsplit(' ').next().unwrap_or_default();
        let rest = self.elements.chunks(DECLARED_MAX).skip(1);
        rest.map(move |some| format!("add element {table} {name} {{ {} }}\n", some.join(", ")))
    }

    /// A match that asks for it, if a rule with this theme can.
    pub fn asked(&self, random: &mut Random, theme: &Theme) -> Option<Match> {
        if self.family.is_some_and(|family| family != theme.family) {
            return None;
        }
        let ports = theme.ports_word().map(|(name, _)| format!("{name} "));
        let fits = |it: &&Match| ports.as_ref().is_some_and(|name| it.text.contains(name));
        let asks: Vec<&Match> = self
            .asks
            .iter()
            .filter(|it| !it.text.contains("port") || fits(it))
            .collect();
        (!asks.is_empty()).then(|| random.pick(&asks).clone())
    }
}

/// A random set for a table that sees packets of these families.
pub fn draw(random: &mut Random, families: &[Family], nth: usize) -> NamedSet {
    let family = random.pick(families);
    let name = format!("s{nth}");
    match random.up_to(4) {
        0 => ports(random, &name),
        1 => pairs(random, family, &name),
        _ => addresses(random, family, &name),
    }
}

/// A set that packets put their source into.
#[must_use]
pub fn dynamic(family: Family) -> NamedSet {
    let (kind, of) = (address_type(family), header(family));
    let puts = [
        ("add", ""),
        ("update", ""),
        ("delete", ""),
        ("update", " limit rate over 10/second burst 5 packets"),
    ];
    let puts = puts.map(|(word, also)| Match {
        text: format!("{word} @recent {{ {of} saddr{also} }}"),
        construct: "dynamic set",
        wishes: Wishes::of(
            vec![(Aim::Family(family), 0)],
            vec![(Aim::Family(family), 0)],
        ),
    });
    let mut found = asks("recent", &[(format!("{of} saddr"), Vec::new(), Vec::new())]);
    found.extend(puts);
    NamedSet {
        name: "set recent".to_owned(),
        head: format!("type {kind}; flags dynamic,timeout; size 32; timeout 1h;"),
        elements: Vec::new(),
        asks: found,
        family: Some(family),
    }
}

/// A set in which packets have the connections of their source counted.
#[must_use]
pub fn counting(family: Family) -> NamedSet {
    let (kind, of) = (address_type(family), header(family));
    let seen = vec![vec![(Aim::Family(family), 0)]];
    let add = Match {
        text: format!("add @conns {{ {of} saddr ct count over 3 }}"),
        construct: "ct count",
        wishes: Wishes {
            hits: seen.clone(),
            near: seen,
        },
    };
    let mut found = asks("conns", &[(format!("{of} saddr"), Vec::new(), Vec::new())]);
    found.push(add);
    NamedSet {
        name: "set conns".to_owned(),
        head: format!("type {kind}; flags dynamic; size 64;"),
        elements: Vec::new(),
        asks: found,
        family: Some(family),
    }
}

/// nft's type for the addresses of a family.
pub(super) const fn address_type(family: Family) -> &'static str {
    match family {
        Family::Ip => "ipv4_addr",
        Family::Ip6 => "ipv6_addr",
    }
}

fn asks(name: &str, lefts: &[(String, Vec<Wish>, Vec<Wish>)]) -> Vec<Match> {
    let of = |(left, hits, near): &(String, Vec<Wish>, Vec<Wish>), negated: bool| Match {
        text: format!("{left} {}@{name}", if negated { "!= " } else { "" }),
        construct: "named set",
        wishes: Wishes {
            hits: hits.clone(),
            near: near.clone(),
        }
        .negated(negated),
    };
    lefts
        .iter()
        .flat_map(|left| [of(left, false), of(left, true)])
        .collect()
}

fn addresses(random: &mut Random, family: Family, name: &str) -> NamedSet {
    let interval = random.one_in(2);
    let pick = |random: &mut Random| {
        if random.one_in(2) {
            local(random, family)
        } else {
            source(random, family)
        }
    };
    let most = random.pick(&[1, 5, 40]);
    let mut spans = if random.one_in(LARGE_ONE_IN) {
        large(random, family)
    } else {
        spans(random, most, pick)
    };
    if !interval {
        spans.iter_mut().for_each(|span| span.1 = span.0);
    }
    let elements: Vec<String> = spans
        .iter()
        .map(|span| address_span(random, family, *span))
        .collect();
    let kind = address_type(family);
    let flags = if interval { " flags interval;" } else { "" };
    let lefts =
        [("saddr", Aim::Saddr(family)), ("daddr", Aim::Daddr(family))].map(|(word, aim)| {
            let (hits, near) = beside(random, &spans, |value| vec![(aim, value)]);
            (format!("{} {word}", header(family)), hits, near)
        });
    NamedSet {
        name: format!("set {name}"),
        head: format!("type {kind};{flags}"),
        elements,
        asks: asks(name, &lefts),
        family: Some(family),
    }
}

/// [`LARGE`] spans of a few addresses, all over the place.
fn large(random: &mut Random, family: Family) -> Vec<Span> {
    let bits = match family {
        Family::Ip => 31,
        Family::Ip6 => 64,
    };
    let mask = u128::MAX >> (128 - bits);
    // Some are merged.
    let many = (0..LARGE + LARGE / 50).map(|_| {
        let first = source(random, family) ^ (u128::from(random.next()) & mask);
        (first, first | random.pick(&[0, 1, 3, 6]))
    });
    let mut spans = merged(many.collect());
    spans.truncate(LARGE);
    spans
}

fn ports(random: &mut Random, name: &str) -> NamedSet {
    let interval = random.one_in(2);
    let mut spans = spans(random, 8, port);
    if !interval {
        spans.iter_mut().for_each(|span| span.1 = span.0);
    }
    let elements: Vec<String> = spans.iter().copied().map(number_span).collect();
    let flags = if interval { " flags interval;" } else { "" };
    let fields = [
        ("tcp dport", 6, Aim::Dport),
        ("udp dport", 17, Aim::Dport),
        ("tcp sport", 6, Aim::Sport),
        ("th dport", 17, Aim::Dport),
    ];
    let lefts = fields.map(|(left, protocol, aim)| {
        let wish = |value| vec![(Aim::Protocol, protocol), (aim, value)];
        let (hits, near) = beside(random, &spans, wish);
        (left.to_owned(), hits, near)
    });
    NamedSet {
        name: format!("set {name}"),
        head: format!("type inet_service;{flags}"),
        elements,
        asks: asks(name, &lefts),
        family: None,
    }
}

/// A set of source addresses with ports.
fn pairs(random: &mut Random, family: Family, name: &str) -> NamedSet {
    let interval = random.one_in(2);
    let mut spans = spans(random, 8, |random| source(random, family));
    if !interval {
        spans.iter_mut().for_each(|span| span.1 = span.0);
    }
    let ports: Vec<u128> = spans.iter().map(|_| port(random)).collect();
    let rows = || spans.iter().zip(&ports);
    let elements: Vec<String> = rows()
        .map(|(span, port)| format!("{} . {port}", address_span(random, family, *span)))
        .collect();
    let wish = |address: u128, port: u128| {
        vec![
            (Aim::Protocol, 6),
            (Aim::Saddr(family), address),
            (Aim::Dport, port),
        ]
    };
    let hits = rows().map(|(span, port)| wish(span.1, *port)).collect();
    let near = rows().map(|(span, port)| wish(span.0, *port ^ 1)).collect();
    let kind = format!("{} . inet_service;", address_type(family));
    let flags = if interval { " flags interval;" } else { "" };
    let left = format!("{} saddr . tcp dport", header(family));
    NamedSet {
        name: format!("set {name}"),
        head: format!("type {kind}{flags}"),
        elements,
        asks: asks(name, &[(left, hits, near)]),
        family: Some(family),
    }
}

/// Wishes for the values inside of spans and just outside; of many spans, for some.
fn beside(
    random: &mut Random,
    spans: &[Span],
    wish: impl Fn(u128) -> Wish,
) -> (Vec<Wish>, Vec<Wish>) {
    let mut wishes = (Vec::new(), Vec::new());
    for _ in 0..spans.len().min(16) {
        let span = random.pick(spans);
        let (inside, outside) = edges(random, span);
        wishes.0.extend(inside.map(&wish));
        wishes.1.extend(outside.map(&wish));
    }
    wishes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losing this, sets of that size would be merged into a few spans, as they once were.
    #[test]
    fn a_large_set_has_all_its_elements() {
        let mut random = Random::new(1);
        for family in Family::BOTH {
            assert_eq!(large(&mut random, family).len(), LARGE);
        }
    }

    #[test]
    fn what_is_not_declared_is_added() {
        let elements = (0..2 * DECLARED_MAX + 1).map(|it| it.to_string()).collect();
        let set = NamedSet::object("map m".to_owned(), "type mark : mark;".to_owned(), elements);
        let additions: Vec<String> = set.additions("ip t").collect();
        let texts = [&[set.declaration()][..], &additions].concat();
        let counts: Vec<usize> = texts.iter().map(|it| it.split(", ").count()).collect();
        assert_eq!(counts, [DECLARED_MAX, DECLARED_MAX, 1]);
        assert!(
            additions[1].starts_with("add element ip t m { "),
            "{}",
            additions[1]
        );
    }
}
