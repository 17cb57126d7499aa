//! The smallest round that still shows a difference.

use std::time::{Duration, Instant};

use crate::draw::Ruleset;
use crate::judge::Difference;
use crate::round::Ring;
use crate::shots::Salvo;

/// How long it goes on.
const TIME: Duration = Duration::from_secs(20);

/// Takes away packets, tables, chains, rules, pieces of rules, sets and their elements as long as a
/// difference remains.
pub fn minimise(ring: &mut Ring, mut rules: Ruleset, mut salvo: Salvo) -> (Ruleset, Salvo) {
    let end = Instant::now() + TIME;
    loop {
        let before = size(&rules, &salvo);
        fewer(salvo.shots.len(), end, |from, count| {
            let mut less = salvo.clone();
            less.shots.drain(from..from + count);
            let still = differs(ring, &rules, &less);
            if still {
                salvo = less;
            }
            still
        });
        for (table, set) in large(&rules) {
            let length = rules.tables[table].sets[set].elements.len();
            fewer(length, end, |from, count| {
                let mut less = rules.clone();
                let elements = &mut less.tables[table].sets[set].elements;
                elements.drain(from..from + count);
                let still = differs(ring, &less, &salvo);
                if still {
                    rules = less;
                }
                still
            });
        }
        while let Some(less) = pieces(&rules)
            .iter()
            .take_while(|_| Instant::now() < end)
            .map(|piece| piece.taken_from(&rules))
            .find(|less| differs(ring, less, &salvo))
        {
            rules = less;
        }
        fewer(salvo.before.len(), end, |from, count| {
            let mut less = salvo.clone();
            less.before.drain(from..from + count);
            let still = differs(ring, &rules, &less);
            if still {
                salvo = less;
            }
            still
        });
        if size(&rules, &salvo) == before || Instant::now() > end {
            return (rules, salvo);
        }
    }
}

/// Tries to take away pieces of a list of `length` until `end`, the largest first.
fn fewer(mut length: usize, end: Instant, mut take: impl FnMut(usize, usize) -> bool) {
    let mut piece = length.div_ceil(2);
    while piece > 0 {
        let mut from = 0;
        while from < length {
            if Instant::now() > end {
                return;
            }
            let count = piece.min(length - from);
            if take(from, count) {
                length -= count;
            } else {
                from += count;
            }
        }
        piece /= 2;
    }
}

/// The sets with more elements than one, by table and position.
fn large(rules: &Ruleset) -> Vec<(usize, usize)> {
    let tables = rules.tables.iter().enumerate();
    let sets = tables.flat_map(|(table, it)| it.sets.iter().enumerate().map(move |it| (table, it)));
    let large = sets.filter(|(_, (_, set))| set.elements.len() > 1);
    large.map(|(table, (set, _))| (table, set)).collect()
}

fn size(rules: &Ruleset, salvo: &Salvo) -> (usize, usize, usize) {
    (rules.text().len(), salvo.shots.len(), salvo.before.len())
}

fn differs(ring: &mut Ring, rules: &Ruleset, salvo: &Salvo) -> bool {
    let round = ring.round(&rules.text(), salvo);
    round.is_ok_and(|judgement| {
        let listed = |it: &Difference| matches!(it, Difference::Listing(_));
        !judgement.differences.iter().all(listed)
    })
}

/// Something that a rule set can have less, by its position.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Table(usize),
    Set(usize, usize),
    /// The last chain of a table: the names of the others stay.
    Chain(usize),
    /// Every rule of a chain.
    Rules(usize, usize),
    Rule(usize, usize, usize),
    Part(usize, usize, usize, usize),
}

/// Everything that it can have less, the largest first.
fn pieces(rules: &Ruleset) -> Vec<Piece> {
    let mut found = Vec::new();
    for (at, table) in rules.tables.iter().enumerate() {
        if rules.tables.len() > 1 {
            found.push(Piece::Table(at));
        }
        found.extend((0..table.sets.len()).map(|set| Piece::Set(at, set)));
        if table.chains.len() > 1 {
            found.push(Piece::Chain(at));
        }
        for (chain, it) in table.chains.iter().enumerate() {
            if it.rules.len() > 1 {
                found.push(Piece::Rules(at, chain));
            }
            for (rule, it) in it.rules.iter().enumerate() {
                found.push(Piece::Rule(at, chain, rule));
                let parts = if it.parts.len() > 1 {
                    it.parts.len()
                } else {
                    0
                };
                found.extend((0..parts).map(|part| Piece::Part(at, chain, rule, part)));
            }
        }
    }
    found
}

impl Piece {
    /// The rule set without it.
    fn taken_from(self, rules: &Ruleset) -> Ruleset {
        let mut less = rules.clone();
        let tables = &mut less.tables;
        match self {
            Self::Table(at) => drop(tables.remove(at)),
            Self::Set(at, set) => drop(tables[at].sets.remove(set)),
            Self::Chain(at) => drop(tables[at].chains.pop()),
            Self::Rules(at, chain) => tables[at].chains[chain].rules.clear(),
            Self::Rule(at, chain, rule) => drop(tables[at].chains[chain].rules.remove(rule)),
            Self::Part(at, chain, rule, part) => {
                tables[at].chains[chain].rules[rule].parts.remove(part);
            }
        }
        less
    }
}
