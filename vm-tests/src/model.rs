//! A scenario without a machine: the rules that portreeve would install, and what the model says of
//! them.
//!
//! The rules come from the real program, which needs no right for that. What the model leaves open, and
//! steps that it cannot show, are counted and named, and never taken for shown.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use portreeve_model::tables::Tables;

use crate::compare::predicted;
use crate::operator;
use crate::run::{Failure, Findings};
use crate::scenario::plan::CONFIGURATION;
use crate::scenario::{Case, Plan, Scenario, Step};

/// Runs a scenario on the model.
///
/// # Errors
/// When portreeve has no rules for it, with what it says.
pub fn run(scenario: &Scenario, portreeve: &Path) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut tables = rules(&scenario.plan, portreeve)?;
    judge(&tables, &scenario.cases, &mut findings);
    let mut known = true;
    for (number, step) in (1..).zip(&scenario.steps) {
        match step {
            Step::Apply(plan) => {
                tables = rules(plan, portreeve).with_context(|| format!("step {number}"))?;
                known = true;
                continue;
            }
            Step::Probe(cases) if known => {
                judge(&tables, cases, &mut findings);
                continue;
            }
            // The rules are the same afterwards.
            Step::Probe(_)
            | Step::Talk { .. }
            | Step::Tunnel { .. }
            | Step::Reach { .. }
            | Step::Forward { .. }
            | Step::Advance(_)
            | Step::Reboot
            | Step::Write { .. } => {}
            // What they are then, time or others tell.
            Step::Trial { .. }
            | Step::Confirm { .. }
            | Step::Eventually { .. }
            | Step::Run { .. }
            | Step::Cut(_)
            | Step::Boot { .. }
            | Step::End { .. } => known = false,
        }
        findings
            .not_shown
            .push(format!("{number} ({})", step.word()));
    }
    Ok(findings)
}

/// Compares what the model says with what the file does.
fn judge(tables: &Tables, cases: &[Case], findings: &mut Findings) {
    findings.probes += cases.len();
    for case in cases {
        let predicted = predicted(tables, case);
        let mut one = predicted.iter();
        match (one.next(), one.next()) {
            (Some(only), None) => {
                let allowed = BTreeSet::from([case.verdict]);
                findings.failures.extend(Failure::of(case, *only, allowed));
            }
            _ => {
                findings.undecided += 1;
                findings.failures.push(Failure::Undecided {
                    case: case.clone(),
                    possible: predicted,
                });
            }
        }
    }
}

/// The rules that portreeve would install, as their transaction says them.
fn rules(plan: &Plan, portreeve: &Path) -> Result<Tables> {
    let folder = tempfile::tempdir()?;
    for (path, bytes) in plan.files(folder.path())? {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    let at = |name: &str| folder.path().join(name);
    let ended = Command::new(portreeve)
        .args(["plan", "--format", "nft-json", "--config"])
        .arg(at(CONFIGURATION))
        .arg("--state-dir")
        .arg(at("state"))
        .arg("--cache-dir")
        .arg(at("cache"))
        .args(operator::set(&plan.settings))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", portreeve.display()))?;
    let [transaction, said] = [ended.stdout, ended.stderr];
    let said = String::from_utf8_lossy(&said);
    let is_plan = match ended.status.code() {
        Some(0) => true,
        Some(REFUTED) => is_lock_out(&said),
        _ => false,
    };
    if !is_plan {
        bail!("`portreeve plan` ends with {}: {said}", ended.status);
    }
    Ok(portreeve_nft::read(&String::from_utf8_lossy(&transaction))?)
}

/// How portreeve ends that shows rules which it would not apply.
const REFUTED: i32 = 4;

/// Whether nothing speaks against the rules but that whoever runs this would be locked out of *this*
/// machine, which they are not for.
fn is_lock_out(said: &str) -> bool {
    let mut codes = said.lines().filter_map(|line| line.strip_prefix("error["));
    let mut all = codes.by_ref().peekable();
    all.peek().is_some() && all.all(|code| code.starts_with("L001]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_out_of_this_machine_is_passed_over() {
        for (said, expected) in [
            ("note: x\nerror[L001]: you\n  machine   unchanged\n", true),
            ("error[L001]: you\nerror[P001]: goal\n", false),
            ("error[P002]: goal\n", false),
            ("", false),
        ] {
            assert_eq!(is_lock_out(said), expected, "{said}");
        }
    }
}
