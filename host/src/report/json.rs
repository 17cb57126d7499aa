//! Answers and failures for programs: one JSON document, the same facts as for people.

mod explain;
mod guard;
mod proofs;

use std::time::{SystemTime, UNIX_EPOCH};

use portreeve_model::ruleset::{Chain, Set};
use serde_json::{Value, json};

use super::{Answer, CheckedIn, Failure, MachineState, Planned, Status};
use crate::apply::Found;
use crate::apply::store::{Entry, StoreError};
use crate::apply::with_causes;
use crate::observe::Observed;
use crate::pipeline::Candidate;

pub(super) fn answer(answer: &Answer) -> String {
    let value = match answer {
        Answer::Plan(it) => planned(it),
        Answer::Difference(it) => json!({ "difference": proofs::difference(it) }),
        Answer::Check { plan, checked_in } => json!({
            "plan": self::plan(plan),
            "checked_in": match checked_in {
                CheckedIn::Machine => "machine",
                CheckedIn::PrivateNamespace => "private namespace",
            },
            "machine": machine(MachineState::Unchanged),
        }),
        Answer::OnTrial {
            plan,
            trial,
            machine: state,
            ..
        } => json!({
            "plan": self::plan(plan),
            "record": trial.record,
            "token": trial.token.to_string(),
            "until": unix(trial.until),
            "otherwise": trial.otherwise,
            "machine": machine(*state),
        }),
        Answer::Applied {
            plan,
            record,
            elements,
            machine: state,
        } => json!({
            "plan": self::plan(plan),
            "record": record,
            "elements_compared": elements,
            "machine": machine(*state),
        }),
        Answer::Confirmed {
            number,
            machine: state,
        } => json!({
            "confirmed": number,
            "machine": machine(*state),
        }),
        Answer::RolledBack {
            rolled_back,
            machine: state,
        } => json!({
            "ended": rolled_back.ended,
            "in_force": rolled_back.in_force,
            "machine": machine(*state),
        }),
        Answer::Booted {
            booted,
            machine: state,
        } => json!({
            "loaded": booted.found == Found::Nothing,
            "record": booted.record,
            "damaged": booted.damaged.iter().map(|error| with_causes(error)).collect::<Vec<_>>(),
            "machine": machine(*state),
        }),
        Answer::Status(found) => json!({
            "status": status(found),
            "machine": machine(found.survey.machine),
        }),
        Answer::History(entries) => json!({
            "history": entries.iter().map(entry).collect::<Vec<_>>(),
        }),
        Answer::Explanation(it) => explain::explanation(it),
    };
    line(&value)
}

/// A plan, with what was found of it.
fn planned(planned: &Planned) -> Value {
    json!({
        "plan": plan(&planned.candidate),
        "outlook": proofs::outlook(&planned.outlook),
        "lock_out": guard::judgement(&planned.judgement),
        "whole_machine": guard::machine(&planned.machine),
        "probed": planned.probed.as_ref().map(proofs::probed),
    })
}

pub(super) fn failure(failure: &Failure) -> String {
    let errors: Vec<_> = failure
        .diagnostics()
        .iter()
        .map(|diagnostic| {
            json!({
                "code": diagnostic.code,
                "subject": diagnostic.subject,
                "message": diagnostic.message,
                "help": diagnostic.help,
            })
        })
        .collect();
    line(&json!({
        "errors": errors,
        "exit_code": failure.exit_code().number(),
        "machine": machine(failure.machine()),
    }))
}

/// The state of the machine: in words, and each part of it.
fn machine(state: MachineState) -> Value {
    json!({
        "words": state.to_string(),
        "state": state.keyword(),
        "in_force": state.in_force(),
        "confirmed": state.confirmed(),
        "lapses_in_ms": state.left().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// Seconds since 1970, UTC.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn line(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What every proof takes for granted.
const ASSUMPTIONS: [&str; 3] = [
    "the scope is table inet portreeve at the hook of the goal: what other tables drop is dropped",
    "an interface that a packet came in by, or goes out by, has a name; the one of index 1 is lo",
    "what a packet is at a hook is what the kernel loads there: offloaded flows, XDP and tc programs \
     are not seen",
];

/// SHA-256 of what nft is sent, in hexadecimal.
fn ruleset_digest(plan: &Candidate) -> String {
    crate::policy::digest::hex(plan.transaction().to_json().as_bytes())
}

fn plan(plan: &Candidate) -> Value {
    let inputs = plan.inputs();
    let settings: serde_json::Map<_, _> = inputs
        .settings
        .iter()
        .map(|setting| (setting.name.clone(), setting.value.to_string().into()))
        .collect();
    let feeds: Vec<_> = inputs
        .feeds
        .iter()
        .map(|feed| {
            json!({
                "name": feed.name,
                "ip_prefixes": feed.ip_prefixes,
                "ip6_prefixes": feed.ip6_prefixes,
                "sha256": feed.digest,
            })
        })
        .collect();
    json!({
        "policy": {
            "name": plan.description().name,
            "version": plan.description().version,
            "sha256": plan.policy_digest(),
            "fuel_used": plan.fuel_used(),
        },
        "settings": settings,
        "feeds": feeds,
        "table": portreeve_nft::TABLE,
        "sets": plan.ruleset().sets().iter().map(set).collect::<Vec<_>>(),
        "chains": plan.ruleset().chains().iter().map(chain).collect::<Vec<_>>(),
        "goals": proofs::proofs(plan.proofs()),
        "assumptions": ASSUMPTIONS,
        "portreeve": env!("CARGO_PKG_VERSION"),
        "ruleset_sha256": ruleset_digest(plan),
    })
}

fn set(set: &Set) -> Value {
    json!({
        "name": set.name().as_str(),
        "type": format!("{}_addr", set.family().nfproto()),
        "elements": set.elements().len(),
        "addresses": set.elements().count().to_string(),
    })
}

fn chain(chain: &Chain) -> Value {
    let rules: Vec<_> = chain
        .rules()
        .iter()
        .map(|rule| json!({ "label": rule.label().as_str(), "rule": rule.to_string() }))
        .collect();
    let base = chain.base().map(|base| {
        json!({
            "type": "filter",
            "hook": base.hook.keyword(),
            "priority": base.priority,
            "policy": base.policy.keyword(),
        })
    });
    json!({ "name": chain.name().as_str(), "base": base, "rules": rules })
}

fn status(status: &Status) -> Value {
    let survey = &status.survey;
    let (contents, elements) = match &status.contents {
        None => (json!(null), false),
        Some(Ok(Observed::Expected { elements })) => (json!("as applied"), *elements),
        Some(Ok(Observed::Other)) => (json!("other"), false),
        Some(Ok(Observed::Nothing)) => (json!("nothing"), false),
        Some(Err(error)) => (json!({ "error": with_causes(error) }), false),
    };
    json!({
        "drift": status.is_drift(),
        "contents": contents,
        "elements_compared": elements,
        "confirmed": survey.confirmed_record,
        "on_trial": survey.trial_record,
        "ended": survey.ended,
        "notes": survey.notes,
        "exposure": status.exposure.as_ref().map(proofs::told_exposure),
        "whole_machine": status.machine.as_ref().map(guard::machine),
    })
}

fn entry(entry: &Result<Entry, StoreError>) -> Value {
    match entry {
        Ok(Entry::Confirmed(record)) => json!({ "fate": "confirmed", "record": record }),
        Ok(Entry::Unconfirmed(record)) => json!({ "fate": "unconfirmed", "record": record }),
        Ok(Entry::Ended(ended)) => json!({
            "fate": ended.ending,
            "time": ended.time,
            "record": ended.record,
        }),
        Err(error) => json!({ "error": with_causes(error) }),
    }
}
