//! The rules that no policy wrote: those of base chains, of trials, and of the record of arrivals.
//!
//! Each is compared with what we say; nothing else may be in the chains they are in.

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PortProtocol};
use serde_json::Value;

use super::rule::{all_of, only_entry, target};
use crate::layout::{self, ARRIVALS, Number};
use crate::netlink::{Lead, Meaning};
use crate::words::{self, HANDSHAKE_FLAGS};

/// What a rule with these parts does, when it does nothing but lead packets somewhere.
pub(super) fn meaning(parts: &[Value]) -> Option<Meaning> {
    let (only_while, last) = match parts {
        [last] => (None, last),
        [condition, last] => (Some(while_trial(condition)?), last),
        _ => return None,
    };
    let verdict = match only_entry(last)? {
        ("accept", Value::Null) => Lead::Accept,
        ("drop", Value::Null) => Lead::Drop,
        ("jump", body) => Lead::Jump(target(body).ok()?),
        ("goto", body) => Lead::Goto(target(body).ok()?),
        _ => return None,
    };
    Some(Meaning::Lead {
        only_while,
        verdict,
    })
}

/// Whether a rule of the base chain of arrivals leads to a record, while that trial runs.
pub(super) fn leads_to_record(meaning: &Meaning) -> bool {
    let Meaning::Lead {
        only_while: Some(set),
        verdict: Lead::Goto(chain),
    } = meaning
    else {
        return false;
    };
    layout::parse_trial_set(set).is_some_and(|number| *chain == layout::arrivals_chain(number))
}

/// The set of a trial, when the condition is that the trial runs.
fn while_trial(condition: &Value) -> Option<String> {
    let ("match", body) = only_entry(condition)? else {
        return None;
    };
    let [op, left, right] = all_of(body, ["op", "left", "right"]).ok()?;
    let set = right.as_str()?.strip_prefix('@')?;
    layout::parse_trial_set(set)?;
    (op == "==" && *left == words::field(Field::Nfproto)).then(|| set.to_owned())
}

/// The generation whose arrivals are recorded in the chain of this name.
pub(super) fn parse_arrivals_chain(name: &str) -> Option<Number> {
    layout::parse_number(name.strip_prefix(ARRIVALS)?)
}

/// The family of the connections in the record of this name.
pub(super) fn parse_arrivals_set(name: &str) -> Option<Family> {
    let (number, _) = name.strip_prefix(ARRIVALS)?.split_once('_')?;
    let number = number.parse().ok()?;
    let mut families = Family::BOTH.into_iter();
    families.find(|family| layout::arrivals_set(number, *family) == name)
}

/// Whether a rule with these parts records arrivals during the trial of generation `number`.
pub(super) fn records_arrivals(parts: &[Value], number: Number) -> bool {
    let ours = |family: Family| {
        let said = parts.iter().filter(|part| !follows(part, family));
        let [outside, opens, records] = said.collect::<Vec<_>>()[..] else {
            return false;
        };
        let set = layout::arrivals_set(number, family);
        *outside == words::from_outside()
            && opens_connection(opens)
            && *records == words::remember_connection(family, &set)
    };
    Family::BOTH.into_iter().any(ours)
}

/// Whether a condition says only what the fields of the connection say already: nft adds it, and
/// not every version leaves it out again.
fn follows(condition: &Value, family: Family) -> bool {
    let Some(("match", body)) = only_entry(condition) else {
        return false;
    };
    let Ok([op, left, right]) = all_of(body, ["op", "left", "right"]) else {
        return false;
    };
    let is = |field, name: &str, number: u8| {
        *left == words::field(field) && (right == name || *right == number)
    };
    let tcp = PortProtocol::Tcp;
    op == "=="
        && (is(Field::Nfproto, family.nfproto(), family.number())
            || is(Field::L4proto, tcp.keyword(), tcp.number()))
}

/// Versions of nft differ in how they list bits: by name or number, one by one or joined by `|`.
fn opens_connection(listed: &Value) -> bool {
    let said = words::opens_connection();
    let [sides, other_sides] = [listed, &said].map(flags_match);
    sides.is_some() && sides == other_sides
}

/// The field, the bits that count and the bits that must be set.
fn flags_match(condition: &Value) -> Option<(&Value, u8, u8)> {
    let ("match", body) = only_entry(condition)? else {
        return None;
    };
    let [op, left, right] = all_of(body, ["op", "left", "right"]).ok()?;
    let ("&", operands) = only_entry(left)? else {
        return None;
    };
    let [field, mask] = operands.as_array()?.as_slice() else {
        return None;
    };
    (op == "==").then_some((field, flags(mask)?, flags(right)?))
}

fn flags(value: &Value) -> Option<u8> {
    // Where they are in the header: fin 1, syn 2, rst 4, psh 8, ack 16.
    const BITS: [u8; HANDSHAKE_FLAGS.len()] = [1, 2, 4, 16];
    match (value, only_entry(value)) {
        (Value::String(name), _) => {
            let mut known = HANDSHAKE_FLAGS.iter().zip(BITS);
            known.find(|(known, _)| *known == name).map(|(_, bit)| bit)
        }
        (Value::Number(number), _) => number.as_u64().and_then(|bits| u8::try_from(bits).ok()),
        (Value::Array(several), _) | (_, Some(("|", Value::Array(several)))) => several
            .iter()
            .try_fold(0, |bits, value| Some(bits | flags(value)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &str, expected: bool) {
        let parts: Vec<Value> = serde_json::from_str(parts).unwrap();
        assert_eq!(records_arrivals(&parts, 7), expected, "{parts:?}");
    }

    #[test]
    fn the_record_is_known_however_nft_lists_it() {
        let outside = r#"{"match":{"op":"!=","left":{"meta":{"key":"iifname"}},"right":"lo"}}"#;
        let syn = |mask: &str, right: &str| {
            format!(
                r#"{{"match":{{"op":"==","left":{{"&":[{{"payload":{{"protocol":"tcp","field":"flags"}}}},{mask}]}},"right":{right}}}}}"#
            )
        };
        let payload = |protocol: &str, field: &str| {
            format!(r#"{{"payload":{{"protocol":"{protocol}","field":"{field}"}}}}"#)
        };
        let record = |set: &str| {
            let key = [
                ("ip", "saddr"),
                ("tcp", "sport"),
                ("ip", "daddr"),
                ("tcp", "dport"),
            ];
            let key = key
                .map(|(protocol, field)| payload(protocol, field))
                .join(",");
            format!(r#"{{"set":{{"op":"add","elem":{{"concat":[{key}]}},"set":"@{set}"}}}}"#)
        };
        let ours = record("arrivals7_ip");
        let by_name = syn(r#"["fin","syn","rst","ack"]"#, r#""syn""#);
        let nfproto = |family: &str| {
            format!(
                r#"{{"match":{{"op":"==","left":{{"meta":{{"key":"nfproto"}}}},"right":"{family}"}}}}"#
            )
        };
        check(&format!("[{outside},{by_name},{ours}]"), true);
        check(
            &format!("[{outside},{},{ours}]", syn("[1,2,4,16]", "2")),
            true,
        );
        check(&format!("[{outside},{},{ours}]", syn("23", "2")), true);
        let joined = syn(
            r#"{"|":["fin",{"|":["syn",{"|":["rst","ack"]}]}]}"#,
            r#""syn""#,
        );
        check(&format!("[{outside},{joined},{ours}]"), true);
        check(
            &format!("[{},{outside},{by_name},{ours}]", nfproto("ipv4")),
            true,
        );
        check(
            &format!("[{},{outside},{by_name},{ours}]", nfproto("ipv6")),
            false,
        );
        check(
            &format!("[{outside},{},{ours}]", syn("[1,2,4]", "2")),
            false,
        );
        check(&format!("[{by_name},{ours}]"), false);
        check(
            &format!("[{outside},{by_name},{}]", record("arrivals8_ip")),
            false,
        );
        check(
            &format!("[{outside},{by_name},{}]", record("arrivals7_ip6")),
            false,
        );
    }
}
