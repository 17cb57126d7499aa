//! Random comparisons of a field of numbers, in every way nft has.

use super::aim::{Wish, Wishes};
use super::matches::Match;
use super::values::{Span, edges, number_span, spans};
use crate::random::Random;

/// A field of numbers: how it is written, and what a packet needs to have a value there.
pub struct Numeric<'a> {
    /// The left side.
    pub left: String,
    /// Which construct it shows.
    pub construct: &'static str,
    /// The highest value.
    pub max: u128,
    /// A value.
    pub pick: &'a dyn Fn(&mut Random) -> u128,
    /// How a span is written.
    pub write: &'a dyn Fn(&mut Random, Span) -> String,
    /// What gives a packet the value.
    pub wish: &'a dyn Fn(u128) -> Wish,
    /// Whether bits can be masked.
    pub masks: bool,
}

impl Numeric<'_> {
    /// A comparison of it with something.
    pub fn draw(&self, random: &mut Random) -> Match {
        let forms = if self.masks { 7 } else { 6 };
        match random.up_to(forms) {
            0 | 1 => {
                let value = (self.pick)(random);
                self.with(random, vec![(value, value)], false)
            }
            2 => {
                let (one, other) = ((self.pick)(random), (self.pick)(random));
                let span = (one.min(other), one.max(other));
                self.with(random, vec![span], false)
            }
            3 | 4 => {
                let spans = spans(random, 5, self.pick);
                self.with(random, spans, true)
            }
            5 => self.order(random),
            _ => self.bits(random),
        }
    }

    /// Whether it is in these spans.
    fn with(&self, random: &mut Random, spans: Vec<Span>, braces: bool) -> Match {
        if spans == [(0, self.max)] {
            return self.draw(random);
        }
        let negated = random.one_in(4);
        let texts: Vec<String> = spans.iter().map(|it| (self.write)(random, *it)).collect();
        let operator = if negated { "!= " } else { "" };
        let list = texts.join(", ");
        let (open, close) = if braces { ("{ ", " }") } else { ("", "") };
        Match {
            text: format!("{} {operator}{open}{list}{close}", self.left),
            construct: self.construct,
            wishes: self.wishes(random, &spans).negated(negated),
        }
    }

    /// Whether it is less or more than something.
    fn order(&self, random: &mut Random) -> Match {
        let value = (self.pick)(random).clamp(1, self.max - 1);
        let (operator, span) = random.pick(&[
            ("<", (0, value - 1)),
            ("<=", (0, value)),
            (">", (value + 1, self.max)),
            (">=", (value, self.max)),
        ]);
        let value = (self.write)(random, (value, value));
        Match {
            text: format!("{} {operator} {value}", self.left),
            construct: self.construct,
            wishes: self.wishes(random, &[span]),
        }
    }

    /// Whether some of its bits are those of a value.
    fn bits(&self, random: &mut Random) -> Match {
        let value = (self.pick)(random);
        let random_mask = u128::from(random.next()) << 64 | u128::from(random.next());
        let mask = random.pick(&[random_mask, self.max ^ 0xff, 0xff, self.max >> 1]) & self.max;
        let mask = if mask == 0 { self.max } else { mask };
        let negated = random.one_in(4);
        let operator = if negated { "!=" } else { "==" };
        let masked = value & mask;
        let lowest = mask & mask.wrapping_neg();
        let written = [mask, masked].map(|it| (self.write)(random, (it, it)));
        Match {
            text: format!("{} & {} {operator} {}", self.left, written[0], written[1]),
            construct: "mask",
            wishes: Wishes {
                hits: vec![(self.wish)(value), (self.wish)(masked)],
                near: vec![(self.wish)(value ^ lowest)],
            }
            .negated(negated),
        }
    }

    fn wishes(&self, random: &mut Random, spans: &[Span]) -> Wishes {
        let mut wishes = Wishes::default();
        for span in spans {
            let (inside, outside) = edges(random, *span);
            wishes.hits.extend(inside.map(self.wish));
            let is_in = |value: u128| spans.iter().any(|(a, b)| *a <= value && value <= *b);
            let out = outside
                .into_iter()
                .filter(|it| *it <= self.max && !is_in(*it));
            wishes.near.extend(out.map(self.wish));
        }
        wishes
    }
}

/// A span of numbers, as nft writes it.
pub(super) fn plain(_: &mut Random, span: Span) -> String {
    number_span(span)
}
