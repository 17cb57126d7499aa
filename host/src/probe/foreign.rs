//! The tables of others, so that they can be loaded a second time.

use std::collections::BTreeSet;

use nix::net::if_::if_nameindex;
use serde_json::{Value, json};

use super::recorder;

/// Families whose chains a packet of IP can meet on its way to this machine.
const FAMILIES: [&str; 4] = ["ip", "ip6", "inet", "netdev"];

/// What comes first, because others name it: verdicts in maps name chains, rules name everything.
const ORDER: [&str; 4] = ["table", "chain", "set", "map"];

/// Of everything that nft lists, the tables of others that packets to this machine can meet, in an
/// order in which they can be loaded.
pub(super) fn tables(listing: &str) -> Result<String, serde_json::Error> {
    let document: Value = serde_json::from_str(listing)?;
    let listed = document.get("nftables").and_then(Value::as_array);
    let mut kept: Vec<&Value> = listed
        .into_iter()
        .flatten()
        .filter(|it| is_met(it))
        .collect();
    kept.sort_by_key(|object| {
        let kind = kind(object);
        let first = ORDER.iter().position(|it| *it == kind);
        first.unwrap_or(ORDER.len() + usize::from(kind == "rule"))
    });
    Ok(json!({ "nftables": kept }).to_string())
}

/// The interfaces of this machine that the tables name.
pub(super) fn interfaces(listing: &str) -> BTreeSet<String> {
    let Ok(here) = if_nameindex() else {
        return BTreeSet::new();
    };
    let names = here.iter().filter_map(|it| it.name().to_str().ok());
    let named = names.filter(|name| listing.contains(&format!("\"{name}\"")));
    named.map(str::to_owned).collect()
}

fn kind(object: &Value) -> &str {
    let object = object.as_object();
    let first = object.and_then(|object| object.keys().next());
    first.map_or("", String::as_str)
}

fn is_met(object: &Value) -> bool {
    let kind = kind(object);
    let text = |name: &str| object.get(kind)?.get(name)?.as_str();
    let table = text(if kind == "table" { "name" } else { "table" });
    let family = text("family");
    let ours = [portreeve_nft::TABLE, recorder::TABLE];
    let is_ours = family == Some("inet") && table.is_some_and(|it| ours.contains(&it));
    family.is_some_and(|it| FAMILIES.contains(&it)) && !is_ours
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losing this, a dry run would load our own table twice, or a map before its chains.
    #[test]
    fn others_are_kept_in_an_order_in_which_they_load() {
        let listing = r#"{"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"table": {"family": "inet", "name": "portreeve"}},
            {"chain": {"family": "inet", "table": "portreeve", "name": "input"}},
            {"table": {"family": "bridge", "name": "b"}},
            {"table": {"family": "ip", "name": "portreeve"}},
            {"map": {"family": "ip", "table": "portreeve", "name": "m"}},
            {"rule": {"family": "ip", "table": "portreeve", "chain": "c"}},
            {"chain": {"family": "ip", "table": "portreeve", "name": "c"}},
            {"counter": {"family": "ip", "table": "portreeve", "name": "n"}}
        ]}"#;
        let kept: Value = serde_json::from_str(&tables(listing).unwrap()).unwrap();
        let kept = kept["nftables"].as_array().unwrap();
        let kinds: Vec<&str> = kept.iter().map(kind).collect();
        assert_eq!(kinds, ["table", "chain", "map", "counter", "rule"]);
        assert!(tables("no listing").is_err());
    }
}
