//! A rule that is wrong by one step: a match, a family or a statement.

use portreeve_model::address::Family;
use portreeve_model::draft::{Match, Rule, Selector, Statement, Test, Values, Verdict};
use portreeve_model::ruleset::{Limit, LogLevel, Reject, TimeUnit};

use super::values::test_mutants;

/// The rule, wrong by one step in each way. `targets` are the regular chains of the draft.
pub(super) fn rule_mutants(rule: &Rule, targets: &[String]) -> Vec<(String, Rule)> {
    let mut found = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Rule)| {
        let mut changed = rule.clone();
        change(&mut changed);
        found.push((name, changed));
    };
    for (at, condition) in rule.matches.iter().enumerate() {
        let field = field_name(&condition.test);
        add(format!("without {field}"), &|rule| {
            drop(rule.matches.remove(at))
        });
        add(format!("{field} negated"), &|rule| {
            rule.matches[at].negated = !condition.negated;
        });
        for (change, test) in test_mutants(&condition.test) {
            add(format!("{field} {change}"), &|rule| {
                let (negated, test) = (condition.negated, test.clone());
                rule.matches[at] = Match { negated, test };
            });
        }
    }
    if !rule.matches.iter().any(|m| names_a_family(&m.test)) {
        for family in Family::BOTH {
            add(format!("for {} only", family.keyword()), &|rule| {
                let (negated, test) = (false, Test::Nfproto(family));
                rule.matches.push(Match { negated, test });
            });
        }
    }
    for (at, statement) in rule.statements.iter().enumerate() {
        for (change, changed) in statement_mutants(statement, targets) {
            add(change, &|rule| match &changed {
                Some(changed) => rule.statements[at] = changed.clone(),
                None => drop(rule.statements.remove(at)),
            });
        }
    }
    found
}

/// Whether packets of the other family fail the test anyway.
fn names_a_family(test: &Test) -> bool {
    match test {
        Test::Nfproto(_)
        | Test::Saddr(..)
        | Test::Daddr(..)
        | Test::HopLimit(..)
        | Test::IcmpType(..) => true,
        Test::Iifname(_)
        | Test::Oifname(_)
        | Test::L4proto(_)
        | Test::Sport(..)
        | Test::Dport(..)
        | Test::CtState(_)
        | Test::Bits { .. }
        | Test::FieldSet(_) => false,
        Test::Number(field, _) => field.field().family().is_some(),
        Test::Concatenation { fields, .. } => {
            fields.iter().any(|field| field.field().family().is_some())
        }
    }
}

/// The statement, wrong by one step in each way; `None` is a statement that is gone.
fn statement_mutants(
    statement: &Statement,
    targets: &[String],
) -> Vec<(String, Option<Statement>)> {
    let named = |name: &str, changed: Statement| (name.to_owned(), Some(changed));
    let accepts = || named("accepts", Statement::Accept);
    let drops = || named("drops", Statement::Drop);
    match statement {
        // A counter decides nothing.
        Statement::Counter => Vec::new(),
        Statement::Quota { .. } => gone("quota"),
        Statement::CtCount { .. } => gone("ct count"),
        Statement::LogGroup { .. } => gone("log"),
        Statement::SetMark(..) => gone("mark"),
        Statement::Notrack => gone("notrack"),
        Statement::UpdateSet { .. } => gone("set"),
        Statement::Nat(_) => vec![accepts(), drops()],
        Statement::VerdictMap { fields, elements } => map_mutants(fields, elements),
        Statement::Limit(limit) => limit_mutants(*limit),
        Statement::Log { prefix, level } => log_mutants(prefix.as_deref(), *level),
        Statement::Accept => vec![drops()],
        Statement::Drop => vec![accepts()],
        Statement::Reject(kind) => {
            let others = Reject::ALL.into_iter().filter(|other| other != kind);
            let others = others.map(|other| {
                let name = format!("rejects with {other}");
                (name, Some(Statement::Reject(other)))
            });
            [accepts(), drops()].into_iter().chain(others).collect()
        }
        Statement::Continue => {
            vec![accepts(), drops(), named("returns", Statement::Return)]
        }
        Statement::Return => {
            vec![accepts(), drops(), named("continues", Statement::Continue)]
        }
        Statement::Jump(target) => {
            let mut found = elsewhere(target, targets, Statement::Jump);
            found.push(named("goes to", Statement::Goto(target.clone())));
            found
        }
        Statement::Goto(target) => {
            let mut found = elsewhere(target, targets, Statement::Goto);
            found.push(named("jumps to", Statement::Jump(target.clone())));
            found
        }
    }
}

fn gone(what: &str) -> Vec<(String, Option<Statement>)> {
    vec![(format!("without its {what}"), None)]
}

/// The map without one of its elements, or with one that decides the opposite.
fn map_mutants(
    fields: &[Selector],
    elements: &[(Vec<Values>, Verdict)],
) -> Vec<(String, Option<Statement>)> {
    let map = |elements| {
        let fields = fields.to_vec();
        Some(Statement::VerdictMap { fields, elements })
    };
    let mut found = gone("map");
    for at in 0..elements.len() {
        if elements.len() > 1 {
            let mut left = elements.to_vec();
            drop(left.remove(at));
            found.push((format!("map without element {}", at + 1), map(left)));
        }
        let mut other = elements.to_vec();
        other[at].1 = match other[at].1 {
            Verdict::Accept => Verdict::Drop,
            Verdict::Drop
            | Verdict::Continue
            | Verdict::Return
            | Verdict::Jump(_)
            | Verdict::Goto(_) => Verdict::Accept,
        };
        found.push((
            format!("map with another verdict for element {}", at + 1),
            map(other),
        ));
    }
    found
}

/// A step to every other chain that can be a target.
fn elsewhere(
    target: &str,
    targets: &[String],
    step: fn(String) -> Statement,
) -> Vec<(String, Option<Statement>)> {
    let others = targets.iter().filter(|other| *other != target);
    others
        .map(|other| {
            (
                format!("leads to chain `{other}`"),
                Some(step(other.clone())),
            )
        })
        .collect()
}

fn limit_mutants(limit: Limit) -> Vec<(String, Option<Statement>)> {
    let Limit {
        rate, burst, over, ..
    } = limit;
    let steps = [
        (
            "limit rate one higher",
            Limit {
                rate: rate.saturating_add(1),
                ..limit
            },
        ),
        (
            "limit rate one lower",
            Limit {
                rate: rate.saturating_sub(1),
                ..limit
            },
        ),
        (
            "limit burst one higher",
            Limit {
                burst: burst.saturating_add(1),
                ..limit
            },
        ),
        (
            "limit burst one lower",
            Limit {
                burst: burst.saturating_sub(1),
                ..limit
            },
        ),
        (
            "limit the other way round",
            Limit {
                over: !over,
                ..limit
            },
        ),
    ];
    let units = TimeUnit::ALL.into_iter().filter(|per| *per != limit.per);
    let units = units.map(|per| {
        (
            format!("limit per {}", per.keyword()),
            Limit { per, ..limit },
        )
    });
    let steps = steps.map(|(name, limit)| (name.to_owned(), limit));
    let mut found = vec![("without its limit".to_owned(), None)];
    found.extend(
        steps
            .into_iter()
            .chain(units)
            .map(|(name, limit)| (name, Some(Statement::Limit(limit)))),
    );
    found
}

fn log_mutants(prefix: Option<&str>, level: LogLevel) -> Vec<(String, Option<Statement>)> {
    let log = |prefix: Option<&str>, level| {
        let prefix = prefix.map(str::to_owned);
        Some(Statement::Log { prefix, level })
    };
    let other = match prefix {
        Some(_) => ("log without its prefix", None),
        None => ("log with a prefix", Some("other: ")),
    };
    let mut found = vec![
        ("without its log".to_owned(), None),
        (other.0.to_owned(), log(other.1, level)),
    ];
    let levels = LogLevel::ALL.into_iter().filter(|other| *other != level);
    found
        .extend(levels.map(|other| (format!("log level {}", other.keyword()), log(prefix, other))));
    found
}

const fn field_name(test: &Test) -> &'static str {
    match test {
        Test::Iifname(_) => "iifname",
        Test::Oifname(_) => "oifname",
        Test::Nfproto(_) => "meta nfproto",
        Test::Saddr(..) => "saddr",
        Test::Daddr(..) => "daddr",
        Test::HopLimit(..) => "hop limit",
        Test::L4proto(_) => "meta l4proto",
        Test::Sport(..) => "sport",
        Test::Dport(..) => "dport",
        Test::IcmpType(..) => "icmp type",
        Test::CtState(_) => "ct state",
        Test::Number(..) => "number",
        Test::Bits { .. } => "bits",
        Test::Concatenation { .. } => "fields",
        Test::FieldSet(_) => "field set",
    }
}
