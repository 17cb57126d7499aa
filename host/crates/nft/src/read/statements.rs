//! The parts of a rule: conditions and statements, one JSON object each.
//!
//! A part whose meaning is certain becomes that; any other becomes [`Part::Opaque`], with its
//! JSON, at its place. What nft checks without listing it is written out as a part of its own.

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PROTOCOL_TCP};
use portreeve_model::ruleset::Reject;
use portreeve_model::tables::{
    Expression, Lookup, Match, Opaque, Operand, Part, Scope, TableFamily,
};
use serde_json::Value;

use super::dependencies::{hides_protocol, is_certain, only_protocol};
use super::elements::{Holds, Leads};
use super::expressions::{key_and_data, opaque, scope};
use super::fields::field;
use super::joined::{strange_unequal, taken_as_joined};
use super::nat;
use super::surroundings::Surroundings;
use super::types::Datatype;
use super::values::{attributes, number, only_entry};
use super::words;

/// The parts of a rule, in the order in which the kernel does them.
pub(crate) fn parts(of: &Surroundings, expr: &[Value]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(expr.len());
    let mut strange = Vec::with_capacity(expr.len());
    for json in expr {
        let part = of.part(json, &parts);
        let is_said = |known: &Vec<Part>| matches!(known.as_slice(), [Part::Connections(_)]);
        if of.counts(json) && !part.as_ref().is_some_and(is_said) {
            parts.push(Part::Connections("ct count".to_owned()));
        }
        match part {
            Some(known) => {
                if of.listed && known.iter().any(|part| hides_protocol(part, &parts)) {
                    parts.push(Part::Opaque(Opaque {
                        text: "whether nft has left out a protocol".to_owned(),
                        scope: Scope::Test,
                    }));
                }
                parts.extend(known);
            }
            None => {
                strange.resize(parts.len(), None);
                strange.push(strange_unequal(json));
                parts.push(Part::Opaque(opaque(json, effect(json))));
            }
        }
    }
    match of.listed {
        true => taken_as_joined(parts, &strange),
        false => parts,
    }
}

/// What a part may do that is not known.
fn effect(json: &Value) -> Scope {
    match only_entry(json) {
        Some(("match", body)) => match body.get("left") {
            Some(left) => scope(left),
            None => Scope::Chance,
        },
        // They go on or not, whatever else they say.
        Some(("limit" | "quota" | "ct count" | "set" | "map" | "meter", _)) => Scope::Chance,
        // iptables-nft's: a match decides nothing, a target may do anything.
        Some(("xt", body)) if body.get("type").is_some_and(|it| it == "match") => Scope::Chance,
        _ if changed_set(json).is_some() => Scope::Chance,
        _ => Scope::Anything,
    }
}

/// The named set that a part adds to, updates, or deletes from.
///
/// Before version 1.0.8 nft had no JSON for `add @map { … }`, and listed its text.
pub(super) fn changed_set(json: &Value) -> Option<&str> {
    if let Some(text) = json.as_str() {
        let mut words = text.split(' ');
        return match (words.next(), words.next()) {
            (Some("add" | "update" | "delete"), Some(set)) => set.strip_prefix('@'),
            _ => None,
        };
    }
    match only_entry(json)? {
        ("set", body) => body.get("set")?.as_str()?.strip_prefix('@'),
        ("map", body) => body.get("map")?.as_str()?.strip_prefix('@'),
        ("meter", body) => body.get("name")?.as_str(),
        _ => None,
    }
}

fn one(part: Part) -> Option<Vec<Part>> {
    Some([part].into())
}

impl Surroundings {
    /// What a part says, after the parts `before` it.
    fn part(&self, json: &Value, before: &[Part]) -> Option<Vec<Part>> {
        let (kind, body) = only_entry(json)?;
        match kind {
            "match" => {
                let Some(condition) = self.condition(body) else {
                    return is_chance(body.get("left")?)
                        .then(|| one(Part::Chance(words::condition(body))))?;
                };
                let condition = Part::Match(condition);
                is_certain(&condition, before).then(|| one(condition))?
            }
            "vmap" => self.verdict_map(body),
            "accept" | "drop" | "continue" | "return" | "jump" | "goto" => {
                let verdict = self.verdict(Leads::read(json)?)?;
                one(Part::Verdict(verdict))
            }
            "reject" => self.reject(body, before),
            "mangle" => self.mangle(body, before),
            "notrack" if body.is_null() => one(Part::Notrack),
            "snat" | "dnat" | "masquerade" | "redirect" => {
                one(Part::Nat(nat::read(self, kind, body)?))
            }
            "counter" => self.object(body, &["packets", "bytes"], Part::Counter),
            "quota" | "limit" | "set" | "map" | "meter" | "tproxy" | "flow" | "ct expectation"
                if !self.counts(json) =>
            {
                let text = words::statement(json)?;
                self.object(body, words::attributes_of(kind), Part::Chance(text))
            }
            "ct count" | "set" | "map" | "meter" => {
                let text = words::statement(json)?;
                self.object(body, words::attributes_of(kind), Part::Connections(text))
            }
            "log" | "last" | "dup" | "ct helper" | "ct timeout" | "secmark" => {
                let text = words::statement(json)?;
                self.object(body, words::attributes_of(kind), Part::Note(text))
            }
            "queue" => {
                attributes_or_none(body, words::attributes_of(kind))?;
                one(Part::Queue(words::statement(json)?))
            }
            "synproxy" | "fwd" => {
                let text = words::statement(json)?;
                self.object(body, words::attributes_of(kind), Part::Take(text))
            }
            // The option that is taken out is no field; without it, the rule goes on all the same.
            "reset" => one(Part::Chance(words::statement(json)?)),
            _ => None,
        }
    }

    /// A statement with these attributes, or the name of an object that does the same, or a map
    /// that says for a key which object it is: without an element for the key, the rule fails.
    fn object(&self, body: &Value, known: &[&str], part: Part) -> Option<Vec<Part>> {
        if body.is_string() {
            return one(part);
        }
        if let Some(("map", map)) = only_entry(body) {
            let (key, data) = key_and_data(map)?;
            let key = self.expression(key)?;
            let (map, _) = self.lookup(data, key.types, Some(Holds::Other))?;
            let found = Match {
                left: key.expression,
                negated: false,
                right: Operand::Elements(map),
            };
            return Some([Part::Match(found), part].into());
        }
        attributes_or_none(body, known)?;
        one(part)
    }

    fn verdict_map(&self, body: &Value) -> Option<Vec<Part>> {
        let (key, data) = key_and_data(body)?;
        let known = self.expression(key);
        if let Some(key) = known {
            let (map, shape) = self.lookup(data, key.types, Some(Holds::Verdict))?;
            let key = key.expression;
            return (shape.holds == Holds::Verdict).then(|| one(Part::VerdictMap { key, map }))?;
        }
        // A key that is not known leads to one of the verdicts that are there, or to none.
        let one_number = |of| [of].into();
        let (map, shape) = match data
            .as_str()
            .and_then(|name| self.set(name.strip_prefix('@')?))
        {
            Some((index, shape)) => (Lookup::Named(index), shape?.clone()),
            None => self.lookup(data, one_number(Datatype::Number), Some(Holds::Verdict))?,
        };
        let key = Expression::Opaque(opaque(key, scope(key)));
        (shape.holds == Holds::Verdict && shape.key.len() == 1)
            .then(|| one(Part::VerdictMap { key, map }))?
    }

    fn reject(&self, body: &Value, before: &[Part]) -> Option<Vec<Part>> {
        if body.is_null() {
            // Port unreachable, in the words of each family.
            return match self.family {
                TableFamily::Ip => one(Part::Reject(Reject::Icmp(3))),
                TableFamily::Ip6 => one(Part::Reject(Reject::Icmpv6(4))),
                TableFamily::Inet | TableFamily::Bridge | TableFamily::Netdev => {
                    one(Part::Reject(Reject::PortUnreachable))
                }
                TableFamily::Arp => None,
            };
        }
        let body = attributes(body, &["type", "expr"])?;
        let code = |of| {
            let code = number(of, body.get("expr")?)?;
            u8::try_from(code).ok()
        };
        match body.get("type")?.as_str()? {
            "icmpx" => one(Part::Reject(icmpx(body.get("expr")?)?)),
            "tcp reset" if body.get("expr").is_none() => {
                let tcp = only_protocol(PROTOCOL_TCP, before);
                Some(
                    tcp.into_iter()
                        .chain([Part::Reject(Reject::TcpReset)])
                        .collect(),
                )
            }
            "icmp" => {
                let kind = Reject::Icmp(code(Datatype::IcmpCode(Family::Ip))?);
                let checked = self.only_family(Family::Ip, before);
                Some(checked.into_iter().chain([Part::Reject(kind)]).collect())
            }
            "icmpv6" => {
                let kind = Reject::Icmpv6(code(Datatype::IcmpCode(Family::Ip6))?);
                let checked = self.only_family(Family::Ip6, before);
                Some(checked.into_iter().chain([Part::Reject(kind)]).collect())
            }
            _ => None,
        }
    }

    fn mangle(&self, body: &Value, before: &[Part]) -> Option<Vec<Part>> {
        let body = attributes(body, &["key", "value"])?;
        let (key, value) = (body.get("key")?, body.get("value")?);
        let Some((field, of)) = field(key, self.family) else {
            return unseen(key, value);
        };
        // Written from another header than a name says, they are listed without that header's
        // protocol, which nft does check.
        if matches!(field, Field::ThSport | Field::ThDport) {
            return None;
        }
        let family = field
            .family()
            .and_then(|family| self.only_family(family, before));
        let protocol = field.protocol();
        let protocol = protocol.and_then(|protocol| only_protocol(protocol, before));
        let value = self.value(value, of);
        // A value that is not known may not be there, and then the rule ends.
        let perhaps = match &value {
            Expression::Opaque(opaque) => Some(Part::Opaque(opaque.clone())),
            _ => None,
        };
        let assign = Part::Assign { field, value };
        let all = [family, protocol, perhaps, Some(assign)];
        Some(all.into_iter().flatten().collect())
    }
}

/// A statement without attributes, or with none but `known`.
fn attributes_or_none(body: &Value, known: &[&str]) -> Option<()> {
    (body.is_null() || attributes(body, known).is_some()).then_some(())
}

/// The codes of `icmpx` (`enum nft_reject_inet_code` in `nf_tables.h`), by name or number.
fn icmpx(code: &Value) -> Option<Reject> {
    const CODES: [(&str, Reject); 4] = [
        ("no-route", Reject::NoRoute),
        ("port-unreachable", Reject::PortUnreachable),
        ("host-unreachable", Reject::HostUnreachable),
        ("admin-prohibited", Reject::AdminProhibited),
    ];
    let found = match code {
        Value::String(name) => CODES.iter().find(|(of, _)| of == name),
        code => CODES.get(usize::try_from(code.as_u64()?).ok()?),
    };
    found.map(|(_, reject)| *reject)
}

/// A value given to something that no rule can see in the packet.
fn unseen(key: &Value, value: &Value) -> Option<Vec<Part>> {
    let (kind, body) = only_entry(key)?;
    let text = || words::assignment(key, value);
    match (kind, body.get("key").and_then(Value::as_str)) {
        ("meta", Some("nftrace" | "secmark")) | ("ct", Some("label" | "event" | "secmark")) => {
            one(Part::Note(text()))
        }
        // Without the option, or in a packet that is not TCP, the rule ends.
        ("tcp option", _) => one(Part::Chance(text())),
        _ => None,
    }
}

/// Whether a value is no matter of the packet: a number that nft makes up, the time, what other
/// packets of the connection have done. The clock is listed in a time zone that is not known.
fn is_chance(value: &Value) -> bool {
    let key = |body: &Value| body.get("key").and_then(Value::as_str).map(str::to_owned);
    match only_entry(value) {
        Some(("numgen", _)) => true,
        Some(("meta", body)) => {
            matches!(key(body).as_deref(), Some("random" | "time" | "hour"))
        }
        Some(("ct", body)) => matches!(
            key(body).as_deref(),
            Some("expiration" | "bytes" | "packets" | "avgpkt")
        ),
        _ => false,
    }
}
