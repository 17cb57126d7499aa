//! Every word of nft's JSON that we say, as the `nftables` crate spells it.
//!
//! That crate's types can also say what nft reads differently: its operators `LT` and `GT` are
//! swapped, `Notrack` and maps of verdicts are misspelled, sets of flags come in random order. So
//! the types are used here and nowhere else, and `tests/tests/kernel.rs` asks the real nft what
//! it makes of each word.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use nftables::expr::{
    BinaryOperation, CT, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField,
    Prefix as PrefixWord, Range, SetItem,
};
use nftables::schema::{
    Chain as ChainWord, NfCmd, NfListObject, NfObject, Rule as RuleWord, Set as SetWord, SetFlag,
    SetType, SetTypeValue, Table,
};
use nftables::stmt::{
    Counter, JumpTarget, Limit as LimitWord, Log, LogLevel as LevelWord, Match as MatchWord,
    Operator, Reject as RejectWord, RejectType, Set as SetStatement, SetOp,
    Statement as StatementWord,
};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook, RejectCode};
use portreeve_model::address::{Family, Prefix};
use portreeve_model::field::{Field, PortProtocol};
use portreeve_model::names::{InterfaceName, Name, Text};
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{Base, ChainPolicy, Limit, LogLevel, Reject, Verdict};

use crate::TABLE;

/// What is added or deleted.
pub(crate) type Object = NfListObject<'static>;
/// A value, or what is loaded from a packet.
pub(crate) type Value = Expression<'static>;
/// A match or a statement.
pub(crate) type Part = StatementWord<'static>;

pub(crate) fn add(object: Object) -> NfObject<'static> {
    NfObject::CmdObject(NfCmd::Add(object))
}

/// Like [`add`], but refused by the kernel when it is there already.
pub(crate) fn create(object: Object) -> NfObject<'static> {
    NfObject::CmdObject(NfCmd::Create(object))
}

pub(crate) fn delete(object: Object) -> NfObject<'static> {
    NfObject::CmdObject(NfCmd::Delete(object))
}

pub(crate) fn table() -> Object {
    NfListObject::Table(Table {
        family: NfFamily::INet,
        name: TABLE.into(),
        handle: None,
    })
}

/// A set without elements: those are written by [`crate::elements`].
pub(crate) fn set(name: &str, family: Family) -> Object {
    NfListObject::Set(Box::new(SetWord {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: owned(name),
        set_type: SetTypeValue::Single(address_type(family)),
        // One flag only: the crate keeps flags in a hash set, whose order is random.
        flags: Some(HashSet::from([SetFlag::Interval])),
        ..SetWord::default()
    }))
}

const fn address_type(family: Family) -> SetType {
    match family {
        Family::Ip => SetType::Ipv4Addr,
        Family::Ip6 => SetType::Ipv6Addr,
    }
}

pub(crate) fn chain(name: &str, base: Option<Base>) -> Object {
    NfListObject::Chain(ChainWord {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: owned(name),
        _type: base.map(|_| NfChainType::Filter),
        hook: base.map(|base| hook(base.hook)),
        prio: base.map(|base| base.priority),
        policy: base.map(|base| match base.policy {
            ChainPolicy::Accept => NfChainPolicy::Accept,
            ChainPolicy::Drop => NfChainPolicy::Drop,
        }),
        ..ChainWord::default()
    })
}

fn hook(hook: Hook) -> NfHook {
    match hook {
        Hook::Prerouting => NfHook::Prerouting,
        Hook::Input => NfHook::Input,
        Hook::Forward => NfHook::Forward,
        Hook::Output => NfHook::Output,
        Hook::Postrouting => NfHook::Postrouting,
    }
}

/// A rule; those of a policy have their label as comment.
pub(crate) fn rule(chain: &str, label: Option<&Text>, parts: Vec<Part>) -> Object {
    NfListObject::Rule(RuleWord {
        family: NfFamily::INet,
        table: TABLE.into(),
        chain: owned(chain),
        expr: parts.into(),
        comment: label.map(|label| owned(label.as_str())),
        ..RuleWord::default()
    })
}

/// What loads `field` from a packet.
pub(crate) fn field(field: Field) -> Value {
    let meta = |key| NamedExpression::Meta(Meta { key });
    Expression::Named(match field {
        Field::Iifname => meta(MetaKey::Iifname),
        Field::Oifname => meta(MetaKey::Oifname),
        Field::Nfproto => meta(MetaKey::Nfproto),
        Field::Saddr(family) => header(family.keyword(), "saddr"),
        Field::Daddr(family) => header(family.keyword(), "daddr"),
        Field::HopLimit(Family::Ip) => header("ip", "ttl"),
        Field::HopLimit(Family::Ip6) => header("ip6", "hoplimit"),
        Field::L4proto => meta(MetaKey::L4proto),
        Field::Sport(protocol) => header(protocol.keyword(), "sport"),
        Field::Dport(protocol) => header(protocol.keyword(), "dport"),
        Field::IcmpType(Family::Ip) => header("icmp", "type"),
        Field::IcmpType(Family::Ip6) => header("icmpv6", "type"),
        Field::CtState => NamedExpression::CT(CT {
            key: "state".into(),
            family: None,
            dir: None,
        }),
    })
}

fn header(protocol: &'static str, field: &'static str) -> NamedExpression<'static> {
    NamedExpression::Payload(Payload::PayloadField(PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    }))
}

// The parts of the rule that records arrivals. The switch sends it past nft
// ([`crate::netlink::Batch::add_arrival_rule`]); with these words nft lists it.

/// Packets that this machine did not send to itself.
pub(crate) fn from_outside() -> Part {
    let loopback = InterfaceName::new("lo").expect("is an interface name");
    is(true, field(Field::Iifname), interface(&loopback))
}

/// The TCP flags that tell the first packet of a connection from the others.
pub(crate) const HANDSHAKE_FLAGS: [&str; 4] = ["fin", "syn", "rst", "ack"];

/// The first packet of a TCP connection.
pub(crate) fn opens_connection() -> Part {
    let flags = HANDSHAKE_FLAGS.map(|flag| Expression::String(flag.into()));
    let found = BinaryOperation::AND(
        Expression::Named(header("tcp", "flags")),
        Expression::List(flags.into()),
    );
    let syn = Expression::String("syn".into());
    is(false, Expression::BinaryOperation(Box::new(found)), syn)
}

/// Writes the packet's TCP connection to a set of connections.
pub(crate) fn remember_connection(family: Family, set: &str) -> Part {
    let connection = [
        Field::Saddr(family),
        Field::Sport(PortProtocol::Tcp),
        Field::Daddr(family),
        Field::Dport(PortProtocol::Tcp),
    ];
    StatementWord::Set(SetStatement {
        op: SetOp::Add,
        elem: Expression::Named(NamedExpression::Concat(connection.map(field).into())),
        set: reference(set),
    })
}

pub(crate) fn is(negated: bool, left: Value, right: Value) -> Part {
    let op = if negated { Operator::NEQ } else { Operator::EQ };
    StatementWord::Match(MatchWord { left, right, op })
}

/// States are bits to nft: `in` a list asks for any of them, where `==` would ask for all.
pub(crate) fn has_state(states: impl Iterator<Item = CtState>) -> Part {
    let names = states.map(|state| Expression::String(state.keyword().into()));
    StatementWord::Match(MatchWord {
        left: field(Field::CtState),
        right: Expression::List(names.collect()),
        op: Operator::IN,
    })
}

pub(crate) fn number(number: u16) -> Value {
    Expression::Number(number.into())
}

pub(crate) fn interface(name: &InterfaceName) -> Value {
    Expression::String(owned(name.as_str()))
}

pub(crate) fn address(address: IpAddr) -> Value {
    Expression::String(Cow::Owned(address.to_string()))
}

pub(crate) fn prefix(prefix: Prefix) -> Value {
    Expression::Named(NamedExpression::Prefix(PrefixWord {
        addr: Box::new(address(prefix.address())),
        len: prefix.length().into(),
    }))
}

pub(crate) fn range(first: Value, last: Value) -> Value {
    Expression::Range(Box::new(Range {
        range: [first, last],
    }))
}

pub(crate) fn anonymous_set(values: Vec<Value>) -> Value {
    let items = values.into_iter().map(SetItem::Element).collect();
    Expression::Named(NamedExpression::Set(items))
}

pub(crate) fn named_set(name: &str) -> Value {
    Expression::String(reference(name))
}

fn reference(set: &str) -> Cow<'static, str> {
    Cow::Owned(format!("@{set}"))
}

pub(crate) fn counter() -> Part {
    StatementWord::Counter(Counter::Anonymous(None))
}

pub(crate) fn limit(limit: Limit) -> Part {
    StatementWord::Limit(LimitWord {
        rate: limit.rate,
        rate_unit: None,
        per: Some(limit.per.keyword().into()),
        burst: Some(limit.burst),
        burst_unit: None,
        inv: limit.over.then_some(true),
    })
}

pub(crate) fn log(prefix: Option<&Text>, level: LogLevel) -> Part {
    StatementWord::Log(Some(Log {
        prefix: prefix.map(|prefix| owned(prefix.as_str())),
        level: Some(match level {
            LogLevel::Emerg => LevelWord::Emerg,
            LogLevel::Alert => LevelWord::Alert,
            LogLevel::Crit => LevelWord::Crit,
            LogLevel::Err => LevelWord::Err,
            LogLevel::Warn => LevelWord::Warn,
            LogLevel::Notice => LevelWord::Notice,
            LogLevel::Info => LevelWord::Info,
            LogLevel::Debug => LevelWord::Debug,
        }),
        ..Log::new(None)
    }))
}

/// Always said in full: what a bare `reject` means depends on the other matches of the rule.
pub(crate) fn reject(reject: Reject) -> Part {
    let icmpx = |code| (Some(RejectType::ICMPX), Some(code));
    let (kind, code) = match reject {
        Reject::PortUnreachable => icmpx(RejectCode::PortUnreach),
        Reject::AdminProhibited => icmpx(RejectCode::AdminProhibited),
        Reject::HostUnreachable => icmpx(RejectCode::HostUnreach),
        Reject::NoRoute => icmpx(RejectCode::NoRoute),
        Reject::TcpReset => (Some(RejectType::TCPReset), None),
    };
    StatementWord::Reject(Some(RejectWord::new(kind, code)))
}

/// What a verdict is to nft; `chain` says how it calls the chain that one leads to.
pub(crate) fn verdict(verdict: &Verdict, chain: impl Fn(&Name) -> String) -> Part {
    match verdict {
        Verdict::Accept => StatementWord::Accept(None),
        Verdict::Drop => StatementWord::Drop(None),
        Verdict::Continue => StatementWord::Continue(None),
        Verdict::Return => StatementWord::Return(None),
        Verdict::Jump(name) => jump(chain(name)),
        Verdict::Goto(name) => goto(chain(name)),
    }
}

pub(crate) fn jump(chain: String) -> Part {
    StatementWord::Jump(target(chain))
}

pub(crate) fn goto(chain: String) -> Part {
    StatementWord::Goto(target(chain))
}

fn target(chain: String) -> JumpTarget<'static> {
    JumpTarget {
        target: Cow::Owned(chain),
    }
}

pub(crate) const fn chain_policy(policy: ChainPolicy) -> Part {
    match policy {
        ChainPolicy::Accept => StatementWord::Accept(None),
        ChainPolicy::Drop => StatementWord::Drop(None),
    }
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}
