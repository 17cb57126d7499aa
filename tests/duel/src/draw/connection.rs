//! Random matches on what conntrack says of a packet.

use portreeve_model::address::Family;
use portreeve_model::packet::CtState;

use super::aim::{Aim, Wishes};
use super::matches::{Match, an_address};
use super::numeric::{Numeric, plain};
use super::theme::{Theme, header};
use super::values::{address_span, port};
use crate::observer::MARKS;
use crate::random::Random;

/// What conntrack says.
pub(super) fn connection(random: &mut Random, theme: &Theme) -> Match {
    match random.up_to(10) {
        0..=5 => state(random),
        6 => {
            let (name, number) = random.pick(&[("original", 0), ("reply", 1)]);
            let established = (Aim::State(CtState::Established), 0);
            let wish = |number| vec![established, (Aim::Direction, number)];
            Match {
                text: format!("ct direction {name}"),
                construct: "ct direction",
                wishes: Wishes::of(wish(number), wish(1 - number)),
            }
        }
        7 => {
            let negated = random.one_in(2);
            let flag = random.pick(&[
                "seen-reply",
                "confirmed",
                "expected",
                "dying",
                "snat",
                "dnat",
            ]);
            Match {
                text: format!("ct status {}{flag}", if negated { "!= " } else { "" }),
                construct: "ct status",
                wishes: Wishes::of(
                    vec![(Aim::State(CtState::Established), 0)],
                    vec![(Aim::State(CtState::New), 0)],
                )
                .negated(negated),
            }
        }
        8 => Numeric {
            left: "ct mark".to_owned(),
            construct: "ct mark",
            max: u32::MAX.into(),
            pick: &|random| random.pick(&MARKS).into(),
            write: &plain,
            wish: &|_| vec![(Aim::State(CtState::New), 0)],
            masks: true,
        }
        .draw(random),
        _ => tuple(random, theme),
    }
}

/// The addresses and ports that conntrack knows the connection by.
fn tuple(random: &mut Random, theme: &Theme) -> Match {
    let direction = random.pick(&["original", "reply"]);
    let family = theme.family;
    let is_new = (Aim::State(CtState::New), 0);
    if let Some((name, number)) = theme.with_ports() {
        let (word, aim, other) = random.pick(&[
            ("proto-src", Aim::Sport, Aim::Dport),
            ("proto-dst", Aim::Dport, Aim::Sport),
        ]);
        let aim = if direction == "original" { aim } else { other };
        return Numeric {
            left: format!("meta l4proto {name} ct {direction} {word}"),
            construct: "ct tuple",
            max: 0xffff,
            pick: &port,
            write: &plain,
            wish: &|value| vec![(Aim::Protocol, number), is_new, (aim, value)],
            masks: false,
        }
        .draw(random);
    }
    if family == Family::Ip6 {
        // nft 1.0.6 dies over these when it lists them as JSON (`symbolic_constant_json`).
        return state(random);
    }
    let saddr = random.one_in(2);
    let word = if saddr { "saddr" } else { "daddr" };
    let of_source = saddr == (direction == "original");
    let aim = if of_source {
        Aim::Saddr(family)
    } else {
        Aim::Daddr(family)
    };
    Numeric {
        left: format!("ct {direction} {} {word}", header(family)),
        construct: "ct tuple",
        max: match family {
            Family::Ip => u32::MAX.into(),
            Family::Ip6 => u128::MAX,
        },
        pick: &|random| an_address(random, family, of_source, theme.place.hook),
        write: &|random, span| address_span(random, family, span),
        wish: &|value| vec![is_new, (aim, value)],
        masks: false,
    }
    .draw(random)
}

fn state(random: &mut Random) -> Match {
    let states = random.some_of(&CtState::ALL);
    let states = &states[..states.len().min(1 + random.up_to(3))];
    let words: Vec<&str> = states.iter().map(|it| it.keyword()).collect();
    let negated = random.one_in(4);
    let operator = if negated { "!= " } else { "" };
    let text = if random.one_in(2) {
        format!("ct state {operator}{{ {} }}", words.join(", "))
    } else {
        format!("ct state {operator}{}", words.join(","))
    };
    let (hits, near): (Vec<CtState>, Vec<CtState>) =
        CtState::ALL.iter().partition(|it| states.contains(it));
    let wish = |state: CtState| vec![(Aim::State(state), 0)];
    let wishes = Wishes {
        hits: hits.into_iter().map(wish).collect(),
        near: near.into_iter().map(wish).collect(),
    };
    Match {
        text,
        construct: "ct state",
        wishes: wishes.negated(negated),
    }
}
