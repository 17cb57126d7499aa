//! Where chains lead: targets exist, jumps end, and each rule is asked only what its hooks know.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::defect::Defect;
use super::matches::only_tcp;
use crate::diagnostic::{Diagnostic, Quoted};
use crate::draft::{Base, Chain, Draft, Rule, Statement, Test};
use crate::field::Field;
use crate::limits::{CONNTRACK_PRIORITY, JUMP_DEPTH_MAX};
use crate::packet::Hook;
use crate::ruleset::Reject;

/// Rules that one packet may be led through. Ours: as many as a draft may hold, ten times over.
const VISITS_MAX: u64 = 100_000;

/// Finds what is wrong with the way chains refer to each other.
pub(super) fn check(draft: &Draft, found: &mut Vec<Diagnostic>) {
    let before = found.len();
    for chain in &draft.chains {
        for (index, rule) in chain.rules.iter().enumerate() {
            if let Some(defect) = bad_target(draft, rule) {
                found.push(defect.of(&subject(chain, index, rule)));
            }
        }
    }
    if found.len() > before {
        return;
    }
    if let Some(path) = cycle(draft) {
        found.push(Defect::JumpCycle { path }.of("draft"));
        return;
    }
    for chain in draft.chains.iter() {
        if let Some(base) = chain.base {
            walk(draft, chain, base, found);
        }
    }
    for (chain, hooks) in draft.chains.iter().zip(reached_from(draft)) {
        for (index, rule) in chain.rules.iter().enumerate() {
            let subject = subject(chain, index, rule);
            found.extend(
                out_of_place(rule, &hooks)
                    .iter()
                    .map(|defect| defect.of(&subject)),
            );
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

fn target(rule: &Rule) -> Option<&str> {
    rule.statements
        .iter()
        .find_map(|statement| match statement {
            Statement::Jump(target) | Statement::Goto(target) => Some(target.as_str()),
            _ => None,
        })
}

fn position(draft: &Draft, name: &str) -> Option<usize> {
    draft.chains.iter().position(|chain| chain.name == name)
}

fn targets(draft: &Draft, chain: usize) -> impl Iterator<Item = usize> {
    draft.chains[chain]
        .rules
        .iter()
        .filter_map(|rule| position(draft, target(rule)?))
}

fn bad_target(draft: &Draft, rule: &Rule) -> Option<Defect> {
    let name = target(rule)?;
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

/// A circle of jumps, as `a > b > a`.
fn cycle(draft: &Draft) -> Option<String> {
    // Chains leave the graph once nothing they lead to is left; a circle never leaves.
    let mut left: Vec<bool> = draft.chains.iter().map(|_| true).collect();
    loop {
        let ended: Vec<usize> = (0..left.len())
            .filter(|&chain| left[chain] && !targets(draft, chain).any(|next| left[next]))
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
        let next = targets(draft, last).find(|&next| left[next])?;
        let seen = path.iter().position(|&chain| chain == next);
        path.push(next);
        if let Some(start) = seen {
            let names: Vec<_> = path[start..]
                .iter()
                .map(|&c| Quoted(&draft.chains[c].name).to_string())
                .collect();
            return Some(names.join(" > "));
        }
    }
}

/// How deep and how far jumps lead from a base chain. There is no cycle.
fn walk(draft: &Draft, chain: &Chain, base: Base, found: &mut Vec<Diagnostic>) {
    let mut memo: Vec<Option<(usize, u64)>> = draft.chains.iter().map(|_| None).collect();
    let Some(start) = position(draft, &chain.name) else {
        return;
    };
    let (depth, visits) = reach(draft, start, &mut memo);
    let subject = format!("chain {} at hook {}", Quoted(&chain.name), base.hook);
    if depth > JUMP_DEPTH_MAX {
        found.push(
            Defect::JumpsTooDeep {
                max: JUMP_DEPTH_MAX,
            }
            .of(&subject),
        );
    }
    if visits > VISITS_MAX {
        found.push(Defect::TooManyVisits { max: VISITS_MAX }.of(&subject));
    }
}

/// Jumps that nest below a chain, and rules that a packet may visit in it. The recursion is as
/// deep as the chains are many, which is bounded.
fn reach(draft: &Draft, chain: usize, memo: &mut Vec<Option<(usize, u64)>>) -> (usize, u64) {
    if let Some(known) = memo[chain] {
        return known;
    }
    let mut depth = 0;
    let mut visits = draft.chains[chain].rules.len() as u64;
    let next: Vec<usize> = targets(draft, chain).collect();
    for target in next {
        let (below, more) = reach(draft, target, memo);
        depth = depth.max(below + 1);
        visits = visits.saturating_add(more);
    }
    memo[chain] = Some((depth, visits));
    (depth, visits)
}

/// For each chain, the base chains whose packets can come through it.
fn reached_from(draft: &Draft) -> Vec<Vec<Base>> {
    let mut hooks: Vec<Vec<Base>> = draft
        .chains
        .iter()
        .map(|chain| chain.base.into_iter().collect())
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        for chain in 0..draft.chains.len() {
            let mine = hooks[chain].clone();
            for next in targets(draft, chain) {
                for base in &mine {
                    if !hooks[next].contains(base) {
                        hooks[next].push(*base);
                        changed = true;
                    }
                }
            }
        }
    }
    hooks
}

/// What the rule asks or does that one of its hooks does not know.
fn out_of_place(rule: &Rule, hooks: &[Base]) -> Vec<Defect> {
    let mut defects = Vec::new();
    for condition in &rule.matches {
        let field = match &condition.test {
            Test::Iifname(_) => Field::Iifname,
            Test::Oifname(_) => Field::Oifname,
            Test::CtState(_) => {
                let early = hooks.iter().find(|base| is_before_conntrack(base));
                defects.extend(early.map(|base| Defect::BeforeConntrack {
                    hook: base.hook,
                    priority: base.priority,
                }));
                continue;
            }
            _ => continue,
        };
        let blind = hooks.iter().find(|base| !field.is_known_at(base.hook));
        defects.extend(blind.map(|base| Defect::NotAtHook {
            field,
            hook: base.hook,
        }));
    }
    for statement in &rule.statements {
        let Statement::Reject(reject) = statement else {
            continue;
        };
        let can = |base: &&Base| matches!(base.hook, Hook::Input | Hook::Forward | Hook::Output);
        let cannot = hooks.iter().find(|base| !can(base));
        defects.extend(cannot.map(|base| Defect::RejectAtHook { hook: base.hook }));
        if *reject == Reject::TcpReset && !only_tcp(&rule.matches) {
            defects.push(Defect::ResetWithoutTcp);
        }
    }
    defects
}

/// Conntrack looks at packets where they enter the machine or leave a socket.
const fn is_before_conntrack(base: &Base) -> bool {
    matches!(base.hook, Hook::Prerouting | Hook::Output) && base.priority <= CONNTRACK_PRIORITY
}
