//! The one file that names both the bindings and the model: values go over as they are.
//!
//! Nothing is judged here. What the model cannot even hold, a prefix with host bits as the
//! default of a setting, is handed back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use portreeve_model::address::{Family, Prefix, PrefixError, address_bits};
use portreeve_model::description::{Constraint, Description, FeedSpec, SettingSpec};
use portreeve_model::draft::{
    AddressOperand, Base, BitField, Chain, ChainType, Contents, Draft, Element, ExtensionHeader,
    FieldSet, Match, Nat, NumberField, Rule, Selector, Set, SetNode, SetOperation, Statement,
    Target, Test, Values, Verdict,
};
use portreeve_model::field::{FibSource, PortProtocol};
use portreeve_model::goal::{Clause, GoalTemplate, Quantifier};
use portreeve_model::inputs::{Feed, Inputs, Interface, Listener, Setting, Value};
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Limit, LogLevel, Mark, MarkValue, Reject, TimeUnit};

use super::bindings::portreeve::policy::{description, draft, inputs, log, types};
use super::log::Level;

/// The default of a setting that the model cannot hold.
#[derive(Debug)]
pub(super) struct BadDefault {
    pub(super) setting: String,
    pub(super) error: PrefixError,
}

/// A description from the guest.
pub(super) fn description(from: description::Description) -> Result<Description, BadDefault> {
    Ok(Description {
        name: from.name,
        version: from.version,
        summary: from.summary,
        settings: from
            .settings
            .into_iter()
            .map(setting_spec)
            .collect::<Result<_, _>>()?,
        feeds: list(from.feeds, |feed| FeedSpec {
            name: feed.name,
            needs_elements: feed.needs_elements,
            help: feed.help,
        }),
        needs_interfaces: from.facts.contains(description::Facts::INTERFACES),
        needs_listeners: from.facts.contains(description::Facts::LISTENERS),
        goals: list(from.goals, |goal| GoalTemplate {
            name: goal.name,
            hook: hook(goal.hook),
            quantifier: match goal.quantifier {
                description::Quantifier::AllAccepted => Quantifier::AllAccepted,
                description::Quantifier::NoneAccepted => Quantifier::NoneAccepted,
                description::Quantifier::ExactlyTheseAccepted => Quantifier::ExactlyTheseAccepted,
                description::Quantifier::FamiliesAlike => Quantifier::FamiliesAlike,
            },
            clauses: list(goal.clauses, |clause| Clause {
                when: clause.when,
                matches: list(clause.matches, condition),
                dport_setting: clause
                    .dport_setting
                    .map(|(protocol, name)| (port_protocol(protocol), name)),
                saddr_from: clause.saddr_from,
                saddr_not_from: clause.saddr_not_from,
            }),
        }),
    })
}

/// A draft from the guest.
pub(super) fn draft(from: draft::Draft) -> Draft {
    Draft {
        sets: list(from.sets, |set| Set {
            name: set.name,
            family: family(set.family),
            expression: list(set.expression, set_node),
        }),
        field_sets: list(from.field_sets, |set| FieldSet {
            name: set.name,
            fields: list(set.fields, selector),
            contents: match set.contents {
                draft::Contents::Elements(rows) => {
                    Contents::Elements(list(rows, |row| list(row, values)))
                }
                draft::Contents::Dynamic(draft::Dynamic { timeout, size }) => {
                    Contents::Dynamic { timeout, size }
                }
            },
        }),
        chains: list(from.chains, |chain| Chain {
            name: chain.name,
            base: chain.base.map(|base| Base {
                chain_type: match base.chain_type {
                    draft::ChainType::Filter => ChainType::Filter,
                    draft::ChainType::Nat => ChainType::Nat,
                    draft::ChainType::Route => ChainType::Route,
                },
                hook: hook(base.hook),
                priority: base.priority,
                policy: match base.policy {
                    draft::ChainPolicy::Accept => ChainPolicy::Accept,
                    draft::ChainPolicy::Drop => ChainPolicy::Drop,
                },
            }),
            rules: list(chain.rules, |rule| Rule {
                label: rule.label,
                matches: list(rule.matches, condition),
                statements: list(rule.statements, statement),
            }),
        }),
    }
}

/// How much a line from the guest matters.
pub(super) const fn level(from: log::Level) -> Level {
    match from {
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

/// Inputs for the guest.
pub(super) fn inputs(from: &Inputs) -> inputs::Inputs {
    inputs::Inputs {
        settings: each(&from.settings, |Setting { name, value }| inputs::Setting {
            name: name.clone(),
            value: lower_value(value),
        }),
        feeds: each(&from.feeds, |feed: &Feed| inputs::Feed {
            name: feed.name.clone(),
            ip_prefixes: feed.ip_prefixes,
            ip6_prefixes: feed.ip6_prefixes,
            digest: feed.digest.clone(),
            age: feed.age,
            elements: feed
                .elements
                .as_ref()
                .map(|elements| each(elements, lower_prefix)),
        }),
        interfaces: from.interfaces.as_ref().map(|interfaces| {
            each(interfaces, |Interface { name, addresses }| {
                inputs::NetworkInterface {
                    name: name.clone(),
                    addresses: each(addresses, |&(address, length)| {
                        (lower_address(address), length)
                    }),
                }
            })
        }),
        listeners: from.listeners.as_ref().map(|listeners| {
            each(listeners, |listener: &Listener| inputs::Listener {
                protocol: lower_protocol(listener.protocol),
                address: lower_address(listener.address),
                port: listener.port,
            })
        }),
    }
}

fn list<A, B>(from: Vec<A>, each: impl FnMut(A) -> B) -> Vec<B> {
    from.into_iter().map(each).collect()
}

fn each<A, B>(from: &[A], each: impl FnMut(&A) -> B) -> Vec<B> {
    from.iter().map(each).collect()
}

fn setting_spec(from: description::SettingSpec) -> Result<SettingSpec, BadDefault> {
    let constraint = match from.constraint {
        description::Constraint::None => Constraint::None,
        description::Constraint::Between((min, max)) => Constraint::Between { min, max },
        description::Constraint::Entries((min, max)) => Constraint::Entries { min, max },
        description::Constraint::OneOf(choices) => Constraint::OneOf(choices),
    };
    match value(from.default) {
        Ok(default) => Ok(SettingSpec {
            name: from.name,
            default,
            constraint,
            help: from.help,
        }),
        Err(error) => Err(BadDefault {
            setting: from.name,
            error,
        }),
    }
}

fn value(from: types::Value) -> Result<Value, PrefixError> {
    Ok(match from {
        types::Value::Boolean(on) => Value::Boolean(on),
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Port(port) => Value::Port(port),
        types::Value::Ports(ports) => Value::Ports(list(ports, port_range)),
        types::Value::Choice(choice) => Value::Choice(choice),
        types::Value::Prefixes(prefixes) => {
            let prefix = |from: types::Prefix| Prefix::new(address(from.address), from.length);
            Value::Prefixes(prefixes.into_iter().map(prefix).collect::<Result<_, _>>()?)
        }
    })
}

fn lower_value(from: &Value) -> types::Value {
    match from {
        Value::Boolean(on) => types::Value::Boolean(*on),
        Value::Integer(number) => types::Value::Integer(*number),
        Value::Port(port) => types::Value::Port(*port),
        Value::Ports(ports) => types::Value::Ports(each(ports, |ports| types::PortRange {
            first: *ports.start(),
            last: *ports.end(),
        })),
        Value::Choice(choice) => types::Value::Choice(choice.clone()),
        Value::Prefixes(prefixes) => types::Value::Prefixes(each(prefixes, lower_prefix)),
    }
}

const fn lower_prefix(from: &Prefix) -> types::Prefix {
    types::Prefix {
        address: lower_address(from.address()),
        length: from.length(),
    }
}

const fn lower_address(from: IpAddr) -> types::IpAddress {
    match from {
        IpAddr::V4(address) => types::IpAddress::Ip(address.to_bits()),
        IpAddr::V6(_) => {
            let bits = address_bits(from);
            types::IpAddress::Ip6(((bits >> 64) as u64, bits as u64))
        }
    }
}

fn address(from: types::IpAddress) -> IpAddr {
    match from {
        types::IpAddress::Ip(bits) => Ipv4Addr::from_bits(bits).into(),
        types::IpAddress::Ip6((upper, lower)) => {
            Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)).into()
        }
    }
}

fn set_node(from: draft::SetNode) -> SetNode {
    match from {
        draft::SetNode::Elements(elements) => SetNode::Elements(list(elements, element)),
        draft::SetNode::Feed(name) => SetNode::Feed(name),
        draft::SetNode::Union(operands) => SetNode::Union(operands),
        draft::SetNode::Intersection(operands) => SetNode::Intersection(operands),
        draft::SetNode::Difference((from, less)) => SetNode::Difference(from, less),
    }
}

fn element(from: types::Element) -> Element {
    match from {
        types::Element::Prefix(prefix) => Element::Prefix {
            address: address(prefix.address),
            length: prefix.length,
        },
        types::Element::Range((first, last)) => Element::Range {
            first: address(first),
            last: address(last),
        },
    }
}

fn condition(from: types::Match) -> Match {
    let test = match from.test {
        types::Test::Iifname(names) => Test::Iifname(names),
        types::Test::Oifname(names) => Test::Oifname(names),
        types::Test::Nfproto(of) => Test::Nfproto(family(of)),
        types::Test::Saddr(test) => Test::Saddr(family(test.family), operand(test.operand)),
        types::Test::Daddr(test) => Test::Daddr(family(test.family), operand(test.operand)),
        types::Test::HopLimit(test) => {
            Test::HopLimit(family(test.family), list(test.ranges, byte_range))
        }
        types::Test::L4proto(ranges) => Test::L4proto(list(ranges, byte_range)),
        types::Test::Sport(test) => {
            Test::Sport(port_protocol(test.protocol), list(test.ports, port_range))
        }
        types::Test::Dport(test) => {
            Test::Dport(port_protocol(test.protocol), list(test.ports, port_range))
        }
        types::Test::IcmpType(test) => {
            Test::IcmpType(family(test.family), list(test.ranges, byte_range))
        }
        types::Test::CtState(states) => Test::CtState(list(states, ct_state)),
        types::Test::Number(test) => Test::Number(
            number_field(test.field),
            list(test.ranges, |range| range.first..=range.last),
        ),
        types::Test::Bits(test) => Test::Bits {
            field: match test.field {
                types::BitField::TcpFlags => BitField::TcpFlags,
                types::BitField::CtStatus => BitField::CtStatus,
                types::BitField::Mark => BitField::Mark,
                types::BitField::CtMark => BitField::CtMark,
            },
            mask: test.mask,
            values: test.values,
        },
        types::Test::Concatenation(test) => Test::Concatenation {
            fields: list(test.fields, selector),
            elements: list(test.elements, |row| list(row, values)),
        },
        types::Test::FieldSet(name) => Test::FieldSet(name),
    };
    Match {
        negated: from.negated,
        test,
    }
}

fn operand(from: types::AddressOperand) -> AddressOperand {
    match from {
        types::AddressOperand::Elements(elements) => {
            AddressOperand::Elements(list(elements, element))
        }
        types::AddressOperand::Set(name) => AddressOperand::Set(name),
    }
}

const fn number_field(from: types::NumberField) -> NumberField {
    match from {
        types::NumberField::Iifgroup => NumberField::Iifgroup,
        types::NumberField::Oifgroup => NumberField::Oifgroup,
        types::NumberField::Pkttype => NumberField::Pkttype,
        types::NumberField::Mark => NumberField::Mark,
        types::NumberField::Skuid => NumberField::Skuid,
        types::NumberField::Skgid => NumberField::Skgid,
        types::NumberField::Hour => NumberField::Hour,
        types::NumberField::Day => NumberField::Day,
        types::NumberField::Length => NumberField::Length,
        types::NumberField::NetworkLength(of) => NumberField::NetworkLength(family(of)),
        types::NumberField::Dscp(of) => NumberField::Dscp(family(of)),
        types::NumberField::Ecn(of) => NumberField::Ecn(family(of)),
        types::NumberField::IcmpCode(of) => NumberField::IcmpCode(family(of)),
        types::NumberField::ThSport => NumberField::ThSport,
        types::NumberField::ThDport => NumberField::ThDport,
        types::NumberField::CtMark => NumberField::CtMark,
        types::NumberField::CtDirection => NumberField::CtDirection,
        types::NumberField::AddressType(asked) => NumberField::AddressType {
            of: if asked.destination {
                FibSource::Daddr
            } else {
                FibSource::Saddr
            },
            iif: asked.iif,
        },
        types::NumberField::ReversePath(mark) => NumberField::ReversePath { mark },
        types::NumberField::Exthdr(header) => NumberField::Exthdr(match header {
            types::ExtensionHeader::Hbh => ExtensionHeader::Hbh,
            types::ExtensionHeader::Rt => ExtensionHeader::Rt,
            types::ExtensionHeader::Frag => ExtensionHeader::Frag,
            types::ExtensionHeader::Dst => ExtensionHeader::Dst,
            types::ExtensionHeader::Mh => ExtensionHeader::Mh,
        }),
    }
}

const fn selector(from: types::Selector) -> Selector {
    match from {
        types::Selector::Iifname => Selector::Iifname,
        types::Selector::Oifname => Selector::Oifname,
        types::Selector::Saddr(of) => Selector::Saddr(family(of)),
        types::Selector::Daddr(of) => Selector::Daddr(family(of)),
        types::Selector::L4proto => Selector::L4proto,
        types::Selector::Sport(protocol) => Selector::Sport(port_protocol(protocol)),
        types::Selector::Dport(protocol) => Selector::Dport(port_protocol(protocol)),
        types::Selector::CtState => Selector::CtState,
    }
}

fn values(from: types::Values) -> Values {
    match from {
        types::Values::Numbers(range) => Values::Numbers(port_range(range)),
        types::Values::Addresses(of) => Values::Addresses(element(of)),
        types::Values::Interface(name) => Values::Interface(name),
        types::Values::CtState(state) => Values::CtState(ct_state(state)),
    }
}

fn statement(from: draft::Statement) -> Statement {
    match from {
        draft::Statement::Counter => Statement::Counter,
        draft::Statement::Limit(of) => Statement::Limit(limit(of)),
        draft::Statement::Quota(draft::Quota { bytes, over }) => Statement::Quota { bytes, over },
        draft::Statement::CtCount(draft::CtCount { count, over }) => {
            Statement::CtCount { count, over }
        }
        draft::Statement::Log(line) => Statement::Log {
            prefix: line.prefix,
            level: log_level(line.level),
        },
        draft::Statement::LogGroup(draft::LogGroup { prefix, group }) => {
            Statement::LogGroup { prefix, group }
        }
        draft::Statement::SetMark(set) => Statement::SetMark(
            match set.mark {
                draft::Mark::Packet => Mark::Packet,
                draft::Mark::Connection => Mark::Connection,
            },
            set.number.map_or(MarkValue::Copied, MarkValue::Number),
        ),
        draft::Statement::Notrack => Statement::Notrack,
        draft::Statement::UpdateSet(update) => Statement::UpdateSet {
            set: update.set,
            operation: match update.operation {
                draft::SetOperation::Add => SetOperation::Add,
                draft::SetOperation::Update => SetOperation::Update,
                draft::SetOperation::Delete => SetOperation::Delete,
            },
            limit: update.limit.map(limit),
        },
        draft::Statement::Reject(with) => Statement::Reject(reject(with)),
        draft::Statement::Nat(of) => Statement::Nat(nat(of)),
        draft::Statement::VerdictMap(map) => Statement::VerdictMap {
            fields: list(map.fields, selector),
            elements: list(map.elements, |element| {
                (list(element.key, values), verdict(element.verdict))
            }),
        },
        draft::Statement::Accept => Statement::Accept,
        draft::Statement::Drop => Statement::Drop,
        draft::Statement::Continue => Statement::Continue,
        draft::Statement::Return => Statement::Return,
        draft::Statement::Jump(target) => Statement::Jump(target),
        draft::Statement::Goto(target) => Statement::Goto(target),
    }
}

const fn limit(from: draft::Limit) -> Limit {
    Limit {
        rate: from.rate,
        per: match from.per {
            draft::TimeUnit::Second => TimeUnit::Second,
            draft::TimeUnit::Minute => TimeUnit::Minute,
            draft::TimeUnit::Hour => TimeUnit::Hour,
            draft::TimeUnit::Day => TimeUnit::Day,
            draft::TimeUnit::Week => TimeUnit::Week,
        },
        burst: from.burst,
        over: from.over,
    }
}

const fn reject(from: draft::Reject) -> Reject {
    match from {
        draft::Reject::PortUnreachable => Reject::PortUnreachable,
        draft::Reject::AdminProhibited => Reject::AdminProhibited,
        draft::Reject::HostUnreachable => Reject::HostUnreachable,
        draft::Reject::NoRoute => Reject::NoRoute,
        draft::Reject::TcpReset => Reject::TcpReset,
        draft::Reject::Icmp(code) => Reject::Icmp(code),
        draft::Reject::Icmpv6(code) => Reject::Icmpv6(code),
    }
}

fn nat(from: draft::Nat) -> Nat {
    let target = |target: draft::Target| Target {
        first: address(target.first),
        last: address(target.last),
        ports: target.ports.map(port_range),
    };
    match from {
        draft::Nat::Snat(of) => Nat::Snat(target(of)),
        draft::Nat::Dnat(of) => Nat::Dnat(target(of)),
        draft::Nat::Masquerade(ports) => Nat::Masquerade {
            ports: ports.map(port_range),
        },
        draft::Nat::Redirect(ports) => Nat::Redirect {
            ports: ports.map(port_range),
        },
    }
}

fn verdict(from: draft::Verdict) -> Verdict {
    match from {
        draft::Verdict::Accept => Verdict::Accept,
        draft::Verdict::Drop => Verdict::Drop,
        draft::Verdict::Continue => Verdict::Continue,
        draft::Verdict::Return => Verdict::Return,
        draft::Verdict::Jump(target) => Verdict::Jump(target),
        draft::Verdict::Goto(target) => Verdict::Goto(target),
    }
}

const fn log_level(from: draft::LogLevel) -> LogLevel {
    match from {
        draft::LogLevel::Emerg => LogLevel::Emerg,
        draft::LogLevel::Alert => LogLevel::Alert,
        draft::LogLevel::Crit => LogLevel::Crit,
        draft::LogLevel::Err => LogLevel::Err,
        draft::LogLevel::Warn => LogLevel::Warn,
        draft::LogLevel::Notice => LogLevel::Notice,
        draft::LogLevel::Info => LogLevel::Info,
        draft::LogLevel::Debug => LogLevel::Debug,
    }
}

const fn ct_state(from: types::CtState) -> CtState {
    match from {
        types::CtState::Invalid => CtState::Invalid,
        types::CtState::Established => CtState::Established,
        types::CtState::Related => CtState::Related,
        types::CtState::New => CtState::New,
        types::CtState::Untracked => CtState::Untracked,
    }
}

const fn hook(from: types::Hook) -> Hook {
    match from {
        types::Hook::Prerouting => Hook::Prerouting,
        types::Hook::Input => Hook::Input,
        types::Hook::Forward => Hook::Forward,
        types::Hook::Output => Hook::Output,
        types::Hook::Postrouting => Hook::Postrouting,
    }
}

const fn family(from: types::Family) -> Family {
    match from {
        types::Family::Ip => Family::Ip,
        types::Family::Ip6 => Family::Ip6,
    }
}

const fn port_protocol(from: types::PortProtocol) -> PortProtocol {
    match from {
        types::PortProtocol::Tcp => PortProtocol::Tcp,
        types::PortProtocol::Udp => PortProtocol::Udp,
        types::PortProtocol::Udplite => PortProtocol::Udplite,
        types::PortProtocol::Sctp => PortProtocol::Sctp,
        types::PortProtocol::Dccp => PortProtocol::Dccp,
    }
}

const fn lower_protocol(from: PortProtocol) -> types::PortProtocol {
    match from {
        PortProtocol::Tcp => types::PortProtocol::Tcp,
        PortProtocol::Udp => types::PortProtocol::Udp,
        PortProtocol::Udplite => types::PortProtocol::Udplite,
        PortProtocol::Sctp => types::PortProtocol::Sctp,
        PortProtocol::Dccp => types::PortProtocol::Dccp,
    }
}

const fn port_range(from: types::PortRange) -> RangeInclusive<u16> {
    from.first..=from.last
}

const fn byte_range(from: types::ByteRange) -> RangeInclusive<u8> {
    from.first..=from.last
}
