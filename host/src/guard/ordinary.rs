//! Packets as an honest machine sends them: what a rule asks besides addresses, ports and state has
//! the value that it nearly always has.
//!
//! Without this every rule against forged packets would look like one against the operator. Only
//! what some rule asks is said at all, so that a witness is no longer than it must be.

use std::collections::BTreeSet;

use portreeve_model::address::Family;
use portreeve_model::field::{
    Direction, Fib, FibResult, FibSource, Field, PROTOCOL_TCP, PROTOCOL_UDP, icmp_protocol,
    interface,
};
use portreeve_model::intervals::{Interval, Intervals};
use portreeve_model::packet::CtState;
use portreeve_model::tables::{Expression, Match, Nat, Operand, Part, Rewrite, Tables};

/// `RTN_UNICAST`, `RTN_LOCAL` and `RTN_MULTICAST` in `linux/rtnetlink.h`.
const UNICAST: u128 = 1;
const LOCAL: u128 = 2;
const MULTICAST: u128 = 5;

/// `ct status` of a connection that is not translated: before its first packet has passed, and when
/// both sides have spoken; and that NAT has looked at it (`IPS_*` in `nf_conntrack_common.h`).
const UNCONFIRMED: u128 = 0;
const ASSURED: u128 = 0x0e;
const NAT_DONE: u128 = 0x180;

/// Values of a field of which bits are told one by one, at most.
const VALUES_WITH_BITS: u128 = 64;

/// `IP_DF` in `net/ip.h`.
const DONT_FRAGMENT: u128 = 0x4000;

/// SYN. A client that asks for ECN and is not answered asks again without (RFC 3168, 6.1.1.1).
pub(super) const BEGINS: [u128; 1] = [0x02];

/// ACK, with PSH and FIN or not.
pub(super) const GOES_ON: [u128; 4] = [0x10, 0x18, 0x11, 0x19];

/// What a host hears of its neighbours: router advertisements, neighbour solicitations and
/// advertisements (RFC 4861). Only routers need to hear router solicitations.
pub(super) const HEARS: [u128; 3] = [134, 135, 136];

/// RFC 4861, 7.1: anything else has come through a router.
pub(super) const HOPS_ON_LINK: u128 = 255;

/// Hops that packets have left after a long way; systems begin with 64, 128 or 255.
const HOPS_MIN: u128 = 8;

/// Where packets are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Routes {
    /// From elsewhere to this machine.
    Here,
    /// From this machine to elsewhere.
    There,
    /// From this machine to itself.
    Within,
    /// From a neighbour to this machine, or to all neighbours.
    LinkHere,
    /// From this machine to a neighbour, or to all of them.
    LinkThere,
}

/// Conditions that packets fulfil, all of them.
#[derive(Clone, Debug)]
pub(super) struct Clause<'a> {
    asked: &'a Asked,
    family: Family,
    matches: Vec<Match>,
}

/// What rules ask of packets.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Fields, as a whole.
    fields: BTreeSet<Field>,
    /// Some bits of fields: to the prover they are variables of their own.
    bits: BTreeSet<(Field, u128)>,
}

impl Asked {
    /// What some rule of the tables asks.
    pub(super) fn by(tables: &Tables) -> Self {
        let mut asked = Self::default();
        let chains = tables.tables.iter().flat_map(|table| &table.chains);
        let rules = chains.flat_map(|chain| &chain.rules);
        for part in rules.flat_map(|rule| &rule.parts) {
            asked.by_part(part);
        }
        asked
    }

    fn by_part(&mut self, part: &Part) {
        match part {
            Part::Match(Match { left, right, .. }) => {
                self.take(left);
                if let Operand::Value(value) = right {
                    self.take(value);
                }
            }
            Part::VerdictMap { key, .. } => self.take(key),
            Part::Assign { value, .. } => self.take(value),
            Part::Nat(Nat { address, port, .. }) => {
                for rewrite in [address, port].into_iter().flatten() {
                    if let Rewrite::Value { of, .. } = rewrite {
                        self.take(of);
                    }
                }
            }
            Part::Verdict(_)
            | Part::Reject(_)
            | Part::Notrack
            | Part::Counter
            | Part::Note(_)
            | Part::Chance(_)
            | Part::Connections(_)
            | Part::Queue(_)
            | Part::Take(_)
            | Part::Opaque(_) => {}
        }
    }

    fn take(&mut self, expression: &Expression) {
        match expression {
            Expression::Field(field) => {
                self.fields.insert(*field);
            }
            Expression::Bits { of, mask, .. } => match **of {
                Expression::Field(field) => {
                    self.bits.insert((field, *mask));
                }
                ref other => self.take(other),
            },
            Expression::Concatenation(parts) => parts.iter().for_each(|part| self.take(part)),
            Expression::Map { key, .. } => self.take(key),
            Expression::Constant(_) | Expression::Opaque(_) => {}
        }
    }
}

impl<'a> Clause<'a> {
    /// Ordinary packets of a family that go one way.
    pub(super) fn new(asked: &'a Asked, family: Family) -> Self {
        let clause = Self {
            asked,
            family,
            matches: Vec::new(),
        };
        let clause = clause
            .is(Field::Nfproto, one(family.number().into()))
            .if_asked(Field::Mark, one(0))
            .if_asked(Field::IpFragOff, numbers(&[0, DONT_FRAGMENT]));
        let headers = asked
            .fields
            .iter()
            .filter(|it| matches!(it, Field::Exthdr(_)));
        headers.fold(clause, |clause, header| clause.if_asked(*header, one(0)))
    }

    /// Those of TCP, for which the routing tables know both ends: the reverse path test is passed.
    pub(super) fn tcp(self, routes: Routes) -> Self {
        let hops = between(HOPS_MIN, 255);
        let family = self.family;
        let clause = self.carries(PROTOCOL_TCP);
        clause
            .if_asked(Field::HopLimit(family), hops)
            .routed(routes)
    }

    /// Those of the ICMP of their family, of these types.
    pub(super) fn icmp(self, types: &[u128]) -> Self {
        let family = self.family;
        self.carries(icmp_protocol(family))
            .is(Field::IcmpType(family), numbers(types))
    }

    /// Those that conntrack calls so, and whose connection has the addresses that they have.
    pub(super) fn state(self, state: CtState) -> Self {
        let clause = self.is(Field::CtState, one(state as u128));
        let status = match state {
            CtState::Invalid | CtState::Untracked => return clause,
            CtState::New => UNCONFIRMED,
            CtState::Established | CtState::Related => ASSURED,
        };
        let looked_at = [status, status | NAT_DONE];
        let clause = clause.if_asked(Field::CtMark, one(0));
        clause.if_asked(Field::CtStatus, numbers(&looked_at))
    }

    /// Those that go in this direction of their connection.
    pub(super) fn direction(self, direction: Direction) -> Self {
        let direction = match direction {
            Direction::Original => 0,
            Direction::Reply => 1,
        };
        self.if_asked(Field::CtDirection, one(direction))
    }

    /// Those of which a field has one of these values.
    pub(super) fn is(self, field: Field, values: Intervals) -> Self {
        self.compared(Expression::Field(field), false, values)
    }

    /// Those of which a field has none of these values.
    pub(super) fn but(self, field: Field, values: Intervals) -> Self {
        self.compared(Expression::Field(field), true, values)
    }

    /// Those of which a field has one of these values, where any rule asks and they have it.
    pub(super) fn if_asked(self, field: Field, values: Intervals) -> Self {
        if field.family().is_some_and(|it| it != self.family) {
            return self;
        }
        let masks = self.asked.bits.iter().filter(|(of, _)| *of == field);
        let masks: Vec<u128> = masks.map(|(_, mask)| *mask).collect();
        let mut clause = self;
        if clause.asked.fields.contains(&field) {
            clause = clause.is(field, values.clone());
        }
        if values.count() > VALUES_WITH_BITS {
            return clause;
        }
        for mask in masks {
            let each = values.iter().flat_map(|it| it.first()..=it.last());
            let bits: Vec<u128> = each.map(|value| value & mask).collect();
            let left = Expression::Bits {
                of: Expression::Field(field).into(),
                mask,
                flip: 0,
            };
            clause = clause.compared(left, false, numbers(&bits));
        }
        clause
    }

    pub(super) fn done(self) -> Vec<Match> {
        self.matches
    }

    /// Every header that says what comes next says this.
    fn carries(self, protocol: u8) -> Self {
        let protocol = one(protocol.into());
        let clause = self.is(Field::L4proto, protocol.clone());
        match clause.family {
            Family::Ip => clause,
            Family::Ip6 => clause.is(Field::NextHeader(Family::Ip6), protocol),
        }
    }

    /// Those for which the routing tables know both ends: the reverse path test is passed.
    pub(super) fn routed(self, routes: Routes) -> Self {
        let questions = self.asked.fields.iter().filter_map(|field| match field {
            Field::Fib(fib) => Some(*fib),
            _ => None,
        });
        let answers: Vec<(Fib, Intervals)> = questions
            .filter_map(|fib| Some((fib, answer(fib, routes)?)))
            .collect();
        answers.into_iter().fold(self, |clause, (fib, answer)| {
            clause.is(Field::Fib(fib), answer)
        })
    }

    fn compared(mut self, left: Expression, negated: bool, values: Intervals) -> Self {
        self.matches.push(Match {
            left,
            negated,
            right: Operand::Numbers(values),
        });
        self
    }
}

/// What the routing tables say of an ordinary packet; none where that may be anything.
fn answer(fib: Fib, routes: Routes) -> Option<Intervals> {
    let is_source = fib.of == FibSource::Saddr;
    let (is_own, may_be_all) = match routes {
        Routes::Here => (!is_source, false),
        Routes::There => (is_source, false),
        Routes::Within => (true, false),
        Routes::LinkHere => (!is_source, !is_source),
        Routes::LinkThere => (is_source, !is_source),
    };
    let kind = if is_own { LOCAL } else { UNICAST };
    match fib.result {
        FibResult::Type if may_be_all => Some(numbers(&[kind, MULTICAST])),
        FibResult::Type => Some(one(kind)),
        FibResult::Exists => Some(one(1)),
        // Which one is not known here, but that there is one.
        FibResult::Oif | FibResult::Oifname => (!is_own).then(|| between(1, Field::Fib(fib).max())),
    }
}

/// One number.
pub(super) fn one(number: u128) -> Intervals {
    numbers(&[number])
}

/// These numbers.
pub(super) fn numbers(numbers: &[u128]) -> Intervals {
    numbers.iter().copied().map(Interval::single).collect()
}

/// All numbers from `first` to `last`.
pub(super) fn between(first: u128, last: u128) -> Intervals {
    Interval::new(first, last).into_iter().collect()
}

/// The addresses of the link itself: `fe80::/10` (RFC 4291).
pub(super) fn link_local() -> Intervals {
    between(0xfe80 << 112, (0xfec0 << 112) - 1)
}

/// All that listen on the link: `ff02::/16` (RFC 4291).
pub(super) fn link_multicast() -> Intervals {
    between(0xff02 << 112, (0xff03 << 112) - 1)
}

/// The addresses that a machine elsewhere can have.
pub(super) fn unicast(family: Family) -> Intervals {
    match family {
        // RFC 1122, 3.2.1.3: not 0.0.0.0/8, 127.0.0.0/8, nor from 224.0.0.0 on.
        Family::Ip => between(0x0100_0000, 0x7eff_ffff).union(&between(0x8000_0000, 0xdfff_ffff)),
        // RFC 4291: global, unique local, link-local.
        Family::Ip6 => between(0x2 << 124, (0x4 << 124) - 1)
            .union(&between(0xfc << 120, (0xfe << 120) - 1))
            .union(&link_local()),
    }
}

/// What comes from elsewhere, of the kinds that machines live by, for tables that ask for these
/// fields.
pub(super) fn incoming(asked: &Asked) -> Vec<Vec<Match>> {
    let mut clauses = Vec::new();
    let lo = || interface::set(["lo"]);
    let come = |clause: Clause<'_>| clause.but(Field::Iifname, lo()).done();
    for family in Family::BOTH {
        let new = || {
            let clause = Clause::new(asked, family);
            clause.is(Field::Saddr(family), unicast(family))
        };
        for (state, flags) in [
            (CtState::New, BEGINS.as_slice()),
            (CtState::Established, GOES_ON.as_slice()),
        ] {
            let tcp = new().tcp(Routes::Here).state(state);
            clauses.push(come(tcp.if_asked(Field::TcpFlags, numbers(flags))));
            clauses.push(come(
                new()
                    .carries(PROTOCOL_UDP)
                    .routed(Routes::Here)
                    .state(state),
            ));
        }
        for state in [CtState::New, CtState::Established, CtState::Related] {
            let icmp = new().carries(icmp_protocol(family)).routed(Routes::Here);
            clauses.push(come(icmp.state(state)));
        }
    }
    let neighbours = Clause::new(asked, Family::Ip6)
        .icmp(&HEARS)
        .routed(Routes::LinkHere)
        .is(Field::Saddr(Family::Ip6), link_local())
        .is(Field::HopLimit(Family::Ip6), one(HOPS_ON_LINK))
        .state(CtState::Untracked);
    clauses.push(come(neighbours));
    clauses
}
