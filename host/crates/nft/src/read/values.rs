//! Values as nft writes them: numbers, names, prefixes, ranges, bits.
//!
//! Every function gives nothing for what is not certain.

use portreeve_model::field::interface;
use portreeve_model::intervals::Interval;
use portreeve_model::packet::CtState;
use serde_json::{Map, Value};

use super::types::{Datatype, state_bit};

/// The only entry of an object that has one.
pub(super) fn only_entry(json: &Value) -> Option<(&str, &Value)> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(key, body)| (key.as_str(), body))
}

/// The attributes of an object that has none but `known`.
pub(super) fn attributes<'a>(body: &'a Value, known: &[&str]) -> Option<&'a Map<String, Value>> {
    let is_known = |key: &String| known.contains(&key.as_str());
    body.as_object()
        .filter(|object| object.keys().all(is_known))
}

/// One value.
pub(crate) fn number(of: Datatype, json: &Value) -> Option<u128> {
    match json {
        Value::Number(number) => of.numbered(number.as_u64()?),
        Value::String(text) => of.named(text),
        Value::Bool(exists) => (of == Datatype::Exists).then_some((*exists).into()),
        Value::Object(_) => match only_entry(json)? {
            (operator @ ("&" | "|" | "^"), Value::Array(parts)) => together(operator, of, parts),
            _ => None,
        },
        Value::Array(_) | Value::Null => None,
    }
}

/// One value, or the bits of a list together.
pub(crate) fn bits(of: Datatype, json: &Value) -> Option<u128> {
    match json {
        Value::Array(parts) if of.has_bits() => together("|", of, parts),
        one => number(of, one),
    }
}

/// Constants combined bit by bit.
fn together(operator: &str, of: Datatype, parts: &[Value]) -> Option<u128> {
    let mut numbers = parts.iter().map(|part| number(of, part));
    let first = numbers.next()??;
    numbers.try_fold(first, |all, part| {
        Some(match operator {
            "&" => all & part?,
            "|" => all | part?,
            _ => all ^ part?,
        })
    })
}

/// One value, or a run of them: a prefix, a range, a name with nft's wildcard.
pub(crate) fn interval(of: Datatype, json: &Value) -> Option<Interval> {
    if let (Datatype::Interface, Value::String(text)) = (of, json) {
        return name(text);
    }
    match only_entry(json) {
        Some(("prefix", body)) => prefix(of, body),
        Some(("range", Value::Array(ends))) => match ends.as_slice() {
            [first, last] => Interval::new(number(of, first)?, number(of, last)?),
            _ => None,
        },
        _ => number(of, json).map(Interval::single),
    }
}

/// An interface's name, or the beginning of one.
fn name(text: &str) -> Option<Interval> {
    match text.strip_suffix('*') {
        // A star that was meant as one is escaped in some places and not in others; and `*` alone
        // is no name but stands for every element that is not there.
        Some(beginning) if beginning.is_empty() || beginning.ends_with('\\') => None,
        _ => interface::pattern(text),
    }
}

fn prefix(of: Datatype, body: &Value) -> Option<Interval> {
    let body = attributes(body, &["addr", "len"])?;
    let first = number(of, body.get("addr")?)?;
    let length = u32::try_from(body.get("len")?.as_u64()?).ok()?;
    let rest = of.prefix_bits()?.checked_sub(length)?;
    let within = u128::MAX.checked_shr(u128::BITS - rest).unwrap_or(0);
    (first & within == 0).then(|| Interval::new(first, first | within))?
}

/// One value, or a run of them, as an element has it: states of connections by their place among
/// the states, so that one that is a mixture of several, which no packet has, is not read.
pub(super) fn element(of: Datatype, json: &Value) -> Option<Interval> {
    if of != Datatype::CtState {
        return interval(of, json);
    }
    let bits = number(of, json)?;
    let state = CtState::ALL
        .into_iter()
        .find(|state| state_bit(*state) == bits);
    state.map(|state| Interval::single(state as u128))
}
