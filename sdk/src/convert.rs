//! Between the model and the bindings: the only file that names both.
//!
//! What the policy says goes out field by field; what the host says comes in the same way. Nothing
//! is checked here: the host validates drafts, and it has checked the inputs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use portreeve_model::address::{Family, Prefix, address_bits};
use portreeve_model::description::{Constraint, Description, FeedSpec, SettingSpec};
use portreeve_model::draft::{
    AddressOperand, BitField, Chain, ChainType, Contents, Draft, Element, ExtensionHeader,
    FieldSet, Match, Nat, NumberField, Rule, Selector, Set, SetNode, SetOperation, Statement,
    Target, Test, Values, Verdict,
};
use portreeve_model::field::{FibSource, PortProtocol};
use portreeve_model::goal::{Clause, GoalTemplate, Quantifier};
use portreeve_model::inputs::{Feed, Inputs, Interface, Listener, Setting, Value};
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Limit, LogLevel, Mark, MarkValue, Reject, TimeUnit};

use crate::Refusal;
use crate::bindings;
use crate::bindings::portreeve::policy::{description, draft, inputs, types};

pub(crate) fn description(from: Description) -> description::Description {
    let when = |needed, fact| {
        if needed {
            fact
        } else {
            description::Facts::empty()
        }
    };
    let facts = when(from.needs_interfaces, description::Facts::INTERFACES)
        | when(from.needs_listeners, description::Facts::LISTENERS);
    description::Description {
        name: from.name,
        version: from.version,
        summary: from.summary,
        settings: from.settings.into_iter().map(setting_spec).collect(),
        feeds: from.feeds.into_iter().map(feed_spec).collect(),
        facts,
        goals: from.goals.into_iter().map(goal).collect(),
    }
}

fn setting_spec(from: SettingSpec) -> description::SettingSpec {
    description::SettingSpec {
        name: from.name,
        default: value_out(from.default),
        constraint: match from.constraint {
            Constraint::None => description::Constraint::None,
            Constraint::Between { min, max } => description::Constraint::Between((min, max)),
            Constraint::Entries { min, max } => description::Constraint::Entries((min, max)),
            Constraint::OneOf(choices) => description::Constraint::OneOf(choices),
        },
        help: from.help,
    }
}

fn feed_spec(from: FeedSpec) -> description::FeedSpec {
    description::FeedSpec {
        name: from.name,
        needs_elements: from.needs_elements,
        help: from.help,
    }
}

fn goal(from: GoalTemplate) -> description::Goal {
    description::Goal {
        name: from.name,
        hook: hook(from.hook),
        quantifier: match from.quantifier {
            Quantifier::AllAccepted => description::Quantifier::AllAccepted,
            Quantifier::NoneAccepted => description::Quantifier::NoneAccepted,
            Quantifier::ExactlyTheseAccepted => description::Quantifier::ExactlyTheseAccepted,
            Quantifier::FamiliesAlike => description::Quantifier::FamiliesAlike,
        },
        clauses: from.clauses.into_iter().map(clause).collect(),
    }
}

fn clause(from: Clause) -> description::Clause {
    description::Clause {
        when: from.when,
        matches: from.matches.into_iter().map(condition).collect(),
        dport_setting: from.dport_setting.map(|(p, name)| (port_protocol(p), name)),
        saddr_from: from.saddr_from,
        saddr_not_from: from.saddr_not_from,
    }
}

pub(crate) fn draft(from: Draft) -> draft::Draft {
    draft::Draft {
        sets: from.sets.into_iter().map(set).collect(),
        field_sets: from.field_sets.into_iter().map(field_set).collect(),
        chains: from.chains.into_iter().map(chain).collect(),
    }
}

fn set(from: Set) -> draft::Set {
    draft::Set {
        name: from.name,
        family: family(from.family),
        expression: from.expression.into_iter().map(set_node).collect(),
    }
}

fn field_set(from: FieldSet) -> draft::FieldSet {
    draft::FieldSet {
        name: from.name,
        fields: selectors(from.fields),
        contents: match from.contents {
            Contents::Elements(rows) => {
                draft::Contents::Elements(rows.into_iter().map(key).collect())
            }
            Contents::Dynamic { timeout, size } => {
                draft::Contents::Dynamic(draft::Dynamic { timeout, size })
            }
        },
    }
}

fn set_node(from: SetNode) -> draft::SetNode {
    match from {
        SetNode::Elements(list) => draft::SetNode::Elements(elements(list)),
        SetNode::Feed(name) => draft::SetNode::Feed(name),
        SetNode::Union(operands) => draft::SetNode::Union(operands),
        SetNode::Intersection(operands) => draft::SetNode::Intersection(operands),
        SetNode::Difference(from, less) => draft::SetNode::Difference((from, less)),
    }
}

fn elements(from: Vec<Element>) -> Vec<types::Element> {
    from.into_iter().map(element).collect()
}

fn element(from: Element) -> types::Element {
    match from {
        Element::Prefix { address, length } => {
            let address = address_out(address);
            types::Element::Prefix(types::Prefix { address, length })
        }
        Element::Range { first, last } => {
            types::Element::Range((address_out(first), address_out(last)))
        }
    }
}

fn chain(from: Chain) -> draft::Chain {
    draft::Chain {
        name: from.name,
        base: from.base.map(|base| draft::Base {
            chain_type: match base.chain_type {
                ChainType::Filter => draft::ChainType::Filter,
                ChainType::Nat => draft::ChainType::Nat,
                ChainType::Route => draft::ChainType::Route,
            },
            hook: hook(base.hook),
            priority: base.priority,
            policy: match base.policy {
                ChainPolicy::Accept => draft::ChainPolicy::Accept,
                ChainPolicy::Drop => draft::ChainPolicy::Drop,
            },
        }),
        rules: from.rules.into_iter().map(rule).collect(),
    }
}

fn rule(from: Rule) -> draft::Rule {
    draft::Rule {
        label: from.label,
        matches: from.matches.into_iter().map(condition).collect(),
        statements: from.statements.into_iter().map(statement).collect(),
    }
}

fn condition(from: Match) -> types::Match {
    let test = match from.test {
        Test::Iifname(names) => types::Test::Iifname(names),
        Test::Oifname(names) => types::Test::Oifname(names),
        Test::Nfproto(of) => types::Test::Nfproto(family(of)),
        Test::Saddr(of, operand) => types::Test::Saddr(address_test(of, operand)),
        Test::Daddr(of, operand) => types::Test::Daddr(address_test(of, operand)),
        Test::HopLimit(of, ranges) => types::Test::HopLimit(byte_test(of, ranges)),
        Test::L4proto(ranges) => types::Test::L4proto(byte_ranges(ranges)),
        Test::Sport(protocol, ranges) => types::Test::Sport(port_test(protocol, ranges)),
        Test::Dport(protocol, ranges) => types::Test::Dport(port_test(protocol, ranges)),
        Test::IcmpType(of, ranges) => types::Test::IcmpType(byte_test(of, ranges)),
        Test::CtState(states) => types::Test::CtState(states.into_iter().map(ct_state).collect()),
        Test::Number(field, ranges) => types::Test::Number(types::NumberTest {
            field: number_field(field),
            ranges: number_ranges(ranges),
        }),
        Test::Bits {
            field,
            mask,
            values,
        } => types::Test::Bits(types::BitTest {
            field: bit_field(field),
            mask,
            values,
        }),
        Test::Concatenation { fields, elements } => {
            types::Test::Concatenation(types::Concatenation {
                fields: selectors(fields),
                elements: elements.into_iter().map(key).collect(),
            })
        }
        Test::FieldSet(name) => types::Test::FieldSet(name),
    };
    types::Match {
        negated: from.negated,
        test,
    }
}

fn address_test(of: Family, operand: AddressOperand) -> types::AddressTest {
    types::AddressTest {
        family: family(of),
        operand: match operand {
            AddressOperand::Elements(list) => types::AddressOperand::Elements(elements(list)),
            AddressOperand::Set(name) => types::AddressOperand::Set(name),
        },
    }
}

fn byte_test(of: Family, ranges: Vec<RangeInclusive<u8>>) -> types::ByteTest {
    types::ByteTest {
        family: family(of),
        ranges: byte_ranges(ranges),
    }
}

fn byte_ranges(ranges: Vec<RangeInclusive<u8>>) -> Vec<types::ByteRange> {
    let range = |range: RangeInclusive<u8>| {
        let (first, last) = range.into_inner();
        types::ByteRange { first, last }
    };
    ranges.into_iter().map(range).collect()
}

fn port_test(protocol: PortProtocol, ranges: Vec<RangeInclusive<u16>>) -> types::PortTest {
    types::PortTest {
        protocol: port_protocol(protocol),
        ports: port_ranges(ranges),
    }
}

fn port_ranges(ranges: Vec<RangeInclusive<u16>>) -> Vec<types::PortRange> {
    ranges.into_iter().map(port_range).collect()
}

fn number_ranges(from: Vec<RangeInclusive<u32>>) -> Vec<types::NumberRange> {
    let range = |range: RangeInclusive<u32>| {
        let (first, last) = range.into_inner();
        types::NumberRange { first, last }
    };
    from.into_iter().map(range).collect()
}

fn number_field(from: NumberField) -> types::NumberField {
    match from {
        NumberField::Iifgroup => types::NumberField::Iifgroup,
        NumberField::Oifgroup => types::NumberField::Oifgroup,
        NumberField::Pkttype => types::NumberField::Pkttype,
        NumberField::Mark => types::NumberField::Mark,
        NumberField::Skuid => types::NumberField::Skuid,
        NumberField::Skgid => types::NumberField::Skgid,
        NumberField::Hour => types::NumberField::Hour,
        NumberField::Day => types::NumberField::Day,
        NumberField::Length => types::NumberField::Length,
        NumberField::NetworkLength(of) => types::NumberField::NetworkLength(family(of)),
        NumberField::Dscp(of) => types::NumberField::Dscp(family(of)),
        NumberField::Ecn(of) => types::NumberField::Ecn(family(of)),
        NumberField::IcmpCode(of) => types::NumberField::IcmpCode(family(of)),
        NumberField::ThSport => types::NumberField::ThSport,
        NumberField::ThDport => types::NumberField::ThDport,
        NumberField::CtMark => types::NumberField::CtMark,
        NumberField::CtDirection => types::NumberField::CtDirection,
        NumberField::AddressType { of, iif } => {
            let destination = of == FibSource::Daddr;
            types::NumberField::AddressType(types::AddressType { destination, iif })
        }
        NumberField::ReversePath { mark } => types::NumberField::ReversePath(mark),
        NumberField::Exthdr(header) => types::NumberField::Exthdr(match header {
            ExtensionHeader::Hbh => types::ExtensionHeader::Hbh,
            ExtensionHeader::Rt => types::ExtensionHeader::Rt,
            ExtensionHeader::Frag => types::ExtensionHeader::Frag,
            ExtensionHeader::Dst => types::ExtensionHeader::Dst,
            ExtensionHeader::Mh => types::ExtensionHeader::Mh,
        }),
    }
}

const fn bit_field(from: BitField) -> types::BitField {
    match from {
        BitField::TcpFlags => types::BitField::TcpFlags,
        BitField::CtStatus => types::BitField::CtStatus,
        BitField::Mark => types::BitField::Mark,
        BitField::CtMark => types::BitField::CtMark,
    }
}

fn selectors(from: Vec<Selector>) -> Vec<types::Selector> {
    let selector = |of| match of {
        Selector::Iifname => types::Selector::Iifname,
        Selector::Oifname => types::Selector::Oifname,
        Selector::Saddr(of) => types::Selector::Saddr(family(of)),
        Selector::Daddr(of) => types::Selector::Daddr(family(of)),
        Selector::L4proto => types::Selector::L4proto,
        Selector::Sport(protocol) => types::Selector::Sport(port_protocol(protocol)),
        Selector::Dport(protocol) => types::Selector::Dport(port_protocol(protocol)),
        Selector::CtState => types::Selector::CtState,
    };
    from.into_iter().map(selector).collect()
}

fn key(from: Vec<Values>) -> Vec<types::Values> {
    let values = |of| match of {
        Values::Numbers(range) => types::Values::Numbers(port_range(range)),
        Values::Addresses(of) => types::Values::Addresses(element(of)),
        Values::Interface(name) => types::Values::Interface(name),
        Values::CtState(state) => types::Values::CtState(ct_state(state)),
    };
    from.into_iter().map(values).collect()
}

fn port_range(from: RangeInclusive<u16>) -> types::PortRange {
    let (first, last) = from.into_inner();
    types::PortRange { first, last }
}

fn statement(from: Statement) -> draft::Statement {
    match from {
        Statement::Counter => draft::Statement::Counter,
        Statement::Limit(rate) => draft::Statement::Limit(limit(rate)),
        Statement::Quota { bytes, over } => draft::Statement::Quota(draft::Quota { bytes, over }),
        Statement::CtCount { count, over } => {
            draft::Statement::CtCount(draft::CtCount { count, over })
        }
        Statement::Log { prefix, level } => draft::Statement::Log(draft::LogLine {
            prefix,
            level: log_level(level),
        }),
        Statement::LogGroup { prefix, group } => {
            draft::Statement::LogGroup(draft::LogGroup { prefix, group })
        }
        Statement::SetMark(mark, value) => draft::Statement::SetMark(draft::SetMark {
            mark: match mark {
                Mark::Packet => draft::Mark::Packet,
                Mark::Connection => draft::Mark::Connection,
            },
            number: match value {
                MarkValue::Number(number) => Some(number),
                MarkValue::Copied => None,
            },
        }),
        Statement::Notrack => draft::Statement::Notrack,
        Statement::UpdateSet {
            set,
            operation,
            limit: rate,
        } => draft::Statement::UpdateSet(draft::UpdateSet {
            set,
            operation: match operation {
                SetOperation::Add => draft::SetOperation::Add,
                SetOperation::Update => draft::SetOperation::Update,
                SetOperation::Delete => draft::SetOperation::Delete,
            },
            limit: rate.map(limit),
        }),
        Statement::Reject(with) => draft::Statement::Reject(reject(with)),
        Statement::Nat(of) => draft::Statement::Nat(nat(of)),
        Statement::VerdictMap { fields, elements } => {
            let element = |(values, says)| draft::VerdictElement {
                key: key(values),
                verdict: verdict(says),
            };
            draft::Statement::VerdictMap(draft::VerdictMap {
                fields: selectors(fields),
                elements: elements.into_iter().map(element).collect(),
            })
        }
        Statement::Accept => draft::Statement::Accept,
        Statement::Drop => draft::Statement::Drop,
        Statement::Continue => draft::Statement::Continue,
        Statement::Return => draft::Statement::Return,
        Statement::Jump(chain) => draft::Statement::Jump(chain),
        Statement::Goto(chain) => draft::Statement::Goto(chain),
    }
}

fn nat(from: Nat) -> draft::Nat {
    let target = |target: Target| draft::Target {
        first: address_out(target.first),
        last: address_out(target.last),
        ports: target.ports.map(port_range),
    };
    match from {
        Nat::Snat(of) => draft::Nat::Snat(target(of)),
        Nat::Dnat(of) => draft::Nat::Dnat(target(of)),
        Nat::Masquerade { ports } => draft::Nat::Masquerade(ports.map(port_range)),
        Nat::Redirect { ports } => draft::Nat::Redirect(ports.map(port_range)),
    }
}

fn verdict(from: Verdict) -> draft::Verdict {
    match from {
        Verdict::Accept => draft::Verdict::Accept,
        Verdict::Drop => draft::Verdict::Drop,
        Verdict::Continue => draft::Verdict::Continue,
        Verdict::Return => draft::Verdict::Return,
        Verdict::Jump(chain) => draft::Verdict::Jump(chain),
        Verdict::Goto(chain) => draft::Verdict::Goto(chain),
    }
}

const fn limit(from: Limit) -> draft::Limit {
    draft::Limit {
        rate: from.rate,
        per: match from.per {
            TimeUnit::Second => draft::TimeUnit::Second,
            TimeUnit::Minute => draft::TimeUnit::Minute,
            TimeUnit::Hour => draft::TimeUnit::Hour,
            TimeUnit::Day => draft::TimeUnit::Day,
            TimeUnit::Week => draft::TimeUnit::Week,
        },
        burst: from.burst,
        over: from.over,
    }
}

const fn log_level(from: LogLevel) -> draft::LogLevel {
    match from {
        LogLevel::Emerg => draft::LogLevel::Emerg,
        LogLevel::Alert => draft::LogLevel::Alert,
        LogLevel::Crit => draft::LogLevel::Crit,
        LogLevel::Err => draft::LogLevel::Err,
        LogLevel::Warn => draft::LogLevel::Warn,
        LogLevel::Notice => draft::LogLevel::Notice,
        LogLevel::Info => draft::LogLevel::Info,
        LogLevel::Debug => draft::LogLevel::Debug,
    }
}

const fn reject(from: Reject) -> draft::Reject {
    match from {
        Reject::PortUnreachable => draft::Reject::PortUnreachable,
        Reject::AdminProhibited => draft::Reject::AdminProhibited,
        Reject::HostUnreachable => draft::Reject::HostUnreachable,
        Reject::NoRoute => draft::Reject::NoRoute,
        Reject::TcpReset => draft::Reject::TcpReset,
        Reject::Icmp(code) => draft::Reject::Icmp(code),
        Reject::Icmpv6(code) => draft::Reject::Icmpv6(code),
    }
}

pub(crate) fn refusal(from: Refusal) -> bindings::Refusal {
    match from {
        Refusal::Inputs(message) => bindings::Refusal::Inputs(message),
        Refusal::Unsupported(message) => bindings::Refusal::Unsupported(message),
    }
}

const fn family(from: Family) -> types::Family {
    match from {
        Family::Ip => types::Family::Ip,
        Family::Ip6 => types::Family::Ip6,
    }
}

const fn hook(from: Hook) -> types::Hook {
    match from {
        Hook::Prerouting => types::Hook::Prerouting,
        Hook::Input => types::Hook::Input,
        Hook::Forward => types::Hook::Forward,
        Hook::Output => types::Hook::Output,
        Hook::Postrouting => types::Hook::Postrouting,
    }
}

const fn ct_state(from: CtState) -> types::CtState {
    match from {
        CtState::Invalid => types::CtState::Invalid,
        CtState::Established => types::CtState::Established,
        CtState::Related => types::CtState::Related,
        CtState::New => types::CtState::New,
        CtState::Untracked => types::CtState::Untracked,
    }
}

const fn port_protocol(from: PortProtocol) -> types::PortProtocol {
    match from {
        PortProtocol::Tcp => types::PortProtocol::Tcp,
        PortProtocol::Udp => types::PortProtocol::Udp,
        PortProtocol::Udplite => types::PortProtocol::Udplite,
        PortProtocol::Sctp => types::PortProtocol::Sctp,
        PortProtocol::Dccp => types::PortProtocol::Dccp,
    }
}

fn address_out(address: IpAddr) -> types::IpAddress {
    match address {
        IpAddr::V4(address) => types::IpAddress::Ip(address.to_bits()),
        IpAddr::V6(_) => {
            let bits = address_bits(address);
            types::IpAddress::Ip6(((bits >> 64) as u64, bits as u64))
        }
    }
}

fn value_out(from: Value) -> types::Value {
    let prefix = |prefix: Prefix| types::Prefix {
        address: address_out(prefix.address()),
        length: prefix.length(),
    };
    match from {
        Value::Boolean(on) => types::Value::Boolean(on),
        Value::Integer(number) => types::Value::Integer(number),
        Value::Port(port) => types::Value::Port(port),
        Value::Ports(ranges) => types::Value::Ports(port_ranges(ranges)),
        Value::Choice(word) => types::Value::Choice(word),
        Value::Prefixes(list) => types::Value::Prefixes(list.into_iter().map(prefix).collect()),
    }
}

pub(crate) fn inputs(from: inputs::Inputs) -> Inputs {
    let setting = |setting: inputs::Setting| Setting {
        name: setting.name,
        value: value_in(setting.value),
    };
    Inputs {
        settings: from.settings.into_iter().map(setting).collect(),
        feeds: from.feeds.into_iter().map(feed).collect(),
        interfaces: from
            .interfaces
            .map(|list| list.into_iter().map(interface).collect()),
        listeners: from
            .listeners
            .map(|list| list.into_iter().map(listener).collect()),
    }
}

fn feed(from: inputs::Feed) -> Feed {
    Feed {
        name: from.name,
        ip_prefixes: from.ip_prefixes,
        ip6_prefixes: from.ip6_prefixes,
        digest: from.digest,
        age: from.age,
        elements: from
            .elements
            .map(|list| list.into_iter().map(prefix_in).collect()),
    }
}

fn interface(from: inputs::NetworkInterface) -> Interface {
    let addresses = from.addresses.into_iter();
    Interface {
        name: from.name,
        addresses: addresses
            .map(|(address, length)| (address_in(address), length))
            .collect(),
    }
}

fn listener(from: inputs::Listener) -> Listener {
    Listener {
        protocol: match from.protocol {
            types::PortProtocol::Tcp => PortProtocol::Tcp,
            types::PortProtocol::Udp => PortProtocol::Udp,
            types::PortProtocol::Udplite => PortProtocol::Udplite,
            types::PortProtocol::Sctp => PortProtocol::Sctp,
            types::PortProtocol::Dccp => PortProtocol::Dccp,
        },
        address: address_in(from.address),
        port: from.port,
    }
}

fn address_in(from: types::IpAddress) -> IpAddr {
    match from {
        types::IpAddress::Ip(bits) => Ipv4Addr::from_bits(bits).into(),
        types::IpAddress::Ip6((upper, lower)) => {
            Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)).into()
        }
    }
}

/// The host's prefixes have no host bits; `around` would clear them.
fn prefix_in(from: types::Prefix) -> Prefix {
    Prefix::around(address_in(from.address), from.length)
}

fn value_in(from: types::Value) -> Value {
    match from {
        types::Value::Boolean(on) => Value::Boolean(on),
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Port(port) => Value::Port(port),
        types::Value::Ports(ranges) => Value::Ports(
            ranges
                .into_iter()
                .map(|range| range.first..=range.last)
                .collect(),
        ),
        types::Value::Choice(word) => Value::Choice(word),
        types::Value::Prefixes(list) => Value::Prefixes(list.into_iter().map(prefix_in).collect()),
    }
}
