//! The operator's values for the settings that a policy's description asks for.
//!
//! A value has the type of the setting's default and passes its constraint, or the operator is
//! told what was found, where, and what is allowed; all of that at once.

use std::ops::RangeInclusive;

use portreeve_model::address::{AddressSet, Family, Prefix};
use portreeve_model::description::{Description, SettingSpec};
use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::inputs::{Setting, Value};
use portreeve_model::intervals::{Interval, Intervals};

use super::config::Entry;
use super::feed::merged_prefixes;
use super::nearest::did_you_mean;
use super::raw::Raw;

/// A value for each setting of `description`, in its order.
pub(super) fn collect(
    entries: &[Entry],
    description: &Description,
) -> Result<Vec<Setting>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    for entry in entries {
        if !description
            .settings
            .iter()
            .any(|spec| spec.name == entry.key)
        {
            found.push(unknown(entry, description));
        }
    }
    let mut settings = Vec::with_capacity(description.settings.len());
    for spec in &description.settings {
        let entry = entries.iter().find(|entry| entry.key == spec.name);
        match setting(spec, entry) {
            Ok(value) => settings.push(Setting {
                name: spec.name.clone(),
                value,
            }),
            Err(diagnostic) => found.push(diagnostic),
        }
    }
    if found.is_empty() {
        Ok(settings)
    } else {
        Err(found)
    }
}

fn unknown(entry: &Entry, description: &Description) -> Diagnostic {
    let known = || description.settings.iter().map(|spec| spec.name.as_str());
    let names: Vec<_> = known().map(|name| Quoted(name).to_string()).collect();
    let allowed = match names.as_slice() {
        [] => "it takes none".to_owned(),
        names => format!("allowed are {}", names.join(", ")),
    };
    Diagnostic {
        code: "S001",
        subject: subject(entry),
        message: format!(
            "policy {} has no such setting, {allowed}",
            Quoted(&description.name)
        ),
        help: did_you_mean(&entry.key, known()),
    }
}

fn setting(spec: &SettingSpec, entry: Option<&Entry>) -> Result<Value, Diagnostic> {
    let Some(entry) = entry else {
        return match spec.constraint.breach(&spec.default) {
            None => Ok(spec.default.clone()),
            Some(message) => Err(Diagnostic {
                code: "S004",
                subject: format!("default of setting {}", Quoted(&spec.name)),
                message,
                help: "this is the policy's fault; set the value until it is corrected".to_owned(),
            }),
        };
    };
    let diagnostic = |code, message| Diagnostic {
        code,
        subject: subject(entry),
        message,
        help: format!("the setting is for: {}", Quoted(&spec.help)),
    };
    let value = typed(&spec.default, &entry.value).map_err(|error| match error {
        TypeError::Type => diagnostic("S002", mismatch(&spec.default, &entry.value)),
        TypeError::Value(message) => diagnostic("S003", message),
    })?;
    match spec.constraint.breach(&value) {
        None => Ok(value),
        Some(message) => Err(diagnostic("S004", message)),
    }
}

fn subject(entry: &Entry) -> String {
    format!("{}, setting {}", entry.place, Quoted(&entry.key))
}

/// Why a value does not have the type of its setting.
enum TypeError {
    /// It is something else altogether.
    Type,
    /// It looks right but says nothing that makes sense.
    Value(String),
}

fn mismatch(default: &Value, found: &Raw) -> String {
    let argument = matches!(found, Raw::Argument(_));
    let allowed = match default {
        Value::Boolean(_) => "true or false",
        Value::Integer(_) => "a whole number",
        Value::Port(_) => "a port",
        Value::Ports(_) if argument => "ports such as `443,8080-8090`",
        Value::Ports(_) => "a list of ports such as `[443, \"8080-8090\"]`",
        Value::Choice(_) => "a text",
        Value::Prefixes(_) if argument => "prefixes such as `192.0.2.0/24,2001:db8::/32`",
        Value::Prefixes(_) => "a list of prefixes such as `[\"192.0.2.0/24\"]`",
    };
    format!("found {found}, allowed is {allowed}")
}

/// The value that `raw` says, in the type of `default`.
fn typed(default: &Value, raw: &Raw) -> Result<Value, TypeError> {
    match (default, raw) {
        (Value::Boolean(_), Raw::Boolean(boolean)) => Ok(Value::Boolean(*boolean)),
        (Value::Boolean(_), Raw::Argument(text)) => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| TypeError::Type),
        (Value::Integer(_), Raw::Integer(integer)) => Ok(Value::Integer(*integer)),
        (Value::Integer(_), Raw::Argument(text)) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| TypeError::Type),
        (Value::Port(_), Raw::Integer(_) | Raw::Argument(_)) => {
            port(&raw.written()).map(Value::Port)
        }
        (Value::Ports(_), Raw::List(_) | Raw::Argument(_)) => ports(&words(raw)?),
        (Value::Choice(_), Raw::Text(text) | Raw::Argument(text)) => {
            Ok(Value::Choice(text.clone()))
        }
        (Value::Prefixes(_), Raw::List(_) | Raw::Argument(_)) => prefixes(&words(raw)?),
        _ => Err(TypeError::Type),
    }
}

/// The words of a list: `[443, "8080-8090"]` in a file, `443,8080-8090` on the command line.
fn words(raw: &Raw) -> Result<Vec<String>, TypeError> {
    match raw {
        Raw::Argument(text) if text.is_empty() => Ok(Vec::new()),
        Raw::Argument(text) => Ok(text.split(',').map(|word| word.trim().to_owned()).collect()),
        Raw::List(items) => items
            .iter()
            .map(|item| match item {
                Raw::Text(text) => Ok(text.clone()),
                Raw::Integer(integer) => Ok(integer.to_string()),
                _ => Err(TypeError::Type),
            })
            .collect(),
        _ => Err(TypeError::Type),
    }
}

fn port(word: &str) -> Result<u16, TypeError> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse::<u16>() {
        Ok(port @ 1..) if digits => Ok(port),
        _ => Err(TypeError::Value(format!(
            "found {}, a port is a number from 1 to 65535",
            Quoted(word)
        ))),
    }
}

fn ports(words: &[String]) -> Result<Value, TypeError> {
    let mut intervals = Vec::with_capacity(words.len());
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (port(first)?, port(last)?);
        let interval = Interval::new(first.into(), last.into());
        intervals.push(interval.ok_or_else(|| {
            TypeError::Value(format!("range {} ends before it begins", Quoted(word)))
        })?);
    }
    let merged: Intervals = intervals.into_iter().collect();
    Ok(Value::Ports(merged.iter().map(port_range).collect()))
}

fn port_range(interval: &Interval) -> RangeInclusive<u16> {
    let port = |number| u16::try_from(number).expect("made of two ports");
    port(interval.first())..=port(interval.last())
}

fn prefixes(words: &[String]) -> Result<Value, TypeError> {
    let mut prefixes = Vec::with_capacity(words.len());
    for word in words {
        let prefix: Prefix = word
            .parse()
            .map_err(|error| TypeError::Value(format!("{}: {error}", Quoted(word))))?;
        prefixes.push(prefix);
    }
    let merged: AddressSet = prefixes.into_iter().collect();
    let of_family = |family| merged_prefixes(&merged, family);
    let prefixes = Family::BOTH.into_iter().flat_map(of_family).collect();
    Ok(Value::Prefixes(prefixes))
}

#[cfg(test)]
mod tests;
