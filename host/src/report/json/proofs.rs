//! Proofs, who reaches what, and what a change opens, for programs: with every packet that shows
//! something, so that another program can check it again.

use portreeve_model::goal::{Goal, Quantifier};
use portreeve_model::intervals::Interval;
use portreeve_model::ruleset::{Match, Operand};
use portreeve_verify::{
    Answer, Change, Class, Direction, Exposure, Extent, Fate, OverBudget, Protocol, Reach, Way, Why,
};
use serde_json::{Value, json};

use crate::policy::digest::hex;
use crate::probe::Probed;
use crate::proofs::{Because, Changes, Outlook, Proof, Sides};
use crate::report::Difference;
use crate::report::proofs::{finding, verdict, way_name};

/// Values that are written out one by one; of more, a digest stands for them.
const INTERVALS_WRITTEN_OUT: usize = 64;

/// What was found of goals.
pub(super) fn proofs(proofs: &[Proof]) -> Value {
    proofs.iter().map(proof).collect()
}

fn proof(proof: &Proof) -> Value {
    let goal = &proof.goal;
    let (answer, packet, other) = match &proof.answer {
        Answer::Proved => ("proved", None, None),
        Answer::Refuted(refutation) => {
            let other = refutation.other.as_ref().map(ToString::to_string);
            ("refuted", Some(refutation.packet.to_string()), other)
        }
        Answer::Undecided(_) => ("cannot decide", None, None),
    };
    let finding = finding(proof);
    json!({
        "name": goal.name,
        "hook": goal.hook.keyword(),
        "quantifier": quantifier(goal),
        "packets": goal.region.iter().map(|clause| clause.iter().map(condition).collect::<Value>())
            .collect::<Value>(),
        "answer": answer,
        "code": finding.as_ref().map(|finding| finding.code),
        "why": finding.as_ref().map(|finding| finding.why.as_str()),
        "witness": packet,
        "witness_of_other_family": other,
        "decided_by": proof.because.as_ref().map(because),
    })
}

/// A condition in nft's words. Of a long list of values how many intervals they are, and the SHA-256
/// of a line `FIRST-LAST` for each of them, as whole numbers.
fn condition(condition: &Match) -> Value {
    match condition.operand() {
        Operand::Numbers(numbers) if numbers.len() > INTERVALS_WRITTEN_OUT => {
            let line = |it: &Interval| format!("{}-{}\n", it.first(), it.last());
            let lines: String = numbers.iter().map(line).collect();
            let fields = condition.fields();
            let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
            json!({
                "field": fields.join(" . "),
                "negated": condition.negated(),
                "intervals": numbers.len(),
                "sha256": hex(lines.as_bytes()),
            })
        }
        Operand::Numbers(_) | Operand::Elements(_) | Operand::Set(_) => {
            json!(condition.to_string())
        }
    }
}

const fn quantifier(goal: &Goal) -> &'static str {
    match goal.quantifier {
        Quantifier::AllAccepted => "all accepted",
        Quantifier::NoneAccepted => "none accepted",
        Quantifier::ExactlyTheseAccepted => "exactly these accepted",
        Quantifier::FamiliesAlike => "both families alike",
    }
}

fn because(because: &Because) -> Value {
    json!({ "who": because.who, "expression": because.expression })
}

/// Who reaches what, what changes, and which rules do nothing.
pub(super) fn outlook(outlook: &Outlook) -> Value {
    let dead = outlook.dead.as_ref().map(|rules| {
        let rules = rules.iter().map(|rule| {
            let (why, packet) = match &rule.why {
                Why::NoWayToIt => ("no way to it", None),
                Why::AsksTheImpossible => ("asks the impossible", None),
                Why::NeverMet(packet) => ("never met", Some(packet.to_string())),
                Why::MakesNoDifference(packet) => ("makes no difference", Some(packet.to_string())),
            };
            json!({
                "rule": rule.rule,
                "why": why,
                "witness": packet,
                "decided_by": rule.by.as_ref().map(because),
            })
        });
        rules.collect::<Value>()
    });
    json!({
        "exposure": told_exposure(&outlook.exposure),
        "idle_rules": told(dead),
        "changes": outlook.changes.as_ref().map(|it| told(it.as_ref().map(|it| changes(it)))),
    })
}

/// What two rule sets do otherwise.
pub(super) fn difference(difference: &Difference) -> Value {
    json!({
        "before": difference.before,
        "after": difference.after,
        "changes": told(difference.changes.as_ref().map(|it| changes(it))),
    })
}

/// What a kernel did to a rule set that was tried on it.
pub(super) fn probed(probed: &Probed) -> Value {
    let not_probed = probed.not_probed.iter();
    let not_probed =
        not_probed.map(|(obstacle, count)| json!({ "count": count, "why": obstacle.to_string() }));
    let differences = probed.differences.iter().map(|it| {
        json!({
            "packet": it.packet.to_string(),
            "predicted": Fate::of(&it.predicted).to_string(),
            "observed": verdict(it.observed),
        })
    });
    json!({
        "sent": probed.sent,
        "agreed": probed.agreed,
        "not_probed": not_probed.collect::<Vec<_>>(),
        "differences": differences.collect::<Vec<_>>(),
    })
}

/// A value, or why there is none.
fn told(value: Result<Value, &OverBudget>) -> Value {
    value.unwrap_or_else(|over| json!({ "not_told": over.to_string() }))
}

/// Who reaches what, or why that is not told.
pub(super) fn told_exposure(found: &Result<Exposure, OverBudget>) -> Value {
    told(found.as_ref().map(exposure))
}

fn exposure(exposure: &Exposure) -> Value {
    let sources = exposure.sources.iter().map(|source| {
        json!({
            "family": source.family.nfproto(),
            "addresses": source.addresses.as_ref().map(extent),
        })
    });
    let services = exposure.services.iter().map(|service| {
        json!({
            "protocol": match service.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Icmp(family) => match family.nfproto() {
                    "ipv4" => "icmp",
                    _ => "icmpv6",
                },
                Protocol::Other => "other",
            },
            "of": service.of.as_ref().map(extent),
            "reach": service.reach.iter().map(|it| it.map(reach)).collect::<Vec<_>>(),
        })
    });
    json!({
        "way": way_name(Way::At(portreeve_model::packet::Hook::Input)),
        "sources": sources.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
    })
}

const fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Open => "open",
        Reach::Partly => "partly",
        Reach::Maybe => "maybe",
        Reach::Elsewhere => "elsewhere",
        Reach::Closed => "closed",
    }
}

fn extent(extent: &Extent) -> Value {
    json!({
        "field": extent.field.to_string(),
        "words": extent.words,
        "values": extent.texts(),
        "count": extent.values.count().to_string(),
        "or_absent": extent.or_absent,
    })
}

fn changes(changes: &[Changes]) -> Value {
    let all = changes.iter().flat_map(|at| {
        let changes = at.changes.iter();
        changes.map(|(it, sides)| change(at.way, it, sides))
    });
    all.collect()
}

fn change(way: Way, change: &Change, sides: &Sides) -> Value {
    json!({
        "way": way_name(way),
        "direction": match change.direction() {
            Direction::Opened => "opened",
            Direction::Closed => "closed",
            Direction::Otherwise => "otherwise",
        },
        "before": change.before.to_string(),
        "after": change.after.to_string(),
        "classes": change.classes.iter().map(class).collect::<Vec<_>>(),
        "more_classes": change.more,
        "witness": change.witness.to_string(),
        "decided_before_by": sides.before.who,
        "decided_after_by": sides.after.who,
    })
}

fn class(class: &Class) -> Value {
    json!({
        "text": class.to_string(),
        "fields": class.extents.iter().map(extent).collect::<Vec<_>>(),
    })
}
