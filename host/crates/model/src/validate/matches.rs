//! The matches of a rule: typed values become intervals, and what follows from another match is
//! left out, so that one meaning has one form.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use core::ops::RangeInclusive;

use super::Validator;
use super::defect::Defect;
use crate::address::Family;
use crate::draft::{self, AddressOperand, Test};
use crate::field::{Field, Kind, PROTOCOL_TCP, PortProtocol, interface};
use crate::intervals::{Interval, Intervals};
use crate::limits::MATCH_VALUES_MAX;
use crate::names::InterfacePattern;
use crate::ruleset::{Key, Match, NatKind, Operand, Reject, Statement};

impl Validator<'_> {
    /// The matches of a rule with these statements, in canonical form.
    pub(super) fn matches(
        &mut self,
        drafted: &[draft::Match],
        statements: &[Statement],
        subject: &str,
    ) -> Vec<Match> {
        let before = self.found.len();
        let mut matches: Vec<Match> = drafted
            .iter()
            .filter_map(|condition| self.condition(condition, subject))
            .collect();
        if self.found.len() > before {
            return matches;
        }
        if let Err(why) = name_ports(&mut matches) {
            self.say(subject, &Defect::NeverMatches { why });
        }
        if let Some(why) = contradiction(&matches, statements) {
            self.say(subject, &Defect::NeverMatches { why });
        }
        matches.sort_by(|a, b| a.key.cmp(&b.key).then(a.negated.cmp(&b.negated)));
        matches.dedup();
        let needs: Vec<Vec<Need>> = matches.iter().map(|it| needs(it.fields())).collect();
        let by_statements = needs_at_first(statements);
        let implied = (0..matches.len()).map(|at| {
            let others = needs.iter().enumerate().filter(|(other, _)| *other != at);
            let needed = others.flat_map(|(_, needs)| needs).chain(&by_statements);
            follows(&matches[at], needed)
        });
        let implied: Vec<bool> = implied.collect();
        let mut implied = implied.into_iter();
        matches.retain(|_| !implied.next().unwrap_or(false));
        keep_apart(&mut matches);
        matches
    }

    fn condition(&mut self, condition: &draft::Match, subject: &str) -> Option<Match> {
        let count = value_count(&condition.test);
        if count > MATCH_VALUES_MAX {
            let (what, found, max) = ("values in one match", count, MATCH_VALUES_MAX);
            self.say(subject, &Defect::TooMany { what, found, max });
            return None;
        }
        let (key, operand) = self.compared(&condition.test, subject)?;
        if let (Key::Field(field) | Key::Bits { field, .. }, Operand::Numbers(numbers)) =
            (&key, &operand)
        {
            let field = *field;
            let all = Intervals::EMPTY.complement(field.max());
            if numbers.is_empty() {
                self.say(subject, &Defect::NoValues { field });
                return None;
            }
            if field.kind() == Kind::Exists && *numbers == all {
                self.say(subject, &Defect::EveryValue { field });
                return None;
            }
        }
        Some(canonical(key, condition.negated, operand))
    }

    /// What a test compares with what.
    fn compared(&mut self, test: &Test, subject: &str) -> Option<(Key, Operand)> {
        let field = match test {
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
            Test::Number(number, _) => number.field(),
            Test::Bits {
                field,
                mask,
                values,
            } => return self.bits(*field, *mask, values, subject),
            Test::Concatenation { fields, elements } => {
                return self.concatenation(fields, elements, subject);
            }
            Test::FieldSet(name) => return self.field_set_named(name, subject),
        };
        let operand = match test {
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
            Test::Number(number, ranges) => {
                self.no_higher(*number, ranges, subject);
                self.ranges(ranges, subject)
            }
            Test::Bits { .. } | Test::Concatenation { .. } | Test::FieldSet(_) => None,
        };
        operand.map(|operand| (Key::Field(field), operand))
    }

    fn interfaces(&mut self, names: &[String], subject: &str) -> Option<Operand> {
        let patterns = names.iter().map(|name| self.interface(name, subject));
        // All of them are looked at before one that is wrong ends it.
        let patterns: Vec<Option<Interval>> = patterns.collect();
        let patterns: Intervals = patterns.into_iter().collect::<Option<_>>()?;
        self.apart(patterns.iter(), subject);
        Some(Operand::Numbers(patterns))
    }

    /// That no two names with nothing between them are in one set: the kernel joins them, and nft
    /// 1.0.6 lists the two ends as something else, or stops with an assertion.
    pub(super) fn apart<'i>(
        &mut self,
        joined: impl IntoIterator<Item = &'i Interval>,
        subject: &str,
    ) {
        let mut joined = joined.into_iter();
        let two = joined.find(|interval| interface::pattern_text(**interval).is_none());
        if let Some(two) = two {
            let [first, last] = [two.first(), two.last()].map(interface::name);
            let last = last.trim_end_matches('?').to_string();
            self.say(subject, &Defect::Neighbours { first, last });
        }
    }

    /// The numbers of an interface's name, with or without a wildcard.
    pub(super) fn interface(&mut self, name: &str, subject: &str) -> Option<Interval> {
        match InterfacePattern::new(name) {
            Ok(valid) => interface::pattern(valid.as_str()),
            Err(error) => {
                let name = name.to_string();
                self.say(subject, &Defect::Interface { name, error });
                None
            }
        }
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
                        self.no_such_set(name, subject);
                        None
                    }
                }
            }
        }
    }

    pub(super) fn ranges<T>(
        &mut self,
        ranges: &[RangeInclusive<T>],
        subject: &str,
    ) -> Option<Operand>
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
        Test::Number(_, ranges) => ranges.len(),
        Test::Bits { values, .. } => values.len(),
        Test::Concatenation { elements, .. } => elements.len(),
        Test::FieldSet(_) => 1,
    }
}

/// A negated match on a field with few values says the rest instead: nft has several readings of
/// `ct state != a,b`, and only one of `ct state c`.
fn canonical(key: Key, negated: bool, operand: Operand) -> Match {
    let rest = |values: &Intervals, all: Intervals| Operand::Numbers(all.difference(values));
    let few = match &key {
        Key::Field(Field::CtState) => Some(Intervals::EMPTY.complement(Field::CtState.max())),
        Key::Field(Field::Nfproto) => {
            let families = Family::BOTH.map(|family| u128::from(family.number()));
            Some(families.into_iter().map(Interval::single).collect())
        }
        Key::Field(field) if field.kind() == Kind::Exists => {
            Some(Intervals::EMPTY.complement((*field).max()))
        }
        Key::Field(_) | Key::Bits { .. } | Key::Concatenation(_) => None,
    };
    match (few, &operand) {
        (Some(all), Operand::Numbers(values)) if negated => Match {
            operand: rest(values, all),
            negated: false,
            key,
        },
        _ => Match {
            key,
            negated,
            operand,
        },
    }
}

/// `th dport` of a packet that is certainly TCP is `tcp dport`: nft lists it so. Of a protocol
/// without ports nft would list something else of its header.
fn name_ports(matches: &mut [Match]) -> Result<(), String> {
    let Some(only) = only_protocol(matches) else {
        return Ok(());
    };
    for condition in matches {
        let (Key::Field(field), Operand::Numbers(_)) = (&condition.key, &condition.operand) else {
            continue;
        };
        let name: fn(PortProtocol) -> Field = match field {
            Field::ThSport => Field::Sport,
            Field::ThDport => Field::Dport,
            _ => continue,
        };
        let mut known = PortProtocol::ALL.into_iter();
        match known.find(|protocol| protocol.number() == only) {
            Some(protocol) => condition.key = Key::Field(name(protocol)),
            None => return Err(format!("protocol {only} has no {field}")),
        }
    }
    Ok(())
}

/// The one transport protocol that nft knows to be meant, when there is one.
pub(super) fn only_protocol(matches: &[Match]) -> Option<u8> {
    matches
        .iter()
        .find_map(|condition| match &condition.operand {
            Operand::Numbers(numbers)
                if condition.field() == Some(Field::L4proto) && !condition.negated =>
            {
                u8::try_from(numbers.single()?).ok()
            }
            _ => condition.fields().iter().find_map(|field| field.protocol()),
        })
}

/// `meta nfproto ipv4` becomes `meta nfproto != ipv6`, which is the same, as there are two families,
/// in rules that reject or that match `meta l4proto`.
///
/// There nft 1.0.6 takes the first form for its own doing and leaves it out when it lists
/// `meta nfproto ipv4 tcp dport 22 reject with tcp reset` or `meta nfproto ipv6 meta l4proto
/// ipv6-icmp accept`, so that a listing would say another rule set than the kernel holds.
pub(super) fn say_family_so_that_it_lasts(matches: &mut [Match], rejects: bool) {
    if !rejects && !matches.iter().any(|m| m.field() == Some(Field::L4proto)) {
        return;
    }
    for condition in matches
        .iter_mut()
        .filter(|m| m.field() == Some(Field::Nfproto))
    {
        if let Some(values) = allowed(condition) {
            let others = Family::BOTH.map(|family| u128::from(family.number()));
            let others = others.into_iter().filter(|other| !values.contains(*other));
            condition.negated = true;
            condition.operand = numbers(others);
        }
    }
}

/// Says what is left of a header's field instead of the one value that is excluded, where a rule
/// excludes one of several fields each.
///
/// nft 1.0.6 joins `tcp sport != 1 tcp dport != 2` into one comparison of both fields, which fails
/// only where the packet has both values, and lists it as it was said (`payload_try_merge` in
/// `rule.c`).
fn keep_apart(matches: &mut [Match]) {
    let excludes_one = |condition: &Match| match (condition.field(), &condition.operand) {
        // Next to the flags is nothing that a rule can exclude.
        (Some(Field::TcpFlags), _) => false,
        (Some(field), Operand::Numbers(values)) => {
            let whole_bytes = field.is_of_header() && field.bits() % 8 == 0;
            condition.negated && whole_bytes && values.single().is_some()
        }
        _ => false,
    };
    let excluding = matches
        .iter_mut()
        .filter(|condition| excludes_one(condition));
    for condition in excluding.skip(1) {
        if let Some(left) = allowed(condition) {
            condition.negated = false;
            condition.operand = Operand::Numbers(left);
        }
    }
}

/// The values that a match leaves for its one field, when they are known here.
fn allowed(condition: &Match) -> Option<Intervals> {
    let field = condition.field()?;
    match &condition.operand {
        Operand::Numbers(values) if condition.negated => Some(values.complement(field.max())),
        Operand::Numbers(values) => Some(values.clone()),
        Operand::Elements(_) | Operand::Set(_) => None,
    }
}

/// A family or a protocol without which something is not there at all.
#[derive(Clone, Copy)]
struct Need {
    /// The field that says it.
    of: Field,
    number: u128,
    /// What needs it.
    by: Field,
}

fn needs(fields: &[Field]) -> Vec<Need> {
    let of_field = |by: &Field| {
        let family = by.family().map(|family| (Field::Nfproto, family.number()));
        let protocol = by.protocol().map(|protocol| (Field::L4proto, protocol));
        let needs = [family, protocol].into_iter().flatten();
        let by = *by;
        needs.map(move |(of, number)| Need {
            of,
            number: number.into(),
            by,
        })
    };
    fields.iter().flat_map(of_field).collect()
}

/// The family that only senders of this kind of message have.
fn needs_to_reject(statement: &Statement) -> Option<Need> {
    let family = match statement {
        Statement::Reject(Reject::Icmp(_)) => Family::Ip,
        Statement::Reject(Reject::Icmpv6(_)) => Family::Ip6,
        _ => return None,
    };
    Some(Need {
        of: Field::Nfproto,
        number: family.number().into(),
        by: Field::IcmpType(family),
    })
}

/// The family that an address is for, which NAT puts in. nft does not ask for it, and packets of
/// the other family go on.
fn needs_to_translate(statement: &Statement) -> Option<Need> {
    let Statement::Nat(nat) = statement else {
        return None;
    };
    let (family, _) = nat.address?;
    Some(Need {
        of: Field::Nfproto,
        number: family.number().into(),
        by: match nat.kind {
            NatKind::Snat | NatKind::Masquerade => Field::Saddr(family),
            NatKind::Dnat | NatKind::Redirect => Field::Daddr(family),
        },
    })
}

/// What is needed before anything is done: nft asks for it there by itself.
fn needs_at_first(statements: &[Statement]) -> Vec<Need> {
    let first = statements.first().map_or(&[][..], Statement::fields);
    let mut found = needs(first);
    found.extend(statements.iter().filter_map(needs_to_reject));
    found
}

/// Whether the match is true of every packet that has what is needed anyway.
fn follows<'a>(condition: &Match, needed: impl IntoIterator<Item = &'a Need>) -> bool {
    let Some((field, values)) = condition.field().zip(allowed(condition)) else {
        return false;
    };
    let mut needed = needed.into_iter();
    needed.any(|need| need.of == field && values.contains(need.number))
}

/// Why no packet can pass all of the matches and have what the statements need, if that can be
/// seen from the fields.
fn contradiction(matches: &[Match], statements: &[Statement]) -> Option<String> {
    let families = Family::BOTH.map(|family| u128::from(family.number()));
    let every_family: Intervals = families.into_iter().map(Interval::single).collect();
    let every_protocol = Intervals::EMPTY.complement(u8::MAX.into());
    let mut needed: Vec<Need> = matches.iter().flat_map(|it| needs(it.fields())).collect();
    for statement in statements {
        needed.extend(needs(statement.fields()));
        needed.extend(needs_to_reject(statement));
        needed.extend(needs_to_translate(statement));
    }
    for (field, mut left) in [
        (Field::Nfproto, every_family),
        (Field::L4proto, every_protocol),
    ] {
        let said = matches.iter().filter(|it| it.field() == Some(field));
        let said = said.filter_map(|it| allowed(it).map(|values| (field, values)));
        let needed = needed.iter().filter(|need| need.of == field).map(|need| {
            let only = [Interval::single(need.number)].into_iter().collect();
            (need.by, only)
        });
        for (by, values) in said.chain(needed) {
            left = left.intersection(&values);
            if left.is_empty() {
                return Some(format!("{by} leaves no {field}"));
            }
        }
    }
    let excludes = |it: &&Match| allowed(it).is_some_and(|values| values.is_empty());
    let whole = matches.iter().find(excludes)?;
    whole
        .field()
        .map(|field| format!("{field} excludes every value"))
}

/// Whether `matches` let only TCP through.
pub(super) fn only_tcp(matches: &[draft::Match]) -> bool {
    matches.iter().any(|condition| match &condition.test {
        Test::Sport(protocol, _) | Test::Dport(protocol, _) => protocol.number() == PROTOCOL_TCP,
        Test::Bits { field, .. } => field.field().protocol() == Some(PROTOCOL_TCP),
        Test::Concatenation { fields, .. } => fields
            .iter()
            .any(|it| it.field().protocol() == Some(PROTOCOL_TCP)),
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
