//! Judges the cases of one file, and says how a packet that came out wrong went.

use std::fmt;
use std::path::PathBuf;

use portreeve_model::draft::Draft;
use portreeve_model::evaluate::{
    Decider, Evaluation, Fate, HookVerdict, Step, StepResult, evaluate,
};
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::{Limit, Ruleset, Statement, Verdict};
use portreeve_model::tables::Tables;
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
        (Expected::Refusal(expected), Err(refusal)) if expected.is_met_by(refusal) => Vec::new(),
        (Expected::Refusal(expected), Err(refusal)) => {
            let kind = match refusal {
                Refusal::Inputs(_) => "inputs",
                Refusal::Unsupported(_) => "unsupported",
            };
            one(format!(
                "the policy refuses with `{refusal}` ({kind}), not with {expected}"
            ))
        }
        (Expected::Refusal(expected), Ok(_)) => one(format!(
            "the policy drafts a rule set, it should refuse with {expected}"
        )),
        (Expected::Packets(_), Err(refusal)) => one(format!("the policy refuses: {refusal}")),
        (Expected::Packets(cases), Ok(draft)) => match validate(draft, &file.feeds) {
            Ok(ruleset) => {
                let tables = ruleset.tables(TABLE);
                let wrong = cases
                    .iter()
                    .filter_map(|case| wrong(case, &ruleset, &tables));
                let failure = |(line, message)| Failure {
                    path: file.path.clone(),
                    line: Some(line),
                    message,
                };
                wrong.map(failure).collect()
            }
            Err(found) => found
                .iter()
                .flat_map(|defect| one(defect.to_string()))
                .collect(),
        },
    }
}

/// Whether every case of the file holds of `ruleset`; nothing is written down.
pub(super) fn holds(cases: &[Case], ruleset: &Ruleset) -> bool {
    let tables = ruleset.tables(TABLE);
    cases
        .iter()
        .all(|case| wrong(case, ruleset, &tables).is_none())
}

/// The table that a rule set is judged as.
pub(super) const TABLE: &str = "portreeve";

/// What is wrong with the case, and on which line it stands. `tables` is `ruleset` as a table.
fn wrong(case: &Case, ruleset: &Ruleset, tables: &Tables) -> Option<(usize, String)> {
    let evaluation = evaluate(tables, &case.packet);
    let (fates, way) = (&evaluation.fates, Way::of(&evaluation, ruleset));
    let verdict = verdict_of(&evaluation);
    let decides = |fate: &Fate<'_>| {
        let by = case.by.as_ref();
        by.is_none_or(|label| *label == decider(&fate.by))
            && case.reject.is_none_or(|kind| fate.reject == Some(kind))
    };
    let decided = match case.verdict {
        ExpectedVerdict::Maybe => fates.iter().any(decides),
        _ => fates.iter().all(decides),
    };
    let met = case.log.is_none_or(|log| log == way.logging)
        && case
            .limit
            .as_ref()
            .is_none_or(|limit| *limit == way.limits())
        && case
            .log_line
            .as_ref()
            .is_none_or(|line| *line == way.lines());
    if verdict == case.verdict && decided && met {
        return None;
    }
    let kind = |fate: &Fate<'_>| match fate.reject {
        Some(kind) => kind.to_string(),
        None => "nothing".to_owned(),
    };
    let each = |text: &dyn Fn(&Fate<'_>) -> String| {
        let texts: Vec<_> = fates.iter().map(text).collect();
        texts.join(" or ")
    };
    let mut expected = case.verdict.to_string();
    let mut found = format!("{verdict}, by {}", each(&|fate| decider(&fate.by)));
    if let Some(label) = &case.by {
        expected += &format!(", by {label}");
    }
    if let Some(wanted) = case.reject {
        expected += &format!(", with {wanted}");
        found += &format!(", with {}", each(&kind));
    }
    if let Some(wanted) = case.log {
        expected += &format!(", logged {wanted}");
        found += &format!(", logged {}", way.logging);
    }
    if let Some(wanted) = &case.limit {
        expected += &format!(", limit `{wanted}`");
        found += &format!(", limit `{}`", way.limits());
    }
    if let Some(wanted) = &case.log_line {
        expected += &format!(", log line `{wanted}`");
        found += &format!(", log line `{}`", way.lines());
    }
    let message = format!(
        "{}\n  expected  {expected}\n  found     {found}\n  why       {}\n  walk      {}",
        case.packet,
        case.why,
        lines(&evaluation).join("\n            ")
    );
    Some((case.line, message))
}

fn verdict_of(evaluation: &Evaluation<'_>) -> ExpectedVerdict {
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

/// What a packet meets on its way besides what decides about it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Way {
    logging: Logging,
    limits: Vec<Limit>,
    /// The log statements, as nft writes them.
    lines: Vec<String>,
}

impl Way {
    pub(super) fn of(evaluation: &Evaluation<'_>, ruleset: &Ruleset) -> Self {
        let (logging, limits, lines) = (Logging::Never, Vec::new(), Vec::new());
        let mut way = Self {
            logging,
            limits,
            lines,
        };
        // Whether a limit in an earlier rule decided that the packet comes this far.
        let mut depends = false;
        for step in &evaluation.walk {
            if matches!(step.result, StepResult::Failed(_)) {
                continue;
            }
            let mut chains = ruleset.chains().iter();
            let chain = chains.find(|chain| chain.name().as_str() == step.rule.chain_name());
            let chain = chain.expect("evaluated: the chain exists");
            let mut limited = depends;
            for statement in chain.rules()[step.rule.index].statements() {
                match statement {
                    Statement::Limit(limit) => {
                        limited = true;
                        way.limits.push(*limit);
                    }
                    // Only a limit that stands before it holds a line back.
                    Statement::Log { .. } | Statement::LogGroup { .. } => {
                        let logs = if limited {
                            Logging::Limited
                        } else {
                            Logging::Always
                        };
                        way.logging = way.logging.max(logs);
                        way.lines.push(statement.to_string());
                    }
                    // These hold back like a limit, but no case can say how much.
                    Statement::Quota { .. }
                    | Statement::CtCount { .. }
                    | Statement::UpdateSet(_) => limited = true,
                    Statement::Counter
                    | Statement::SetMark(..)
                    | Statement::Notrack
                    | Statement::Verdict(Verdict::Continue) => {}
                    Statement::Reject(_)
                    | Statement::Nat(_)
                    | Statement::VerdictMap(_)
                    | Statement::Verdict(_) => depends = limited,
                }
            }
        }
        way
    }

    fn limits(&self) -> String {
        let texts: Vec<_> = self.limits.iter().map(Limit::to_string).collect();
        texts.join(", ")
    }

    fn lines(&self) -> String {
        self.lines.join(", ")
    }
}

/// Who decided, as a case file says it.
fn decider(by: &Decider<'_>) -> String {
    match by {
        Decider::Rule(rule) => rule.label().to_owned(),
        Decider::ChainPolicy(_) => "chain policy".to_owned(),
        Decider::NoChain => "no chain".to_owned(),
        Decider::NotFollowed(_) => "too many rules".to_owned(),
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
    lines(&evaluate(&ruleset.tables(TABLE), packet))
}

/// The way of a packet that was evaluated.
fn lines(evaluation: &Evaluation<'_>) -> Vec<String> {
    if evaluation.walk.is_empty() {
        return vec!["no rule was looked at".to_owned()];
    }
    let line = |step: &Step<'_>| {
        let rule = &step.rule;
        let part = step.part();
        let part = part.map_or_else(String::new, |part| rule.place.table.part_text(part));
        let outcome = match step.result {
            StepResult::Failed(_) => format!("not {part}"),
            StepResult::Matched => "matches".to_owned(),
            StepResult::MayMatch(_) => format!("may match, not certain is {part}"),
        };
        let (chain, number) = (rule.chain_name(), rule.index + 1);
        format!("{chain} {number} `{}`: {outcome}", rule.label())
    };
    evaluation.walk.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use portreeve_model::validate::Feeds;

    use super::*;
    use crate::{Chain, ChainPolicy, LogLevel, Rule, TimeUnit, draft, rule};

    #[track_caller]
    fn check(rules: impl IntoIterator<Item = Rule>, expected: Logging) {
        let draft = draft([Chain::input(ChainPolicy::Drop).rules(rules)]);
        let ruleset = validate(&draft, &Feeds::default()).unwrap();
        let packet = "tcp 192.0.2.7 > 192.0.2.1:22".parse().unwrap();
        let tables = ruleset.tables(TABLE);
        let way = Way::of(&evaluate(&tables, &packet), &ruleset);
        assert_eq!(way.logging, expected);
    }

    #[test]
    fn only_a_limit_that_comes_first_holds_a_line_back() {
        let first = rule("limit, log").limit_rate(10, TimeUnit::Minute, 5);
        let first = first.log("x: ", LogLevel::Info).continue_();
        check([first], Logging::Limited);
        let last = rule("log, limit").log("x: ", LogLevel::Info);
        let last = last.limit_rate(10, TimeUnit::Minute, 5).continue_();
        check([last], Logging::Always);
        let earlier = rule("some").limit_rate(10, TimeUnit::Minute, 5).accept();
        let log = || rule("log").log("x: ", LogLevel::Info).continue_();
        check([earlier, log()], Logging::Limited);
        check([log()], Logging::Always);
    }
}
