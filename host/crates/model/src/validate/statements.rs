//! The statements of a rule: numbers lie in their ranges, and nothing follows what decides.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::Validator;
use super::defect::Defect;
use super::matches::only_protocol;
use super::sets::interval;
use crate::address::Family;
use crate::draft::{self, Element, Selector, SetOperation, Target, Values};
use crate::field::PortProtocol;
use crate::icmp;
use crate::intervals::Interval;
use crate::limits::{CT_COUNT_MAX, LIMIT_MAX, MATCH_VALUES_MAX, QUOTA_MAX};
use crate::names::{Name, Text};
use crate::ruleset::{
    Limit, Match, Nat, NatKind, Operand, Reject, SetUpdate, Statement, TimeUnit, Verdict,
    VerdictMap,
};

impl Validator<'_> {
    pub(super) fn statements(&mut self, rule: &draft::Rule, subject: &str) -> Vec<Statement> {
        if rule.statements.is_empty() {
            self.say(subject, &Defect::NoStatement);
        }
        let mut statements = Vec::with_capacity(rule.statements.len());
        for (index, statement) in rule.statements.iter().enumerate() {
            let statement = self.statement(statement, subject);
            let decides = statement.as_ref().is_some_and(Statement::decides);
            if decides && index + 1 < rule.statements.len() {
                self.say(subject, &Defect::AfterTheEnd);
            }
            statements.extend(statement);
        }
        statements
    }

    fn statement(&mut self, statement: &draft::Statement, subject: &str) -> Option<Statement> {
        Some(match statement {
            draft::Statement::Counter => Statement::Counter,
            draft::Statement::Limit(limit) => {
                self.limit(*limit, subject);
                Statement::Limit(*limit)
            }
            draft::Statement::Quota { bytes, over } => {
                self.number("quota", *bytes, 1..=QUOTA_MAX, subject);
                let (bytes, over) = (*bytes, *over);
                Statement::Quota { bytes, over }
            }
            draft::Statement::CtCount { count, over } => {
                self.number(
                    "ct count",
                    (*count).into(),
                    1..=CT_COUNT_MAX.into(),
                    subject,
                );
                let (count, over) = (*count, *over);
                Statement::CtCount { count, over }
            }
            draft::Statement::Log { prefix, level } => Statement::Log {
                prefix: self.log_prefix(prefix.as_deref(), subject)?,
                level: *level,
            },
            draft::Statement::LogGroup { prefix, group } => Statement::LogGroup {
                prefix: self.log_prefix(prefix.as_deref(), subject)?,
                group: *group,
            },
            draft::Statement::SetMark(mark, value) => Statement::SetMark(*mark, *value),
            draft::Statement::Notrack => Statement::Notrack,
            draft::Statement::UpdateSet {
                set,
                operation,
                limit,
            } => Statement::UpdateSet(self.update(set, *operation, *limit, subject)?),
            draft::Statement::Reject(reject) => {
                self.reject(*reject, subject);
                Statement::Reject(*reject)
            }
            draft::Statement::Nat(nat) => Statement::Nat(self.nat(nat, subject)?),
            draft::Statement::VerdictMap { fields, elements } => {
                Statement::VerdictMap(self.verdict_map(fields, elements, subject)?)
            }
            draft::Statement::Accept => Statement::Verdict(Verdict::Accept),
            draft::Statement::Drop => Statement::Verdict(Verdict::Drop),
            draft::Statement::Continue => Statement::Verdict(Verdict::Continue),
            draft::Statement::Return => Statement::Verdict(Verdict::Return),
            // That the target exists is checked with the graph of all chains.
            draft::Statement::Jump(target) => {
                Statement::Verdict(Verdict::Jump(Name::new(target).ok()?))
            }
            draft::Statement::Goto(target) => {
                Statement::Verdict(Verdict::Goto(Name::new(target).ok()?))
            }
        })
    }

    fn log_prefix(&mut self, prefix: Option<&str>, subject: &str) -> Option<Option<Text>> {
        let prefix = prefix.map(Text::new).transpose();
        prefix
            .map_err(|error| self.say(subject, &Defect::LogPrefix(error)))
            .ok()
    }

    fn limit(&mut self, limit: Limit, subject: &str) {
        let numbers = [
            ("rate", limit.rate, LIMIT_MAX),
            ("burst", limit.burst, burst_max(limit)),
        ];
        for (what, found, max) in numbers {
            if !(1..=max).contains(&found) {
                self.say(subject, &Defect::LimitNumber { what, found, max });
            }
        }
    }

    /// A code that nft has a name for, so that it is listed as it was said.
    fn reject(&mut self, reject: Reject, subject: &str) {
        let (family, code) = match reject {
            Reject::Icmp(code) => (Family::Ip, code),
            Reject::Icmpv6(code) => (Family::Ip6, code),
            Reject::PortUnreachable
            | Reject::AdminProhibited
            | Reject::HostUnreachable
            | Reject::NoRoute
            | Reject::TcpReset => return,
        };
        if icmp::unreachable_name(family, code).is_none() {
            self.say(subject, &Defect::RejectCode { code, family });
        }
    }

    fn update(
        &mut self,
        name: &str,
        operation: SetOperation,
        limit: Option<Limit>,
        subject: &str,
    ) -> Option<SetUpdate> {
        if let Some(limit) = limit {
            self.limit(limit, subject);
        }
        if limit.is_some() && operation == SetOperation::Delete {
            self.say(subject, &Defect::LimitOnDelete);
        }
        let set = self.field_sets.iter().find(|set| set.name.as_str() == name);
        let found = set.map(|set| (set.is_dynamic(), set.name.clone(), set.fields.clone()));
        let Some((is_dynamic, set, fields)) = found else {
            self.no_such_set(name, subject);
            return None;
        };
        if !is_dynamic {
            let name = name.into();
            self.say(subject, &Defect::NotDynamic { name });
            return None;
        }
        Some(SetUpdate {
            set,
            fields,
            operation,
            limit,
        })
    }

    fn nat(&mut self, nat: &draft::Nat, subject: &str) -> Option<Nat> {
        let (kind, target, ports) = match nat {
            draft::Nat::Snat(target) => (NatKind::Snat, Some(target), &target.ports),
            draft::Nat::Dnat(target) => (NatKind::Dnat, Some(target), &target.ports),
            draft::Nat::Masquerade { ports } => (NatKind::Masquerade, None, ports),
            draft::Nat::Redirect { ports } => (NatKind::Redirect, None, ports),
        };
        let address = match target {
            Some(target) => Some(self.target(target, subject)?),
            None => None,
        };
        let ports = match ports {
            Some(ports) => match self.ranges(core::slice::from_ref(ports), subject)? {
                Operand::Numbers(numbers) => numbers.iter().next().copied(),
                Operand::Elements(_) | Operand::Set(_) => None,
            },
            None => None,
        };
        Some(Nat {
            kind,
            address,
            ports,
        })
    }

    /// That NAT of ports is done to packets of one protocol that has ports.
    pub(super) fn ports_of_nat(
        &mut self,
        matches: &[Match],
        statements: &[Statement],
        subject: &str,
    ) {
        let says_ports = |it: &Statement| matches!(it, Statement::Nat(nat) if nat.ports.is_some());
        let protocol = only_protocol(matches);
        let has_ports = |number| PortProtocol::ALL.iter().any(|it| it.number() == number);
        if statements.iter().any(says_ports) && !protocol.is_some_and(has_ports) {
            self.say(subject, &Defect::PortsOfWhat);
        }
    }

    fn target(&mut self, target: &Target, subject: &str) -> Option<(Family, Interval)> {
        let (first, last): (IpAddr, IpAddr) = (target.first, target.last);
        let found = interval(&Element::Range { first, last });
        found.map_err(|defect| self.say(subject, &defect)).ok()
    }

    fn verdict_map(
        &mut self,
        selectors: &[Selector],
        elements: &[(Vec<Values>, draft::Verdict)],
        subject: &str,
    ) -> Option<VerdictMap> {
        let fields = self.fields(selectors, 1, subject);
        let (found, max) = (elements.len(), MATCH_VALUES_MAX);
        if found > max {
            let what = "elements in one verdict map";
            self.say(subject, &Defect::TooMany { what, found, max });
            return None;
        }
        if elements.is_empty() {
            self.say(subject, &Defect::NoElements);
            return None;
        }
        let drafted = elements.iter();
        let drafted = drafted.map(|(values, says)| Some((values.as_slice(), verdict(says)?)));
        // A target without a name is a defect of the graph of all chains.
        let drafted: Vec<_> = drafted.collect::<Option<_>>()?;
        let elements = self.elements_of(selectors, drafted.into_iter(), subject)?;
        Some(VerdictMap { fields, elements })
    }
}

fn verdict(drafted: &draft::Verdict) -> Option<Verdict> {
    Some(match drafted {
        draft::Verdict::Accept => Verdict::Accept,
        draft::Verdict::Drop => Verdict::Drop,
        draft::Verdict::Continue => Verdict::Continue,
        draft::Verdict::Return => Verdict::Return,
        draft::Verdict::Jump(target) => Verdict::Jump(Name::new(target).ok()?),
        draft::Verdict::Goto(target) => Verdict::Goto(Name::new(target).ok()?),
    })
}

/// The largest burst at this rate: the kernel counts the burst in nanoseconds, in 64 bits, and
/// answers "Value too large for defined data type" when they do not fit (`nft_limit_init`).
fn burst_max(limit: Limit) -> u32 {
    let seconds: u64 = match limit.per {
        TimeUnit::Second => 1,
        TimeUnit::Minute => 60,
        TimeUnit::Hour => 60 * 60,
        TimeUnit::Day => 24 * 60 * 60,
        TimeUnit::Week => 7 * 24 * 60 * 60,
    };
    let nanoseconds_each = seconds * 1_000_000_000 / u64::from(limit.rate.max(1));
    let fits = u64::MAX / nanoseconds_each.max(1);
    u32::try_from(fits).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
}
