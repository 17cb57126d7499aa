//! Decides for every packet whether what must be let through is.

use std::time::Duration;

use portreeve_model::diagnostic::{Diagnostic, Said};
use portreeve_model::evaluate::{
    ChainRef, Decider, Journey, RuleRef, Step, StepResult, Stop, Verdict, journey,
};
use portreeve_model::goal::Quantifier;
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::{Part, TableFamily, Tables};
use portreeve_nft::is_ours;
use portreeve_verify::{
    Answer, Budget, Claim, Inquiry, OverBudget, PacketsId, Prover, Refutation, RulesId, Undecided,
    Way,
};

use super::needs::{Kind, Need, Ports, Wanted, needs, ports};
use super::ordinary::Asked;
use super::{Facts, Operator, candidate};
use crate::proofs::{Because, chain_name, rule_name};

/// What the guard finds of a rule set.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Where the operator is taken to be.
    pub operator: Operator,
    /// The ports that must stay open: for each connection that may be the operator's, or for all.
    pub ports: Vec<Ports>,
    /// Through which tables everything was followed.
    pub scope: Scope,
    /// What must be let through, and whether it is.
    pub guarded: Vec<Guarded>,
}

/// The tables that packets were followed through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All of the machine, with ours as planned.
    EveryTable {
        /// How many others there are.
        others: usize,
    },
    /// Ours alone; why the others could not be read.
    OwnTable(String),
}

/// Something that must be let through, and whether it is.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// What it is.
    pub need: Need,
    /// Whether it is.
    pub judged: Judged,
}

/// Whether something is let through.
#[derive(Clone, Debug)]
pub enum Judged {
    /// It is.
    Proved,
    /// It is not: here is a packet, and what decides it.
    Refuted(Packet, Culprit),
    /// It cannot be told.
    Open(Open),
}

/// Why it cannot be told whether something is let through.
#[derive(Clone, Debug)]
pub enum Open {
    /// What becomes of this packet depends on something that no packet says.
    Uncertain(Packet, Culprit),
    /// Some of the packets are let through and some are not, here is one; nothing tells which are
    /// the operator's.
    Whose(Packet, Culprit),
    /// These tables of iptables-legacy may drop it, and cannot be read.
    Legacy(Vec<String>),
    /// It takes more than the budget.
    OverBudget(OverBudget),
    /// No packet is what was asked for: a fault of portreeve.
    Nothing,
}

/// What decides a packet, or leaves it open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Culprit {
    /// The rule or chain policy, in words; of one that leaves it open, the expression as well.
    pub because: Because,
    /// Its chain; none where no chain decides.
    pub chain: Option<ChainName>,
    /// The number that the kernel gave the rule, if it is listed.
    pub handle: Option<u64>,
    /// What the rule says; none for a chain policy.
    pub text: Option<String>,
}

/// A chain, by its names.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ChainName {
    /// The family of its table.
    pub family: TableFamily,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
}

impl ChainName {
    pub(super) fn of(place: &ChainRef<'_>) -> Self {
        Self {
            family: place.table.family,
            table: place.table.name.clone(),
            chain: place.chain.name.clone(),
        }
    }

    /// Whether it is in a table of others.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        !is_ours(self.family, &self.table)
    }
}

/// Decides for every packet whether what must be let through on this machine is, when `ours` is in
/// force beside the tables of others. `ssh_port` is the policy's setting, if it has one.
#[must_use]
pub fn judge(facts: &Facts, ours: &Ruleset, ssh_port: Option<u16>) -> Judgement {
    let tables = candidate(facts.others.as_ref().ok(), ours);
    let ports = ports(facts, ssh_port);
    let needs = needs(facts, &ports, &Asked::by(&tables));
    let mut inquiry = Inquiry::new();
    let rules = inquiry.rules(&tables);
    let packets: Vec<PacketsId> = needs
        .iter()
        .map(|need| inquiry.packets(&need.packets))
        .collect();
    let mut judge = Judge {
        facts,
        tables: &tables,
        rules,
        prover: inquiry.prover(Budget::DEFAULT),
    };
    let guarded = needs
        .into_iter()
        .zip(packets)
        .map(|(need, packets)| Guarded {
            judged: judge.judged(&need, packets),
            need,
        });
    Judgement {
        operator: facts.operator.clone(),
        ports,
        scope: match &facts.others {
            Ok(others) => Scope::EveryTable {
                others: others.tables.len(),
            },
            Err(why) => Scope::OwnTable(why.clone()),
        },
        guarded: guarded.collect(),
    }
}

struct Judge<'a> {
    facts: &'a Facts,
    tables: &'a Tables,
    rules: RulesId,
    prover: Prover<'a>,
}

impl Judge<'_> {
    fn judged(&mut self, need: &Need, packets: PacketsId) -> Judged {
        match (
            need.wanted,
            self.answer(need.way, packets, Quantifier::AllAccepted),
        ) {
            (_, Answer::Proved) => self.proved(),
            (Wanted::All, Answer::Refuted(refutation)) => self.refuted(refutation.packet),
            (Wanted::All | Wanted::Theirs, Answer::Undecided(why)) => Judged::Open(self.open(why)),
            (Wanted::Some, all) => match (self.none_accepted(need, packets), all) {
                (Answer::Refuted(_), _) => self.proved(),
                (Answer::Undecided(why), _) | (_, Answer::Undecided(why)) => {
                    Judged::Open(self.open(why))
                }
                (Answer::Proved, Answer::Refuted(refutation)) => self.refuted(refutation.packet),
                (Answer::Proved, Answer::Proved) => self.proved(),
            },
            (Wanted::Theirs, Answer::Refuted(Refutation { packet, .. })) => {
                match self.none_accepted(need, packets) {
                    Answer::Proved => self.refuted(packet),
                    Answer::Refuted(_) => {
                        let culprit = decides(self.tables, &packet);
                        Judged::Open(Open::Whose(packet, culprit))
                    }
                    Answer::Undecided(why) => Judged::Open(self.open(why)),
                }
            }
        }
    }

    /// Whether even none of them is let through: asked only where not all of them are.
    fn none_accepted(&mut self, need: &Need, packets: PacketsId) -> Answer {
        self.answer(need.way, packets, Quantifier::NoneAccepted)
    }

    fn refuted(&self, packet: Packet) -> Judged {
        let culprit = decides(self.tables, &packet);
        Judged::Refuted(packet, culprit)
    }

    fn answer(&mut self, way: Way, packets: PacketsId, quantifier: Quantifier) -> Answer {
        self.prover.decide(Claim {
            rules: self.rules,
            way,
            packets,
            quantifier,
        })
    }

    /// Proved, as far as tables tell that nft lists.
    fn proved(&self) -> Judged {
        match &self.facts.legacy {
            Ok(legacy) if !legacy.is_empty() => Judged::Open(Open::Legacy(legacy.clone())),
            Ok(_) | Err(_) => Judged::Proved,
        }
    }

    fn open(&self, why: Undecided) -> Open {
        match why {
            Undecided::Uncertain(packet) | Undecided::Unconfirmed(packet) => {
                let culprit = leaves_open(self.tables, &packet);
                Open::Uncertain(packet, culprit)
            }
            Undecided::NoPacket => Open::Nothing,
            Undecided::OverBudget(over) => Open::OverBudget(over),
        }
    }
}

/// What drops a packet on its way through the machine, or leads it elsewhere.
pub(super) fn decides(tables: &Tables, packet: &Packet) -> Culprit {
    let journey = journey(tables, packet);
    let by = match journey.verdict() {
        Verdict::Accept => translating(&journey).map(Decider::Rule),
        Verdict::Drop | Verdict::Reject(_) | Verdict::Undecided => None,
    };
    // Of what stops it, only the last one lets nothing by.
    Culprit::of(by.or_else(|| journey.ends.last().map(|end| end.fate.by)))
}

/// The rule that leads a packet elsewhere.
pub(super) fn translating<'a>(journey: &Journey<'a>) -> Option<RuleRef<'a>> {
    let elsewhere = |stop: &&Stop<'_>| stop.evaluation.changes.leads_elsewhere();
    let mut steps = journey.stops.iter().find(elsewhere)?.evaluation.walk.iter();
    let translates = |step: &&Step<'_>| {
        let parts = step.rule.rule().parts.iter().take(step.maybe);
        parts.into_iter().any(|part| matches!(part, Part::Nat(_)))
    };
    steps.find(translates).map(|step| step.rule)
}

/// What leaves open what becomes of a packet: a rule that may drop it or let it through, and else
/// the first that is not certain.
pub(super) fn leaves_open(tables: &Tables, packet: &Packet) -> Culprit {
    let journey = journey(tables, packet);
    let steps = journey.stops.iter().flat_map(|stop| &stop.evaluation.walk);
    let open = steps.filter(|step| matches!(step.result, StepResult::MayMatch(_)));
    let open: Vec<&Step<'_>> = open.collect();
    let ends = |step: &&&Step<'_>| {
        let mut ends = journey.ends.iter();
        ends.any(|end| end.fate.by == Decider::Rule(step.rule))
    };
    let Some(step) = open.iter().find(ends).or_else(|| open.first()) else {
        return Culprit::of(journey.ends.first().map(|end| end.fate.by));
    };
    let table = step.rule.place.table;
    let mut culprit = Culprit::of(Some(Decider::Rule(step.rule)));
    culprit.because.expression = step.part().map(|part| table.part_text(part));
    culprit
}

impl Culprit {
    pub(super) fn of(by: Option<Decider<'_>>) -> Self {
        let because = |who| Because {
            who,
            expression: None,
        };
        match by {
            Some(Decider::Rule(rule)) => Self {
                because: because(rule_name(&rule)),
                chain: Some(ChainName::of(&rule.place)),
                handle: rule.rule().handle,
                text: Some(rule.place.table.rule_text(rule.rule())),
            },
            Some(Decider::ChainPolicy(place) | Decider::NotFollowed(place)) => {
                let chain = chain_name(place.table, place.chain);
                Self {
                    because: because(format!("the chain policy of {chain}")),
                    chain: Some(ChainName::of(&place)),
                    handle: None,
                    text: None,
                }
            }
            Some(Decider::NoChain) | None => Self {
                because: because("no chain at all".to_owned()),
                chain: None,
                handle: None,
                text: None,
            },
        }
    }
}

impl Judgement {
    /// What is certainly not let through. Whoever is not told to go on must stop here.
    pub fn refuted(&self) -> impl Iterator<Item = (&Need, &Packet, &Culprit)> {
        self.guarded.iter().filter_map(|it| match &it.judged {
            Judged::Refuted(packet, culprit) => Some((&it.need, packet, culprit)),
            Judged::Proved | Judged::Open(_) => None,
        })
    }

    /// What cannot be told. It stops nobody, and must not be overlooked.
    pub fn open(&self) -> impl Iterator<Item = (&Need, &Open)> {
        self.guarded.iter().filter_map(|it| match &it.judged {
            Judged::Open(open) => Some((&it.need, open)),
            Judged::Proved | Judged::Refuted(..) => None,
        })
    }

    /// Whether anything is certainly not let through.
    #[must_use]
    pub fn locks_out(&self) -> bool {
        self.refuted().next().is_some()
    }

    /// Everything that is certainly not let through, each with what to do about it.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let diagnostic = |(need, packet, culprit): (&Need, &Packet, &Culprit)| Diagnostic {
            code: "L001",
            subject: "this machine".to_owned(),
            message: format!(
                "{} are not let through: {packet} is stopped by {}",
                need.name, culprit.because.who
            ),
            help: self.help(need, culprit),
        };
        self.refuted().map(diagnostic).collect()
    }

    fn help(&self, need: &Need, culprit: &Culprit) -> String {
        let foreign = culprit.chain.as_ref().filter(|chain| chain.is_foreign());
        let change = match (foreign, need.kind, self.ports.first()) {
            (Some(chain), ..) => format!(
                "let it through in table {} {}, which portreeve does not write",
                chain.family.keyword(),
                Said(&chain.table)
            ),
            (None, Kind::Begins | Kind::GoesOn | Kind::Answers, Some(ports)) => format!(
                "let {} in; where the policy has a setting for it: `--set ssh-port={}`",
                ports, ports.numbers[0]
            ),
            (None, ..) => "let it through in the policy".to_owned(),
        };
        format!("{change}; or give `--allow-lockout`")
    }

    /// What happens when the rule set is applied all the same, if it locks anybody out. On trial it
    /// lapses after so long.
    #[must_use]
    pub fn consequence(&self, trial: Option<Duration>) -> Option<String> {
        let kinds: Vec<Kind> = self.refuted().map(|(need, ..)| need.kind).collect();
        if kinds.is_empty() {
            return None;
        }
        let dies = kinds.contains(&Kind::GoesOn) || kinds.contains(&Kind::Answers);
        let closed = kinds.contains(&Kind::Begins);
        let happens = match (&self.operator, dies, closed) {
            (Operator::Remote(connections), true, _) => {
                let all: Vec<String> = connections.iter().map(ToString::to_string).collect();
                format!("the connection {} hangs at once", all.join(" or "))
            }
            (Operator::Local(connection), true, _) => {
                format!("the connection {connection} hangs at once")
            }
            (_, false, true) => "open connections go on, and no new one gets in".to_owned(),
            (_, true, _) => "open connections hang at once".to_owned(),
            (_, false, false) => "connections hang after a while".to_owned(),
        };
        let then = match trial {
            Some(trial) => format!(
                "unless it is confirmed, the trial takes it back in {} s",
                trial.as_secs()
            ),
            None => "there is no trial, so only somebody at the console takes it back".to_owned(),
        };
        Some(format!("{happens}; {then}"))
    }
}
