//! One rule of a listing: its matches and its statements.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use portreeve_model::address::Family;
use portreeve_model::diagnostic::Quoted;
use portreeve_model::draft::{AddressOperand, Element, Match, Rule, Statement, Test};
use portreeve_model::field::{Field, PortProtocol};
use portreeve_model::icmp;
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::{Limit, LogLevel, Reject, TimeUnit};
use serde_json::{Map, Value};

use crate::{protocols, words};

/// What is not known, in nft's words.
pub(super) struct Unknown(pub(super) String);

type Read<T> = Result<T, Unknown>;

/// Reads rules. It knows what we say, so that reading is the inverse of saying.
pub(super) struct Reader {
    fields: Vec<(Value, Field)>,
    rejects: Vec<(Value, Reject)>,
}

const FIELDS: [Field; 17] = [
    Field::Iifname,
    Field::Oifname,
    Field::Nfproto,
    Field::Saddr(Family::Ip),
    Field::Saddr(Family::Ip6),
    Field::Daddr(Family::Ip),
    Field::Daddr(Family::Ip6),
    Field::HopLimit(Family::Ip),
    Field::HopLimit(Family::Ip6),
    Field::L4proto,
    Field::Sport(PortProtocol::Tcp),
    Field::Sport(PortProtocol::Udp),
    Field::Dport(PortProtocol::Tcp),
    Field::Dport(PortProtocol::Udp),
    Field::IcmpType(Family::Ip),
    Field::IcmpType(Family::Ip6),
    Field::CtState,
];

impl Default for Reader {
    fn default() -> Self {
        let json = |word| serde_json::to_value(word).expect("plain data has a JSON form");
        let reject = |reject| {
            let word = serde_json::to_value(words::reject(reject));
            word.expect("plain data has a JSON form")
        };
        Self {
            fields: FIELDS
                .map(|field| (json(words::field(field)), field))
                .into(),
            rejects: Reject::ALL.map(|kind| (reject(kind), kind)).into(),
        }
    }
}

impl Reader {
    /// The rule with this label and these parts.
    pub(super) fn rule(&self, label: String, parts: &[Value]) -> Read<Rule> {
        let mut rule = Rule {
            label,
            matches: Vec::new(),
            statements: Vec::new(),
        };
        for part in parts {
            match only_entry(part) {
                // Before a match, a statement is done for other packets than after it.
                Some(("match", _)) if !rule.statements.is_empty() => {
                    return Err(Unknown("a match after a statement".to_owned()));
                }
                Some(("match", condition)) => rule.matches.push(self.condition(condition)?),
                Some((kind, body)) => rule.statements.push(self.statement(part, kind, body)?),
                None => return Err(unknown("the expression", part)),
            }
        }
        Ok(rule)
    }

    fn condition(&self, condition: &Value) -> Read<Match> {
        let [op, left, right] = all_of(condition, ["op", "left", "right"])?;
        let known = self.fields.iter().find(|(word, _)| word == left);
        let field = known
            .map(|(_, field)| *field)
            .ok_or_else(|| unknown("a match on", left))?;
        let op = op.as_str().unwrap_or_default();
        let negated = match (field, op, right) {
            // A list of states without braces asks for any of them, and only `in` says so.
            (Field::CtState, "in", _) => false,
            (Field::CtState, "==" | "!=", Value::Array(_)) => {
                return Err(unknown("a comparison of ct state with", right));
            }
            (_, "==", _) => false,
            (_, "!=", _) => true,
            _ => return Err(Unknown(format!("the operator {} on {field}", Quoted(op)))),
        };
        let test = test(field, right)?;
        Ok(Match { negated, test })
    }

    fn statement(&self, whole: &Value, kind: &str, body: &Value) -> Read<Statement> {
        match kind {
            "counter" => counter(body),
            "limit" => limit(body).map(Statement::Limit),
            "log" => log(body),
            "reject" => self.reject(whole, body).map(Statement::Reject),
            "accept" if body.is_null() => Ok(Statement::Accept),
            "drop" if body.is_null() => Ok(Statement::Drop),
            "continue" if body.is_null() => Ok(Statement::Continue),
            "return" if body.is_null() => Ok(Statement::Return),
            "jump" => target(body).map(Statement::Jump),
            "goto" => target(body).map(Statement::Goto),
            _ => Err(unknown("the statement", whole)),
        }
    }

    fn reject(&self, whole: &Value, body: &Value) -> Read<Reject> {
        let said = self.rejects.iter().find(|(word, _)| word == whole);
        if let Some((_, reject)) = said {
            return Ok(*reject);
        }
        // `nft -n` lists the codes by number (`enum nft_reject_inet_code` in nf_tables.h).
        let numbered = all_of(body, ["type", "expr"])
            .ok()
            .and_then(|[kind, code]| {
                let code = code.as_u64().filter(|_| kind == "icmpx")?;
                let codes = [
                    Reject::NoRoute,
                    Reject::PortUnreachable,
                    Reject::HostUnreachable,
                    Reject::AdminProhibited,
                ];
                codes.get(usize::try_from(code).ok()?).copied()
            });
        numbered.ok_or_else(|| unknown("the statement", whole))
    }
}

fn test(field: Field, right: &Value) -> Read<Test> {
    let bytes = || -> Read<Vec<RangeInclusive<u8>>> { ranges(field, right) };
    let ports = || -> Read<Vec<RangeInclusive<u16>>> { ranges(field, right) };
    Ok(match field {
        Field::Iifname => Test::Iifname(interfaces(right)?),
        Field::Oifname => Test::Oifname(interfaces(right)?),
        Field::Nfproto => Test::Nfproto(nfproto(&bytes()?, right)?),
        Field::Saddr(family) => Test::Saddr(family, addresses(right)?),
        Field::Daddr(family) => Test::Daddr(family, addresses(right)?),
        Field::HopLimit(family) => Test::HopLimit(family, bytes()?),
        Field::L4proto => Test::L4proto(bytes()?),
        Field::Sport(protocol) => Test::Sport(protocol, ports()?),
        Field::Dport(protocol) => Test::Dport(protocol, ports()?),
        Field::IcmpType(family) => Test::IcmpType(family, bytes()?),
        Field::CtState => {
            let states = items(right).iter().map(ct_state);
            Test::CtState(states.collect::<Read<_>>()?)
        }
    })
}

/// The values: those of an anonymous set or a list, or the one there is.
fn items(right: &Value) -> &[Value] {
    match (right, only_entry(right)) {
        (Value::Array(list), _) | (_, Some(("set", Value::Array(list)))) => list,
        _ => std::slice::from_ref(right),
    }
}

fn interfaces(right: &Value) -> Read<Vec<String>> {
    let name = |item: &Value| {
        let name = item.as_str().map(str::to_owned);
        name.ok_or_else(|| unknown("the interface name", item))
    };
    items(right).iter().map(name).collect()
}

fn nfproto(values: &[RangeInclusive<u8>], right: &Value) -> Read<Family> {
    let is = |family: &Family| values == [family.number()..=family.number()];
    let family = Family::BOTH.into_iter().find(is);
    family.ok_or_else(|| unknown("a match of meta nfproto with", right))
}

fn addresses(right: &Value) -> Read<AddressOperand> {
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        return Ok(AddressOperand::Set(name.to_owned()));
    }
    let elements = items(right).iter().map(element);
    elements.collect::<Read<_>>().map(AddressOperand::Elements)
}

fn element(item: &Value) -> Read<Element> {
    let not_known = || unknown("the address", item);
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    match only_entry(item) {
        Some(("prefix", prefix)) => {
            let [addr, len] = all_of(prefix, ["addr", "len"])?;
            let length = len.as_u64().and_then(|length| u8::try_from(length).ok());
            let prefix = address(addr).zip(length);
            prefix.map(|(address, length)| Element::Prefix { address, length })
        }
        Some(("range", range)) => pair(range).and_then(|(first, last)| {
            let (first, last) = (address(first)?, address(last)?);
            Some(Element::Range { first, last })
        }),
        _ => address(item).map(|address| Element::Range {
            first: address,
            last: address,
        }),
    }
    .ok_or_else(not_known)
}

fn ranges<T: TryFrom<u64>>(field: Field, right: &Value) -> Read<Vec<RangeInclusive<T>>> {
    let one = |value: &Value| {
        let number = number(field, value).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| unknown(&format!("the value of {field}"), value))
    };
    let range = |item: &Value| match only_entry(item) {
        Some(("range", range)) => {
            let (first, last) = pair(range).ok_or_else(|| unknown("the range", item))?;
            Ok(one(first)?..=one(last)?)
        }
        _ => Ok(one(item)?..=one(item)?),
    };
    items(right).iter().map(range).collect()
}

/// A number, or the number that nft means by a name.
fn number(field: Field, value: &Value) -> Option<u64> {
    let Some(name) = value.as_str() else {
        return value.as_u64();
    };
    match field {
        Field::IcmpType(family) => icmp::type_number(family, name).map(u64::from),
        Field::L4proto => protocols::number(name).map(u64::from),
        Field::Nfproto => {
            let mut families = Family::BOTH.into_iter();
            let family = families.find(|family| family.nfproto() == name);
            family.map(|family| family.number().into())
        }
        Field::Iifname
        | Field::Oifname
        | Field::Saddr(_)
        | Field::Daddr(_)
        | Field::HopLimit(_)
        | Field::Sport(_)
        | Field::Dport(_)
        | Field::CtState => None,
    }
}

/// A state by name or, as `nft -n` lists it, by its bit (`enum ip_conntrack_info`).
fn ct_state(value: &Value) -> Read<CtState> {
    let state = match value.as_u64() {
        Some(1) => Some(CtState::Invalid),
        Some(2) => Some(CtState::Established),
        Some(4) => Some(CtState::Related),
        Some(8) => Some(CtState::New),
        Some(64) => Some(CtState::Untracked),
        _ => value.as_str().and_then(CtState::from_keyword),
    };
    state.ok_or_else(|| unknown("the ct state", value))
}

fn counter(body: &Value) -> Read<Statement> {
    // What it has counted is not part of the rule; a named counter is.
    if body.is_null() || all_of(body, ["packets", "bytes"]).is_ok() {
        Ok(Statement::Counter)
    } else {
        Err(unknown("the counter", body))
    }
}

fn limit(body: &Value) -> Read<Limit> {
    let entries = some_of(body, &["rate", "per", "burst", "inv"])?;
    let not_known = || unknown("the limit", body);
    // nft's own burst when none is given.
    let burst = entries.get("burst").map_or(Some(5), small);
    let per = entries.get("per").and_then(Value::as_str);
    let per = TimeUnit::ALL
        .into_iter()
        .find(|unit| Some(unit.keyword()) == per);
    Ok(Limit {
        rate: entries.get("rate").and_then(small).ok_or_else(not_known)?,
        per: per.ok_or_else(not_known)?,
        burst: burst.ok_or_else(not_known)?,
        over: entries
            .get("inv")
            .map_or(Some(false), Value::as_bool)
            .ok_or_else(not_known)?,
    })
}

fn small(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn log(body: &Value) -> Read<Statement> {
    let none = Map::new();
    let entries = match body {
        Value::Null => &none,
        _ => some_of(body, &["prefix", "level"])?,
    };
    let text = |key: &str| match entries.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(unknown("the log line", body)),
    };
    let level = match text("level")? {
        // nft leaves out the level that it takes when none is given.
        None => LogLevel::default(),
        Some(word) => LogLevel::ALL
            .into_iter()
            .find(|level| level.keyword() == word)
            .ok_or_else(|| unknown("the log level", body))?,
    };
    Ok(Statement::Log {
        prefix: text("prefix")?.map(str::to_owned),
        level,
    })
}

/// The chain that a jump or a goto leads to.
pub(super) fn target(body: &Value) -> Read<String> {
    let [target] = all_of(body, ["target"])?;
    let name = target.as_str().map(str::to_owned);
    name.ok_or_else(|| unknown("the jump", body))
}

fn unknown(what: &str, value: &Value) -> Unknown {
    Unknown(format!("{what} {}", Quoted(&value.to_string())))
}

/// The key and the value of an object that has just one of each.
pub(super) fn only_entry(value: &Value) -> Option<(&str, &Value)> {
    let entries = value.as_object().filter(|entries| entries.len() == 1)?;
    let (key, value) = entries.iter().next()?;
    Some((key, value))
}

fn pair(value: &Value) -> Option<(&Value, &Value)> {
    match value.as_array().map(Vec::as_slice) {
        Some([first, last]) => Some((first, last)),
        _ => None,
    }
}

/// The entries of an object that has these keys at most.
fn some_of<'a>(value: &'a Value, keys: &[&str]) -> Read<&'a Map<String, Value>> {
    let entries = value.as_object();
    entries
        .filter(|entries| entries.keys().all(|key| keys.contains(&key.as_str())))
        .ok_or_else(|| unknown("the expression", value))
}

/// The values of an object that has exactly these keys.
pub(super) fn all_of<'a, const N: usize>(
    value: &'a Value,
    keys: [&str; N],
) -> Read<[&'a Value; N]> {
    let entries = some_of(value, &keys)?;
    if entries.len() == N {
        Ok(keys.map(|key| &entries[key]))
    } else {
        Err(unknown("the expression", value))
    }
}
