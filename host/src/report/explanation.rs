//! What a rule set does to one packet, in words that people and programs are both told.

use portreeve_model::diagnostic::Said;
use portreeve_model::evaluate::{
    Aside, Caveat, Decider, Fate, HookVerdict, Inexact, Step, StepResult, Stop, Verdict, View,
};
use portreeve_model::field::{Field, Kind};
use portreeve_model::packet::{Loaded, Packet};
use portreeve_model::tables::{
    Attachment, Chain, Elements, Expression, Lookup, Match, Operand, Part, Rewrite, Table, Tables,
};

pub(super) use crate::proofs::{chain_name, rule_name as rule};

/// What is to be explained.
#[derive(Debug)]
pub struct Explanation {
    /// The packet.
    pub packet: Packet,
    /// What decides about it.
    pub tables: Tables,
    /// Where that comes from.
    pub source: Source,
    /// Whether every rule is shown that was looked at.
    pub all: bool,
}

/// Where a rule set comes from.
#[derive(Debug)]
pub enum Source {
    /// It is the one that would be applied.
    Plan,
    /// It is in force on this machine.
    Machine {
        /// The tables of iptables-legacy, which are not among it.
        legacy: Vec<String>,
    },
    /// It is in this file; `-` is stdin.
    Listing(String),
}

impl Source {
    /// One word for it.
    pub(super) const fn keyword(&self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Machine { .. } => "machine",
            Self::Listing(_) => "listing",
        }
    }
}

/// The rule set, in a few words.
pub(super) fn source(explanation: &Explanation) -> String {
    let tables = &explanation.tables.tables;
    let count = match tables.len() {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    };
    match &explanation.source {
        Source::Plan => "the planned table inet portreeve alone".to_owned(),
        Source::Machine { .. } => format!("in force on this machine: {count}"),
        Source::Listing(file) if file == "-" => format!("the listing on stdin: {count}"),
        Source::Listing(file) => format!("the listing {}: {count}", Said(file)),
    }
}

/// What makes a chain a base chain, in a few words.
pub(super) fn base(chain: &Chain) -> Option<String> {
    let base = chain.base.as_ref()?;
    let (kind, policy) = (base.chain_type.keyword(), base.policy.keyword());
    Some(format!(
        "type {kind}, priority {}, policy {policy}",
        base.priority
    ))
}

/// How a rule went, in one word.
pub(super) const fn result(result: StepResult) -> &'static str {
    match result {
        StepResult::Failed(_) => "no",
        StepResult::Matched => "yes",
        StepResult::MayMatch(_) => "perhaps",
    }
}

/// Why the rule of a step failed, or is not certain: its expression with the packet's value.
pub(super) fn reason(packet: &Packet, stop: &Stop<'_>, at: usize) -> Option<String> {
    let step = stop.evaluation.walk.get(at)?;
    let view = stop.view(packet, at)?;
    let told = Told {
        table: step.rule.place.table,
        view,
    };
    Some(told.part(step.part()?, step))
}

/// Says what a packet has where a rule looks.
struct Told<'a, 'p> {
    table: &'a Table,
    view: View<'p>,
}

impl Told<'_, '_> {
    fn part(&self, part: &Part, step: &Step<'_>) -> String {
        let certain = matches!(step.result, StepResult::Failed(_));
        match part {
            Part::Match(condition) => self.condition(condition, certain),
            Part::VerdictMap { key, map } => match self.nothing(key) {
                Some(nothing) => nothing,
                None if certain => format!("{} is not in {}", self.values(key), self.set(map)),
                None => format!("{} may be in {}", self.values(key), self.set(map)),
            },
            Part::Assign { field, value } => self
                .missing(value, certain)
                .unwrap_or_else(|| format!("the packet has no {field}")),
            Part::Nat(nat) => {
                let rewrites = [&nat.address, &nat.port].into_iter().flatten();
                let mut missing = rewrites.filter_map(|rewrite| match rewrite {
                    Rewrite::OneOf(_) => None,
                    Rewrite::Value { of, .. } => self.missing(of, certain),
                });
                missing
                    .next()
                    .unwrap_or_else(|| format!("{} may go on or not", self.table.part_text(part)))
            }
            Part::Connections(text) => {
                format!(
                    "{} may go on or not, and drops what it cannot count",
                    Said(text)
                )
            }
            other => format!("{} may go on or not", self.table.part_text(other)),
        }
    }

    fn condition(&self, condition: &Match, certain: bool) -> String {
        let Match {
            left,
            negated,
            right,
        } = condition;
        let nothing = self.nothing(left).or_else(|| match right {
            Operand::Value(value) => self.nothing(value),
            Operand::Numbers(_) | Operand::Elements(_) => None,
        });
        if let Some(nothing) = nothing {
            return nothing;
        }
        let (values, wanted) = (self.values(left), self.wanted(condition));
        // What fails a negated condition is that it is what it must not be.
        match (certain, negated, right) {
            (false, ..) => format!("{values} may be {wanted}"),
            (true, false, _) => format!("{values} is not {wanted}"),
            (true, true, _) => format!("{values} is {wanted}"),
        }
    }

    /// The first field of an expression that the packet does not have, or that is not known.
    fn nothing(&self, expression: &Expression) -> Option<String> {
        let fields = expression.fields();
        fields
            .into_iter()
            .find_map(|field| match self.view.load(field) {
                Loaded::Absent => Some(format!("the packet has no {field}")),
                Loaded::Unknown => Some(format!("the packet's {field} is not known")),
                Loaded::Value(_) => None,
            })
    }

    /// Why a value is not there, or may not be.
    fn missing(&self, value: &Expression, certain: bool) -> Option<String> {
        self.nothing(value).or_else(|| match value {
            Expression::Map { key, map } if certain => {
                Some(format!("{} is not in {}", self.values(key), self.set(map)))
            }
            Expression::Map { key, map } => {
                Some(format!("{} may be in {}", self.values(key), self.set(map)))
            }
            Expression::Bits { of, .. } => self.missing(of, certain),
            Expression::Concatenation(parts) => {
                parts.iter().find_map(|part| self.missing(part, certain))
            }
            Expression::Opaque(_) => Some(format!(
                "{} is not known",
                self.table.expression_text(value)
            )),
            Expression::Field(_) | Expression::Constant(_) => None,
        })
    }

    /// What the packet has in the fields of an expression.
    fn values(&self, expression: &Expression) -> String {
        let text = self.table.expression_text(expression);
        let fields = expression.fields();
        let values = fields.iter().map(|field| match self.view.load(*field) {
            Loaded::Value(value) => field.kind().value(value),
            Loaded::Absent => "absent".to_owned(),
            Loaded::Unknown => "unknown".to_owned(),
        });
        let values: Vec<String> = values.collect();
        match expression {
            Expression::Field(_) | Expression::Concatenation(_) => {
                format!("{text} {}", values.join(" . "))
            }
            _ if values.is_empty() => text,
            _ => format!("{text}, of {},", values.join(" and ")),
        }
    }

    /// What a condition compares with.
    fn wanted(&self, condition: &Match) -> String {
        match &condition.right {
            Operand::Elements(lookup) => format!("in {}", self.set(lookup)),
            Operand::Value(value) => self.values(value),
            Operand::Numbers(numbers) => {
                let text = self.table.operand_text(condition);
                let one = numbers.len() == 1 && !text.starts_with('{');
                let prefix = one && text.contains('/');
                if prefix || text.starts_with('{') {
                    format!("in {text}")
                } else {
                    text
                }
            }
        }
    }

    /// A set or a map, and how large it is.
    fn set(&self, lookup: &Lookup) -> String {
        let (name, elements, changing) = match lookup {
            Lookup::Named(index) => match self.table.set(*index) {
                Some(set) => (
                    format!("@{}", Said(&set.name)),
                    set.elements.as_ref(),
                    set.changing,
                ),
                None => return "a set that is not there".to_owned(),
            },
            Lookup::Anonymous(elements) => ("the elements".to_owned(), Some(elements), false),
        };
        if changing {
            return format!("{name}, which changes by itself");
        }
        let count = match elements {
            None => return format!("{name}, whose elements are not known"),
            Some(Elements::Numbers(numbers)) => (numbers.len(), "interval"),
            Some(Elements::Rows(rows)) => (rows.all().len(), "element"),
        };
        match count {
            (1, what) => format!("{name} (1 {what})"),
            (count, what) => format!("{name} ({count} {what}s)"),
        }
    }
}

/// What became of a packet, and what decided.
pub(super) fn fate(fate: &Fate<'_>) -> (String, String) {
    let verdict = match (fate.verdict, fate.reject) {
        (HookVerdict::Accept, _) => "accept".to_owned(),
        (HookVerdict::Drop, None) => "drop".to_owned(),
        (HookVerdict::Drop, Some(reject)) => format!("reject with {reject}"),
    };
    let by = match &fate.by {
        Decider::Rule(by) => format!(", by {}", rule(by)),
        Decider::ChainPolicy(place) => {
            let chain = chain_name(place.table, place.chain);
            format!(", by the chain policy of {chain}")
        }
        Decider::NoChain => ": no chain sees it".to_owned(),
        Decider::NotFollowed(place) => {
            let chain = chain_name(place.table, place.chain);
            format!(": the rules lead too far from chain {chain} to be followed")
        }
    };
    (verdict, by)
}

/// What becomes of a packet in the end, in words.
pub(super) fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Reject(reject) => format!("reject with {reject}"),
        Verdict::Undecided => "not certain: accept or drop".to_owned(),
    }
}

/// Why it is not known which packets share a fate.
pub(super) fn inexact(inexact: &Inexact<'_>) -> String {
    match inexact {
        Inexact::Rule(by, part) => {
            let part = by.rule().parts.get(*part);
            let part = part.map(|part| by.place.table.part_text(part));
            let part = part.unwrap_or_default();
            format!("it depends on `{part}` of {}", rule(by))
        }
        Inexact::Way => {
            "it is not certain which way the packet goes, or which chains see it".to_owned()
        }
    }
}

/// What is there, but not on the packet's way.
pub(super) fn aside(aside: &Aside<'_>) -> String {
    let name = |table: &Table| format!("{} {}", table.family.keyword(), Said(&table.name));
    match aside {
        Aside::Dormant(table) => format!("table {} is dormant", name(table)),
        Aside::OtherFamily(table) => format!("table {} sees no routed packet", name(table)),
        Aside::OtherDevice(table, chain) => {
            let devices = match chain.base.as_ref().map(|base| &base.attachment) {
                Some(Attachment::Ingress(devices)) => format!("ingress of {}", devices.join(", ")),
                Some(Attachment::Egress(devices)) => format!("egress of {}", devices.join(", ")),
                Some(Attachment::Hook(_) | Attachment::Unknown(_)) | None => String::new(),
            };
            let chain = chain_name(table, chain);
            format!("chain {chain} sees {} only", Said(&devices))
        }
        Aside::UnknownHook(table, chain) => {
            let chain = chain_name(table, chain);
            format!("chain {chain} is at a hook that is not known, and may see the packet or not")
        }
    }
}

/// What is taken for granted, or not known.
pub(super) fn caveat(caveat: &Caveat<'_>) -> String {
    match caveat {
        Caveat::NotTranslated => {
            "rules translate addresses; this connection is taken not to be translated".to_owned()
        }
        Caveat::HasAddress => {
            "a rule puts in the address of an interface, which is taken to have one; without, the \
             packet is dropped"
                .to_owned()
        }
        Caveat::NotOffloaded => {
            "rules put connections into a flowtable, past forward and postrouting; this one is \
             taken not to be there"
                .to_owned()
        }
        Caveat::TwoWays => {
            "the destination was changed: it may be this machine or another; both ways are shown"
                .to_owned()
        }
        Caveat::Unknown(Some(table), text) => {
            let family = table.family.keyword();
            format!(
                "not known in table {family} {}: {}",
                Said(&table.name),
                Said(text)
            )
        }
        Caveat::Unknown(None, text) => format!("not known in the listing: {}", Said(text)),
    }
}

/// What a place has changed of a packet, as nft writes it; not what only follows from that, or what
/// the packet has not.
pub(super) fn changes(packet: &Packet, stop: &Stop<'_>) -> Vec<(String, String)> {
    let family = packet.addresses.family();
    let has = |field: &Field| {
        let protocol = field.protocol();
        field.family().is_none_or(|needed| needed == family)
            && protocol.is_none_or(|needed| needed == packet.protocol())
    };
    let changed = stop.evaluation.changes.iter();
    let new = changed.filter(|(field, value)| {
        let follows = matches!(field, Field::ThSport | Field::ThDport | Field::IcmpId(_))
            || field.is_of_connection() && *value == Loaded::Unknown;
        has(field) && !follows && stop.changed.get(*field) != Some(*value)
    });
    let text = |value: Loaded, kind: Kind| match value {
        Loaded::Value(value) => kind.value(value),
        Loaded::Absent => "absent".to_owned(),
        Loaded::Unknown => "unknown".to_owned(),
    };
    new.map(|(field, value)| (field.to_string(), text(value, field.kind())))
        .collect()
}
