//! Expressions: fields, bit operations, concatenations, maps, and where things are looked up.

use portreeve_model::field::{Fib, FibResult, Field};
use portreeve_model::tables::{Elements, Expression, Lookup, Opaque, Scope};
use serde::de::DeserializeSeed;
use serde_json::Value;

use super::elements::{ElementsOf, Holds, Shape};
use super::fields;
use super::surroundings::Surroundings;
use super::types::Datatype;
use super::values::{attributes, bits, only_entry};

/// An expression with the type of each of its numbers.
pub(super) struct Typed {
    pub(super) expression: Expression,
    pub(super) types: Vec<Datatype>,
}

impl Typed {
    /// The field, when the expression is nothing but one.
    pub(super) fn field(&self) -> Option<Field> {
        match self.expression {
            Expression::Field(field) => Some(field),
            _ => None,
        }
    }
}

/// Which part of the rule's text is not known, and what it may do.
pub(super) fn opaque(json: &Value, scope: Scope) -> Opaque {
    Opaque {
        text: json.to_string(),
        scope,
    }
}

impl Surroundings {
    /// The expression that nft writes so, if all of it is known.
    pub(super) fn expression(&self, json: &Value) -> Option<Typed> {
        match only_entry(json)? {
            ("concat", Value::Array(parts)) => self.concatenation(parts),
            (operator @ ("&" | "|" | "^"), Value::Array(operands)) => self.bits(operator, operands),
            ("map", body) => self.map(body, None),
            _ => {
                let (field, of) = fields::field(json, self.family)?;
                Some(Typed {
                    expression: Expression::Field(field),
                    types: [of].into(),
                })
            }
        }
    }

    fn concatenation(&self, parts: &[Value]) -> Option<Typed> {
        let mut all = Typed {
            expression: Expression::Concatenation(Vec::new()),
            types: Vec::new(),
        };
        let mut expressions = Vec::new();
        for part in parts {
            let part = self.expression(part)?;
            // nft 1.0.6 lists ranges of these as if they had no bits, and what follows with them.
            if matches!(part.field(), Some(Field::Length | Field::CtZone)) {
                return None;
            }
            if part.types.len() != 1 {
                return None;
            }
            all.types.extend(part.types);
            expressions.push(part.expression);
        }
        all.expression = Expression::Concatenation(expressions);
        Some(all)
    }

    /// `value & mask`, `value | bits`, `value ^ bits`, with more operands one after the other.
    fn bits(&self, operator: &str, operands: &[Value]) -> Option<Typed> {
        let (value, constants) = operands.split_first()?;
        let Typed { expression, types } = self.expression(value)?;
        let [of] = types.as_slice() else { return None };
        // The model counts states, and compares names from their first letter: neither is what
        // the kernel's bits are.
        if matches!(
            of,
            Datatype::CtState | Datatype::Interface | Datatype::InterfaceIndex
        ) {
            return None;
        }
        let all = max(&expression);
        let done = constants.iter().try_fold(expression, |so_far, constant| {
            let constant = bits(*of, constant)?;
            Some(match operator {
                "&" => with_bits(so_far, constant, 0),
                "|" => with_bits(so_far, all & !constant, constant),
                _ => with_bits(so_far, all, constant),
            })
        });
        Some(Typed {
            expression: done?,
            types,
        })
    }

    /// `KEY map { … }` or `KEY map @name`. What a map that is written out says is of the `wanted`
    /// types; without those only a named one is known.
    pub(super) fn map(&self, body: &Value, wanted: Option<&[Datatype]>) -> Option<Typed> {
        let (key, data) = key_and_data(body)?;
        let key = self.expression(key)?;
        let holds = wanted.map(|types| Holds::Values(types.to_vec()));
        let (map, shape) = self.lookup(data, key.types, holds)?;
        let Holds::Values(types) = shape.holds else {
            return None;
        };
        Some(Typed {
            expression: Expression::Map {
                key: Box::new(key.expression),
                map,
            },
            types,
        })
    }

    /// Where a key of these types is looked up: a named set or map, or elements written out, which
    /// say what `holds` tells.
    pub(super) fn lookup(
        &self,
        json: &Value,
        key: Vec<Datatype>,
        holds: Option<Holds>,
    ) -> Option<(Lookup, Shape)> {
        if let Some(name) = json.as_str() {
            let (index, shape) = self.set(name.strip_prefix('@')?)?;
            let shape = shape.filter(|shape| are_same(&shape.key, &key))?;
            return Some((Lookup::Named(index), shape.clone()));
        }
        let ("set", elements) = only_entry(json)? else {
            return None;
        };
        let holds = holds?;
        let shape = Shape { key, holds };
        let elements = self.elements(elements, &shape)?;
        Some((Lookup::Anonymous(elements), shape))
    }

    /// Elements written out in a rule.
    fn elements(&self, json: &Value, shape: &Shape) -> Option<Elements> {
        let listed = ElementsOf(shape).deserialize(json).ok()?;
        // Elements that go away are not those of a rule.
        let stays = !listed.expires;
        stays.then(|| listed.resolve(shape, |leads| self.verdict(leads)))?
    }

    /// A value for a field of type `of`: a constant, or what an expression gives. What is not
    /// known is a value that is not known.
    pub(super) fn value(&self, json: &Value, of: Datatype) -> Expression {
        if let Some(number) = bits(of, json) {
            return Expression::Constant(number);
        }
        let known = match only_entry(json) {
            Some(("map", body)) => self.map(body, Some(&[of])),
            _ => self.expression(json),
        };
        match known {
            // A state is one number to the model and another to the kernel.
            Some(typed) if typed.types.len() == 1 && typed.types != [Datatype::CtState] => {
                typed.expression
            }
            _ => Expression::Opaque(opaque(json, scope(json))),
        }
    }
}

/// The two halves of a lookup that gives something.
pub(super) fn key_and_data(body: &Value) -> Option<(&Value, &Value)> {
    let body = attributes(body, &["key", "data"])?;
    Some((body.get("key")?, body.get("data")?))
}

/// Whether keys of the one type are the same numbers as keys of the other.
fn are_same(one: &[Datatype], other: &[Datatype]) -> bool {
    let by_name = |of: &Datatype| match of {
        Datatype::InterfaceIndex => Datatype::Interface,
        other => *other,
    };
    one.iter().map(by_name).eq(other.iter().map(by_name))
}

/// The highest number that an expression can give.
pub(super) fn max(expression: &Expression) -> u128 {
    match expression {
        Expression::Field(field) => u128::MAX >> (u128::BITS - field.bits()),
        Expression::Bits { of, .. } => max(of),
        Expression::Constant(_)
        | Expression::Concatenation(_)
        | Expression::Map { .. }
        | Expression::Opaque(_) => u128::MAX,
    }
}

/// `(value & mask) ^ flip`, as one operation when the value is one of these already.
pub(super) fn with_bits(value: Expression, mask: u128, flip: u128) -> Expression {
    match value {
        Expression::Bits {
            of,
            mask: inner_mask,
            flip: inner_flip,
        } => Expression::Bits {
            of,
            mask: inner_mask & mask,
            flip: (inner_flip & mask) ^ flip,
        },
        value => Expression::Bits {
            of: Box::new(value),
            mask,
            flip,
        },
    }
}

/// `fib … oif 0`, which older rules ask to find out that there is no route: the one index that
/// stands for no interface, and so is not listed as a name.
pub(super) fn no_route(left: &Typed, right: &Value) -> Option<Expression> {
    let Some(Field::Fib(fib)) = left.field() else {
        return None;
    };
    let result = FibResult::Oif;
    let asks = left.types == [Datatype::InterfaceIndex] && right == "0";
    asks.then_some(Expression::Field(Field::Fib(Fib { result, ..fib })))
}

/// What an expression may do that is not known: a test of the packet, or a matter of chance.
pub(super) fn scope(json: &Value) -> Scope {
    let Some((kind, body)) = only_entry(json) else {
        return Scope::Chance;
    };
    let key = |body: &Value| body.get("key").and_then(Value::as_str).map(str::to_owned);
    let all = |parts: &mut dyn Iterator<Item = &Value>| {
        // What is written out is the same for every packet.
        let mut parts = parts.filter(|part| part.is_object() && only_entry(part).is_some());
        match parts.all(|part| scope(part) == Scope::Test) {
            true => Scope::Test,
            false => Scope::Chance,
        }
    };
    match kind {
        "payload" | "exthdr" | "tcp option" | "ip option" | "sctp chunk" | "dccp option" | "rt"
        | "socket" | "osf" | "ipsec" | "fib" | "symhash" => Scope::Test,
        "jhash" => all(&mut body.get("expr").into_iter()),
        "meta" => match key(body).as_deref() {
            None | Some("random" | "time" | "hour" | "day") => Scope::Chance,
            Some(_) => Scope::Test,
        },
        // Other packets of the connection, and time, change what these give.
        "ct" => match key(body).as_deref() {
            None | Some("expiration" | "bytes" | "packets" | "avgpkt" | "label") => Scope::Chance,
            Some(_) => Scope::Test,
        },
        "prefix" | "range" => Scope::Test,
        "&" | "|" | "^" | "<<" | ">>" | "concat" => all(&mut body.as_array().into_iter().flatten()),
        _ => Scope::Chance,
    }
}
