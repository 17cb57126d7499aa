//! Holds the model against the kernel: every verdict, every counter, every answer.

use std::collections::HashMap;
use std::fmt;

use portreeve_model::evaluate::{Changes, Evaluation, HookVerdict, StepResult, evaluate_at};
use portreeve_model::field::Field;
use portreeve_model::packet::{Hook, Loaded, Packet};
use portreeve_model::tables::{Chain, Part, Rule, Table, Tables};

use crate::answer;
use crate::conntrack::Connections;
use crate::dissect::Dissected;
use crate::facts::{self, Route, goes_out, goes_out_somewhere, route};
use crate::listing::{self, RuleKey};
use crate::observer::{Observed, TABLE, notrack};
use crate::shots::{Salvo, Shot};

/// A difference between the kernel and the model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference {
    /// Whether a packet passes a hook.
    Verdict {
        /// The position of the packet.
        shot: usize,
        /// The hook.
        hook: Hook,
        /// Whether it did.
        kernel_accepts: bool,
        /// What the model says.
        model: String,
    },
    /// How many packets came to a counter.
    Counter {
        /// The rule, as the model says it.
        rule: String,
        /// Which counter of the rule, from 1.
        nth: usize,
        /// What the kernel has counted.
        kernel: u64,
        /// At least and at most, says the model.
        model: (u64, u64),
    },
    /// What the sender was told.
    Answer {
        /// The position of the packet.
        shot: usize,
        /// What the kernel answered.
        kernel: Option<String>,
        /// What the model says.
        model: Vec<Option<String>>,
    },
    /// The listing was not read.
    Listing(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict {
                shot,
                hook,
                kernel_accepts,
                model,
            } => {
                let did = if *kernel_accepts {
                    "passes"
                } else {
                    "does not pass"
                };
                write!(f, "packet {shot} {did} {hook}; the model: {model}")
            }
            Self::Counter {
                rule,
                nth,
                kernel,
                model: (least, most),
            } => write!(
                f,
                "counter {nth} of `{rule}` has counted {kernel}; the model: {least} to {most}"
            ),
            Self::Answer {
                shot,
                kernel,
                model,
            } => write!(
                f,
                "packet {shot} is answered {kernel:?}; the model: {model:?}"
            ),
            Self::Listing(error) => write!(f, "the listing is not read: {error}"),
        }
    }
}

/// What a round has shown.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// Verdicts that were compared.
    pub verdicts: u64,
    /// Verdicts that the model was certain of.
    pub certain: u64,
    /// Differences.
    pub differences: Vec<Difference>,
    /// Rules that did everything they say, with the number of packets they did it to.
    pub done: Vec<(RuleKey, u64)>,
    /// For each packet, the hooks that it passed.
    pub passed: Vec<Vec<Hook>>,
}

/// Compares what the kernel did with what the model says of the listing.
#[must_use]
pub fn judge(listing: &str, salvo: &Salvo, observed: &Observed) -> Judgement {
    let mut judgement = Judgement::default();
    let read = portreeve_nft::read(listing).map_err(|error| error.to_string());
    let counted = listing::counters(listing).map_err(|error| error.to_string());
    let (mut tables, counted) = match (read, counted) {
        (Ok(tables), Ok(counted)) => (tables, counted),
        (Err(error), _) | (_, Err(error)) => {
            judgement.differences.push(Difference::Listing(error));
            return judgement;
        }
    };
    tables.tables.retain(|table| table.name != TABLE);
    tables.tables.insert(0, notrack());
    let mut judge = Judge {
        tables: &tables,
        counters: HashMap::new(),
        done: HashMap::new(),
        observed,
        judgement,
    };
    let marks = |part: &Part| {
        matches!(
            part,
            Part::Assign {
                field: Field::CtMark,
                ..
            }
        )
    };
    let chains = tables.tables.iter().flat_map(|it| &it.chains);
    let marked = chains
        .flat_map(|it| &it.rules)
        .flat_map(|it| &it.parts)
        .any(marks);
    let mut connections = Connections::new(marked);
    for shot in &salvo.before {
        if let Some(parts) = Dissected::of(shot.packet()) {
            connections.prepare(&parts);
        }
    }
    for (nth, shot) in salvo.shots.iter().enumerate() {
        judge.shot(nth, shot, &mut connections);
    }
    judge.sums(&counted);
    judge.judgement
}

/// A rule by its chain and its position.
type RuleAt = (*const Chain, usize);

struct Judge<'a> {
    tables: &'a Tables,
    /// How many packets came to each counter, at least and at most: by rule and position in it.
    counters: HashMap<(RuleAt, usize), (u64, u64)>,
    /// How many packets came to the end of each rule.
    done: HashMap<RuleAt, u64>,
    observed: &'a Observed,
    judgement: Judgement,
}

impl Judge<'_> {
    /// Follows a packet through the machine.
    fn shot(&mut self, nth: usize, shot: &Shot, connections: &mut Connections) {
        let passed = |hook: &Hook| self.observed.passed(shot.number(), *hook);
        let passed = Hook::ALL.into_iter().filter(passed).collect();
        self.judgement.passed.push(passed);
        let Some(mut packet) = facts::packet(shot, connections) else {
            return;
        };
        self.observed.clock.tell(&mut packet);
        let first = packet.hook;
        let at = (nth, shot);
        let Some((changes, certain)) = self.hook(at, &packet, Changes::default(), true) else {
            return;
        };
        let way = destination(&packet, &changes);
        if first == Hook::Output {
            packet.hook = Hook::Postrouting;
            match way {
                Some(way) => goes_out(&mut packet, way),
                None => goes_out_somewhere(&mut packet),
            }
            self.hook(at, &packet, changes, certain);
            return;
        }
        match way {
            None => {
                packet.hook = Hook::Input;
                self.hook(at, &packet, changes.clone(), false);
                self.forward(at, packet, (changes, false), None);
            }
            // Fragments of IPv4 wait for the others first.
            Some(Route::Here | Route::Everybody | Route::Group(true))
                if facts::is_fragment(&packet) => {}
            Some(Route::Here | Route::Everybody | Route::Group(true)) => {
                packet.hook = Hook::Input;
                self.hook(at, &packet, changes, certain);
            }
            // What the link layer addressed to others as well is not forwarded.
            Some(Route::Out(_)) if packet.facts.get(&Field::Pkttype) != Some(&TO_HOST) => {}
            Some(Route::Out(_)) => self.forward(at, packet, (changes, certain), way),
            Some(Route::Group(false) | Route::Barred(_) | Route::Nowhere) => {}
        }
    }

    /// Follows a packet that is not for this machine.
    fn forward(
        &mut self,
        at: (usize, &Shot),
        mut packet: Packet,
        (changes, certain): (Changes, bool),
        way: Option<Route>,
    ) {
        packet.hook = Hook::Forward;
        packet.hop_limit = packet.hop_limit.saturating_sub(1);
        match way {
            Some(way) => goes_out(&mut packet, way),
            None => goes_out_somewhere(&mut packet),
        }
        if let Some((changes, certain)) = self.hook(at, &packet, changes, certain) {
            packet.hook = Hook::Postrouting;
            self.hook(at, &packet, changes, certain);
        }
    }

    /// Compares at one hook; what the packet is like afterwards, if it passed.
    fn hook(
        &mut self,
        (nth, shot): (usize, &Shot),
        packet: &Packet,
        changes: Changes,
        certain: bool,
    ) -> Option<(Changes, bool)> {
        let evaluation = evaluate_at(self.tables, packet, packet.hook, changes);
        self.count(&evaluation, certain);
        let passed = self.observed.passed(shot.number(), packet.hook);
        let sure = evaluation.must_accept() || evaluation.must_drop();
        self.judgement.verdicts += 1;
        self.judgement.certain += u64::from(sure && certain);
        let mut fates = evaluation.fates.iter();
        let possible = fates.any(|fate| (fate.verdict == HookVerdict::Accept) == passed);
        if certain && !possible {
            self.judgement.differences.push(Difference::Verdict {
                shot: nth,
                hook: packet.hook,
                kernel_accepts: passed,
                model: format!("{:?}", evaluation.fates),
            });
        }
        if certain && !passed {
            self.answer((nth, shot), packet, &evaluation);
        }
        passed.then_some((evaluation.changes, certain))
    }

    fn answer(
        &mut self,
        (nth, shot): (usize, &Shot),
        packet: &Packet,
        evaluation: &Evaluation<'_>,
    ) {
        let kernel = self.observed.answer(shot.number()).map(str::to_owned);
        let family = packet.addresses.family();
        let drops = evaluation
            .fates
            .iter()
            .filter(|fate| fate.verdict == HookVerdict::Drop);
        let model: Vec<Option<String>> = drops
            .map(|fate| fate.reject.and_then(|it| answer::to(family, it)))
            .collect();
        // Not every packet is answered.
        let silent = kernel.is_none() && !answer::must_come(packet, shot);
        if !silent && !model.contains(&kernel) {
            self.judgement.differences.push(Difference::Answer {
                shot: nth,
                kernel,
                model,
            });
        }
    }

    /// Adds what the model says of the counters on a packet's way.
    fn count(&mut self, evaluation: &Evaluation<'_>, certain: bool) {
        for step in &evaluation.walk {
            let rule: RuleAt = (step.rule.place.chain, step.rule.index);
            for (at, part) in step.rule.rule().parts.iter().enumerate().take(step.maybe) {
                if *part == Part::Counter {
                    let sure = certain && step.certain && at < step.surely;
                    let (least, most) = self.counters.entry((rule, at)).or_default();
                    *least += u64::from(sure);
                    *most += 1;
                }
            }
            if step.result == StepResult::Matched {
                *self.done.entry(rule).or_default() += 1;
            }
        }
    }

    /// Compares every counter.
    fn sums(&mut self, counted: &HashMap<RuleKey, Vec<u64>>) {
        let tables = self.tables;
        for table in &tables.tables {
            for chain in &table.chains {
                for (index, rule) in chain.rules.iter().enumerate() {
                    let at: RuleAt = (chain, index);
                    let place = |last| {
                        (
                            table.family.keyword().to_owned(),
                            table.name.clone(),
                            chain.name.clone(),
                            last,
                        )
                    };
                    if let Some(done) = self.done.get(&at) {
                        let position = u64::try_from(index).unwrap_or(u64::MAX);
                        self.judgement.done.push((place(position), *done));
                    }
                    let kernel = counted.get(&place(rule.handle.unwrap_or_default()));
                    let kernel = kernel.map_or(&[][..], Vec::as_slice);
                    self.rule((table, rule), at, kernel);
                }
            }
        }
    }

    /// Compares the counters of a rule with what the kernel has counted.
    fn rule(&mut self, (table, rule): (&Table, &Rule), at: RuleAt, kernel: &[u64]) {
        let counters = rule
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| **part == Part::Counter);
        for ((position, _), (nth, kernel)) in counters.zip((1..).zip(kernel)) {
            let (least, most) = self
                .counters
                .get(&(at, position))
                .copied()
                .unwrap_or_default();
            if *kernel < least || most < *kernel {
                self.judgement.differences.push(Difference::Counter {
                    rule: table.rule_text(rule),
                    nth,
                    kernel: *kernel,
                    model: (least, most),
                });
            }
        }
    }
}

/// `PACKET_HOST` in `linux/if_packet.h`.
const TO_HOST: Loaded = Loaded::Value(0);

/// Where a packet goes that prerouting or output has let through; none when that is not certain.
fn destination(packet: &Packet, changes: &Changes) -> Option<Route> {
    let family = packet.addresses.family();
    let field = Field::Daddr(family);
    match changes.get(field).unwrap_or_else(|| packet.load(field)) {
        Loaded::Value(address) => Some(route(family, address)),
        Loaded::Absent | Loaded::Unknown => None,
    }
}
