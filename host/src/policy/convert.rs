//! The one file that names both the bindings and the model: values go over as they are.
//!
//! Nothing is judged here. What the model cannot even hold, a prefix with host bits as the
//! default of a setting, is handed back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use portreeve_model::address::{Family, Prefix, PrefixError, address_bits};
use portreeve_model::description::{Constraint, Description, FeedSpec, SettingSpec};
use portreeve_model::draft::{
    AddressOperand, Base, Chain, Draft, Element, Match, Rule, Set, SetNode, Statement, Test,
};
use portreeve_model::field::PortProtocol;
use portreeve_model::goal::{Clause, GoalTemplate, Quantifier};
use portreeve_model::inputs::{Feed, Inputs, Interface, Listener, Setting, Value};
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::{ChainPolicy, Limit, LogLevel, Reject, TimeUnit};

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
            },
            clauses: list(goal.clauses, |clause| Clause {
                when: clause.when,
                matches: list(clause.matches, condition),
                dport_setting: clause
                    .dport_setting
                    .map(|(protocol, name)| (port_protocol(protocol), name)),
                saddr_from: clause.saddr_from,
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
        chains: list(from.chains, |chain| Chain {
            name: chain.name,
            base: chain.base.map(|base| Base {
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
                protocol: match listener.protocol {
                    PortProtocol::Tcp => types::PortProtocol::Tcp,
                    PortProtocol::Udp => types::PortProtocol::Udp,
                },
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

fn statement(from: draft::Statement) -> Statement {
    match from {
        draft::Statement::Counter => Statement::Counter,
        draft::Statement::Limit(limit) => Statement::Limit(Limit {
            rate: limit.rate,
            per: match limit.per {
                draft::TimeUnit::Second => TimeUnit::Second,
                draft::TimeUnit::Minute => TimeUnit::Minute,
                draft::TimeUnit::Hour => TimeUnit::Hour,
                draft::TimeUnit::Day => TimeUnit::Day,
                draft::TimeUnit::Week => TimeUnit::Week,
            },
            burst: limit.burst,
            over: limit.over,
        }),
        draft::Statement::Log(line) => Statement::Log {
            prefix: line.prefix,
            level: log_level(line.level),
        },
        draft::Statement::Reject(with) => Statement::Reject(match with {
            draft::Reject::PortUnreachable => Reject::PortUnreachable,
            draft::Reject::AdminProhibited => Reject::AdminProhibited,
            draft::Reject::HostUnreachable => Reject::HostUnreachable,
            draft::Reject::NoRoute => Reject::NoRoute,
            draft::Reject::TcpReset => Reject::TcpReset,
        }),
        draft::Statement::Accept => Statement::Accept,
        draft::Statement::Drop => Statement::Drop,
        draft::Statement::Continue => Statement::Continue,
        draft::Statement::Return => Statement::Return,
        draft::Statement::Jump(target) => Statement::Jump(target),
        draft::Statement::Goto(target) => Statement::Goto(target),
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
    }
}

const fn port_range(from: types::PortRange) -> RangeInclusive<u16> {
    from.first..=from.last
}

const fn byte_range(from: types::ByteRange) -> RangeInclusive<u8> {
    from.first..=from.last
}
