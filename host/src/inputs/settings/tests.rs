//! An operator who mistypes a setting learns what was found and what is allowed.

use std::path::Path;

use portreeve_model::description::{Constraint, SettingSpec};

use super::*;
use crate::inputs::raw::Place;

fn description() -> Description {
    let spec = |name: &str, default, constraint| SettingSpec {
        name: name.to_owned(),
        default,
        constraint,
        help: "a test".to_owned(),
    };
    let choices = ["drop", "reject"].map(str::to_owned).to_vec();
    Description {
        name: "test".to_owned(),
        version: "1".to_owned(),
        summary: String::new(),
        settings: vec![
            spec("echo", Value::Boolean(true), Constraint::None),
            spec(
                "rate",
                Value::Integer(5),
                Constraint::Between { min: 1, max: 9 },
            ),
            spec("ssh-port", Value::Port(22), Constraint::None),
            spec(
                "ports",
                Value::Ports(vec![443..=443]),
                Constraint::Entries { min: 1, max: 2 },
            ),
            spec(
                "closed",
                Value::Choice("drop".to_owned()),
                Constraint::OneOf(choices),
            ),
            spec(
                "from",
                Value::Prefixes(Vec::new()),
                Constraint::Entries { min: 0, max: 2 },
            ),
        ],
        feeds: Vec::new(),
        needs_interfaces: false,
        needs_listeners: false,
        goals: Vec::new(),
    }
}

fn outcome(key: &str, value: Raw, place: Place) -> String {
    let key = key.to_owned();
    let entry = Entry { key, value, place };
    match collect(std::slice::from_ref(&entry), &description()) {
        Ok(settings) => {
            let of_key = |setting: &&Setting| setting.name == entry.key;
            format!("{:?}", settings.iter().find(of_key).unwrap().value)
        }
        Err(found) => found
            .iter()
            .map(|one| format!("{one}"))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn argument(key: &str, value: &str, expected: &str) {
    let found = outcome(key, Raw::Argument(value.to_owned()), Place::CommandLine);
    assert_eq!(found, expected, "{key}={value}");
}

fn file(key: &str, value: Raw, expected: &str) {
    let place = Place::File {
        path: Path::new("/p.toml").into(),
        line: 7,
    };
    assert_eq!(outcome(key, value, place), expected, "{key}");
}

#[test]
fn the_command_line_says_every_type() {
    argument("echo", "false", "Boolean(false)");
    argument("rate", "9", "Integer(9)");
    argument("ssh-port", "65535", "Port(65535)");
    argument("ports", "8080-8090,443", "Ports([443..=443, 8080..=8090])");
    argument("ports", "1-10, 5-20,21", "Ports([1..=21])");
    argument("closed", "reject", "Choice(\"reject\")");
    argument("from", "", "Prefixes([])");
    argument(
        "from",
        "2001:db8::/32,192.0.2.0/25,192.0.2.128/25",
        "Prefixes([Prefix { address: 192.0.2.0, length: 24 }, \
         Prefix { address: 2001:db8::, length: 32 }])",
    );
}

#[test]
fn the_file_says_every_type() {
    let list = |items: &[Raw]| Raw::List(items.to_vec());
    let text = |text: &str| Raw::Text(text.to_owned());
    file("echo", Raw::Boolean(false), "Boolean(false)");
    file("rate", Raw::Integer(1), "Integer(1)");
    file("ssh-port", Raw::Integer(2222), "Port(2222)");
    file(
        "ports",
        list(&[text("80-90"), Raw::Integer(22)]),
        "Ports([22..=22, 80..=90])",
    );
    file("closed", text("drop"), "Choice(\"drop\")");
    file(
        "from",
        list(&[text("::1")]),
        "Prefixes([Prefix { address: ::1, length: 128 }])",
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    let at = "error[S002]: `/p.toml` line 7, setting";
    let text = || Raw::Text("22".to_owned());
    file(
        "echo",
        Raw::Integer(1),
        &format!("{at} `echo`: found `1`, allowed is true or false"),
    );
    file(
        "rate",
        text(),
        &format!("{at} `rate`: found `\"22\"`, allowed is a whole number"),
    );
    file(
        "ssh-port",
        text(),
        &format!("{at} `ssh-port`: found `\"22\"`, allowed is a port"),
    );
    let ports = "allowed is a list of ports such as `[443, \"8080-8090\"]`";
    file(
        "ports",
        Raw::Integer(443),
        &format!("{at} `ports`: found `443`, {ports}"),
    );
    let list = Raw::List(vec![Raw::Boolean(true)]);
    file(
        "ports",
        list,
        &format!("{at} `ports`: found `[true]`, {ports}"),
    );
    let choice = Raw::Boolean(true);
    file(
        "closed",
        choice,
        &format!("{at} `closed`: found `true`, allowed is a text"),
    );
    let prefixes = "allowed is a list of prefixes such as `[\"192.0.2.0/24\"]`";
    let table = Raw::Other("{ … }".to_owned());
    file(
        "from",
        table,
        &format!("{at} `from`: found `{{ … }}`, {prefixes}"),
    );
    let at = "error[S002]: `--set`, setting";
    argument(
        "echo",
        "yes",
        &format!("{at} `echo`: found `yes`, allowed is true or false"),
    );
    argument(
        "rate",
        "",
        &format!("{at} `rate`: found ``, allowed is a whole number"),
    );
}

#[test]
fn a_value_that_says_nothing_is_refused() {
    let at = "error[S003]: `--set`, setting";
    let port = "a port is a number from 1 to 65535";
    for bad in ["0", "65536", "-1", "+22", "ssh", "", "22 "] {
        argument(
            "ssh-port",
            bad,
            &format!("{at} `ssh-port`: found `{bad}`, {port}"),
        );
    }
    argument("ports", "443,", &format!("{at} `ports`: found ``, {port}"));
    argument(
        "ports",
        "1-2-3",
        &format!("{at} `ports`: found `2-3`, {port}"),
    );
    argument(
        "ports",
        "9-8",
        &format!("{at} `ports`: range `9-8` ends before it begins"),
    );
    argument(
        "from",
        "192.0.2.1/24",
        &format!(
            "{at} `from`: `192.0.2.1/24`: \
             bits are set after the prefix length; the prefix is 192.0.2.0/24"
        ),
    );
    argument(
        "from",
        "home",
        &format!("{at} `from`: `home`: not an address or prefix"),
    );
}

#[test]
fn a_value_outside_its_constraint_is_refused() {
    let at = "error[S004]: `--set`, setting";
    argument(
        "rate",
        "10",
        &format!("{at} `rate`: found 10, allowed is 1 to 9"),
    );
    argument(
        "ports",
        "",
        &format!("{at} `ports`: found 0 entries once merged, allowed are 1 to 2"),
    );
    argument(
        "ports",
        "1,3,5",
        &format!("{at} `ports`: found 3 entries once merged, allowed are 1 to 2"),
    );
    argument(
        "closed",
        "accept",
        &format!("{at} `closed`: found `accept`, allowed is one of `drop`, `reject`"),
    );
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_one() {
    let (key, value) = ("ssh_port".to_owned(), Raw::Integer(22));
    let entry = Entry {
        key,
        value,
        place: Place::CommandLine,
    };
    let found = collect(&[entry], &description()).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "error[S001]: `--set`, setting `ssh_port`: policy `test` has no such setting, \
         allowed are `echo`, `rate`, `ssh-port`, `ports`, `closed`, `from`"
    );
    assert_eq!(found[0].help, "write `ssh-port`, if that is what it means");
}

#[test]
fn what_is_not_set_has_its_default_and_the_order_is_the_description_s() {
    let settings = collect(&[], &description()).unwrap();
    let expected: Vec<_> = description()
        .settings
        .into_iter()
        .map(|spec| Setting {
            name: spec.name,
            value: spec.default,
        })
        .collect();
    assert_eq!(settings, expected);
}

#[test]
fn a_policy_cannot_slip_in_a_default_that_it_forbids_to_others() {
    let mut description = description();
    description.settings[1].default = Value::Integer(0);
    description.settings[2].constraint = Constraint::Between { min: 1, max: 2 };
    let found: Vec<_> = collect(&[], &description)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "error[S004]: default of setting `rate`: found 0, allowed is 1 to 9",
            "error[S004]: default of setting `ssh-port`: \
             the policy puts a constraint on it that does not fit its type",
        ]
    );
}
