//! Our own rule set as a table among tables.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{
    Attachment, Base, Chain, ChainIndex, Data, Elements, Expression, Lookup, Match, Nat, Operand,
    Part, Rewrite, Row, Rows, Rule, Set, SetIndex, Table, TableFamily, Tables, Verdict,
};
use crate::address::Family;
use crate::field::{Field, Kind, PROTOCOL_TCP};
use crate::intervals::{Interval, Intervals};
use crate::names::Name;
use crate::ruleset::{
    self, Contents, FieldSet, Key, MarkValue, Reject, Ruleset, Statement, VerdictMap,
};

impl Ruleset {
    /// The rule set as the one table of a machine, under the name `table`. The elements of sets of
    /// addresses are shared, not copied.
    #[must_use]
    pub fn tables(&self, table: &str) -> Tables {
        let sets = self.sets().iter().map(|set| Set {
            name: set.name().to_string(),
            key: vec![Kind::Address(set.family())],
            changing: false,
            elements: Some(Elements::Numbers(Arc::clone(&set.elements))),
        });
        let chains = self.chains().iter().map(|chain| Chain {
            name: chain.name().to_string(),
            base: chain.base().map(|base| Base {
                chain_type: base.chain_type,
                attachment: Attachment::Hook(base.hook),
                priority: base.priority,
                policy: base.policy,
            }),
            rules: chain.rules().iter().map(|rule| self.rule(rule)).collect(),
        });
        let table = Table {
            family: TableFamily::Inet,
            name: table.to_string(),
            dormant: false,
            listed: false,
            sets: sets
                .chain(self.field_sets().iter().map(field_set))
                .collect(),
            chains: chains.collect(),
            unknown: Vec::new(),
        };
        Tables {
            tables: vec![table],
            unknown: Vec::new(),
        }
    }

    fn rule(&self, rule: &ruleset::Rule) -> Rule {
        let matches = rule.matches().iter();
        let matches = matches.map(|condition| Part::Match(self.condition(condition)));
        let statements = rule.statements().iter();
        let statements = statements.flat_map(|it| loads(it).chain([self.statement(it)]));
        // nft asks for the family, or the protocol, before everything else.
        let needed = rule.statements().iter().filter_map(needed);
        Rule {
            handle: None,
            comment: Some(rule.label().to_string()),
            parts: needed.chain(matches).chain(statements).collect(),
        }
    }

    fn condition(&self, condition: &ruleset::Match) -> Match {
        let set = |name: &Name| Some(self.set_index(name));
        condition.among(set).expect("validated: the set exists")
    }

    fn statement(&self, statement: &Statement) -> Part {
        match statement {
            Statement::Counter => Part::Counter,
            Statement::Limit(_) | Statement::Quota { .. } | Statement::UpdateSet(_) => {
                Part::Chance(statement.to_string())
            }
            Statement::CtCount { .. } => Part::Connections(statement.to_string()),
            Statement::Log { .. } | Statement::LogGroup { .. } => Part::Note(statement.to_string()),
            Statement::SetMark(mark, value) => Part::Assign {
                field: mark.field(),
                value: match value {
                    MarkValue::Number(number) => Expression::Constant((*number).into()),
                    MarkValue::Copied => Expression::Field(mark.other().field()),
                },
            },
            Statement::Notrack => Part::Notrack,
            Statement::Reject(reject) => Part::Reject(*reject),
            Statement::Nat(nat) => Part::Nat(translation(nat)),
            Statement::VerdictMap(map) => self.verdict_map(map),
            Statement::Verdict(verdict) => Part::Verdict(self.verdict(verdict)),
        }
    }

    fn verdict_map(&self, map: &VerdictMap) -> Part {
        let row = |(key, verdict): &(Vec<Interval>, ruleset::Verdict)| Row {
            key: key.clone(),
            data: Data::Verdict(self.verdict(verdict)),
        };
        let rows = Rows::new(map.elements().iter().map(row).collect());
        Part::VerdictMap {
            key: together(map.fields()),
            map: Lookup::Anonymous(Elements::Rows(rows)),
        }
    }

    fn verdict(&self, verdict: &ruleset::Verdict) -> Verdict {
        match verdict {
            ruleset::Verdict::Accept => Verdict::Accept,
            ruleset::Verdict::Drop => Verdict::Drop,
            ruleset::Verdict::Continue => Verdict::Continue,
            ruleset::Verdict::Return => Verdict::Return,
            ruleset::Verdict::Jump(name) => Verdict::Jump(self.index(name)),
            ruleset::Verdict::Goto(name) => Verdict::Goto(self.index(name)),
        }
    }

    fn index(&self, name: &Name) -> ChainIndex {
        let at = self.chains().iter().position(|chain| chain.name() == name);
        ChainIndex(at.expect("validated: the chain exists"))
    }

    /// The sets of addresses come first, then the others.
    fn set_index(&self, name: &Name) -> SetIndex {
        let addresses = self.sets();
        let of_addresses = addresses.binary_search_by(|set| set.name().cmp(name));
        SetIndex(of_addresses.unwrap_or_else(|_| {
            let at = self.field_sets().iter().position(|set| set.name() == name);
            addresses.len() + at.expect("validated: the set exists")
        }))
    }
}

impl ruleset::Match {
    /// The condition in the words of tables, by itself; none when it names a set.
    #[must_use]
    pub fn apart(&self) -> Option<Match> {
        self.among(|_| None)
    }

    /// The condition in a table that has the sets which `set` finds.
    fn among(&self, set: impl Fn(&Name) -> Option<SetIndex>) -> Option<Match> {
        Some(Match {
            left: match self.key() {
                Key::Field(field) => Expression::Field(*field),
                Key::Bits { field, mask } => Expression::Bits {
                    of: Box::new(Expression::Field(*field)),
                    mask: *mask,
                    flip: 0,
                },
                Key::Concatenation(fields) => together(fields),
            },
            negated: self.negated(),
            right: match self.operand() {
                ruleset::Operand::Numbers(numbers) => Operand::Numbers(numbers.clone()),
                ruleset::Operand::Elements(elements) => {
                    Operand::Elements(Lookup::Anonymous(rows(elements)))
                }
                ruleset::Operand::Set(name) => Operand::Elements(Lookup::Named(set(name)?)),
            },
        })
    }
}

fn field_set(set: &FieldSet) -> Set {
    Set {
        name: set.name().to_string(),
        key: set.fields().iter().map(|field| field.kind()).collect(),
        changing: set.is_dynamic(),
        elements: match set.contents() {
            Contents::Elements(elements) => Some(rows(elements)),
            Contents::Dynamic { .. } => None,
        },
    }
}

/// Fields one after the other; a single one is itself.
fn together(fields: &[Field]) -> Expression {
    let mut parts: Vec<Expression> = fields.iter().copied().map(Expression::Field).collect();
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            Expression::Concatenation(parts)
        }
    }
}

fn rows(elements: &[Vec<Interval>]) -> Elements {
    let row = |key: &Vec<Interval>| Row {
        key: key.clone(),
        data: Data::None,
    };
    Elements::Rows(Rows::new(elements.iter().map(row).collect()))
}

/// The fields of a statement that changes a set: one that the packet has not ends the rule.
fn loads(statement: &Statement) -> impl Iterator<Item = Part> {
    let fields = match statement {
        Statement::UpdateSet(update) => update.fields(),
        _ => &[],
    };
    fields.iter().map(|field| {
        let everything = Interval::new(0, (*field).max());
        is_in(*field, everything.into_iter().collect())
    })
}

/// What a statement needs of the packet without saying so.
fn needed(statement: &Statement) -> Option<Part> {
    let only = |field, number: u8| {
        is_in(
            field,
            [Interval::single(number.into())].into_iter().collect(),
        )
    };
    match statement {
        Statement::Reject(Reject::Icmp(_)) => Some(only(Field::Nfproto, Family::Ip.number())),
        Statement::Reject(Reject::Icmpv6(_)) => Some(only(Field::Nfproto, Family::Ip6.number())),
        Statement::Reject(Reject::TcpReset) => Some(only(Field::L4proto, PROTOCOL_TCP)),
        _ => None,
    }
}

fn is_in(field: Field, numbers: Intervals) -> Part {
    Part::Match(Match {
        left: Expression::Field(field),
        negated: false,
        right: Operand::Numbers(numbers),
    })
}

fn translation(nat: &ruleset::Nat) -> Nat {
    Nat {
        kind: nat.kind(),
        family: nat.address().map(|(family, _)| family),
        address: nat
            .address()
            .map(|(_, addresses)| Rewrite::OneOf(addresses)),
        port: nat.ports().map(Rewrite::OneOf),
        flags: Vec::new(),
    }
}
