//! Every attempt of a scenario, and the one expectation that speaks of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portreeve_model::address::Family;

use super::{Class, Expected, Machine};
use crate::network::packet::Target;
use crate::probe::{Probe, Verdict};

/// An attempt, and what must come of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Case {
    /// The class that it is made for.
    pub class: String,
    /// Through which card it comes in.
    pub card: usize,
    /// The attempt.
    pub probe: Probe,
    /// What must come of it.
    pub verdict: Verdict,
}

/// An expectation: of some classes and some targets.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    /// The names of the classes; of all, if there is none.
    pub(super) from: Option<Vec<String>>,
    /// What they ask for; everything, if there is none.
    pub(super) to: Option<Vec<Target>>,
    pub(super) expected: Expected,
}

impl Expectation {
    pub(super) fn speaks_of(&self, class: &Class, target: Target) -> bool {
        let of_class = self
            .from
            .as_ref()
            .is_none_or(|names| names.contains(&class.name));
        of_class && self.to.as_ref().is_none_or(|to| to.contains(&target))
    }
}

/// Every attempt with what must come of it, or what is wrong: pairs of class and target of which no
/// expectation speaks, or more than one. A family that the machine has no address of is not tried.
pub(super) fn cases(
    machine: &Machine,
    classes: &[Class],
    expectations: &[Expectation],
) -> Result<Vec<Case>, Vec<String>> {
    let (mut cases, mut wrong) = (Vec::new(), BTreeMap::new());
    for class in classes {
        for target in machine.targets() {
            let speaking = expectations
                .iter()
                .filter(|it| it.speaks_of(class, target))
                .collect::<Vec<_>>();
            match speaking.as_slice() {
                [one] => cases.extend(attempts(machine, class, target, one.expected)),
                several => wrong
                    .entry((class.name.clone(), several.len()))
                    .or_insert_with(Vec::new)
                    .push(target.to_string()),
            }
        }
    }
    if wrong.is_empty() {
        return Ok(cases);
    }
    let message = |((class, count), targets): ((String, usize), Vec<String>)| {
        let how_many = match count {
            0 => "no expectation speaks".to_owned(),
            count => format!("{count} expectations speak"),
        };
        let targets = targets.join(", ");
        format!("{how_many} of `{class}` to {targets}; exactly one must")
    };
    Err(wrong.into_iter().map(message).collect())
}

/// The attempts of a class at a target.
pub(super) fn attempts(
    machine: &Machine,
    class: &Class,
    target: Target,
    expected: Expected,
) -> Vec<Case> {
    let attempt = |from: &IpAddr| {
        let family = Family::of(*from);
        let to = machine.address(class.card, family)?;
        Some(Case {
            class: class.name.clone(),
            card: class.card,
            probe: Probe {
                from: *from,
                to,
                target,
            },
            verdict: expected.verdict(family),
        })
    };
    class.addresses.iter().filter_map(attempt).collect()
}
