//! Text that no nft wrote.

use portreeve_model::tables::Part;

use super::{TABLE, read, tables};

const CHAIN: &str = r#"{"chain": {"family": "inet", "table": "t", "name": "c"}}"#;

fn rule(expr: &str) -> String {
    format!(r#"{{"rule": {{"family": "inet", "table": "t", "chain": "c", "expr": {expr}}}}}"#)
}

#[test]
fn nesting_makes_one_rule_opaque_and_no_other() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let tables = tables(&[TABLE, CHAIN, &rule(&deep), &rule(r#"[{"accept": null}]"#)]);
    let rules = &tables.tables[0].chains[0].rules;
    assert_eq!(rules.len(), 2);
    assert!(matches!(rules[0].parts[0], Part::Opaque(_)));
    assert_eq!(tables.tables[0].rule_text(&rules[1]), "accept");
    assert_eq!(read(&deep).expect("JSON").unknown.len(), 1);
}

#[test]
fn nested_operators_are_read_as_deep_as_they_go() {
    let mut value = r#"{"meta": {"key": "mark"}}"#.to_owned();
    for _ in 0..40 {
        value = format!(r#"{{"|": [{value}, 1]}}"#);
    }
    let expr =
        format!(r#"[{{"match": {{"op": "==", "left": {value}, "right": {{"set": [1, 3]}}}}}}]"#);
    let tables = tables(&[TABLE, CHAIN, &rule(&expr)]);
    let rule = &tables.tables[0].chains[0].rules[0];
    assert_eq!(
        tables.tables[0].rule_text(rule),
        "meta mark & 0xfffffffe ^ 0x1 { 0x1, 0x3 }"
    );
}

#[test]
fn long_names_and_cycles_are_only_that() {
    let long = "x".repeat(10_000_000);
    let named = CHAIN.replace(r#""c""#, &format!(r#""{long}""#));
    let cycle = rule(r#"[{"jump": {"target": "c"}}]"#);
    let tables = tables(&[TABLE, &named, CHAIN, &cycle]);
    let table = &tables.tables[0];
    assert_eq!(table.chains[0].name.len(), 10_000_000);
    assert_eq!(table.rule_text(&table.chains[1].rules[0]), "jump c");
}

#[test]
fn a_text_full_of_names_is_looked_through_once() {
    let names = "@".repeat(5_000_000);
    let tables = tables(&[TABLE, CHAIN, &rule(&format!(r#"["{names}"]"#))]);
    assert_eq!(tables.tables[0].chains[0].rules[0].parts.len(), 1);
}

/// The kernel takes no rule of more expressions.
#[test]
fn a_rule_without_end_is_one_opaque_part() {
    let parts = vec![r#"{"counter": null}"#; 200_000].join(", ");
    let tables = tables(&[TABLE, CHAIN, &rule(&format!("[{parts}]"))]);
    let parts = &tables.tables[0].chains[0].rules[0].parts;
    assert!(matches!(parts.as_slice(), [Part::Opaque(_)]));
}

#[test]
fn many_tables_chains_and_sets_are_each_found_at_once() {
    let mut items = Vec::new();
    for number in 0..30_000 {
        items.push(TABLE.replace(r#""t""#, &format!(r#""t{number}""#)));
        items.push(
            CHAIN
                .replace(r#""t""#, r#""t0""#)
                .replace(r#""c""#, &format!(r#""c{number}""#)),
        );
        items.push(format!(
            r#"{{"set": {{"family": "inet", "table": "t0", "name": "s{number}",
             "type": "mark"}}}}"#
        ));
    }
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let tables = tables(&items);
    assert_eq!(
        (tables.tables.len(), tables.tables[0].sets.len()),
        (30_000, 30_000)
    );
}

/// One key may stand twice in JSON; which of the two nft would take is not ours to say.
#[test]
fn a_key_that_stands_twice_is_strange() {
    let twice = r#"{"set": {"family": "inet", "table": "t", "name": "s", "type":
                 "mark", "elem": [1], "elem": [2]}}"#;
    let tables = tables(&[
        TABLE,
        CHAIN,
        twice,
        &rule("[]").replace("[]}", r#"[], "expr": []}"#),
    ]);
    let table = &tables.tables[0];
    assert_eq!(table.sets[0].elements, None);
    assert_eq!(table.chains[0].rules[0].parts.len(), 1);
}
