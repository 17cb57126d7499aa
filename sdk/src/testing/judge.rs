//! Judges the cases of one file, and says how a packet that came out wrong went.

use std::fmt;
use std::path::PathBuf;

use portreeve_model::draft::Draft;
use portreeve_model::evaluate::{Decider, Evaluation, Fate, HookVerdict, StepResult, evaluate};
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::{Ruleset, Statement};
use portreeve_model::validate::validate;

use super::{Case, CaseFile, Expected, ExpectedVerdict, Logging};
use crate::Refusal;

/// A case that did not come out as its file says.
///
/// ```
/// use portreeve_sdk::testing::{CaseFile, judge};
/// use portreeve_sdk::{Chain, ChainPolicy, describe, draft};
///
/// let description = describe("nothing", "1", "Nothing comes in.").build();
/// let text = "[[case]]
///     packet = 'tcp 192.0.2.7 > 192.0.2.1:22'
///     verdict = 'accept'
///     why = 'somebody must log in'";
/// let file = CaseFile::parse("a.toml", text, &description)?;
/// let failures = judge(&file, &Ok(draft([Chain::input(ChainPolicy::Drop)])));
/// assert_eq!(
///     failures[0].to_string(),
///     "a.toml:2: eth0 tcp 192.0.2.7:40000 > 192.0.2.1:22 new
///   expected  accept
///   found     drop, by chain policy
///   why       somebody must log in
///   walk      no rule was looked at"
/// );
/// # Ok::<(), portreeve_sdk::testing::CaseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    path: PathBuf,
    line: Option<usize>,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// Every case of `file` that `decision`, what a policy said to the file's inputs, does not meet.
///
/// ```
/// use portreeve_sdk::testing::{CaseFile, judge};
/// use portreeve_sdk::{Refusal, describe};
///
/// let description = describe("nothing", "1", "Nothing comes in.").build();
/// let file = CaseFile::parse("a.toml", "refusal = 'no IPv6 prefix'", &description)?;
/// let refused = Err(Refusal::inputs("feed `cdn` holds no IPv6 prefix"));
/// assert!(judge(&file, &refused).is_empty());
/// # Ok::<(), portreeve_sdk::testing::CaseError>(())
/// ```
#[must_use]
pub fn judge(file: &CaseFile, decision: &Result<Draft, Refusal>) -> Vec<Failure> {
    let one = |message: String| {
        vec![Failure {
            path: file.path.clone(),
            line: None,
            message,
        }]
    };
    match (&file.expected, decision) {
        (Expected::Refusal(part), Err(refusal)) if refusal.to_string().contains(part) => Vec::new(),
        (Expected::Refusal(part), Err(refusal)) => one(format!(
            "the policy refuses with `{refusal}`, not with `{part}`"
        )),
        (Expected::Refusal(part), Ok(_)) => one(format!(
            "the policy drafts a rule set, it should refuse with `{part}`"
        )),
        (Expected::Packets(_), Err(refusal)) => one(format!("the policy refuses: {refusal}")),
        (Expected::Packets(cases), Ok(draft)) => match validate(draft, &file.feeds) {
            Ok(ruleset) => cases
                .iter()
                .filter_map(|case| wrong(case, &ruleset))
                .map(|(line, message)| Failure {
                    path: file.path.clone(),
                    line: Some(line),
                    message,
                })
                .collect(),
            Err(found) => found
                .iter()
                .flat_map(|defect| one(defect.to_string()))
                .collect(),
        },
    }
}

/// Whether every case of the file holds of `ruleset`; nothing is written down.
pub(super) fn holds(cases: &[Case], ruleset: &Ruleset) -> bool {
    cases.iter().all(|case| wrong(case, ruleset).is_none())
}

/// What is wrong with the case, and on which line it stands.
fn wrong(case: &Case, ruleset: &Ruleset) -> Option<(usize, String)> {
    let evaluation = evaluate(ruleset, &case.packet);
    let (verdict, log) = (verdict_of(&evaluation), logging_of(&evaluation, ruleset));
    let by = |fate: &Fate| {
        case.by
            .as_ref()
            .is_none_or(|label| *label == decider(&fate.by))
    };
    let decided = match case.verdict {
        ExpectedVerdict::Maybe => evaluation.fates.iter().any(by),
        _ => evaluation.fates.iter().all(by),
    };
    let logged = case.log.is_none_or(|expected| expected == log);
    if verdict == case.verdict && decided && logged {
        return None;
    }
    let mut expected = case.verdict.to_string();
    if let Some(label) = &case.by {
        expected += &format!(", by {label}");
    }
    let deciders: Vec<_> = evaluation
        .fates
        .iter()
        .map(|fate| decider(&fate.by))
        .collect();
    let mut found = format!("{verdict}, by {}", deciders.join(" or "));
    if let Some(wanted) = case.log {
        expected += &format!(", logged {wanted}");
        found += &format!(", logged {log}");
    }
    let message = format!(
        "{}\n  expected  {expected}\n  found     {found}\n  why       {}\n  walk      {}",
        case.packet,
        case.why,
        walk(ruleset, &case.packet).join("\n            ")
    );
    Some((case.line, message))
}

fn verdict_of(evaluation: &Evaluation) -> ExpectedVerdict {
    let dropped = |rejected: bool| {
        let mut fates = evaluation.fates.iter();
        fates.all(|f| f.verdict == HookVerdict::Drop && f.reject.is_some() == rejected)
    };
    if evaluation.must_accept() {
        ExpectedVerdict::Accept
    } else if dropped(false) {
        ExpectedVerdict::Drop
    } else if dropped(true) {
        ExpectedVerdict::Reject
    } else {
        ExpectedVerdict::Maybe
    }
}

/// Whether a line is logged on the way.
pub(super) fn logging_of(evaluation: &Evaluation, ruleset: &Ruleset) -> Logging {
    let mut logging = Logging::Never;
    for step in &evaluation.walk {
        let rule = ruleset
            .chain(&step.rule.chain)
            .map(|chain| &chain.rules()[step.rule.index]);
        let logs = |s: &Statement| matches!(s, Statement::Log { .. });
        if !rule.is_some_and(|rule| rule.statements().iter().any(logs)) {
            continue;
        }
        match step.result {
            StepResult::Failed(_) => {}
            StepResult::Matched => return Logging::Always,
            StepResult::MayMatch => logging = Logging::Limited,
        }
    }
    logging
}

/// Who decided, as a case file says it.
fn decider(by: &Decider) -> String {
    match by {
        Decider::Rule(rule) => rule.label.to_string(),
        Decider::ChainPolicy(_) => "chain policy".to_owned(),
        Decider::NoChain => "no chain".to_owned(),
    }
}

/// A packet's way through the rules, one line for each rule that was looked at.
///
/// ```
/// use portreeve_sdk::testing::{CaseFile, lattice, walk};
/// use portreeve_sdk::{Chain, ChainPolicy, draft, rule};
/// # use portreeve_sdk::testing::judge;
///
/// let ssh = rule("ssh").tcp_dport(22).accept();
/// let draft = draft([Chain::input(ChainPolicy::Drop).rule(ssh)]);
/// # use portreeve_model::validate::{Feeds, validate};
/// let ruleset = validate(&draft, &Feeds::default()).expect("a sound draft");
/// let packet = "tcp 192.0.2.7 > 192.0.2.1:23".parse().expect("a packet");
/// assert_eq!(walk(&ruleset, &packet), ["input 1 `ssh`: not tcp dport 22"]);
/// ```
#[must_use]
pub fn walk(ruleset: &Ruleset, packet: &Packet) -> Vec<String> {
    let evaluation = evaluate(ruleset, packet);
    if evaluation.walk.is_empty() {
        return vec!["no rule was looked at".to_owned()];
    }
    let line = |step: &portreeve_model::evaluate::Step| {
        let outcome = match &step.result {
            StepResult::Failed(condition) => format!("not {condition}"),
            StepResult::Matched => "matches".to_owned(),
            StepResult::MayMatch => "matches, a limit decides".to_owned(),
        };
        let rule = &step.rule;
        format!(
            "{} {} `{}`: {outcome}",
            rule.chain,
            rule.index + 1,
            rule.label
        )
    };
    evaluation.walk.iter().map(line).collect()
}
