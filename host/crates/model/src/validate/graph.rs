//! Where chains lead: targets exist, jumps end, and each rule is asked only what its hooks know.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::defect::Defect;
use super::fields::asked;
use super::places::out_of_place;
use crate::diagnostic::{Diagnostic, Quoted};
use crate::draft::{Base, Chain, Draft, Rule, Statement};
use crate::limits::{JUMP_DEPTH_MAX, VISITS_MAX};
use crate::packet::Hook;

/// Finds what is wrong with the way chains refer to each other.
pub(super) fn check(draft: &Draft, found: &mut Vec<Diagnostic>) {
    for chain in &draft.chains {
        for (index, rule) in chain.rules.iter().enumerate() {
            let defects = targets(rule).filter_map(|target| bad_target(draft, target));
            found.extend(defects.map(|defect| defect.of(&subject(chain, index, rule))));
        }
    }
    let graph = Graph::of(draft);
    match graph.cycle() {
        Some(path) => {
            let names: Vec<_> = path
                .iter()
                .map(|&c| Quoted(&draft.chains[c].name).to_string())
                .collect();
            found.push(
                Defect::JumpCycle {
                    path: names.join(" > "),
                }
                .of("draft"),
            );
        }
        None => lengths(draft, &graph, found),
    }
    for (chain, bases) in draft.chains.iter().zip(graph.reached_from(draft)) {
        for (index, rule) in chain.rules.iter().enumerate() {
            let subject = subject(chain, index, rule);
            let defects = out_of_place(rule, &bases, &asked(rule, draft));
            found.extend(defects.iter().map(|defect| defect.of(&subject)));
        }
    }
}

/// Which chains lead to which, by position in the draft. A target that cannot be one leads nowhere.
struct Graph {
    /// One entry for each jump or goto, in the order of the rules.
    targets: Vec<Vec<usize>>,
}

impl Graph {
    fn of(draft: &Draft) -> Self {
        let targets = |chain: &Chain| {
            let rules = chain.rules.iter();
            rules
                .flat_map(targets)
                .filter_map(|target| position(draft, target))
                .filter(|&target| draft.chains[target].base.is_none())
                .collect()
        };
        Self {
            targets: draft.chains.iter().map(targets).collect(),
        }
    }

    /// A circle of jumps, its first chain again at its end.
    fn cycle(&self) -> Option<Vec<usize>> {
        // Chains leave the graph once nothing they lead to is left; a circle never leaves.
        let mut left = alloc::vec![true; self.targets.len()];
        loop {
            let ended: Vec<usize> = (0..left.len())
                .filter(|&chain| left[chain] && !self.targets[chain].iter().any(|&t| left[t]))
                .collect();
            if ended.is_empty() {
                break;
            }
            for chain in ended {
                left[chain] = false;
            }
        }
        let mut path = Vec::from([left.iter().position(|left| *left)?]);
        loop {
            let last = *path.last()?;
            let next = self.targets[last]
                .iter()
                .copied()
                .find(|&next| left[next])?;
            let seen = path.iter().position(|&chain| chain == next);
            path.push(next);
            if let Some(start) = seen {
                return Some(path.split_off(start));
            }
        }
    }

    /// Jumps that nest below `chain`, and rules that a packet may visit in it. There is no
    /// circle; the recursion is as deep as the chains are many, which is bounded.
    fn reach(
        &self,
        draft: &Draft,
        chain: usize,
        known: &mut [Option<(usize, u64)>],
    ) -> (usize, u64) {
        if let Some(known) = known[chain] {
            return known;
        }
        let mut depth = 0;
        let mut visits = draft.chains[chain].rules.len() as u64;
        for &target in &self.targets[chain] {
            let (below, more) = self.reach(draft, target, known);
            depth = depth.max(below + 1);
            visits = visits.saturating_add(more);
        }
        known[chain] = Some((depth, visits));
        (depth, visits)
    }

    /// For each chain, the base chains whose packets can come through it.
    fn reached_from(&self, draft: &Draft) -> Vec<Vec<Base>> {
        let mut bases: Vec<Vec<Base>> = draft.chains.iter().map(|_| Vec::new()).collect();
        for (start, base) in draft
            .chains
            .iter()
            .enumerate()
            .filter_map(|(c, chain)| chain.base.map(|base| (c, base)))
        {
            let mut seen = alloc::vec![false; draft.chains.len()];
            let mut waiting = Vec::from([start]);
            while let Some(chain) = waiting.pop() {
                if !core::mem::replace(&mut seen[chain], true) {
                    bases[chain].push(base);
                    waiting.extend(self.targets[chain].iter().filter(|&&next| !seen[next]));
                }
            }
        }
        bases
    }
}

/// How deep and how far jumps lead from the base chains of each hook.
fn lengths(draft: &Draft, graph: &Graph, found: &mut Vec<Diagnostic>) {
    let mut known = alloc::vec![None; draft.chains.len()];
    for hook in Hook::ALL {
        let mut hook_visits = 0u64;
        for (position, chain) in draft.chains.iter().enumerate() {
            if chain.base.is_none_or(|base| base.hook != hook) {
                continue;
            }
            let (depth, visits) = graph.reach(draft, position, &mut known);
            hook_visits = hook_visits.saturating_add(visits);
            if depth > JUMP_DEPTH_MAX {
                let subject = format!("chain {} at hook {hook}", Quoted(&chain.name));
                found.push(
                    Defect::JumpsTooDeep {
                        max: JUMP_DEPTH_MAX,
                    }
                    .of(&subject),
                );
            }
        }
        if hook_visits > VISITS_MAX {
            let subject = format!("chains at hook {hook}");
            found.push(Defect::TooManyVisits { max: VISITS_MAX }.of(&subject));
        }
    }
}

fn subject(chain: &Chain, index: usize, rule: &Rule) -> String {
    format!(
        "rule {} ({}) in chain {}",
        index + 1,
        Quoted(&rule.label),
        Quoted(&chain.name)
    )
}

/// The chains that a rule may lead to.
fn targets(rule: &Rule) -> impl Iterator<Item = &String> {
    rule.statements.iter().flat_map(Statement::targets)
}

fn position(draft: &Draft, name: &str) -> Option<usize> {
    draft.chains.iter().position(|chain| chain.name == name)
}

fn bad_target(draft: &Draft, name: &str) -> Option<Defect> {
    match position(draft, name).map(|at| &draft.chains[at]) {
        None => Some(Defect::NoSuchChain {
            name: name.to_string(),
        }),
        Some(chain) if chain.base.is_some() => Some(Defect::JumpToBaseChain {
            name: name.to_string(),
        }),
        Some(_) => None,
    }
}
