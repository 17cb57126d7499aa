//! One process of a campaign: rounds, one after the other, and a line of JSON for what came of them.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::draw::{self, Ruleset};
use crate::judge::Judgement;
use crate::minimise::minimise;
use crate::random::Random;
use crate::round::Ring;
use crate::shots::{self, Salvo};
use crate::tally::Tally;

/// What a worker tells.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum News {
    /// Since the last time it has done this.
    Done(Tally),
    /// It has found a difference: the case, made small.
    Found(String),
    /// nft has refused a rule set.
    Refused(String),
}

/// What a worker shall do.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    /// What the whole campaign begins with.
    pub seed: u64,
    /// Its first round.
    pub first: u64,
    /// From one of its rounds to the next.
    pub step: u64,
    /// Its rounds, or none: as many as there is time for.
    pub rounds: Option<u64>,
    /// How long it may begin another round.
    pub time: Duration,
}

/// Packets of a round: few for many rule sets, many for a few.
const PACKETS: [usize; 8] = [200, 500, 500, 1000, 1000, 1000, 1500, 2500];

/// How often a worker tells.
const TELL: Duration = Duration::from_millis(500);

/// Does what it shall.
///
/// # Errors
/// When there can be no machine here, or what it tells cannot be written.
pub fn work(orders: Orders) -> io::Result<()> {
    let mut ring = Ring::enter()?;
    let (start, mut told) = (Instant::now(), Instant::now());
    let mut tally = Tally::default();
    let mut round = 0;
    while start.elapsed() < orders.time && orders.rounds.is_none_or(|most| round < most) {
        let number = orders.first + round * orders.step;
        let (rules, salvo) = plan(orders.seed, number);
        let name = format!("seed {}, round {number}", orders.seed);
        if let Some(news) = play(&mut ring, (name, rules, salvo), &mut tally) {
            tell(&news)?;
        }
        round += 1;
        if told.elapsed() > TELL {
            tell(&News::Done(std::mem::take(&mut tally)))?;
            told = Instant::now();
        }
    }
    tell(&News::Done(tally))
}

/// Rules and packets of a round: the same for the same numbers.
#[must_use]
pub fn plan(seed: u64, number: u64) -> (Ruleset, Salvo) {
    let mut random = Random::new(seed << 32 ^ number);
    let rules = draw::draw(&mut random);
    let count = random.pick(&PACKETS);
    let salvo = shots::salvo(&mut random, &rules, count);
    (rules, salvo)
}

/// Plays a round that is called `name`, and adds it to the tally.
fn play(
    ring: &mut Ring,
    (name, rules, salvo): (String, Ruleset, Salvo),
    tally: &mut Tally,
) -> Option<News> {
    let text = rules.text();
    let judgement = match ring.round(&text, &salvo) {
        Ok(judgement) => judgement,
        Err(error) => {
            tally.refused += 1;
            return Some(News::Refused(format!("{name}: {error}\n{text}")));
        }
    };
    count(&rules, &salvo, &judgement, tally);
    if judgement.differences.is_empty() {
        return None;
    }
    tally.differences += 1;
    let first: Vec<String> = judgement
        .differences
        .iter()
        .map(|it| format!("# {it}\n"))
        .collect();
    let (rules, salvo) = minimise(ring, rules, salvo);
    let text = rules.text();
    let again = ring.round(&text, &salvo).unwrap_or(judgement);
    let mut case = Case::text(&name, &text, &salvo, &again);
    if again.differences.is_empty() {
        case += "# not found again; the first time:\n";
        case.extend(first);
    }
    Some(News::Found(case))
}

/// Adds what a round has shown.
fn count(rules: &Ruleset, salvo: &Salvo, judgement: &Judgement, tally: &mut Tally) {
    tally.rulesets += 1;
    tally.packets += salvo.shots.len() as u64;
    tally.verdicts += judgement.verdicts;
    tally.certain += judgement.certain;
    for rule in rules
        .tables
        .iter()
        .flat_map(|it| &it.chains)
        .flat_map(|it| &it.rules)
    {
        tally.rules += 1;
        for construct in &rule.constructs {
            tally
                .constructs
                .entry((*construct).to_owned())
                .or_default()
                .0 += 1;
        }
    }
    for ((family, table, chain, index), done) in &judgement.done {
        let index = usize::try_from(*index).unwrap_or(usize::MAX);
        let rule = rules.rule(family, table, chain, index);
        for construct in rule.iter().flat_map(|rule| &rule.constructs) {
            tally
                .constructs
                .entry((*construct).to_owned())
                .or_default()
                .1 += done;
        }
    }
}

fn tell(news: &News) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, news)?;
    out.write_all(b"\n")?;
    out.flush()
}
