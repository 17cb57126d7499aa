//! Every word of nft's JSON that we say, and nothing that nft would read differently.
//!
//! `tests/tests/kernel.rs` asks the real nft what it makes of each word.

use std::net::IpAddr;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::field::{Fib, FibResult, FibSource, Field, PortProtocol};
use portreeve_model::icmp;
use portreeve_model::intervals::Interval;
use portreeve_model::names::{Name, Text};
use portreeve_model::packet::CtState;
use portreeve_model::ruleset::text::type_name;
use portreeve_model::ruleset::{
    Base, ChainPolicy, Limit, LogLevel, Mark, MarkValue, Nat, Reject, Verdict,
};
use serde_json::{Value, json};

use crate::TABLE;

pub(crate) fn add(object: Value) -> Value {
    json!({ "add": object })
}

/// Like [`add`], but refused by the kernel when it is there already.
pub(crate) fn create(object: Value) -> Value {
    json!({ "create": object })
}

pub(crate) fn delete(object: Value) -> Value {
    json!({ "delete": object })
}

pub(crate) fn table() -> Value {
    json!({"table": {"family": "inet", "name": TABLE}})
}

/// A set of addresses without elements: those are written by [`crate::elements`].
pub(crate) fn set(name: &str, family: Family) -> Value {
    let keys = match family {
        Family::Ip => "ipv4_addr",
        Family::Ip6 => "ipv6_addr",
    };
    json!({"set": {"family": "inet", "table": TABLE, "name": name, "type": keys,
        "flags": ["interval"]}})
}

/// A set of what fields hold together, with its elements.
pub(crate) fn field_set(name: &str, fields: &[Field], elements: Vec<Value>) -> Value {
    let mut set = json!({"family": "inet", "table": TABLE, "name": name, "type": keys(fields),
        "flags": ["interval"]});
    // nft takes no `elem` that is empty.
    if !elements.is_empty() {
        set["elem"] = elements.into();
    }
    json!({ "set": set })
}

/// A set that rules write to. nft 1.0.6 does not know the flag `dynamic`, and sets it by itself.
pub(crate) fn dynamic_set(name: &str, fields: &[Field], timeout: u32, size: u32) -> Value {
    json!({"set": {"family": "inet", "table": TABLE, "name": name, "type": keys(fields),
        "flags": ["timeout"], "timeout": timeout, "size": size}})
}

/// The type of keys: one word, or a list of them.
pub(crate) fn keys(fields: &[Field]) -> Value {
    match fields {
        [field] => json!(type_name(*field)),
        _ => fields.iter().map(|field| type_name(*field)).collect(),
    }
}

pub(crate) fn chain(name: &str, base: Option<Base>) -> Value {
    let mut chain = json!({"family": "inet", "table": TABLE, "name": name});
    if let Some(base) = base {
        chain["type"] = base.chain_type.keyword().into();
        chain["hook"] = base.hook.keyword().into();
        chain["prio"] = base.priority.into();
        chain["policy"] = base.policy.keyword().into();
    }
    json!({ "chain": chain })
}

/// A rule; those of a policy have their label as comment.
pub(crate) fn rule(chain: &str, label: Option<&Text>, parts: Vec<Value>) -> Value {
    let mut rule = json!({"family": "inet", "table": TABLE, "chain": chain, "expr": parts});
    if let Some(label) = label {
        rule["comment"] = label.as_str().into();
    }
    json!({ "rule": rule })
}

/// What loads `field` from a packet.
pub(crate) fn field(field: Field) -> Value {
    let meta = |key: &str| json!({"meta": {"key": key}});
    let ct = |key: &str| json!({"ct": {"key": key}});
    let transport = |protocol: PortProtocol, field| header(protocol.keyword(), field);
    match field {
        Field::Iifname => meta("iifname"),
        Field::Iifgroup => meta("iifgroup"),
        Field::Oifname => meta("oifname"),
        Field::Oifgroup => meta("oifgroup"),
        Field::Pkttype => meta("pkttype"),
        Field::Mark => meta("mark"),
        Field::Skuid => meta("skuid"),
        Field::Skgid => meta("skgid"),
        Field::Day => meta("day"),
        Field::Hour => meta("hour"),
        Field::Length => meta("length"),
        Field::Nfproto => meta("nfproto"),
        Field::L4proto => meta("l4proto"),
        Field::Fib(fib) => routes(fib),
        Field::Saddr(family) => header(family.keyword(), "saddr"),
        Field::Daddr(family) => header(family.keyword(), "daddr"),
        Field::Dscp(family) => header(family.keyword(), "dscp"),
        Field::Ecn(family) => header(family.keyword(), "ecn"),
        Field::NetworkLength(family) => header(family.keyword(), "length"),
        Field::HopLimit(Family::Ip) => header("ip", "ttl"),
        Field::HopLimit(Family::Ip6) => header("ip6", "hoplimit"),
        Field::Exthdr(_) => {
            let words = field.to_string();
            json!({"exthdr": {"name": words.trim_start_matches("exthdr ")}})
        }
        Field::Sport(protocol) => transport(protocol, "sport"),
        Field::Dport(protocol) => transport(protocol, "dport"),
        Field::ThSport => header("th", "sport"),
        Field::ThDport => header("th", "dport"),
        Field::TcpFlags => header("tcp", "flags"),
        Field::IcmpType(family) => header(icmp_of(family), "type"),
        Field::IcmpCode(family) => header(icmp_of(family), "code"),
        Field::CtState => ct("state"),
        Field::CtDirection => ct("direction"),
        Field::CtStatus => ct("status"),
        Field::CtMark => ct("mark"),
        Field::Iif
        | Field::Iiftype
        | Field::Oif
        | Field::Oiftype
        | Field::Priority
        | Field::Time
        | Field::Ipsec
        | Field::Protocol
        | Field::EtherSaddr
        | Field::EtherDaddr
        | Field::EtherType
        | Field::IpId
        | Field::IpFragOff
        | Field::Flowlabel
        | Field::NextHeader(_)
        | Field::IcmpId(_)
        | Field::IcmpSequence(_)
        | Field::CtZone
        | Field::CtExpiration
        | Field::CtL3proto
        | Field::CtProtocol(_)
        | Field::CtSaddr(..)
        | Field::CtDaddr(..)
        | Field::CtSport(_)
        | Field::CtDport(_) => unreachable!("no draft can ask {field}"),
    }
}

/// A question to the routing tables; whether there is a route is asked of its interface.
fn routes(fib: Fib) -> Value {
    let of = match fib.of {
        FibSource::Saddr => "saddr",
        FibSource::Daddr => "daddr",
    };
    let also = [(fib.mark, "mark"), (fib.iif, "iif"), (fib.oif, "oif")];
    let also = also.into_iter().filter(|(said, _)| *said);
    let flags: Vec<&str> = [of].into_iter().chain(also.map(|(_, word)| word)).collect();
    let result = match fib.result {
        FibResult::Type => "type",
        FibResult::Oif | FibResult::Exists => "oif",
        FibResult::Oifname => "oifname",
    };
    json!({"fib": {"result": result, "flags": flags}})
}

const fn icmp_of(family: Family) -> &'static str {
    match family {
        Family::Ip => "icmp",
        Family::Ip6 => "icmpv6",
    }
}

fn header(protocol: &str, field: &str) -> Value {
    json!({"payload": {"protocol": protocol, "field": field}})
}

/// Some bits of a field.
pub(crate) fn bits(field: Field, mask: u128) -> Value {
    json!({"&": [self::field(field), number(mask)]})
}

/// Fields one after the other; a single one is itself.
pub(crate) fn fields(fields: &[Field]) -> Value {
    together(fields.iter().copied().map(field).collect())
}

/// Values one after the other; a single one is itself.
pub(crate) fn together(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.remove(0),
        _ => json!({ "concat": values }),
    }
}

// The parts of the rule that records arrivals. The switch sends it past nft
// ([`crate::netlink::Batch::add_arrival_rule`]); with these words nft lists it.

/// Packets that this machine did not send to itself.
pub(crate) fn from_outside() -> Value {
    is(true, field(Field::Iifname), text("lo"))
}

/// The TCP flags that tell the first packet of a connection from the others.
pub(crate) const HANDSHAKE_FLAGS: [&str; 4] = ["fin", "syn", "rst", "ack"];

/// The first packet of a TCP connection.
pub(crate) fn opens_connection() -> Value {
    let found = json!({"&": [field(Field::TcpFlags), HANDSHAKE_FLAGS]});
    is(false, found, text("syn"))
}

/// Writes the packet's TCP connection to a set of connections.
pub(crate) fn remember_connection(family: Family, set: &str) -> Value {
    let connection = [
        Field::Saddr(family),
        Field::Sport(PortProtocol::Tcp),
        Field::Daddr(family),
        Field::Dport(PortProtocol::Tcp),
    ];
    update_set("add", &connection, set, None)
}

pub(crate) fn is(negated: bool, left: Value, right: Value) -> Value {
    let op = if negated { "!=" } else { "==" };
    json!({"match": {"op": op, "left": left, "right": right}})
}

/// States are bits to nft: `in` a list asks for any of them, where `==` would ask for all.
pub(crate) fn has_state(states: impl Iterator<Item = CtState>) -> Value {
    let names: Vec<&str> = states.map(CtState::keyword).collect();
    json!({"match": {"op": "in", "left": field(Field::CtState), "right": names}})
}

pub(crate) fn number(number: u128) -> Value {
    let number = u64::try_from(number).expect("validated: no number but addresses is wider");
    json!(number)
}

pub(crate) fn text(text: &str) -> Value {
    json!(text)
}

pub(crate) fn address(address: IpAddr) -> Value {
    json!(address.to_string())
}

pub(crate) fn prefix(prefix: Prefix) -> Value {
    json!({"prefix": {"addr": prefix.address().to_string(), "len": prefix.length()}})
}

pub(crate) fn range(first: Value, last: Value) -> Value {
    json!({ "range": [first, last] })
}

pub(crate) fn anonymous_set(values: Vec<Value>) -> Value {
    json!({ "set": values })
}

pub(crate) fn named_set(name: &str) -> Value {
    json!(format!("@{name}"))
}

pub(crate) fn counter() -> Value {
    json!({"counter": null})
}

pub(crate) fn limit(limit: Limit) -> Value {
    let Limit {
        rate, burst, over, ..
    } = limit;
    let mut body = json!({"rate": rate, "per": limit.per.keyword(), "burst": burst});
    say_over(&mut body, over);
    json!({ "limit": body })
}

/// Says that a statement goes on over its number; nothing is said otherwise.
fn say_over(body: &mut Value, over: bool) {
    if over {
        body["inv"] = true.into();
    }
}

pub(crate) fn quota(bytes: u64, over: bool) -> Value {
    let mut body = json!({"val": bytes, "val_unit": "bytes"});
    say_over(&mut body, over);
    json!({ "quota": body })
}

pub(crate) fn ct_count(count: u32, over: bool) -> Value {
    let mut body = json!({ "val": count });
    say_over(&mut body, over);
    json!({ "ct count": body })
}

pub(crate) fn log(prefix: Option<&Text>, level: LogLevel) -> Value {
    log_line(prefix, "level", level.keyword().into())
}

pub(crate) fn log_group(prefix: Option<&Text>, group: u16) -> Value {
    log_line(prefix, "group", group.into())
}

fn log_line(prefix: Option<&Text>, key: &str, value: Value) -> Value {
    let mut body = json!({ key: value });
    if let Some(prefix) = prefix {
        body["prefix"] = prefix.as_str().into();
    }
    json!({ "log": body })
}

pub(crate) fn set_mark(mark: Mark, value: MarkValue) -> Value {
    let value = match value {
        MarkValue::Number(value) => number(value.into()),
        MarkValue::Copied => field(mark.other().field()),
    };
    json!({"mangle": {"key": field(mark.field()), "value": value}})
}

pub(crate) fn notrack() -> Value {
    json!({"notrack": null})
}

/// Adds, updates or deletes the element that the fields are.
pub(crate) fn update_set(
    operation: &str,
    fields: &[Field],
    set: &str,
    limit: Option<Limit>,
) -> Value {
    let key = self::fields(fields);
    let mut body = json!({"op": operation, "elem": key, "set": named_set(set)});
    if let Some(limit) = limit {
        body["stmt"] = json!([self::limit(limit)]);
    }
    json!({ "set": body })
}

/// Always said in full: what a bare `reject` means depends on the other matches of the rule.
pub(crate) fn reject(reject: Reject) -> Value {
    let with = |kind: &str, code: &str| json!({"reject": {"type": kind, "expr": code}});
    let name = |family, code| {
        let name = icmp::unreachable_name(family, code);
        name.expect("validated: nft has a name for the code")
    };
    match reject {
        Reject::PortUnreachable => with("icmpx", "port-unreachable"),
        Reject::AdminProhibited => with("icmpx", "admin-prohibited"),
        Reject::HostUnreachable => with("icmpx", "host-unreachable"),
        Reject::NoRoute => with("icmpx", "no-route"),
        Reject::TcpReset => json!({"reject": {"type": "tcp reset"}}),
        Reject::Icmp(code) => with("icmp", name(Family::Ip, code)),
        Reject::Icmpv6(code) => with("icmpv6", name(Family::Ip6, code)),
    }
}

pub(crate) fn nat(nat: &Nat) -> Value {
    let mut body = json!({});
    if let Some((family, addresses)) = nat.address() {
        body["family"] = family.keyword().into();
        body["addr"] = ends(addresses, |end| address(family.address(end)));
    }
    if let Some(ports) = nat.ports() {
        body["port"] = ends(ports, number);
    }
    if body == json!({}) {
        body = Value::Null;
    }
    json!({ nat.kind().keyword(): body })
}

/// One value, or the ends of a range: NAT takes no prefixes.
fn ends(interval: Interval, value: impl Fn(u128) -> Value) -> Value {
    let (first, last) = (interval.first(), interval.last());
    if first == last {
        value(first)
    } else {
        range(value(first), value(last))
    }
}

/// Decides by the element that the fields are.
pub(crate) fn verdict_map(fields: &[Field], elements: Vec<(Value, Value)>) -> Value {
    let elements = elements
        .into_iter()
        .map(|(key, verdict)| json!([key, verdict]));
    let data = anonymous_set(elements.collect());
    json!({"vmap": {"key": self::fields(fields), "data": data}})
}

/// What a verdict is to nft; `chain` says how it calls the chain that one leads to.
pub(crate) fn verdict(verdict: &Verdict, chain: impl Fn(&Name) -> String) -> Value {
    match verdict {
        Verdict::Accept => json!({"accept": null}),
        Verdict::Drop => json!({"drop": null}),
        Verdict::Continue => json!({"continue": null}),
        Verdict::Return => json!({"return": null}),
        Verdict::Jump(name) => jump(&chain(name)),
        Verdict::Goto(name) => goto(&chain(name)),
    }
}

pub(crate) fn jump(chain: &str) -> Value {
    json!({"jump": {"target": chain}})
}

pub(crate) fn goto(chain: &str) -> Value {
    json!({"goto": {"target": chain}})
}

pub(crate) fn chain_policy(policy: ChainPolicy) -> Value {
    json!({ policy.keyword(): null })
}
