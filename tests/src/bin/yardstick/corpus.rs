//! nftables' own tests as documents: each rule in a table of its own.
//!
//! A file has blocks of a line `# RULE` and the JSON of the rule's parts. Which table they are for,
//! and which sets and chains they name, the test says elsewhere: the table gets the family that
//! the folder is called after (`inet` for `any`), the sets that the test declares, and every chain
//! that the block leads to.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use portreeve_model::tables::TableFamily;
use serde_json::{Value, json};

/// A document for each block of the file.
pub(crate) fn documents(file: &Path) -> io::Result<Vec<String>> {
    let folder = file.parent().and_then(Path::file_name);
    let family = folder.and_then(|name| name.to_str());
    let family = family.filter(|word| TableFamily::from_keyword(word).is_some());
    let family = family.unwrap_or("inet");
    // `ct.t.json` belongs to `ct.t`, which declares the sets.
    let sets = match fs::read_to_string(file.with_extension("")) {
        Ok(test) => test.lines().filter_map(|line| set(family, line)).collect(),
        Err(_) => Vec::new(),
    };
    let text = fs::read_to_string(file)?;
    let blocks = blocks(&text);
    Ok(blocks
        .map(|parts| document(family, &sets, &parts))
        .collect())
}

/// The JSON between the lines that name rules.
fn blocks(text: &str) -> impl Iterator<Item = Value> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        if line.starts_with('#') {
            blocks.push(String::new());
        } else if let Some(block) = blocks.last_mut() {
            block.push_str(line);
        }
    }
    blocks
        .into_iter()
        .filter_map(|block| serde_json::from_str(&block).ok())
}

/// `!NAME type TYPE . TYPE : DATA flags FLAG timeout TIME;ok`
fn set(family: &str, line: &str) -> Option<Value> {
    let declared = line.strip_prefix('!')?.split(';').next()?;
    let (name, rest) = declared.split_once(" type ")?;
    let (types, flags) = rest.split_once(" flags ").unwrap_or((rest, ""));
    let types = types.split(" timeout ").next()?;
    let (key, data) = types.split_once(" : ").unwrap_or((types, ""));
    let key: Vec<&str> = key.split(" . ").collect();
    let flags: Vec<&str> = flags.split(',').filter(|flag| !flag.is_empty()).collect();
    let mut body = json!({
        "family": family, "table": "test", "name": name, "type": key, "flags": flags,
    });
    let kind = if data.is_empty() {
        "set"
    } else {
        body["map"] = data.into();
        "map"
    };
    Some(json!({ kind: body }))
}

fn document(family: &str, sets: &[Value], parts: &Value) -> String {
    let table = json!({ "table": { "family": family, "name": "test" } });
    let mut chains = BTreeSet::from(["rules".to_owned()]);
    targets(parts, &mut chains);
    let chains = chains
        .into_iter()
        .map(|name| json!({ "chain": { "family": family, "table": "test", "name": name } }));
    let rule = json!({
        "rule": { "family": family, "table": "test", "chain": "rules", "expr": parts },
    });
    let objects = [table]
        .into_iter()
        .chain(chains)
        .chain(sets.to_vec())
        .chain([rule]);
    json!({ "nftables": objects.collect::<Vec<_>>() }).to_string()
}

/// The chains that a part leads to.
fn targets(part: &Value, into: &mut BTreeSet<String>) {
    match part {
        Value::Array(parts) => parts.iter().for_each(|part| targets(part, into)),
        Value::Object(entries) => {
            into.extend(
                entries
                    .get("target")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            entries.values().for_each(|part| targets(part, into));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_one_rule() {
        let text = "# accept\n[{\"accept\": null}]\n\n# drop\n[\n{\"drop\": null}\n]\n";
        let found: Vec<String> = blocks(text).map(|block| block.to_string()).collect();
        assert_eq!(found, ["[{\"accept\":null}]", "[{\"drop\":null}]"]);
    }

    #[test]
    fn sets_are_those_that_the_test_declares() {
        let declared = |line| set("ip", line).map(|set| set.to_string());
        let body = |rest: &str| {
            Some(format!(
                "{{\"family\":\"ip\",\"flags\":[{rest},\"table\":\"test\",\"type\":[\"ipv4_addr\"]}}"
            ))
        };
        let within = |kind: &str, rest: &str| body(rest).map(|it| format!("{{\"{kind}\":{it}}}"));
        assert_eq!(
            declared("!set1 type ipv4_addr timeout 60s;ok"),
            within("set", "],\"name\":\"set1\"")
        );
        assert_eq!(
            declared("!set3 type ipv4_addr flags interval;ok"),
            within("set", "\"interval\"],\"name\":\"set3\"")
        );
        assert_eq!(
            declared("!map1 type ipv4_addr : mark;ok"),
            within("map", "],\"map\":\"mark\",\"name\":\"map1\"")
        );
        assert_eq!(declared("ip saddr 192.0.2.1;ok"), None);
    }

    #[test]
    fn a_rule_finds_the_chains_that_it_leads_to() {
        let parts = json!([{ "jump": { "target": "web" } }]);
        let tables = portreeve_nft::read(&document("ip", &[], &parts)).expect("JSON");
        let table = &tables.tables[0];
        assert_eq!(table.rule_text(&table.chains[0].rules[0]), "jump web");
    }
}
