//! Random matches: every field that the model knows exactly, in every way nft has to compare it.

use portreeve_model::address::Family;
use portreeve_model::packet::Hook;

use super::aim::{Aim, NO_EXTENSION, Wishes};
use super::concatenation::concatenation;
use super::connection::connection;
use super::numeric::{Numeric, plain};
use super::surroundings::{fib, interface, mark};
use super::theme::{Theme, header};
use super::transport::{icmp_fields, ports, tcp_flags, transport_ports};
use super::values::{address_span, local, remote, source};
use crate::random::Random;

/// A match as nft text.
#[derive(Clone, Debug)]
pub struct Match {
    /// What it says.
    pub text: String,
    /// Which construct it shows.
    pub construct: &'static str,
    /// Packets for which it holds.
    pub wishes: Wishes,
}

/// A random match for a rule with this theme.
pub fn draw(random: &mut Random, theme: &Theme) -> Match {
    match (random.up_to(30), theme.protocol) {
        (0..=9, Some((_, 1 | 58))) => icmp_fields(random, theme),
        (0..=4, Some((_, 6))) => tcp_flags(random),
        (0..=9, Some((name, number))) => ports(random, name, number),
        (6..=9, None) if theme.echo => transport_ports(random),
        (0..=9, None) => protocol(random, theme),
        (10..=14, _) => address(random, theme),
        (15, _) => hop_limit(random, theme),
        (16, _) if random.one_in(3) => fragment(random, theme),
        (16, _) if random.one_in(4) => number(random, theme),
        (16, _) => class(random, theme),
        (17, _) => length(random, theme),
        (18..=20, _) => interface(random, &theme.place),
        (21, _) => mark(random),
        (22..=25, _) => connection(random, theme),
        (26, _) => fib(random, theme),
        _ => match theme.ports_word() {
            Some(ports) => concatenation(random, theme, ports),
            None => address(random, theme),
        },
    }
}

fn address(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let of_source = random.one_in(2);
    let pick = move |random: &mut Random| an_address(random, family, of_source, theme.place.hook);
    let (word, aim) = if of_source {
        ("saddr", Aim::Saddr(family))
    } else {
        ("daddr", Aim::Daddr(family))
    };
    Numeric {
        left: format!("{} {word}", header(family)),
        construct: "address",
        max: match family {
            Family::Ip => u32::MAX.into(),
            Family::Ip6 => u128::MAX,
        },
        pick: &pick,
        write: &|random, span| address_span(random, family, span),
        wish: &|value| vec![(aim, value)],
        masks: true,
    }
    .draw(random)
}

/// An address as packets at the hook have it.
pub fn an_address(random: &mut Random, family: Family, of_source: bool, hook: Hook) -> u128 {
    let goes_out = matches!(hook, Hook::Forward | Hook::Output | Hook::Postrouting);
    match (of_source, goes_out) {
        (true, _) => source(random, family),
        (false, true) => remote(random, family),
        (false, false) => local(random, family),
    }
}

fn protocol(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    // After any other protocol nft 1.0.6 lists `th` wrongly, or leaves the protocol out.
    let values: &[u128] = if theme.echo {
        &[6, 17, 33, 132, 136]
    } else {
        &[1, 6, 17, 33, 47, 58, 132, 136, 255]
    };
    let pick = |random: &mut Random| random.pick(values);
    let left = match (random.up_to(4), family) {
        (0, Family::Ip) => "ip protocol",
        // nft 1.0.6 leaves it out before ports, where it is not the same in a fragment.
        (0, Family::Ip6) if !theme.echo => "ip6 nexthdr",
        (1, _) => return nfproto(random, theme),
        _ => "meta l4proto",
    };
    Numeric {
        left: left.to_owned(),
        construct: "protocol",
        max: 0xff,
        pick: &pick,
        write: &plain,
        wish: &|value| vec![(Aim::Protocol, value)],
        masks: false,
    }
    .draw(random)
}

fn nfproto(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let (nfproto, ethertype) = match family {
        Family::Ip => ("ipv4", "ip"),
        Family::Ip6 => ("ipv6", "ip6"),
    };
    let inet = theme.place.families.len() > 1;
    let negated = inet && random.one_in(3);
    let operator = if negated { "!= " } else { "" };
    let text = if inet && random.one_in(2) {
        format!("meta nfproto {operator}{nfproto}")
    } else {
        format!("meta protocol {operator}{ethertype}")
    };
    let other = match family {
        Family::Ip => Family::Ip6,
        Family::Ip6 => Family::Ip,
    };
    Match {
        text,
        construct: "family",
        wishes: Wishes::of(
            vec![(Aim::Family(family), 0)],
            vec![(Aim::Family(other), 0)],
        )
        .negated(negated),
    }
}

fn hop_limit(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let word = match family {
        Family::Ip => "ip ttl",
        Family::Ip6 => "ip6 hoplimit",
    };
    Numeric {
        left: word.to_owned(),
        construct: "hop limit",
        max: 0xff,
        pick: &|random| random.pick(&[1, 2, 63, 64, 128, 254, 255]),
        write: &plain,
        wish: &|value| vec![(Aim::Family(family), 0), (Aim::HopLimit, value)],
        masks: false,
    }
    .draw(random)
}

fn class(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let (word, aim, max) = random.pick(&[("dscp", Aim::Dscp, 63), ("ecn", Aim::Ecn, 3)]);
    Numeric {
        left: format!("{} {word}", header(family)),
        construct: "dscp and ecn",
        max,
        pick: &|random| random.pick(&[0, 1, 2, 3, 8, 10, 46, 63]).min(max),
        write: &plain,
        wish: &|value| vec![(Aim::Family(family), 0), (aim, value)],
        masks: false,
    }
    .draw(random)
}

fn fragment(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let (text, opposite) = match family {
        Family::Ip => random.pick(&[
            ("ip frag-off & 0x1fff != 0", false),
            ("ip frag-off & 0x1fff == 0", true),
            ("ip frag-off & 0x2000 != 0", false),
        ]),
        Family::Ip6 if random.one_in(2) => return extension(random),
        Family::Ip6 => random.pick(&[("exthdr frag exists", false), ("exthdr frag missing", true)]),
    };
    let wish = |value| vec![(Aim::Family(family), 0), (Aim::Fragment, value)];
    Match {
        text: text.to_owned(),
        construct: "fragment",
        wishes: Wishes::of(wish(1), wish(0)).negated(opposite),
    }
}

/// An extension header of IPv6.
fn extension(random: &mut Random) -> Match {
    let headers = [("hbh", 0_u8), ("dst", 60), ("rt", 43), ("mh", 135)];
    let (name, number) = random.pick(&headers);
    let (word, opposite) = random.pick(&[("exists", false), ("missing", true)]);
    let family = (Aim::Family(Family::Ip6), 0);
    let wish = |number: u128| vec![family, (Aim::Extension, number)];
    Match {
        text: format!("exthdr {name} {word}"),
        construct: "extension header",
        wishes: Wishes::of(wish(number.into()), wish(NO_EXTENSION)).negated(opposite),
    }
}

/// What numbers the packet for its family, which is also how packets are told from each other here.
fn number(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    let (left, max) = match family {
        Family::Ip => ("ip id", 0xffff),
        Family::Ip6 => ("ip6 flowlabel", 0xf_ffff),
    };
    Numeric {
        left: left.to_owned(),
        construct: "ip id and flowlabel",
        max,
        pick: &|random| random.pick(&[1, 2, 100, 0x1fff, 0x2000, 0x7fff, 0x8000, 0xffff]),
        write: &plain,
        wish: &|_| vec![(Aim::Family(family), 0)],
        // nft 1.0.6 lists a mask of the flow label wrongly.
        masks: family == Family::Ip,
    }
    .draw(random)
}

fn length(random: &mut Random, theme: &Theme) -> Match {
    let family = theme.family;
    // IPv6 says how much comes after its header.
    let (left, less) = match (random.up_to(2), family) {
        (0, Family::Ip) => ("ip length", 0),
        (0, Family::Ip6) => ("ip6 length", 40),
        _ => ("meta length", 0),
    };
    Numeric {
        left: left.to_owned(),
        construct: "length",
        max: 0xffff,
        pick: &|random| random.pick(&[8, 20, 28, 40, 48, 60, 68, 100, 1000]),
        write: &plain,
        wish: &|value| vec![(Aim::Family(family), 0), (Aim::Length, value + less)],
        masks: true,
    }
    .draw(random)
}
