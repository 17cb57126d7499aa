//! NAT: `snat`, `dnat`, `masquerade` and `redirect`, with addresses, ports, ranges and maps.

use portreeve_model::address::Family;
use portreeve_model::tables::{Expression, Nat, NatKind, Rewrite, Scope, TableFamily};
use serde_json::Value;

use super::expressions::{Typed, opaque};
use super::surroundings::Surroundings;
use super::types::Datatype;
use super::values::{attributes, interval, only_entry};

/// The translation that nft writes so.
pub(super) fn read(of: &Surroundings, kind: &str, body: &Value) -> Option<Nat> {
    let kind = match kind {
        "snat" => NatKind::Snat,
        "dnat" => NatKind::Dnat,
        "masquerade" => NatKind::Masquerade,
        "redirect" => NatKind::Redirect,
        _ => return None,
    };
    let mut nat = Nat {
        kind,
        family: None,
        address: None,
        port: None,
        flags: Vec::new(),
    };
    if body.is_null() {
        return Some(nat);
    }
    let body = attributes(body, &["family", "addr", "port", "flags", "type_flags"])?;
    nat.family = match body.get("family") {
        Some(word) => Some(family(word.as_str()?)?),
        None => None,
    };
    nat.flags = flags(body.get("flags"))?;
    if let Some(json) = body.get("addr") {
        of.put_address(json, &mut nat);
    }
    if let Some(json) = body.get("port") {
        nat.port = Some(of.rewrite(json, &[&[Datatype::Service]]).rewrite(0));
    }
    Some(nat)
}

fn family(word: &str) -> Option<Family> {
    Family::BOTH
        .into_iter()
        .find(|family| family.keyword() == word)
}

/// One flag, or a list of them.
fn flags(json: Option<&Value>) -> Option<Vec<String>> {
    match json {
        None => Some(Vec::new()),
        Some(Value::Array(flags)) => {
            let words = flags.iter().map(|flag| flag.as_str().map(str::to_owned));
            words.collect()
        }
        Some(flag) => Some([flag.as_str()?.to_owned()].into()),
    }
}

/// What is put in.
enum Put {
    OneOf(portreeve_model::intervals::Interval, Datatype),
    Typed(Typed),
    Unknown(Expression),
}

impl Put {
    fn rewrite(&self, part: usize) -> Rewrite {
        let of = match self {
            Self::OneOf(interval, _) => return Rewrite::OneOf(*interval),
            Self::Typed(typed) => typed.expression.clone(),
            Self::Unknown(expression) => expression.clone(),
        };
        Rewrite::Value { of, part }
    }
}

impl Surroundings {
    fn put_address(&self, json: &Value, nat: &mut Nat) {
        let families = match (nat.family, self.family) {
            (Some(family), _) => vec![family],
            (None, TableFamily::Ip) => vec![Family::Ip],
            (None, TableFamily::Ip6) => vec![Family::Ip6],
            (None, _) => Family::BOTH.to_vec(),
        };
        let addresses = families.iter().map(|family| Datatype::Address(*family));
        let wanted: Vec<Vec<Datatype>> = addresses
            .flat_map(|address| [vec![address], vec![address, Datatype::Service]])
            .collect();
        let wanted: Vec<&[Datatype]> = wanted.iter().map(Vec::as_slice).collect();
        let put = self.rewrite(json, &wanted);
        nat.address = Some(put.rewrite(0));
        // A map may say the port too.
        let says_port = match &put {
            Put::OneOf(..) => false,
            Put::Typed(typed) => typed.types.len() == 2,
            Put::Unknown(_) => true,
        };
        if says_port {
            nat.port = Some(put.rewrite(1));
        }
        let said = match &put {
            Put::OneOf(_, of) => Some(*of),
            Put::Typed(typed) => typed.types.first().copied(),
            Put::Unknown(_) => None,
        };
        nat.family = match said {
            Some(Datatype::Address(family)) => Some(family),
            _ => nat.family,
        };
    }

    /// Something of one of the `wanted` types.
    fn rewrite(&self, json: &Value, wanted: &[&[Datatype]]) -> Put {
        for types in wanted {
            if let [of] = types
                && let Some(interval) = interval(*of, json)
            {
                return Put::OneOf(interval, *of);
            }
            let known = match only_entry(json) {
                Some(("map", body)) => self.map(body, Some(types)),
                _ => self.expression(json),
            };
            if let Some(typed) = known.filter(|typed| typed.types == *types) {
                return Put::Typed(typed);
            }
        }
        Put::Unknown(Expression::Opaque(opaque(json, Scope::Chance)))
    }
}
