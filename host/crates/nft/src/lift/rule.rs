//! One rule of a listing: its matches and its statements.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use portreeve_model::address::Family;
use portreeve_model::diagnostic::Quoted;
use portreeve_model::draft::{
    AddressOperand, BitField, Element, Match, Nat, NumberField, Rule, Selector, SetOperation,
    Statement, Target, Test, Values, Verdict,
};
use portreeve_model::field::Field;
use portreeve_model::icmp;
use portreeve_model::intervals::Interval;
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::text::type_name;
use portreeve_model::ruleset::{Limit, LogLevel, Mark, MarkValue, Reject, TimeUnit};
use serde_json::{Map, Value};

use crate::read::types::Datatype;
use crate::read::values;
use crate::{protocols, words};

/// What is not known, in nft's words.
pub(super) struct Unknown(pub(super) String);

type Read<T> = Result<T, Unknown>;

/// Reads rules. It knows what we say, so that reading is the inverse of saying.
pub(super) struct Reader {
    fields: Vec<(Value, Field)>,
    numbers: Vec<(Value, NumberField)>,
    selectors: Vec<(Value, Selector)>,
    rejects: Vec<(Value, Reject)>,
    /// The field sets that the listing has had so far: nft lists sets before rules.
    field_sets: BTreeSet<String>,
}

/// The fields that a test of a draft names by itself.
const FIELDS: [Field; 10] = [
    Field::Iifname,
    Field::Oifname,
    Field::Nfproto,
    Field::HopLimit(Family::Ip),
    Field::HopLimit(Family::Ip6),
    Field::L4proto,
    Field::IcmpType(Family::Ip),
    Field::IcmpType(Family::Ip6),
    Field::TcpFlags,
    Field::CtStatus,
];

impl Default for Reader {
    fn default() -> Self {
        let selectors = Selector::all().into_iter().map(Selector::field);
        let fields = FIELDS.into_iter().chain(selectors);
        let numbers = NumberField::all().into_iter();
        let codes = Family::BOTH.into_iter().flat_map(|family| {
            icmp::unreachable(family)
                .iter()
                .map(move |(code, _)| match family {
                    Family::Ip => Reject::Icmp(*code),
                    Family::Ip6 => Reject::Icmpv6(*code),
                })
        });
        let rejects = Reject::ALL.into_iter().chain(codes);
        Self {
            fields: fields.map(|field| (words::field(field), field)).collect(),
            numbers: numbers.map(|of| (words::field(of.field()), of)).collect(),
            selectors: Selector::all()
                .into_iter()
                .map(|of| (words::field(of.field()), of))
                .collect(),
            rejects: rejects.map(|kind| (words::reject(kind), kind)).collect(),
            field_sets: BTreeSet::new(),
        }
    }
}

/// A rule as it was read.
pub(super) struct Lifted {
    pub(super) rule: Rule,
    /// The field sets that it names, and what it looks up in each: a set is listed with the types
    /// of its fields only.
    pub(super) uses: Vec<(String, Vec<Selector>)>,
}

impl Reader {
    /// Notes that a listed set is one of what fields hold together.
    pub(super) fn has_field_set(&mut self, name: &str) {
        self.field_sets.insert(name.to_owned());
    }

    /// The rule with this label and these parts.
    pub(super) fn rule(&self, label: String, parts: &[Value]) -> Read<Lifted> {
        let rule = Rule {
            label,
            matches: Vec::new(),
            statements: Vec::new(),
        };
        let uses = Vec::new();
        let mut lifted = Lifted { rule, uses };
        for part in parts {
            match only_entry(part) {
                // Before a match, a statement is done for other packets than after it.
                Some(("match", _)) if !lifted.rule.statements.is_empty() => {
                    return Err(Unknown("a match after a statement".to_owned()));
                }
                Some(("match", condition)) => {
                    let condition = self.condition(condition, &mut lifted.uses)?;
                    lifted.rule.matches.push(condition);
                }
                Some((kind, body)) => {
                    let statement = self.statement(part, (kind, body), &mut lifted.uses)?;
                    lifted.rule.statements.push(statement);
                }
                None => return Err(unknown("the expression", part)),
            }
        }
        Ok(lifted)
    }

    fn condition(&self, condition: &Value, uses: &mut Vec<(String, Vec<Selector>)>) -> Read<Match> {
        let [op, left, right] = all_of(condition, ["op", "left", "right"])?;
        let left = &as_first_listed(left);
        let op = op.as_str().unwrap_or_default();
        let negated = op == "!=";
        let compares = matches!(op, "==" | "!=");
        let strange = |of: &str| Unknown(format!("the operator {} on {of}", Quoted(op)));
        if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@'))
            && self.field_sets.contains(name)
            && compares
        {
            uses.push((name.to_owned(), self.selectors(left)?));
            let test = Test::FieldSet(name.to_owned());
            return Ok(Match { negated, test });
        }
        if let Some(("concat", _)) = only_entry(left) {
            let fields = self.selectors(left)?;
            let elements = items(right)
                .iter()
                .map(|item| element_values(&fields, item));
            let elements = elements.collect::<Read<_>>()?;
            let test = Test::Concatenation { fields, elements };
            return if compares {
                Ok(Match { negated, test })
            } else {
                Err(strange("fields"))
            };
        }
        if let Some(found) = bits(left, op, right)? {
            return Ok(found);
        }
        let number = self.numbers.iter().find(|(word, _)| word == left);
        if let Some((_, number)) = number {
            let test = number_test(*number, right)?;
            let field = number.field().to_string();
            return if compares {
                Ok(Match { negated, test })
            } else {
                Err(strange(&field))
            };
        }
        let known = self.fields.iter().find(|(word, _)| word == left);
        let field = known
            .map(|(_, field)| *field)
            .ok_or_else(|| unknown("a match on", left))?;
        match (field, op, right) {
            // A list of states without braces asks for any of them, and only `in` says so.
            (Field::CtState, "in", _) => {}
            (Field::CtState, "==" | "!=", Value::Array(_)) => {
                return Err(unknown("a comparison of ct state with", right));
            }
            (_, "==" | "!=", _) => {}
            _ => return Err(strange(&field.to_string())),
        }
        let test = test(field, right)?;
        Ok(Match { negated, test })
    }

    /// The fields of a concatenation, or the one there is.
    fn selectors(&self, left: &Value) -> Read<Vec<Selector>> {
        let one = |part: &Value| {
            let known = self.selectors.iter().find(|(word, _)| word == part);
            known
                .map(|(_, selector)| *selector)
                .ok_or_else(|| unknown("a match on", part))
        };
        match only_entry(left) {
            Some(("concat", Value::Array(parts))) => parts.iter().map(one).collect(),
            _ => Ok(vec![one(left)?]),
        }
    }

    fn statement(
        &self,
        whole: &Value,
        (kind, body): (&str, &Value),
        uses: &mut Vec<(String, Vec<Selector>)>,
    ) -> Read<Statement> {
        match kind {
            "counter" => counter(body),
            "limit" => limit(body).map(Statement::Limit),
            "quota" => quota(body),
            "ct count" => ct_count(body),
            "log" => log(body),
            "mangle" => set_mark(body),
            "notrack" if body.is_null() => Ok(Statement::Notrack),
            "set" => {
                let (statement, of) = self.update(body)?;
                uses.push(of);
                Ok(statement)
            }
            "vmap" => self.verdict_map(body),
            "snat" | "dnat" | "masquerade" | "redirect" => nat(kind, body).map(Statement::Nat),
            "reject" => self.reject(whole, body).map(Statement::Reject),
            _ => Ok(match verdict(kind, body)? {
                Verdict::Accept => Statement::Accept,
                Verdict::Drop => Statement::Drop,
                Verdict::Continue => Statement::Continue,
                Verdict::Return => Statement::Return,
                Verdict::Jump(chain) => Statement::Jump(chain),
                Verdict::Goto(chain) => Statement::Goto(chain),
            }),
        }
    }

    fn update(&self, body: &Value) -> Read<(Statement, (String, Vec<Selector>))> {
        let not_known = || unknown("the statement on a set", body);
        let entries = some_of(body, &["op", "elem", "set", "stmt"])?;
        let word = |key: &str| entries.get(key).and_then(Value::as_str);
        let mut operations = SetOperation::ALL.into_iter();
        let operation = operations.find(|it| Some(it.keyword()) == word("op"));
        let set = word("set")
            .and_then(|name| name.strip_prefix('@'))
            .ok_or_else(not_known)?;
        let fields = self.selectors(entries.get("elem").ok_or_else(not_known)?)?;
        let limit = match entries
            .get("stmt")
            .map(|it| it.as_array().map(Vec::as_slice))
        {
            None => None,
            Some(Some([one])) => match only_entry(one) {
                Some(("limit", body)) => Some(limit(body)?),
                _ => return Err(not_known()),
            },
            Some(_) => return Err(not_known()),
        };
        let statement = Statement::UpdateSet {
            set: set.to_owned(),
            operation: operation.ok_or_else(not_known)?,
            limit,
        };
        Ok((statement, (set.to_owned(), fields)))
    }

    fn verdict_map(&self, body: &Value) -> Read<Statement> {
        let [key, data] = all_of(body, ["key", "data"])?;
        let fields = self.selectors(key)?;
        let Some(("set", Value::Array(elements))) = only_entry(data) else {
            return Err(unknown("the verdict map", data));
        };
        let element = |element: &Value| {
            let (key, says) = pair(element).ok_or_else(|| unknown("the element", element))?;
            let (kind, body) = only_entry(says).ok_or_else(|| unknown("the verdict", says))?;
            Ok((element_values(&fields, key)?, verdict(kind, body)?))
        };
        let elements = elements.iter().map(element).collect::<Read<_>>()?;
        Ok(Statement::VerdictMap { fields, elements })
    }

    fn reject(&self, whole: &Value, body: &Value) -> Read<Reject> {
        let said = self.rejects.iter().find(|(word, _)| word == whole);
        if let Some((_, reject)) = said {
            return Ok(*reject);
        }
        // nft 0.9.8 says nothing of the kind that a rule of an inet table has when none is said.
        if body.is_null() {
            return Ok(Reject::PortUnreachable);
        }
        // `nft -n` lists the codes by number (`enum nft_reject_inet_code` in nf_tables.h).
        let numbered = || {
            let [kind, code] = all_of(body, ["type", "expr"]).ok()?;
            let code = code.as_u64().and_then(|code| u8::try_from(code).ok())?;
            let known = |family| icmp::unreachable_name(family, code).map(|_| code);
            let codes = [
                Reject::NoRoute,
                Reject::PortUnreachable,
                Reject::HostUnreachable,
                Reject::AdminProhibited,
            ];
            match kind.as_str()? {
                "icmpx" => codes.get(usize::from(code)).copied(),
                "icmp" => known(Family::Ip).map(Reject::Icmp),
                "icmpv6" => known(Family::Ip6).map(Reject::Icmpv6),
                _ => None,
            }
        };
        numbered().ok_or_else(|| unknown("the statement", whole))
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
        _ => return Err(unknown(&format!("a match on {field} with"), right)),
    })
}

/// The values: those of an anonymous set or a list, or the one there is.
fn items(right: &Value) -> &[Value] {
    match (right, only_entry(right)) {
        (Value::Array(list), _) | (_, Some(("set", Value::Array(list)))) => list,
        _ => std::slice::from_ref(right),
    }
}

/// What a question to the routing tables is, however later versions of nft list it.
fn as_first_listed(left: &Value) -> Value {
    let mut left = left.clone();
    if let Some(fib) = left.get_mut("fib") {
        if let Some(Value::String(flag)) = fib.get("flags").cloned() {
            fib["flags"] = vec![flag].into();
        }
        if fib.get("result").is_some_and(|result| result == "check") {
            fib["result"] = "oif".into();
        }
    }
    left
}

/// A comparison of bits, if it is one: `in` asks whether any of them is set, and `!` whether none
/// is.
fn bits(left: &Value, op: &str, right: &Value) -> Read<Option<Match>> {
    let (field, mask) = match only_entry(left) {
        Some(("&", operands)) => match pair(operands) {
            Some((field, mask)) => (field, Some(mask)),
            None => return Err(unknown("the expression", left)),
        },
        _ => (left, None),
    };
    let mut known = BitField::ALL.into_iter();
    let Some(field) = known.find(|it| words::field(it.field()) == *field) else {
        return Ok(None);
    };
    let of = Datatype::of(field.field());
    let not_known = || unknown(&format!("a comparison of {} with", field.field()), right);
    let together = |json: &Value| -> Read<u32> {
        let bits = values::bits(of, json).and_then(|bits| u32::try_from(bits).ok());
        bits.ok_or_else(not_known)
    };
    let flags = matches!(field, BitField::TcpFlags | BitField::CtStatus);
    let (negated, mask, values) = match (op, mask) {
        ("in" | "!", None) if flags => (op == "in", together(right)?, vec![0]),
        ("==" | "!=", Some(mask)) => {
            let values = items_of_set(right)
                .iter()
                .map(together)
                .collect::<Read<_>>()?;
            (op == "!=", together(mask)?, values)
        }
        ("==" | "!=", None) if field == BitField::TcpFlags => {
            let values = items_of_set(right)
                .iter()
                .map(together)
                .collect::<Read<_>>()?;
            (op == "!=", field.bits(), values)
        }
        // Whole marks are numbers.
        (_, None) if !flags => return Ok(None),
        _ => return Err(not_known()),
    };
    let test = Test::Bits {
        field,
        mask,
        values,
    };
    Ok(Some(Match { negated, test }))
}

/// The elements of an anonymous set, or the one value there is.
fn items_of_set(right: &Value) -> &[Value] {
    match only_entry(right) {
        Some(("set", Value::Array(list))) => list,
        _ => std::slice::from_ref(right),
    }
}

fn number_test(number: NumberField, right: &Value) -> Read<Test> {
    let field = number.field();
    let one = |item: &Value| {
        let interval = match field {
            Field::Hour => hours(item),
            _ => values::interval(Datatype::of(field), item),
        };
        let ends = interval.and_then(|it| {
            let end = |number| u32::try_from(number).ok();
            Some(end(it.first())?..=end(it.last())?)
        });
        ends.ok_or_else(|| unknown(&format!("the value of {field}"), item))
    };
    let ranges = items(right).iter().map(one).collect::<Read<_>>()?;
    Ok(Test::Number(number, ranges))
}

/// A time of the day, or from one to another: nft lists them for a clock, and is asked for that of
/// UTC.
fn hours(item: &Value) -> Option<Interval> {
    let second = |value: &Value| -> Option<u128> {
        let Some(text) = value.as_str() else {
            return value.as_u64().map(u128::from);
        };
        let parts: Vec<u128> = text
            .split(':')
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        match parts.as_slice() {
            [hours, minutes] => Some((hours * 60 + minutes) * 60),
            [hours, minutes, seconds] => Some((hours * 60 + minutes) * 60 + seconds),
            _ => None,
        }
    };
    match only_entry(item) {
        Some(("range", range)) => {
            let (first, last) = pair(range)?;
            Interval::new(second(first)?, second(last)?)
        }
        _ => second(item).map(Interval::single),
    }
}

/// An element with a value for each field.
fn element_values(fields: &[Selector], item: &Value) -> Read<Vec<Values>> {
    let names: Vec<&str> = fields.iter().map(|it| type_name(it.field())).collect();
    values_of_types(&names, item)
}

/// An element of keys with these types.
pub(super) fn values_of_types(types: &[&str], item: &Value) -> Read<Vec<Values>> {
    let parts = match (types, only_entry(item)) {
        ([_], _) => std::slice::from_ref(item),
        (_, Some(("concat", Value::Array(parts)))) if parts.len() == types.len() => parts,
        _ => return Err(unknown("the element", item)),
    };
    types
        .iter()
        .zip(parts)
        .map(|(of, part)| values_of(of, part))
        .collect()
}

fn values_of(of: &str, part: &Value) -> Read<Values> {
    Ok(match of {
        "ipv4_addr" | "ipv6_addr" => Values::Addresses(element(part)?),
        "ifname" => {
            let name = part
                .as_str()
                .ok_or_else(|| unknown("the interface name", part))?;
            Values::Interface(name.to_owned())
        }
        "ct_state" => Values::CtState(ct_state(part)?),
        "inet_proto" => Values::Numbers(only_range(Field::L4proto, part)?),
        "inet_service" => Values::Numbers(only_range(Field::ThDport, part)?),
        _ => return Err(unknown("the element", part)),
    })
}

fn only_range(field: Field, part: &Value) -> Read<RangeInclusive<u16>> {
    let ranges = ranges(field, part)?;
    let range = ranges.into_iter().next();
    range.ok_or_else(|| unknown("the element", part))
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
        _ => None,
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
        over: over(entries).ok_or_else(not_known)?,
    })
}

fn quota(body: &Value) -> Read<Statement> {
    let entries = some_of(body, &["val", "val_unit", "inv", "used", "used_unit"])?;
    let not_known = || unknown("the quota", body);
    // nft lists whole kilobytes and megabytes as such.
    let unit = match entries.get("val_unit").and_then(Value::as_str) {
        None | Some("bytes") => 1,
        Some("kbytes") => 1 << 10,
        Some("mbytes") => 1 << 20,
        Some(_) => return Err(not_known()),
    };
    let bytes = entries.get("val").and_then(Value::as_u64);
    let bytes = bytes
        .and_then(|bytes| bytes.checked_mul(unit))
        .ok_or_else(not_known)?;
    let over = over(entries).ok_or_else(not_known)?;
    Ok(Statement::Quota { bytes, over })
}

fn ct_count(body: &Value) -> Read<Statement> {
    let entries = some_of(body, &["val", "inv"])?;
    let not_known = || unknown("the ct count", body);
    let count = entries.get("val").and_then(small).ok_or_else(not_known)?;
    let over = over(entries).ok_or_else(not_known)?;
    Ok(Statement::CtCount { count, over })
}

/// Whether a statement goes on over its number.
fn over(entries: &Map<String, Value>) -> Option<bool> {
    entries.get("inv").map_or(Some(false), Value::as_bool)
}

fn set_mark(body: &Value) -> Read<Statement> {
    let [key, value] = all_of(body, ["key", "value"])?;
    let not_known = || unknown("the assignment", body);
    let mut marks = [Mark::Packet, Mark::Connection].into_iter();
    let mark = marks
        .find(|mark| words::field(mark.field()) == *key)
        .ok_or_else(not_known)?;
    let value = match small(value) {
        Some(number) => MarkValue::Number(number),
        None if *value == words::field(mark.other().field()) => MarkValue::Copied,
        None => return Err(not_known()),
    };
    Ok(Statement::SetMark(mark, value))
}

fn nat(kind: &str, body: &Value) -> Read<Nat> {
    let not_known = || unknown(kind, body);
    let none = Map::new();
    let entries = match body {
        Value::Null => &none,
        _ => some_of(body, &["family", "addr", "port"])?,
    };
    let ports = match entries.get("port") {
        Some(ports) => Some(only_range(Field::ThDport, ports)?),
        None => None,
    };
    let target = match entries.get("addr") {
        Some(addresses) => match element(addresses)? {
            Element::Range { first, last } => Some((first, last)),
            Element::Prefix { .. } => return Err(not_known()),
        },
        None => None,
    };
    let family = target.map(|(first, _)| Family::of(first).keyword());
    if entries.get("family").and_then(Value::as_str) != family {
        return Err(not_known());
    }
    Ok(match (kind, target) {
        ("masquerade", None) => Nat::Masquerade { ports },
        ("redirect", None) => Nat::Redirect { ports },
        ("snat", Some((first, last))) => Nat::Snat(Target { first, last, ports }),
        ("dnat", Some((first, last))) => Nat::Dnat(Target { first, last, ports }),
        _ => return Err(not_known()),
    })
}

fn verdict(kind: &str, body: &Value) -> Read<Verdict> {
    Ok(match kind {
        "accept" if body.is_null() => Verdict::Accept,
        "drop" if body.is_null() => Verdict::Drop,
        "continue" if body.is_null() => Verdict::Continue,
        "return" if body.is_null() => Verdict::Return,
        "jump" => Verdict::Jump(target(body)?),
        "goto" => Verdict::Goto(target(body)?),
        _ => {
            let mut whole = Map::new();
            whole.insert(kind.to_owned(), body.clone());
            return Err(unknown("the statement", &Value::Object(whole)));
        }
    })
}

fn small(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn log(body: &Value) -> Read<Statement> {
    let none = Map::new();
    let entries = match body {
        Value::Null => &none,
        _ => some_of(body, &["prefix", "level", "group"])?,
    };
    let text = |key: &str| match entries.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(unknown("the log line", body)),
    };
    let prefix = text("prefix")?.map(str::to_owned);
    if let Some(group) = entries.get("group") {
        let group = group.as_u64().and_then(|group| u16::try_from(group).ok());
        let group = group.filter(|_| !entries.contains_key("level"));
        let group = group.ok_or_else(|| unknown("the log line", body))?;
        return Ok(Statement::LogGroup { prefix, group });
    }
    let level = match text("level")? {
        // nft leaves out the level that it takes when none is given.
        None => LogLevel::default(),
        Some(word) => LogLevel::ALL
            .into_iter()
            .find(|level| level.keyword() == word)
            .ok_or_else(|| unknown("the log level", body))?,
    };
    Ok(Statement::Log { prefix, level })
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
