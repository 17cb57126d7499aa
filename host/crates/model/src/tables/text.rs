//! Rules of any table in nft(8)'s text syntax, for people. Untrusted words are escaped.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{
    Data, Elements, Expression, Lookup, Match, Nat, Opaque, Operand, Part, Rewrite, Row, Rule, Set,
    Table, Verdict,
};
use crate::diagnostic::Said;
use crate::field::{Field, Kind};
use crate::intervals::Interval;

/// Elements written out at most; more are counted.
const SHOWN: usize = 8;

impl Table {
    /// A rule of this table, without its comment.
    #[must_use]
    pub fn rule_text(&self, rule: &Rule) -> String {
        let texts: Vec<String> = rule.parts.iter().map(|part| self.part_text(part)).collect();
        texts.join(" ")
    }

    /// A part of a rule of this table.
    #[must_use]
    pub fn part_text(&self, part: &Part) -> String {
        Shown {
            table: self,
            it: part,
        }
        .to_string()
    }

    /// What a match of a rule of this table compares with.
    #[must_use]
    pub fn operand_text(&self, condition: &Match) -> String {
        let shown = Operands {
            table: self,
            of: condition,
        };
        shown.to_string()
    }

    /// An expression of a rule of this table.
    #[must_use]
    pub fn expression_text(&self, expression: &Expression) -> String {
        Shown {
            table: self,
            it: expression,
        }
        .to_string()
    }

    fn show<T>(&self, it: T) -> Shown<'_, T> {
        Shown { table: self, it }
    }
}

/// Something with the table that it is in, where names are looked up.
struct Shown<'a, T> {
    table: &'a Table,
    it: T,
}

impl fmt::Display for Shown<'_, &Part> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |it| self.table.show(it);
        match self.it {
            Part::Match(condition) => write!(f, "{}", self.table.show(condition)),
            Part::VerdictMap { key, map } => {
                write!(f, "{} vmap ", of(key))?;
                self.table.show(map).write(f, &self.table.kinds(key), None)
            }
            Part::Verdict(verdict) => write!(f, "{}", self.table.show(verdict)),
            Part::Reject(reject) => write!(f, "reject with {reject}"),
            Part::Assign { field, value } => {
                write!(
                    f,
                    "{field} set {}",
                    self.table.value_text(value, field.kind())
                )
            }
            Part::Notrack => f.write_str("notrack"),
            Part::Nat(nat) => write!(f, "{}", self.table.show(nat)),
            Part::Counter => f.write_str("counter"),
            Part::Note(text)
            | Part::Chance(text)
            | Part::Connections(text)
            | Part::Queue(text)
            | Part::Take(text) => write!(f, "{}", Said(text)),
            Part::Opaque(opaque) => write!(f, "{opaque}"),
        }
    }
}

impl fmt::Display for Shown<'_, &Match> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.it.negated { "!= " } else { "" };
        let left = self.table.show(&self.it.left);
        write!(f, "{left} {not}{}", self.table.operand_text(self.it))
    }
}

/// The right side of a match.
struct Operands<'a> {
    table: &'a Table,
    of: &'a Match,
}

impl fmt::Display for Operands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Match { left, right, .. } = self.of;
        let kinds = self.table.kinds(left);
        match right {
            // States are bits to nft: a list without braces asks for any of them.
            Operand::Numbers(states) if *left == Expression::Field(Field::CtState) => {
                f.write_str(&Kind::CtState.texts(states).join(","))
            }
            Operand::Numbers(numbers) => {
                let kind = kinds.first().copied().unwrap_or(Kind::Number);
                kind.write_values(f, numbers, SHOWN)
            }
            Operand::Elements(lookup) => self.table.show(lookup).write(f, &kinds, None),
            Operand::Value(value) => write!(f, "{}", self.table.show(value)),
        }
    }
}

impl fmt::Display for Shown<'_, &Expression> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.it {
            Expression::Field(field) => write!(f, "{field}"),
            Expression::Constant(number) => write!(f, "{number:#x}"),
            Expression::Bits { of, mask, flip } => {
                write!(f, "{} & {mask:#x}", self.table.show(of.as_ref()))?;
                match flip {
                    0 => Ok(()),
                    flip => write!(f, " ^ {flip:#x}"),
                }
            }
            Expression::Concatenation(parts) => {
                let texts: Vec<String> = parts
                    .iter()
                    .map(|part| self.table.expression_text(part))
                    .collect();
                f.write_str(&texts.join(" . "))
            }
            Expression::Map { key, map } => {
                write!(f, "{} map ", self.table.show(key.as_ref()))?;
                self.table.show(map).write(f, &self.table.kinds(key), None)
            }
            Expression::Opaque(opaque) => write!(f, "{opaque}"),
        }
    }
}

impl Shown<'_, &Lookup> {
    fn write(&self, f: &mut fmt::Formatter<'_>, keys: &[Kind], data: Option<Kind>) -> fmt::Result {
        match self.it {
            Lookup::Named(index) => match self.table.set(*index) {
                Some(Set { name, .. }) => write!(f, "@{}", Said(name)),
                None => f.write_str("@?"),
            },
            Lookup::Anonymous(Elements::Numbers(numbers)) => {
                let kind = keys.first().copied().unwrap_or(Kind::Number);
                kind.write_values(f, numbers, SHOWN)
            }
            Lookup::Anonymous(Elements::Rows(rows)) => {
                let shown = rows.all().iter().take(SHOWN);
                let mut texts: Vec<String> =
                    shown.map(|row| self.table.row(row, keys, data)).collect();
                match rows.all().len().saturating_sub(SHOWN) {
                    0 => {}
                    more => texts.push(alloc::format!("… {more} more")),
                }
                write!(f, "{{ {} }}", texts.join(", "))
            }
        }
    }
}

impl Table {
    fn row(&self, row: &Row, keys: &[Kind], data: Option<Kind>) -> String {
        let kind = |at: usize| keys.get(at).copied().unwrap_or(Kind::Number);
        let texts: Vec<String> = row
            .key
            .iter()
            .enumerate()
            .map(|(at, interval)| kind(at).interval(*interval))
            .collect();
        let key = texts.join(" . ");
        let of = data.unwrap_or(Kind::Number);
        let intervals = |intervals: Vec<Interval>| -> String {
            let texts: Vec<String> = intervals.into_iter().map(|it| of.interval(it)).collect();
            alloc::format!("{key} : {}", texts.join(" . "))
        };
        match &row.data {
            Data::None => key,
            Data::Value(numbers) => {
                intervals(numbers.iter().copied().map(Interval::single).collect())
            }
            Data::Range(ranges) => intervals(ranges.clone()),
            Data::Verdict(verdict) => alloc::format!("{key} : {}", self.show(verdict)),
            Data::Unknown => alloc::format!("{key} : ?"),
        }
    }

    /// What the numbers of an expression stand for.
    #[must_use]
    pub fn kinds(&self, expression: &Expression) -> Vec<Kind> {
        match expression {
            Expression::Field(field) => [field.kind()].into(),
            Expression::Bits { .. } => [Kind::Bits].into(),
            Expression::Concatenation(parts) => {
                parts.iter().flat_map(|part| self.kinds(part)).collect()
            }
            Expression::Constant(_) | Expression::Map { .. } | Expression::Opaque(_) => {
                [Kind::Number].into()
            }
        }
    }

    /// A value as the kind it is given to.
    fn value_text(&self, value: &Expression, kind: Kind) -> String {
        match value {
            Expression::Constant(number) => kind.value(*number),
            other => self.expression_text(other),
        }
    }
}

impl fmt::Display for Shown<'_, &Verdict> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |index| match self.table.chain(index) {
            Some(chain) => Said(&chain.name).to_string(),
            None => "?".to_string(),
        };
        match self.it {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Continue => f.write_str("continue"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {}", name(*chain)),
            Verdict::Goto(chain) => write!(f, "goto {}", name(*chain)),
        }
    }
}

impl fmt::Display for Shown<'_, &Nat> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nat = self.it;
        f.write_str(nat.kind.keyword())?;
        if let Some(family) = nat.family {
            write!(f, " {}", family.keyword())?;
        }
        let address = nat.family.map_or(Kind::Number, Kind::Address);
        let puts = |rewrite: &Rewrite, kind: Kind| match rewrite {
            Rewrite::OneOf(interval) => kind.interval(*interval),
            Rewrite::Value { of, .. } => self.table.value_text(of, kind),
        };
        match (&nat.address, &nat.port) {
            (None, None) => {}
            // One map that says both is written once.
            (Some(one), Some(other)) if is_same_map(one, other) => {
                write!(f, " to {}", puts(one, address))?;
            }
            (address_put, port) => {
                f.write_str(" to ")?;
                if let Some(put) = address_put {
                    f.write_str(&puts(put, address))?;
                }
                if let Some(put) = port {
                    write!(f, ":{}", puts(put, Kind::Number))?;
                }
            }
        }
        for flag in &nat.flags {
            write!(f, " {}", Said(flag))?;
        }
        Ok(())
    }
}

fn is_same_map(one: &Rewrite, other: &Rewrite) -> bool {
    match (one, other) {
        (Rewrite::Value { of: one, .. }, Rewrite::Value { of: other, .. }) => one == other,
        _ => false,
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Said(&self.text))
    }
}
