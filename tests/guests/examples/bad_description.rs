//! Describes itself wrongly in every way.

use hostile_guests::bindings::portreeve::policy::description::{
    Clause, Constraint, Goal, Quantifier, SettingSpec,
};
use hostile_guests::bindings::portreeve::policy::types::Value;
use hostile_guests::{Description, Hook, honest_description, honest_draft, policy};

policy!(describe, honest_draft);

fn describe() -> Description {
    let mut description = honest_description();
    description.name = "Hostile \u{1b}[2J".to_owned();
    description.summary = "two\nlines".to_owned();
    description.settings = vec![
        setting("port", Value::Port(0), Constraint::None),
        setting("port", Value::Port(22), Constraint::Between((1, 2))),
        setting("number", Value::Integer(5), Constraint::Between((9, 1))),
    ];
    description.goals = vec![Goal {
        name: "all".to_owned(),
        hook: Hook::Input,
        quantifier: Quantifier::AllAccepted,
        clauses: vec![Clause {
            when: Some("number".to_owned()),
            matches: Vec::new(),
            dport_setting: None,
            saddr_from: Some("nowhere".to_owned()),
            saddr_not_from: Some("elsewhere".to_owned()),
        }],
    }];
    description
}

fn setting(name: &str, default: Value, constraint: Constraint) -> SettingSpec {
    SettingSpec {
        name: name.to_owned(),
        default,
        constraint,
        help: "A setting.".to_owned(),
    }
}
