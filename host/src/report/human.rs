//! Answers and failures for people.

mod explain;
pub(crate) mod guard;
mod proofs;
mod trial;

use std::fmt::Write as _;

use portreeve_model::ruleset::text::Elements;
use portreeve_nft::layout::Number;

use super::{Answer, CheckedIn, Failure, MachineState, Planned};
use crate::apply::trial::name;
use crate::pipeline::{Candidate, Plan};

/// Elements of a set that a person is shown.
const SHOWN_ELEMENTS_MAX: usize = 24;

/// Colour, or none.
#[derive(Debug)]
pub(super) struct Paint {
    colour: bool,
}

impl Paint {
    pub(super) const fn new(colour: bool) -> Self {
        Self { colour }
    }

    fn with(&self, style: anstyle::Style, text: &str) -> String {
        if self.colour {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn good(&self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Green.on_default().bold(), text)
    }

    fn bad(&self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Red.on_default().bold(), text)
    }

    fn faint(&self, text: &str) -> String {
        self.with(anstyle::Style::new().dimmed(), text)
    }
}

pub(super) fn answer(answer: &Answer, paint: &Paint) -> String {
    match answer {
        Answer::Plan(planned) => {
            let Planned {
                candidate,
                outlook,
                judgement,
                machine,
                probed,
            } = &**planned;
            let rules = candidate.ruleset();
            let table = rules.to_nft(portreeve_nft::TABLE, Elements::AtMost(SHOWN_ELEMENTS_MAX));
            [
                heading(candidate),
                format!("\n{table}\n"),
                proofs::proofs(candidate, paint),
                guard::judgement(judgement, paint),
                guard::machine(machine, paint),
                proofs::outlook(outlook, paint),
                probed
                    .as_ref()
                    .map_or(String::new(), |it| proofs::probed(it, paint)),
            ]
            .concat()
        }
        Answer::Difference(it) => proofs::difference(it, paint),
        Answer::Check { plan, checked_in } => checked(plan, *checked_in, paint),
        Answer::OnTrial {
            plan,
            trial,
            machine,
            waits,
        } => {
            let trial = trial::on_trial(trial, *waits, paint);
            format!("{}{trial}{}", heading(plan), self::machine(*machine))
        }
        Answer::Applied {
            plan,
            record,
            elements,
            machine,
        } => applied(plan, record.number, *elements, *machine),
        Answer::Confirmed { number, machine } => {
            let verdict = paint.good(&format!("generation {number} is confirmed"));
            format!(
                "{verdict}; it is loaded at boot\n{}",
                self::machine(*machine)
            )
        }
        Answer::RolledBack {
            rolled_back,
            machine,
        } => {
            format!(
                "{}{}",
                trial::rolled_back(rolled_back),
                self::machine(*machine)
            )
        }
        Answer::Booted { booted, machine } => {
            format!(
                "{}{}",
                trial::booted(booted, paint),
                self::machine(*machine)
            )
        }
        Answer::Status(status) => trial::status(status, paint),
        Answer::History(entries) => trial::history(entries, paint),
        Answer::Explanation(it) => explain::explanation(it, paint),
    }
}

fn checked(plan: &Plan, checked_in: CheckedIn, paint: &Paint) -> String {
    let place = match checked_in {
        CheckedIn::Machine => "this machine's kernel",
        CheckedIn::PrivateNamespace => "this machine's kernel, asked in a private namespace,",
    };
    let verdict = paint.good(&format!("{place} would take the rule set"));
    let machine = machine(MachineState::Unchanged);
    format!("{}\n{verdict}\n{machine}", heading(plan))
}

/// In force without a trial.
fn applied(plan: &Plan, number: Number, elements: bool, state: MachineState) -> String {
    let compared = if elements {
        ""
    } else {
        " (elements of large sets not compared)"
    };
    format!(
        "{}scope     table inet {}, {}{compared}\nnumber    {}\n{}",
        heading(plan),
        portreeve_nft::TABLE,
        counts(plan),
        name(number),
        machine(state)
    )
}

/// Where the plan comes from.
fn heading(plan: &Candidate) -> String {
    let description = plan.description();
    let digest = plan.policy_digest();
    let mut out = format!(
        "policy    {} {} (sha256 {})\n          {}\n",
        description.name,
        description.version,
        &digest[..digest.len().min(12)],
        description.summary
    );
    let settings: Vec<_> = plan
        .inputs()
        .settings
        .iter()
        .map(ToString::to_string)
        .collect();
    if !settings.is_empty() {
        out.push_str(&format!("settings  {}\n", settings.join(" ")));
    }
    for feed in &plan.inputs().feeds {
        out.push_str(&format!(
            "feed      {}: {} IPv4 and {} IPv6 prefixes\n",
            feed.name, feed.ip_prefixes, feed.ip6_prefixes
        ));
    }
    out
}

fn counts(plan: &Candidate) -> String {
    let rules: usize = plan
        .ruleset()
        .chains()
        .iter()
        .map(|chain| chain.rules().len())
        .sum();
    let elements: usize = plan
        .ruleset()
        .sets()
        .iter()
        .map(|set| set.elements().len())
        .sum();
    let (chains, sets) = (plan.ruleset().chains().len(), plan.ruleset().sets().len());
    format!("{rules} rules in {chains} chains, {elements} elements in {sets} sets")
}

fn machine(state: MachineState) -> String {
    format!("machine   {state}\n")
}

pub(super) fn failure(failure: &Failure, paint: &Paint) -> String {
    let mut out = String::new();
    for diagnostic in failure.diagnostics() {
        let title = paint.bad(&format!("error[{}]", diagnostic.code));
        let _ = writeln!(out, "{title}: {}", diagnostic.message);
        let _ = writeln!(out, "  subject   {}", diagnostic.subject);
        if !diagnostic.help.is_empty() {
            let _ = writeln!(out, "  help      {}", diagnostic.help);
        }
    }
    let _ = writeln!(out, "  machine   {}", failure.machine());
    out
}
