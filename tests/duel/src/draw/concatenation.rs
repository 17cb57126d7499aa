//! Random matches on several fields at once.

use super::aim::{Aim, Wish, Wishes};
use super::matches::{Match, an_address};
use super::theme::{Theme, header};
use super::values::{Span, address_span, address_text, port, spans};
use crate::observer::MARKS;
use crate::random::Random;

/// A part of a concatenation.
struct Column {
    left: String,
    texts: Vec<String>,
    wishes: Vec<Wish>,
}

/// Several fields looked up at once.
pub(super) fn concatenation(random: &mut Random, theme: &Theme, ports: (&str, u128)) -> Match {
    let columns = columns(random, theme, ports);
    let rows = columns[0].texts.len();
    let lefts: Vec<&str> = columns.iter().map(|it| it.left.as_str()).collect();
    let mut texts: Vec<String> = (0..rows)
        .map(|row| {
            let parts: Vec<&str> = columns.iter().map(|it| it.texts[row].as_str()).collect();
            parts.join(" . ")
        })
        .collect();
    texts.sort();
    texts.dedup();
    let negated = random.one_in(5);
    let hits = (0..rows).map(|row| {
        columns
            .iter()
            .flat_map(|it| it.wishes[row].clone())
            .collect()
    });
    let crossed = (0..rows).map(|row| {
        let last = columns.len() - 1;
        let wish = |(at, column): (usize, &Column)| {
            column.wishes[if at == last { (row + 1) % rows } else { row }].clone()
        };
        columns.iter().enumerate().flat_map(wish).collect()
    });
    let wishes = Wishes {
        hits: hits.collect(),
        near: crossed.collect(),
    };
    let operator = if negated { "!= " } else { "" };
    Match {
        text: format!("{} {operator}{{ {} }}", lefts.join(" . "), texts.join(", ")),
        construct: match columns.len() {
            2 => "concatenation of 2",
            3 => "concatenation of 3",
            _ => "concatenation of 4",
        },
        wishes: wishes.negated(negated),
    }
}

/// Fields that go together, with as many values each. Elements with intervals may not overlap, so
/// only the first column has them, and each row a span of its own.
fn columns(random: &mut Random, theme: &Theme, ports: (&str, u128)) -> Vec<Column> {
    let family = theme.family;
    let (protocol, number) = ports;
    let pick = |random: &mut Random| an_address(random, family, true, theme.place.hook);
    let spans = spans(random, 4, pick);
    let with_spans = random.one_in(2);
    let values: Vec<Span> = spans
        .iter()
        .map(|(first, last)| (*first, if with_spans { *last } else { *first }))
        .collect();
    let rows = values.len();
    let mut columns = vec![Column {
        left: format!("{} saddr", header(family)),
        texts: values
            .iter()
            .map(|it| address_span(random, family, *it))
            .collect(),
        wishes: values
            .iter()
            .map(|it| vec![(Aim::Saddr(family), it.1)])
            .collect(),
    }];
    let ports: Vec<u128> = (0..rows).map(|_| port(random)).collect();
    columns.push(Column {
        left: format!("{protocol} dport"),
        texts: ports.iter().map(u128::to_string).collect(),
        wishes: ports
            .iter()
            .map(|it| vec![(Aim::Protocol, number), (Aim::Dport, *it)])
            .collect(),
    });
    for _ in 0..random.up_to(3) {
        columns.push(match random.up_to(3) {
            0 => {
                let values: Vec<u128> = (0..rows)
                    .map(|_| an_address(random, family, false, theme.place.hook))
                    .collect();
                Column {
                    left: format!("{} daddr", header(family)),
                    texts: values.iter().map(|it| address_text(family, *it)).collect(),
                    wishes: values
                        .iter()
                        .map(|it| vec![(Aim::Daddr(family), *it)])
                        .collect(),
                }
            }
            1 => {
                let values: Vec<u128> = (0..rows).map(|_| random.pick(&MARKS).into()).collect();
                Column {
                    left: "meta mark".to_owned(),
                    texts: values.iter().map(u128::to_string).collect(),
                    wishes: values.iter().map(|it| vec![(Aim::Mark, *it)]).collect(),
                }
            }
            _ => {
                let values: Vec<u128> = (0..rows).map(|_| port(random)).collect();
                Column {
                    left: format!("{protocol} sport"),
                    texts: values.iter().map(u128::to_string).collect(),
                    wishes: values.iter().map(|it| vec![(Aim::Sport, *it)]).collect(),
                }
            }
        });
    }
    columns
}
