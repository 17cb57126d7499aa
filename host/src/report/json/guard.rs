//! Whether the operator still gets in, and who else on the machine has a say, for programs.

use serde_json::{Value, json};

use crate::guard::{Judged, Judgement, Leads, Operator, Scope, Undoes, WholeMachine};
use crate::report::human::guard::{chain_name, why_open};

pub(super) fn judgement(judgement: &Judgement) -> Value {
    let needs = judgement.guarded.iter().map(|guarded| {
        let (answer, witness, by, why) = match &guarded.judged {
            Judged::Proved => ("proved", None, None, None),
            Judged::Refuted(packet, culprit) => (
                "refuted",
                Some(packet.to_string()),
                Some(culprit.because.who.clone()),
                None,
            ),
            Judged::Open(open) => ("cannot decide", None, None, Some(why_open(open))),
        };
        json!({
            "what": guarded.need.name,
            "answer": answer,
            "witness": witness,
            "decided_by": by,
            "why": why,
        })
    });
    json!({
        "operator": match &judgement.operator {
            Operator::Remote(connections) => {
                json!(connections.iter().map(ToString::to_string).collect::<Vec<_>>())
            }
            Operator::Local(connection) => json!([connection.to_string()]),
            Operator::Console => json!("console"),
            Operator::Unknown(why) => json!({ "not_known": why }),
        },
        "ports": judgement.ports.iter().map(|ports| &ports.numbers).collect::<Vec<_>>(),
        "scope": match &judgement.scope {
            Scope::EveryTable { others } => json!({ "other_tables": others }),
            Scope::OwnTable(why) => json!({ "own_table_alone": why }),
        },
        "locks_out": judgement.locks_out(),
        "needs": needs.collect::<Vec<_>>(),
    })
}

pub(super) fn machine(machine: &WholeMachine) -> Value {
    let chains = machine.chains.iter().map(|chain| {
        let (undoes, witness, by) = match &chain.undoes {
            Undoes::Nothing => ("nothing", None, None),
            Undoes::Some(packet, culprit) => (
                "some",
                Some(packet.to_string()),
                Some(culprit.because.who.clone()),
            ),
            Undoes::Perhaps(packet, culprit) => (
                "perhaps",
                Some(packet.to_string()),
                Some(culprit.because.who.clone()),
            ),
            Undoes::Unknown(why) => ("not known", None, Some(why.clone())),
        };
        json!({
            "chain": chain_name(&chain.name),
            "type": chain.chain_type.keyword(),
            "hook": chain.hook,
            "priority": chain.priority,
            "policy": chain.policy.keyword(),
            "undoes": undoes,
            "witness": witness,
            "decided_by": by,
        })
    });
    let published = machine.published.iter().map(|published| {
        json!({
            "chain": chain_name(&published.chain),
            "handle": published.handle,
            "packets": published.packets,
            "to": published.to,
            "leads": match published.leads {
                Leads::Through => "through",
                Leads::Here => "here",
                Leads::Unknown => "not known",
            },
        })
    });
    json!({
        "chains_beside": chains.collect::<Vec<_>>(),
        "published": published.collect::<Vec<_>>(),
        "more_published": machine.more_published,
        "iptables_legacy": machine.legacy,
        "not_read": machine.unread,
    })
}
