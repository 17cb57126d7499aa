//! The smallest round that still shows a difference.

use std::time::{Duration, Instant};

use crate::draw::Ruleset;
use crate::judge::Difference;
use crate::round::Ring;
use crate::shots::Salvo;

/// How long it goes on.
const TIME: Duration = Duration::from_secs(10);

/// Takes away packets, tables, chains, rules and sets as long as a difference remains.
pub fn minimise(ring: &mut Ring, mut rules: Ruleset, mut salvo: Salvo) -> (Ruleset, Salvo) {
    let start = Instant::now();
    loop {
        let before = size(&rules, &salvo);
        fewer(&mut salvo.shots.len(), |from, count| {
            let mut less = salvo.clone();
            less.shots.drain(from..from + count);
            let still = differs(ring, &rules, &less);
            if still {
                salvo = less;
            }
            still
        });
        while let Some(less) = smaller(&rules)
            .into_iter()
            .find(|it| start.elapsed() < TIME && differs(ring, it, &salvo))
        {
            rules = less;
        }
        fewer(&mut salvo.before.len(), |from, count| {
            let mut less = salvo.clone();
            less.before.drain(from..from + count);
            let still = differs(ring, &rules, &less);
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

fn size(rules: &Ruleset, salvo: &Salvo) -> (usize, usize, usize) {
    (rules.text().len(), salvo.shots.len(), salvo.before.len())
}

fn differs(ring: &mut Ring, rules: &Ruleset, salvo: &Salvo) -> bool {
    let round = ring.round(&rules.text(), salvo);
    round.is_ok_and(|judgement| {
        let listed = |it: &Difference| matches!(it, Difference::Listing(_));
        !judgement.differences.is_empty() && !judgement.differences.iter().all(listed)
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
