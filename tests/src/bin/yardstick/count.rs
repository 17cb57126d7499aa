//! How much of a rule is understood.

use std::collections::BTreeMap;

use portreeve_model::tables::{
    Expression, Lookup, Match, Modelled, Opaque, Operand, Part, Rewrite, Table, Tables,
};

use crate::Times;

/// The words for how well a rule is understood.
pub(crate) const CLASSES: [(Modelled, &str); 3] = [
    (Modelled::Exactly, "exact"),
    (Modelled::AsMaySet, "may-sets"),
    (Modelled::Opaquely, "opaque"),
];

/// What was counted.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) rules: BTreeMap<Modelled, usize>,
    pub(crate) opaque: Times,
    pub(crate) unknown: Vec<String>,
}

impl Count {
    pub(crate) fn add(&mut self, tables: &Tables) {
        self.unknown.extend(tables.unknown.iter().cloned());
        for table in &tables.tables {
            self.unknown.extend(table.unknown.iter().cloned());
            for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
                *self.rules.entry(table.modelled(rule)).or_default() += 1;
                let opaque = Vec::new();
                let mut seen = Seen { table, opaque };
                rule.parts.iter().for_each(|part| seen.part(part));
                // One that is left out for another, and stands there too, counts once.
                seen.opaque.dedup();
                for text in seen.opaque {
                    *self.opaque.entry(text).or_default() += 1;
                }
            }
        }
    }
}

/// What was seen of one rule that is not known.
struct Seen<'a> {
    table: &'a Table,
    opaque: Vec<String>,
}

impl Seen<'_> {
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
            Part::Opaque(opaque) => self.opaque(opaque),
            Part::Verdict(_)
            | Part::Reject(_)
            | Part::Notrack
            | Part::Counter
            | Part::Note(_)
            | Part::Chance(_)
            | Part::Connections(_)
            | Part::Queue(_)
            | Part::Take(_) => {}
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
            Some(set) if set.changing || set.elements.is_some() => {}
            _ => self
                .opaque
                .push("a set whose elements are not known".to_owned()),
        }
    }

    fn opaque(&mut self, opaque: &Opaque) {
        self.opaque.push(kind(&opaque.text));
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

    fn class(expr: &str) -> Option<Modelled> {
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
            Some(Modelled::Exactly)
        );
        assert_eq!(
            class(r#"[{"limit": "slow"}, {"accept": null}]"#),
            Some(Modelled::AsMaySet)
        );
        assert_eq!(
            class(r#"[{"limit": "slow"}, {"fancy": null}]"#),
            Some(Modelled::Opaquely)
        );
    }
}
