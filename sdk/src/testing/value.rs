//! A setting's value in a case file, judged by what the description says of the setting.

use std::ops::RangeInclusive;

use portreeve_model::address::{AddressSet, Family, Prefix};
use portreeve_model::description::{Constraint, SettingSpec};
use portreeve_model::diagnostic::Quoted;
use portreeve_model::inputs::Value;
use portreeve_model::intervals::{Interval, Intervals};

/// The value, or what was found and what is allowed.
pub(super) fn read(spec: &SettingSpec, found: &toml::Value) -> Result<Value, String> {
    let wrong = |allowed: &str| Err(format!("found {}, allowed is {allowed}", shown(found)));
    match (&spec.default, found) {
        (Value::Boolean(_), toml::Value::Boolean(on)) => Ok(Value::Boolean(*on)),
        (Value::Boolean(_), _) => wrong("true or false"),
        (Value::Integer(_), toml::Value::Integer(number)) => match spec.constraint {
            Constraint::Between { min, max } if !(min..=max).contains(number) => {
                wrong(&format!("{min} to {max}"))
            }
            _ => Ok(Value::Integer(*number)),
        },
        (Value::Integer(_), _) => wrong("a whole number"),
        (Value::Port(_), _) => match port(found) {
            Some(port) => Ok(Value::Port(port)),
            None => wrong("a port from 1 to 65535"),
        },
        (Value::Ports(_), _) => match ports(found) {
            Some(ports) => entries(spec, ports.len()).map(|()| Value::Ports(ports)),
            None => wrong("a list of ports and ranges, like [443, \"8000-8010\"]"),
        },
        (Value::Choice(_), _) => match (&spec.constraint, found) {
            (Constraint::OneOf(words), toml::Value::String(word)) if !words.contains(word) => {
                wrong(&words.join(", "))
            }
            (_, toml::Value::String(word)) => Ok(Value::Choice(word.clone())),
            _ => wrong("a word"),
        },
        (Value::Prefixes(_), _) => match prefixes(found) {
            Some(list) => entries(spec, list.len()).map(|()| Value::Prefixes(list)),
            None => wrong("a list of prefixes, like [\"192.0.2.0/24\"]"),
        },
    }
}

fn shown(found: &toml::Value) -> String {
    match found {
        toml::Value::String(text) => Quoted(text).to_string(),
        toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Float(_) => {
            found.to_string()
        }
        toml::Value::Array(_) => "a list".to_owned(),
        toml::Value::Table(_) | toml::Value::Datetime(_) => format!("a {}", found.type_str()),
    }
}

fn entries(spec: &SettingSpec, found: usize) -> Result<(), String> {
    match spec.constraint {
        Constraint::Entries { min, max } if !(min as usize..=max as usize).contains(&found) => {
            Err(format!("found {found} entries, allowed are {min} to {max}"))
        }
        _ => Ok(()),
    }
}

fn port(found: &toml::Value) -> Option<u16> {
    let port = u16::try_from(found.as_integer()?).ok()?;
    (port != 0).then_some(port)
}

/// Ports as the host hands them on: sorted and disjoint.
fn ports(found: &toml::Value) -> Option<Vec<RangeInclusive<u16>>> {
    let range = |item: &toml::Value| {
        let (first, last) = match item.as_str() {
            Some(text) => text.split_once('-').unwrap_or((text, text)),
            None => return port(item).map(|port| Interval::single(port.into())),
        };
        let first = first.parse::<u16>().ok().filter(|first| *first != 0)?;
        Interval::new(first.into(), last.parse::<u16>().ok()?.into())
    };
    let ranges: Option<Intervals> = found.as_array()?.iter().map(range).collect();
    let narrow = |number: u128| u16::try_from(number).expect("made of ports");
    let ports = |range: &Interval| narrow(range.first())..=narrow(range.last());
    Some(ranges?.iter().map(ports).collect())
}

/// Prefixes as the host hands them on: merged, IPv4 first, ascending.
fn prefixes(found: &toml::Value) -> Option<Vec<Prefix>> {
    let prefix = |item: &toml::Value| item.as_str()?.parse::<Prefix>().ok();
    let set: Option<AddressSet> = found.as_array()?.iter().map(prefix).collect();
    let set = set?;
    let of = |family: Family| {
        let intervals = set.of(family).iter();
        intervals.flat_map(move |interval| Prefix::covering(family, *interval))
    };
    Some(Family::BOTH.into_iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;

    #[track_caller]
    fn check(name: &str, text: &str, expected: &str) {
        let description = describe("example", "1", "An example.")
            .boolean("echo", true, "ping")
            .integer("rate", 10, 1..=100, "per second")
            .ports("ports", 443, 1..=2, "open")
            .choice("otherwise", ["drop", "reject"], "the rest")
            .prefixes("office", [], 0..=1, "who")
            .build();
        let spec = description
            .settings
            .iter()
            .find(|spec| spec.name == name)
            .unwrap();
        let table: toml::Table = format!("x = {text}").parse().unwrap();
        let found = match read(spec, &table["x"]) {
            Ok(value) => value.to_string(),
            Err(message) => message,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_value_that_the_host_would_refuse_is_refused() {
        check("echo", "false", "false");
        check("echo", "1", "found 1, allowed is true or false");
        check("rate", "101", "found 101, allowed is 1 to 100");
        check("ports", "[443, '8000-8010', 444]", "443-444,8000-8010");
        check("ports", "[]", "found 0 entries, allowed are 1 to 2");
        let allowed = "allowed is a list of ports and ranges, like [443, \"8000-8010\"]";
        check("ports", "['9-8']", &format!("found a list, {allowed}"));
        check("ports", "443", &format!("found 443, {allowed}"));
        check(
            "otherwise",
            "'accept'",
            "found `accept`, allowed is drop, reject",
        );
        check(
            "office",
            "['192.0.2.0/25', '192.0.2.128/25']",
            "192.0.2.0/24",
        );
    }
}
