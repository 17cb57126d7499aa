//! Answers and failures for programs: one JSON document, the same facts as for people.

use portreeve_model::evaluate::{Decider, HookVerdict, StepResult};
use portreeve_model::ruleset::{Chain, Set};
use serde_json::{Value, json};

use super::{Answer, CheckedIn, Failure, MachineState, Status};
use crate::pipeline::Plan;

pub(super) fn answer(answer: &Answer) -> String {
    let value = match answer {
        Answer::Plan(plan) => json!({ "plan": self::plan(plan) }),
        Answer::Check { plan, checked_in } => json!({
            "plan": self::plan(plan),
            "checked_in": match checked_in {
                CheckedIn::Machine => "machine",
                CheckedIn::PrivateNamespace => "private namespace",
            },
            "machine": MachineState::Unchanged.to_string(),
        }),
        Answer::Applied {
            plan,
            record,
            elements,
        } => json!({
            "plan": self::plan(plan),
            "record": record,
            "elements_compared": elements,
            "machine": MachineState::Confirmed.to_string(),
        }),
        Answer::Status(found) => json!({ "status": status(found) }),
        Answer::Explanation {
            packet, evaluation, ..
        } => json!({
            "packet": packet.to_string(),
            "hook": packet.hook.keyword(),
            "walk": evaluation.walk.iter().map(step).collect::<Vec<_>>(),
            "fates": evaluation.fates.iter().map(fate).collect::<Vec<_>>(),
            "certain": evaluation.fates.len() == 1,
        }),
    };
    line(&value)
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
        "machine": failure.machine().to_string(),
    }))
}

fn line(value: &Value) -> String {
    format!("{value:#}\n")
}

fn plan(plan: &Plan) -> Value {
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
        "goals": plan.goals().iter().map(|goal| json!({
            "name": goal.name,
            "hook": goal.hook.keyword(),
            "answer": "not proved",
        })).collect::<Vec<_>>(),
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
    match status {
        Status::NeverApplied { table_present } => {
            json!({ "state": "never applied", "table_present": table_present })
        }
        Status::InForce { record, elements } => {
            json!({ "state": "in force", "elements_compared": elements, "record": record })
        }
        Status::Gone { record } => json!({ "state": "gone", "record": record }),
        Status::Drifted { record } => json!({ "state": "drifted", "record": record }),
    }
}

fn step(step: &portreeve_model::evaluate::Step) -> Value {
    let (result, failed) = match &step.result {
        StepResult::Failed(condition) => ("failed", Some(condition.to_string())),
        StepResult::Matched => ("matched", None),
        StepResult::MayMatch => ("may match", None),
    };
    json!({
        "chain": step.rule.chain.as_str(),
        "index": step.rule.index,
        "label": step.rule.label.as_str(),
        "result": result,
        "failed_match": failed,
    })
}

fn fate(fate: &portreeve_model::evaluate::Fate) -> Value {
    let verdict = match fate.verdict {
        HookVerdict::Accept => "accept",
        HookVerdict::Drop => "drop",
    };
    let by = match &fate.by {
        Decider::Rule(rule) => json!({
            "chain": rule.chain.as_str(),
            "index": rule.index,
            "label": rule.label.as_str(),
        }),
        Decider::ChainPolicy(chain) => json!({ "chain_policy_of": chain.as_str() }),
        Decider::NoChain => Value::Null,
    };
    json!({
        "verdict": verdict,
        "reject": fate.reject.map(portreeve_model::ruleset::Reject::keyword),
        "by": by,
    })
}
