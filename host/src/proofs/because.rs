//! Who decides a packet, or leaves it open: the evaluator's word on a witness, named for people.

use portreeve_model::diagnostic::Said;
use portreeve_model::evaluate::{
    Decider, Evaluation, RuleRef, Step, StepResult, evaluate, journey,
};
use portreeve_model::packet::Packet;
use portreeve_model::tables::{Chain, Table, Tables};
use portreeve_verify::Way;

/// What decides a packet, or leaves it open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Because {
    /// The rule, or the chain policy, by its name and place.
    pub who: String,
    /// The expression that leaves it open, if that is so.
    pub expression: Option<String>,
}

impl Because {
    /// What decides a packet that goes a way.
    #[must_use]
    pub fn decides(tables: &Tables, way: Way, packet: &Packet) -> Self {
        let by = match way {
            Way::At(_) => {
                let evaluation = evaluate(tables, packet);
                evaluation.fates.first().map(|fate| fate.by)
            }
            Way::In | Way::Through | Way::Out => {
                let journey = journey(tables, packet);
                journey.ends.first().map(|end| end.fate.by)
            }
        };
        let who = match by {
            Some(Decider::Rule(rule)) => rule_name(&rule),
            Some(Decider::ChainPolicy(place) | Decider::NotFollowed(place)) => {
                let chain = chain_name(place.table, place.chain);
                format!("the chain policy of {chain}")
            }
            Some(Decider::NoChain) | None => "no chain at all".to_owned(),
        };
        Self {
            who,
            expression: None,
        }
    }

    /// The first rule of which it is not certain what it does to a packet that goes a way.
    #[must_use]
    pub fn leaves_open(tables: &Tables, way: Way, packet: &Packet) -> Self {
        let found = match way {
            Way::At(_) => open_step(&evaluate(tables, packet)),
            Way::In | Way::Through | Way::Out => {
                let journey = journey(tables, packet);
                let mut stops = journey.stops.iter();
                stops.find_map(|stop| open_step(&stop.evaluation))
            }
        };
        found.unwrap_or_else(|| Self::decides(tables, way, packet))
    }
}

/// The first step that is not certain, with the part of its rule that makes it so.
fn open_step(evaluation: &Evaluation<'_>) -> Option<Because> {
    let mut steps = evaluation.walk.iter();
    let step: &Step<'_> = steps.find(|step| matches!(step.result, StepResult::MayMatch(_)))?;
    let table = step.rule.place.table;
    Some(Because {
        who: rule_name(&step.rule),
        expression: step.part().map(|part| table.part_text(part)),
    })
}

/// A chain with its table: `inet portreeve input`.
#[must_use]
pub fn chain_name(table: &Table, chain: &Chain) -> String {
    let family = table.family.keyword();
    format!("{family} {} {}", Said(&table.name), Said(&chain.name))
}

/// A rule, by its comment or by what it says.
#[must_use]
pub fn rule_name(rule: &RuleRef<'_>) -> String {
    let chain = chain_name(rule.place.table, rule.place.chain);
    match rule.label() {
        "" => {
            let text = rule.place.table.rule_text(rule.rule());
            format!("rule {} in chain {chain}: {text}", rule.index + 1)
        }
        label => format!("rule `{}` in chain {chain}", Said(label)),
    }
}
