//! The matches of a rule: typed values become intervals, and what follows from another match is
//! left out, so that one meaning has one form.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt::Display;
use core::ops::RangeInclusive;

use super::Validator;
use super::defect::Defect;
use crate::address::Family;
use crate::draft::{self, AddressOperand, Test};
use crate::field::{Field, PROTOCOL_TCP};
use crate::intervals::{Interval, Intervals};
use crate::limits::MATCH_VALUES_MAX;
use crate::names::InterfaceName;
use crate::packet::CtState;
use crate::ruleset::{Match, Operand};

impl Validator<'_> {
    /// The matches in canonical form.
    pub(super) fn matches(&mut self, drafted: &[draft::Match], subject: &str) -> Vec<Match> {
        let before = self.found.len();
        let mut matches: Vec<Match> = drafted
            .iter()
            .filter_map(|condition| self.condition(condition, subject))
            .collect();
        if self.found.len() > before {
            return matches;
        }
        if let Some(why) = contradiction(&matches) {
            self.say(subject, &Defect::NeverMatches { why });
        }
        matches.sort_by(|a, b| a.field.cmp(&b.field).then(a.negated.cmp(&b.negated)));
        matches.dedup();
        let implied: Vec<bool> = matches.iter().map(|m| follows(m, &matches)).collect();
        let mut implied = implied.into_iter();
        matches.retain(|_| !implied.next().unwrap_or(false));
        matches
    }

    fn condition(&mut self, condition: &draft::Match, subject: &str) -> Option<Match> {
        let field = field_of(&condition.test);
        let operand = self.operand(field, &condition.test, subject)?;
        let empty = match &operand {
            Operand::Numbers(numbers) => numbers.is_empty(),
            Operand::Interfaces(names) => names.is_empty(),
            Operand::Set(_) => false,
        };
        if empty {
            self.say(subject, &Defect::NoValues { field });
            return None;
        }
        Some(canonical(field, condition.negated, operand))
    }

    fn operand(&mut self, field: Field, test: &Test, subject: &str) -> Option<Operand> {
        let count = value_count(test);
        if count > MATCH_VALUES_MAX {
            let what = "values in one match";
            self.say(
                subject,
                &Defect::TooMany {
                    what,
                    found: count,
                    max: MATCH_VALUES_MAX,
                },
            );
            return None;
        }
        match test {
            Test::Iifname(names) | Test::Oifname(names) => self.interfaces(names, subject),
            Test::Nfproto(family) => Some(numbers([u128::from(family.number())])),
            Test::Saddr(family, operand) | Test::Daddr(family, operand) => {
                self.addresses(field, *family, operand, subject)
            }
            Test::HopLimit(_, ranges) | Test::L4proto(ranges) | Test::IcmpType(_, ranges) => {
                self.ranges(ranges, subject)
            }
            Test::Sport(_, ranges) | Test::Dport(_, ranges) => self.ranges(ranges, subject),
            Test::CtState(states) => Some(numbers(states.iter().map(|state| *state as u128))),
        }
    }

    fn interfaces(&mut self, names: &[String], subject: &str) -> Option<Operand> {
        let before = self.found.len();
        let mut valid = Vec::with_capacity(names.len());
        for name in names {
            match InterfaceName::new(name) {
                Ok(name) => valid.push(name),
                Err(error) => {
                    self.say(
                        subject,
                        &Defect::Interface {
                            name: name.clone(),
                            error,
                        },
                    );
                }
            }
        }
        valid.sort();
        valid.dedup();
        (self.found.len() == before).then_some(Operand::Interfaces(valid))
    }

    fn addresses(
        &mut self,
        field: Field,
        family: Family,
        operand: &AddressOperand,
        subject: &str,
    ) -> Option<Operand> {
        match operand {
            AddressOperand::Elements(elements) => {
                let before = self.found.len();
                let addresses = self.elements(elements, subject);
                let (mine, others) = match family {
                    Family::Ip => (addresses.ip, addresses.ip6),
                    Family::Ip6 => (addresses.ip6, addresses.ip),
                };
                if let Some(stray) = others.iter().next() {
                    let other = if family == Family::Ip {
                        Family::Ip6
                    } else {
                        Family::Ip
                    };
                    let text = other.address(stray.first()).to_string();
                    self.say(subject, &Defect::ElementOfOtherFamily { text, field });
                }
                (self.found.len() == before).then_some(Operand::Numbers(mine))
            }
            AddressOperand::Set(name) => {
                let set = self.sets.iter().find(|set| set.name.as_str() == name);
                match set.map(|set| (set.name.clone(), set.family)) {
                    Some((known, of)) if of == family => Some(Operand::Set(known)),
                    Some(_) => {
                        self.say(
                            subject,
                            &Defect::SetOfOtherFamily {
                                name: name.clone(),
                                field,
                            },
                        );
                        None
                    }
                    None => {
                        self.say(subject, &Defect::NoSuchSet { name: name.clone() });
                        None
                    }
                }
            }
        }
    }

    fn ranges<T>(&mut self, ranges: &[RangeInclusive<T>], subject: &str) -> Option<Operand>
    where
        T: Copy + Display + Into<u128>,
    {
        let before = self.found.len();
        let mut intervals = Vec::with_capacity(ranges.len());
        for range in ranges {
            match Interval::new((*range.start()).into(), (*range.end()).into()) {
                Some(interval) => intervals.push(interval),
                None => {
                    let (first, last) = (range.start().to_string(), range.end().to_string());
                    self.say(subject, &Defect::RangeReversed { first, last });
                }
            }
        }
        (self.found.len() == before).then(|| Operand::Numbers(intervals.into_iter().collect()))
    }
}

fn numbers(values: impl IntoIterator<Item = u128>) -> Operand {
    Operand::Numbers(values.into_iter().map(Interval::single).collect())
}

const fn field_of(test: &Test) -> Field {
    match test {
        Test::Iifname(_) => Field::Iifname,
        Test::Oifname(_) => Field::Oifname,
        Test::Nfproto(_) => Field::Nfproto,
        Test::Saddr(family, _) => Field::Saddr(*family),
        Test::Daddr(family, _) => Field::Daddr(*family),
        Test::HopLimit(family, _) => Field::HopLimit(*family),
        Test::L4proto(_) => Field::L4proto,
        Test::Sport(protocol, _) => Field::Sport(*protocol),
        Test::Dport(protocol, _) => Field::Dport(*protocol),
        Test::IcmpType(family, _) => Field::IcmpType(*family),
        Test::CtState(_) => Field::CtState,
    }
}

fn value_count(test: &Test) -> usize {
    match test {
        Test::Iifname(names) | Test::Oifname(names) => names.len(),
        Test::Saddr(_, AddressOperand::Elements(elements))
        | Test::Daddr(_, AddressOperand::Elements(elements)) => elements.len(),
        Test::Saddr(_, AddressOperand::Set(_))
        | Test::Daddr(_, AddressOperand::Set(_))
        | Test::Nfproto(_) => 1,
        Test::HopLimit(_, ranges) | Test::L4proto(ranges) | Test::IcmpType(_, ranges) => {
            ranges.len()
        }
        Test::Sport(_, ranges) | Test::Dport(_, ranges) => ranges.len(),
        Test::CtState(states) => states.len(),
    }
}

/// A negated match on a field with few values says the rest instead: nft has several readings of
/// `ct state != a,b`, and only one of `ct state c`.
fn canonical(field: Field, negated: bool, operand: Operand) -> Match {
    match (field, operand) {
        (Field::CtState, Operand::Numbers(states)) if negated => {
            let operand = Operand::Numbers(states.complement(CtState::Untracked as u128));
            Match {
                field,
                negated: false,
                operand,
            }
        }
        (Field::Nfproto, Operand::Numbers(family)) if negated => {
            let others = Family::BOTH
                .into_iter()
                .map(|f| u128::from(f.number()))
                .filter(|number| !family.contains(*number));
            Match {
                field,
                negated: false,
                operand: numbers(others),
            }
        }
        (field, operand) => Match {
            field,
            negated,
            operand,
        },
    }
}

/// `meta nfproto ipv4` becomes `meta nfproto != ipv6`, which is the same, as there are two families,
/// in rules that reject or that match `meta l4proto`.
///
/// There nft 1.0.6 takes the first form for its own doing and leaves it out when it lists
/// `meta nfproto ipv4 tcp dport 22 reject with tcp reset` or `meta nfproto ipv6 meta l4proto
/// ipv6-icmp accept`, so that a listing would say another rule set than the kernel holds.
pub(super) fn say_family_so_that_it_lasts(matches: &mut [Match], rejects: bool) {
    if !rejects && !matches.iter().any(|m| m.field == Field::L4proto) {
        return;
    }
    for condition in matches.iter_mut().filter(|m| m.field == Field::Nfproto) {
        if let Some(values) = allowed(condition) {
            let others = Family::BOTH.map(|family| u128::from(family.number()));
            let others = others.into_iter().filter(|other| !values.contains(*other));
            condition.negated = true;
            condition.operand = numbers(others);
        }
    }
}

/// The values that a match leaves for its field, when they are known here.
fn allowed(condition: &Match) -> Option<Intervals> {
    match &condition.operand {
        Operand::Numbers(values) if condition.negated => {
            Some(values.complement(condition.field.max()))
        }
        Operand::Numbers(values) => Some(values.clone()),
        Operand::Interfaces(_) | Operand::Set(_) => None,
    }
}

/// Whether the match is true of every packet that the other matches let through, because they
/// need its family or protocol to be there at all.
fn follows(condition: &Match, all: &[Match]) -> bool {
    let Some(values) = allowed(condition) else {
        return false;
    };
    let needed = |need: fn(Field) -> Option<u128>| {
        all.iter().any(|other| {
            other.field != condition.field && need(other.field).is_some_and(|n| values.contains(n))
        })
    };
    match condition.field {
        Field::Nfproto => needed(needed_family),
        Field::L4proto => needed(needed_protocol),
        Field::Iifname
        | Field::Oifname
        | Field::Saddr(_)
        | Field::Daddr(_)
        | Field::HopLimit(_)
        | Field::Sport(_)
        | Field::Dport(_)
        | Field::IcmpType(_)
        | Field::CtState => false,
    }
}

fn needed_family(field: Field) -> Option<u128> {
    field.family().map(|family| family.number().into())
}

fn needed_protocol(field: Field) -> Option<u128> {
    field.protocol().map(u128::from)
}

/// Why no packet can pass all of the matches, if that can be seen from their fields.
fn contradiction(matches: &[Match]) -> Option<String> {
    let families = Family::BOTH.map(|family| u128::from(family.number()));
    let every_family: Intervals = families.into_iter().map(Interval::single).collect();
    let every_protocol = Intervals::EMPTY.complement(u8::MAX.into());
    let cases = [
        (
            Field::Nfproto,
            every_family,
            needed_family as fn(Field) -> Option<u128>,
        ),
        (Field::L4proto, every_protocol, needed_protocol),
    ];
    for (field, mut left, need) in cases {
        for condition in matches {
            let values = if condition.field == field {
                allowed(condition)
            } else {
                need(condition.field)
                    .map(|needed| vec![Interval::single(needed)].into_iter().collect())
            };
            if let Some(values) = values {
                left = left.intersection(&values);
            }
            if left.is_empty() {
                return Some(format!("{} leaves no {field}", condition.field));
            }
        }
    }
    let whole = matches
        .iter()
        .find(|m| allowed(m).is_some_and(|values| values.is_empty()));
    whole.map(|m| format!("{} excludes every value", m.field))
}

/// Whether `matches` let only TCP through.
pub(super) fn only_tcp(matches: &[draft::Match]) -> bool {
    matches.iter().any(|condition| match &condition.test {
        Test::Sport(protocol, _) | Test::Dport(protocol, _) => protocol.number() == PROTOCOL_TCP,
        Test::L4proto(ranges) => {
            !condition.negated
                && !ranges.is_empty()
                && ranges
                    .iter()
                    .all(|r| (*r.start(), *r.end()) == (PROTOCOL_TCP, PROTOCOL_TCP))
        }
        _ => false,
    })
}
