//! Gives a setting a default with host bits.

use hostile_guests::bindings::portreeve::policy::description::{Constraint, SettingSpec};
use hostile_guests::bindings::portreeve::policy::types::{IpAddress, Prefix, Value};
use hostile_guests::{Description, honest_description, honest_draft, policy};

policy!(describe, honest_draft);

fn describe() -> Description {
    let mut description = honest_description();
    description.settings.push(SettingSpec {
        name: "office".to_owned(),
        default: Value::Prefixes(vec![Prefix {
            address: IpAddress::Ip(0xc000_0201),
            length: 24,
        }]),
        constraint: Constraint::None,
        help: "A setting.".to_owned(),
    });
    description
}
