//! Statements that only nft's words tell: of what is no part of the packet, and of what changes
//! nothing that a rule can see.

use serde_json::{Map, Value};

use super::values::only_entry;

/// The attributes that a statement may have.
pub(super) fn attributes_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "limit" => &["rate", "burst", "per", "inv", "rate_unit", "burst_unit"],
        "quota" => &["val", "val_unit", "inv", "used", "used_unit"],
        "ct count" => &["val", "inv"],
        "set" => &["op", "elem", "set", "stmt"],
        "map" => &["op", "elem", "data", "map", "stmt"],
        "meter" => &["key", "stmt", "size", "name"],
        "tproxy" => &["family", "addr", "port"],
        "flow" => &["op", "flowtable"],
        "log" => &[
            "prefix",
            "group",
            "snaplen",
            "queue-threshold",
            "level",
            "flags",
        ],
        "last" => &["used"],
        "dup" => &["addr", "dev"],
        "queue" => &["num", "flags"],
        "synproxy" => &["mss", "wscale", "flags"],
        "fwd" => &["dev", "family", "addr"],
        _ => &[],
    }
}

/// A statement in nft's words.
pub(super) fn statement(json: &Value) -> Option<String> {
    let (kind, body) = only_entry(json)?;
    let Some(of) = body.as_object() else {
        return Some(match body {
            Value::String(name) => format!("{kind} name {name:?}"),
            Value::Null => kind.to_owned(),
            _ => return None,
        });
    };
    if of.contains_key("map") && of.len() == 1 {
        return Some(format!("{kind} name {}", words(body)));
    }
    let over = |word: &str| match of.get("inv") {
        Some(Value::Bool(true)) => format!("{word} over"),
        _ => word.to_owned(),
    };
    let word = |key: &str| of.get(key).map(words).unwrap_or_default();
    Some(match kind {
        "limit" => limit(of, &over("limit rate")),
        "quota" => format!("{} {} {}", over("quota"), word("val"), word("val_unit")),
        "ct count" => format!("{} {}", over("ct count"), word("val")),
        "set" => {
            let statements = statements(of);
            format!(
                "{} {} {{ {}{statements} }}",
                word("op"),
                word("set"),
                word("elem")
            )
        }
        "map" => {
            let (key, data) = (word("elem"), word("data"));
            let statements = statements(of);
            format!(
                "{} {} {{ {key}{statements} : {data} }}",
                word("op"),
                word("map")
            )
        }
        "meter" => {
            let done = of.get("stmt").and_then(statement).unwrap_or_default();
            format!("meter {} {{ {} {done} }}", word("name"), word("key"))
        }
        "reset" => format!("reset {}", words(body)),
        "flow" => format!("flow {} {}", word("op"), word("flowtable")),
        _ => plain(kind, of),
    })
}

/// A condition in nft's words.
pub(super) fn condition(body: &Value) -> String {
    let word = |key: &str| body.get(key).map(words).unwrap_or_default();
    match body.get("op").and_then(Value::as_str) {
        None | Some("==" | "in") => format!("{} {}", word("left"), word("right")),
        Some(operator) => format!("{} {operator} {}", word("left"), word("right")),
    }
}

/// A value given to something, in nft's words.
pub(super) fn assignment(key: &Value, value: &Value) -> String {
    format!("{} set {}", words(key), words(value))
}

fn limit(of: &Map<String, Value>, said: &str) -> String {
    let word = |key: &str| of.get(key).map(words).unwrap_or_default();
    let unit = |key: &str, none: &str| match of.get(key) {
        Some(unit) => format!(" {}", words(unit)),
        None => none.to_owned(),
    };
    let rate = format!("{}{}/{}", word("rate"), unit("rate_unit", ""), word("per"));
    match word("burst").as_str() {
        "" | "0" => format!("{said} {rate}"),
        burst => format!(
            "{said} {rate} burst {burst}{}",
            unit("burst_unit", " packets")
        ),
    }
}

/// The statements that are done with an element.
fn statements(of: &Map<String, Value>) -> String {
    let all = of
        .get("stmt")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    all.filter_map(statement)
        .map(|text| format!(" {text}"))
        .collect()
}

/// A statement of which each attribute stands for itself.
fn plain(kind: &str, of: &Map<String, Value>) -> String {
    let mut text = kind.to_owned();
    for (key, value) in of {
        let value = match (key.as_str(), value) {
            ("prefix", Value::String(prefix)) => format!("{prefix:?}"),
            (_, value) => words(value),
        };
        match key.as_str() {
            "num" => text.push_str(&format!(" to {value}")),
            "flags" | "family" => text.push_str(&format!(" {value}")),
            key => text.push_str(&format!(" {key} {value}")),
        }
    }
    text
}

/// An expression in nft's words; what has none, as it is.
pub(super) fn words(json: &Value) -> String {
    let list = |items: &Value, between: &str| -> String {
        let items = items.as_array().into_iter().flatten();
        items.map(words).collect::<Vec<_>>().join(between)
    };
    match json {
        Value::String(text) => return text.clone(),
        Value::Array(_) => return list(json, ","),
        Value::Bool(true) => return "exists".to_owned(),
        Value::Bool(false) => return "missing".to_owned(),
        _ => {}
    }
    let Some((kind, body)) = only_entry(json) else {
        return json.to_string();
    };
    let word = |key: &str| body.get(key).map(words).unwrap_or_default();
    match kind {
        "payload" if body.get("base").is_some() => {
            format!("@{},{},{}", word("base"), word("offset"), word("len"))
        }
        "payload" => format!("{} {}", word("protocol"), word("field")),
        "meta" | "rt" | "socket" | "osf" | "tunnel" => format!("{kind} {}", word("key")),
        "ct" => match body.get("dir") {
            Some(_) => format!("ct {} {}", word("dir"), word("key")),
            None => format!("ct {}", word("key")),
        },
        "tcp option" | "ip option" | "exthdr" | "sctp chunk" => match body.get("field") {
            Some(_) => format!("{kind} {} {}", word("name"), word("field")),
            None => format!("{kind} {}", word("name")),
        },
        "fib" => {
            let flags = body.get("flags").map(|flags| list(flags, " . "));
            format!("fib {} {}", flags.unwrap_or_default(), word("result"))
        }
        "concat" => list(body, " . "),
        "set" => format!("{{ {} }}", list(body, ", ")),
        "prefix" => format!("{}/{}", word("addr"), word("len")),
        "range" => list(body, "-"),
        "&" | "|" | "^" | "<<" | ">>" => list(body, &format!(" {kind} ")),
        "map" => format!("{} map {}", word("key"), word("data")),
        "elem" => match body.get("timeout") {
            Some(_) => format!("{} timeout {}s", word("val"), word("timeout")),
            None => word("val"),
        },
        "numgen" => format!("numgen {} mod {}", word("mode"), word("mod")),
        "jhash" => format!("jhash {} mod {}", word("expr"), word("mod")),
        "symhash" => format!("symhash mod {}", word("mod")),
        _ => json.to_string(),
    }
}
