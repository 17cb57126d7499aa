//! Asks for more settings than anybody could set.

use hostile_guests::bindings::portreeve::policy::description::{Constraint, SettingSpec};
use hostile_guests::bindings::portreeve::policy::types::Value;
use hostile_guests::{Description, honest_description, honest_draft, policy};

policy!(describe, honest_draft);

fn describe() -> Description {
    let mut description = honest_description();
    description.settings = (0..1_000)
        .map(|number| SettingSpec {
            name: format!("setting-{number}"),
            default: Value::Boolean(false),
            constraint: Constraint::None,
            help: "One of many.".to_owned(),
        })
        .collect();
    description
}
