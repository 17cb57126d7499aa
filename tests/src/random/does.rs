//! What random rules do.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use portreeve_model::address::Family;
use portreeve_model::draft::{Contents, FieldSet, Nat, SetOperation, Statement, Target, Verdict};
use portreeve_model::icmp;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::{Limit, LogLevel, Mark, MarkValue, Reject, TimeUnit};

use super::asks::{About, elements, fits, selectors, some_that_fit};
use super::{Layer, Random, regular_name};

pub(super) fn statements(
    random: &mut Random,
    about: About<'_>,
    sets: &[FieldSet],
) -> Vec<Statement> {
    let mut statements = Vec::new();
    if random.one_in(3) {
        statements.push(Statement::Limit(limit(random)));
    }
    if random.one_in(3) {
        statements.push(Statement::Counter);
    }
    if random.one_in(4) {
        let prefix = random.pick(&[None, Some("drop: "), Some("portreeve/in=")]);
        let prefix = prefix.map(str::to_owned);
        statements.push(if random.one_in(3) {
            let group = random.pick(&[0, 1, 65_535]);
            Statement::LogGroup { prefix, group }
        } else {
            let level = random.pick(&LogLevel::ALL);
            Statement::Log { prefix, level }
        });
    }
    if random.one_in(4) {
        statements.extend(changes(random, about, sets));
    }
    statements.extend(last(random, about));
    if statements.is_empty() {
        statements.push(Statement::Counter);
    }
    statements
}

/// Something that goes on, or changes what later rules see.
fn changes(random: &mut Random, about: About<'_>, sets: &[FieldSet]) -> Option<Statement> {
    let place = about.place;
    let over = random.one_in(2);
    Some(match random.up_to(5) {
        0 => {
            let bytes = random.pick(&[1, 1_024, 5_000_000_000, 3 << 20]);
            Statement::Quota { bytes, over }
        }
        1 if place.tracked => {
            let count = random.pick(&[1, 20, 2_000_000_000]);
            Statement::CtCount { count, over }
        }
        2 => {
            let (packet, number) = (random.one_in(2), random.one_in(2));
            let value = random.pick(&[0, 1, 0xff, u32::MAX]);
            if place.tracked {
                let mark = if packet {
                    Mark::Packet
                } else {
                    Mark::Connection
                };
                let copied = MarkValue::Copied;
                Statement::SetMark(
                    mark,
                    if number {
                        MarkValue::Number(value)
                    } else {
                        copied
                    },
                )
            } else {
                Statement::SetMark(Mark::Packet, MarkValue::Number(value))
            }
        }
        3 if place.is_raw() => Statement::Notrack,
        4 => {
            let dynamic = |set: &&FieldSet| matches!(set.contents, Contents::Dynamic { .. });
            let sets: Vec<_> = sets
                .iter()
                .filter(dynamic)
                .filter(|set| fits(set, about))
                .collect();
            let set = (!sets.is_empty()).then(|| random.pick(&sets).name.clone())?;
            let operation = random.pick(&SetOperation::ALL);
            let limited = operation != SetOperation::Delete && random.one_in(2);
            Statement::UpdateSet {
                set,
                operation,
                limit: limited.then(|| limit(random)),
            }
        }
        _ => return None,
    })
}

/// What decides, if anything does.
fn last(random: &mut Random, about: About<'_>) -> Option<Statement> {
    let place = about.place;
    let target = |random: &mut Random| {
        let targets: Vec<usize> = place.targets.clone().collect();
        (!targets.is_empty()).then(|| regular_name(random.pick(&targets)))
    };
    let rejects = matches!(place.hook, Some(Hook::Input | Hook::Forward | Hook::Output));
    match random.up_to(10) {
        0 => Some(Statement::Accept),
        1 => Some(Statement::Drop),
        2 => Some(Statement::Return),
        3 => Some(Statement::Continue),
        4 => target(random).map(Statement::Jump),
        5 => target(random).map(Statement::Goto),
        6 if rejects => Some(Statement::Reject(reject(random, about))),
        7 => verdict_map(random, about, target),
        _ if place.translates => nat(random, about),
        _ => None,
    }
}

fn reject(random: &mut Random, about: About<'_>) -> Reject {
    let icmp_of = match (about.transport, about.family) {
        // Without a family, ICMP is that of IPv6.
        (Layer::Icmp, None) => Some(Family::Ip6),
        (_, family) => family,
    };
    if let Some(family) = icmp_of
        && random.one_in(3)
    {
        let (code, _) = random.pick(icmp::unreachable(family));
        return match family {
            Family::Ip => Reject::Icmp(code),
            Family::Ip6 => Reject::Icmpv6(code),
        };
    }
    let reject = random.pick(&Reject::ALL);
    let reset = reject == Reject::TcpReset && about.transport != Layer::Tcp;
    if reset { Reject::NoRoute } else { reject }
}

fn verdict_map(
    random: &mut Random,
    about: About<'_>,
    target: impl Fn(&mut Random) -> Option<String>,
) -> Option<Statement> {
    let known = selectors(about);
    if known.is_empty() {
        return None;
    }
    let fields = some_that_fit(random, &known);
    let elements = elements(random, &fields).into_iter().map(|key| {
        let target = target(random);
        let verdict = match (random.up_to(6), target) {
            (0, Some(target)) => Verdict::Jump(target),
            (1, Some(target)) => Verdict::Goto(target),
            (2, _) => Verdict::Continue,
            (3, _) => Verdict::Return,
            (4, _) => Verdict::Drop,
            _ => Verdict::Accept,
        };
        (key, verdict)
    });
    let elements = elements.collect();
    Some(Statement::VerdictMap { fields, elements })
}

fn nat(random: &mut Random, about: About<'_>) -> Option<Statement> {
    let has_ports = matches!(about.transport, Layer::Tcp | Layer::Udp);
    let ports = |random: &mut Random| -> Option<RangeInclusive<u16>> {
        let ports = random.pick(&[None, Some(80..=80), Some(1024..=2048)]);
        ports.filter(|_| has_ports)
    };
    let target = |random: &mut Random| {
        let (first, last): (IpAddr, IpAddr) = match about.family.unwrap_or(Family::Ip) {
            Family::Ip => (
                [192, 0, 2, 1].into(),
                [192, 0, 2, random.pick(&[1, 9])].into(),
            ),
            Family::Ip6 => {
                let last = random.pick(&[1, 9]);
                (
                    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
                    [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(),
                )
            }
        };
        let ports = ports(random);
        Target { first, last, ports }
    };
    // Without a family, a match may have chosen one already.
    let says_address = about.family.is_some() && random.one_in(2);
    Some(Statement::Nat(match (about.place.hook?, says_address) {
        (Hook::Prerouting | Hook::Output, true) => Nat::Dnat(target(random)),
        (Hook::Prerouting | Hook::Output, false) => Nat::Redirect {
            ports: ports(random),
        },
        (Hook::Postrouting, false) => Nat::Masquerade {
            ports: ports(random),
        },
        (Hook::Postrouting | Hook::Input, true) => Nat::Snat(target(random)),
        (Hook::Input, false) | (Hook::Forward, _) => return None,
    }))
}

fn limit(random: &mut Random) -> Limit {
    Limit {
        rate: random.pick(&[1, 5, 10, 1_000, 1_000_000]),
        per: random.pick(&TimeUnit::ALL),
        // What a rate of one a week still allows: the kernel counts in nanoseconds.
        burst: random.pick(&[1, 5, 7, 100, 30_500]),
        over: random.one_in(3),
    }
}
