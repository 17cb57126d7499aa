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
    let start = Instant::now();
    let mut differs =
        |rules: &Ruleset, salvo: &Salvo| start.elapsed() < TIME && differs(ring, rules, salvo);
    loop {
        let before = size(&rules, &salvo);
        fewer(&mut salvo.shots.len(), |from, count| {
            let mut less = salvo.clone();
            less.shots.drain(from..from + count);
            let still = differs(&rules, &less);
            if still {
                salvo = less;
            }
            still
        });
        while let Some(less) = smaller(&rules).into_iter().find(|it| differs(it, &salvo)) {
            rules = less;
        }
        for (table, set) in large(&rules) {
            let mut length = rules.tables[table].sets[set].elements.len();
            fewer(&mut length, |from, count| {
                let mut less = rules.clone();
                let elements = &mut less.tables[table].sets[set].elements;
                elements.drain(from..from + count);
                let still = differs(&less, &salvo);
                if still {
                    rules = less;
                }
                still
            });
        }
        fewer(&mut salvo.before.len(), |from, count| {
            let mut less = salvo.clone();
            less.before.drain(from..from + count);
            let still = differs(&rules, &less);
            if still {
                salvo = less;
            }
            still
        });
        if size(&rules, &salvo) == before || start.elapsed() > TIME {
            return (rules, salvo);
        }
    }
}

/// Tries to take away pieces of a list of `length`, the largest first.
fn fewer(length: &mut usize, mut take: impl FnMut(usize, usize) -> bool) {
    let mut piece = length.div_ceil(2);
    while piece > 0 {
        let mut from = 0;
        while from < *length {
            let count = piece.min(*length - from);
            if take(from, count) {
                *length -= count;
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

/// Every rule set that has one thing less.
fn smaller(rules: &Ruleset) -> Vec<Ruleset> {
    let mut found = Vec::new();
    let mut without = |change: &mut dyn FnMut(&mut Ruleset)| {
        let mut less = rules.clone();
        change(&mut less);
        found.push(less);
    };
    for at in 0..rules.tables.len() {
        without(&mut |less| drop(less.tables.remove(at)));
        for set in 0..rules.tables[at].sets.len() {
            without(&mut |less| drop(less.tables[at].sets.remove(set)));
        }
        for chain in 0..rules.tables[at].chains.len() {
            let count = rules.tables[at].chains[chain].rules.len();
            if count > 1 {
                without(&mut |less| less.tables[at].chains[chain].rules.clear());
            }
            for rule in 0..count {
                without(&mut |less| drop(less.tables[at].chains[chain].rules.remove(rule)));
                let parts = rules.tables[at].chains[chain].rules[rule].parts.len();
                for part in 0..if parts > 1 { parts } else { 0 } {
                    without(&mut |less| {
                        less.tables[at].chains[chain].rules[rule].parts.remove(part);
                    });
                }
            }
        }
        // The names of the others stay.
        without(&mut |less| drop(less.tables[at].chains.pop()));
    }
    found.retain(|less| {
        !less.tables.is_empty() && less.tables.iter().all(|it| !it.chains.is_empty())
    });
    found
}
