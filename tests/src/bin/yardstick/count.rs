//! How much of a rule is understood.

use std::collections::BTreeMap;

use portreeve_model::tables::{
    Expression, Lookup, Match, Opaque, Operand, Part, Rewrite, Rule, Table, Tables,
};

use crate::Times;

/// How well a rule is understood.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Class {
    /// What it does to a packet follows from the packet.
    Exact,
    /// Everything is known, but some of it is no matter of the packet: a limit, a queue, a set
    /// that packets change.
    Chance,
    /// Something is not known.
    Opaque,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Exact, Self::Chance, Self::Opaque];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Chance => "may-sets",
            Self::Opaque => "opaque",
        }
    }
}

/// What was counted.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) rules: BTreeMap<Class, usize>,
    pub(crate) opaque: Times,
    pub(crate) unknown: Vec<String>,
}

impl Count {
    pub(crate) fn add(&mut self, tables: &Tables) {
        self.unknown.extend(tables.unknown.iter().cloned());
        for table in &tables.tables {
            self.unknown.extend(table.unknown.iter().cloned());
            for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
                let mut seen = Seen::new(table);
                seen.rule(rule);
                *self.rules.entry(seen.class).or_default() += 1;
                for text in seen.opaque {
                    *self.opaque.entry(text).or_default() += 1;
                }
            }
        }
    }
}

/// What was seen of one rule.
struct Seen<'a> {
    table: &'a Table,
    class: Class,
    opaque: Vec<String>,
}

impl<'a> Seen<'a> {
    fn new(table: &'a Table) -> Self {
        Self {
            table,
            class: Class::Exact,
            opaque: Vec::new(),
        }
    }

    fn rule(&mut self, rule: &Rule) {
        for part in &rule.parts {
            self.part(part);
        }
        // One that is left out for another, and stands there too, counts once.
        self.opaque.dedup();
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Match(Match { left, right, .. }) => {
                self.expression(left);
                match right {
                    Operand::Numbers(_) => {}
                    Operand::Elements(lookup) => self.lookup(lookup),
                    Operand::Value(value) => self.expression(value),
                }
            }
            Part::VerdictMap { key, map } => {
                self.expression(key);
                self.lookup(map);
            }
            Part::Assign { value, .. } => self.expression(value),
            Part::Nat(nat) => {
                for rewrite in [&nat.address, &nat.port].into_iter().flatten() {
                    if let Rewrite::Value { of, .. } = rewrite {
                        self.expression(of);
                    }
                }
            }
            Part::Chance(_) | Part::Queue(_) | Part::Take(_) => self.at_least(Class::Chance),
            Part::Opaque(opaque) => self.opaque(opaque),
            Part::Verdict(_) | Part::Reject(_) | Part::Notrack | Part::Counter | Part::Note(_) => {}
        }
    }

    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Field(_) | Expression::Constant(_) => {}
            Expression::Bits { of, .. } => self.expression(of),
            Expression::Concatenation(parts) => parts.iter().for_each(|it| self.expression(it)),
            Expression::Map { key, map } => {
                self.expression(key);
                self.lookup(map);
            }
            Expression::Opaque(opaque) => self.opaque(opaque),
        }
    }

    fn lookup(&mut self, lookup: &Lookup) {
        let Lookup::Named(index) = lookup else { return };
        match self.table.set(*index) {
            Some(set) if set.changing => self.at_least(Class::Chance),
            Some(set) if set.elements.is_some() => {}
            _ => {
                self.at_least(Class::Opaque);
                self.opaque
                    .push("a set whose elements are not known".to_owned());
            }
        }
    }

    fn opaque(&mut self, opaque: &Opaque) {
        self.at_least(Class::Opaque);
        self.opaque.push(kind(&opaque.text));
    }

    fn at_least(&mut self, class: Class) {
        self.class = self.class.max(class);
    }
}

/// The opaque text without what tells rules apart: cut where it is long.
fn kind(text: &str) -> String {
    const CHARS: usize = 150;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(expr: &str) -> Option<Class> {
        let json = format!(
            r#"{{"nftables": [{{"table": {{"family": "ip", "name": "t"}}}},
                {{"chain": {{"family": "ip", "table": "t", "name": "c"}}}},
                {{"rule": {{"family": "ip", "table": "t", "chain": "c", "expr": {expr}}}}}]}}"#
        );
        let mut count = Count::default();
        count.add(&portreeve_nft::read(&json).expect("JSON"));
        count.rules.into_keys().next()
    }

    #[test]
    fn a_rule_is_as_certain_as_its_least_certain_part() {
        assert_eq!(
            class(r#"[{"counter": null}, {"accept": null}]"#),
            Some(Class::Exact)
        );
        assert_eq!(
            class(r#"[{"limit": "slow"}, {"accept": null}]"#),
            Some(Class::Chance)
        );
        assert_eq!(
            class(r#"[{"limit": "slow"}, {"fancy": null}]"#),
            Some(Class::Opaque)
        );
    }
}
