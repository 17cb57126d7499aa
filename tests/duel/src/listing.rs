//! What the kernel has counted: the counters of a listing.

use std::collections::HashMap;

use serde_json::Value;

/// A rule of the kernel by its place: family, table, chain, handle.
pub type RuleKey = (String, String, String, u64);

/// The packets that the counters of each rule have counted, first to last.
///
/// # Errors
/// When the listing is not JSON.
pub fn counters(json: &str) -> Result<HashMap<RuleKey, Vec<u64>>, serde_json::Error> {
    let listing: Value = serde_json::from_str(json)?;
    let items = listing["nftables"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let rules = items.iter().filter_map(|item| {
        let rule = item.get("rule")?;
        let word = |name: &str| Some(rule.get(name)?.as_str()?.to_owned());
        let key = (
            word("family")?,
            word("table")?,
            word("chain")?,
            rule.get("handle")?.as_u64()?,
        );
        let parts = rule.get("expr")?.as_array()?;
        let counters = parts
            .iter()
            .filter_map(|part| part.get("counter")?.get("packets")?.as_u64());
        Some((key, counters.collect()))
    });
    Ok(rules.collect())
}
