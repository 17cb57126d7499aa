//! A packet's way through a rule set, for programs.

use portreeve_model::evaluate::{
    Decider, End, Extent, Fate, HookVerdict, Journey, Region, RuleRef, StepResult, Stop, Verdict,
    journey, region,
};
use portreeve_model::field::Field;
use portreeve_model::packet::Packet;
use serde_json::{Map, Value, json};

use crate::report::explanation::{
    self, Explanation, Source, aside, caveat, changes, inexact, reason,
};

pub(super) fn explanation(explanation: &Explanation) -> Value {
    let Explanation { packet, tables, .. } = explanation;
    let journey = journey(tables, packet);
    let (alike, unknown) = match region(tables, packet, &journey) {
        Ok(region) => (alike(&region), Value::Null),
        Err(why) => (Value::Null, json!(inexact(&why))),
    };
    let legacy = match &explanation.source {
        Source::Machine { legacy } => legacy.clone(),
        Source::Plan | Source::Listing(_) => Vec::new(),
    };
    json!({
        "packet": packet.to_string(),
        "hook": packet.hook.keyword(),
        "rules": {
            "source": explanation.source.keyword(),
            "tables": tables.tables.len(),
            "iptables_legacy": legacy,
        },
        "journey": journey.stops.iter().map(|it| stop(packet, it)).collect::<Vec<_>>(),
        "ends": journey.ends.iter().map(end).collect::<Vec<_>>(),
        "alike": alike,
        "alike_not_known": unknown,
        "notes": journey.caveats.iter().map(caveat).collect::<Vec<_>>(),
        "aside": journey.aside.iter().map(aside).collect::<Vec<_>>(),
        "certain": journey.is_certain(),
        "verdict": verdict(&journey),
    })
}

fn verdict(journey: &Journey<'_>) -> Value {
    match journey.verdict() {
        Verdict::Accept => json!("accept"),
        Verdict::Drop => json!("drop"),
        Verdict::Reject(_) => json!("reject"),
        Verdict::Undecided => Value::Null,
    }
}

fn alike(region: &Region<'_>) -> Value {
    let fields: Map<_, _> = region
        .extents()
        .map(|(field, it)| (field.to_string(), extent(field, it)))
        .collect();
    json!({ "text": region.to_string(), "fields": fields })
}

fn extent(field: Field, extent: &Extent<'_>) -> Value {
    let Some(values) = &extent.values else {
        return json!({ "absent": true });
    };
    let sets = extent.sets.iter();
    let sets = sets.map(|it| json!({ "set": it.set.name, "negated": it.negated }));
    // Whichever is shorter: what the field is, or what it is not.
    let (kind, others) = (field.kind(), values.complement(field.max()));
    let (values_said, others_said) = if others.len() < values.len() {
        (None, Some(kind.texts(&others)))
    } else {
        (Some(kind.texts(values)), None)
    };
    json!({
        "values": values_said,
        "other_than": others_said,
        "count": values.count().to_string(),
        "sets": sets.collect::<Vec<_>>(),
    })
}

fn stop(packet: &Packet, stop: &Stop<'_>) -> Value {
    let evaluation = &stop.evaluation;
    let walk = (0..evaluation.walk.len()).map(|at| step(packet, stop, at));
    let changed: Map<_, _> = changes(packet, stop)
        .into_iter()
        .map(|(field, value)| (field, value.into()))
        .collect();
    json!({
        "place": stop.place.keyword(),
        "certain": stop.certain,
        "walk": walk.collect::<Vec<_>>(),
        "fates": evaluation.fates.iter().map(fate).collect::<Vec<_>>(),
        "changed": changed,
    })
}

fn step(packet: &Packet, stop: &Stop<'_>, at: usize) -> Value {
    let step = &stop.evaluation.walk[at];
    let (result, part) = match step.result {
        StepResult::Failed(part) => ("failed", Some(part)),
        StepResult::Matched => ("matched", None),
        StepResult::MayMatch(part) => ("may match", Some(part)),
    };
    let table = step.rule.place.table;
    let parts = step.rule.rule().parts.iter();
    let parts: Vec<String> = parts.map(|part| table.part_text(part)).collect();
    let mut value = rule(&step.rule);
    value["depth"] = json!(step.depth);
    value["certain"] = json!(step.certain);
    value["result"] = json!(result);
    value["part"] = json!(part);
    value["parts"] = json!(parts);
    value["why"] = json!(reason(packet, stop, at));
    value
}

fn rule(rule: &RuleRef<'_>) -> Value {
    let table = rule.place.table;
    json!({
        "family": table.family.keyword(),
        "table": table.name,
        "chain": rule.chain_name(),
        "index": rule.index,
        "handle": rule.rule().handle,
        "label": rule.label(),
    })
}

fn end(end: &End<'_>) -> Value {
    let mut value = fate(&end.fate);
    value["place"] = json!(end.place.keyword());
    value
}

fn fate(fate: &Fate<'_>) -> Value {
    let verdict = match fate.verdict {
        HookVerdict::Accept => "accept",
        HookVerdict::Drop => "drop",
    };
    let by = match &fate.by {
        Decider::Rule(by) => rule(by),
        Decider::ChainPolicy(place) => json!({
            "chain_policy_of": explanation::chain_name(place.table, place.chain),
        }),
        Decider::NotFollowed(place) => json!({
            "not_followed_from": explanation::chain_name(place.table, place.chain),
        }),
        Decider::NoChain => Value::Null,
    };
    json!({
        "verdict": verdict,
        "reject": fate.reject.map(|reject| reject.to_string()),
        "by": by,
    })
}
