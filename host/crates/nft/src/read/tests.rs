//! Rows: what nft lists, and what it is read as.
//!
//! The listings are those of nft 1.0.6, and of 1.1.6 where they differ. In rows, `$ip.saddr` stands
//! for the JSON of a header's field, `$meta.mark` for one of the packet's surroundings, `$ct.state`
//! for one of its connection.

mod conditions;
mod documents;
mod hostile;
mod sets;
mod statements;

use portreeve_model::tables::{Part, Table, Tables};

use super::read;

/// The tables of a document with these items.
fn tables(items: &[&str]) -> Tables {
    let json = format!(r#"{{"nftables": [{}]}}"#, items.join(", "));
    read(&json).expect("JSON")
}

const TABLE: &str = r#"{"table": {"family": "inet", "name": "t"}}"#;
const CHAIN: &str = r#"{"chain": {"family": "inet", "table": "t", "name": "web"}}"#;

/// What the rules of rows may name.
const NAMED: [&str; 9] = [
    r#""chain": {"name": "web", "handle": 1"#,
    r#""chain": {"name": "rules", "handle": 2"#,
    r#""set": {"name": "blocked", "type": "ipv4_addr", "elem": ["192.0.2.1"]"#,
    r#""set": {"name": "pairs", "type": ["ipv4_addr", "inet_service"]"#,
    r#""set": {"name": "ports", "type": "inet_service""#,
    r#""map": {"name": "marks", "type": "ipv4_addr", "map": "mark", "elem": [["192.0.2.1", 5]]"#,
    r#""map": {"name": "ways", "type": "inet_service", "map": "verdict""#,
    r#""map": {"name": "counters", "type": "ipv4_addr", "map": "counter""#,
    r#""map": {"name": "inner", "type": "inet_service", "map": ["ipv4_addr", "inet_service"]"#,
];

/// How a rule with these parts is read, in a table of `family`.
fn rule(family: &str, expr: &str) -> String {
    let expr = written_out(expr);
    let mut items = vec![TABLE.replace("inet", family)];
    let rule = format!(r#""rule": {{"chain": "rules", "expr": {expr}"#);
    for named in NAMED.into_iter().chain([rule.as_str()]) {
        items.push(format!(
            r#"{{{named}, "family": "{family}", "table": "t"}}}}"#
        ));
    }
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let tables = tables(&items);
    let table = &tables.tables[0];
    assert_eq!(table.unknown, [] as [String; 0]);
    let parts = table.chains[1].rules[0].parts.iter();
    parts
        .map(|part| said(table, part))
        .collect::<Vec<_>>()
        .join(" ")
}

/// JSON with every `$name.field` written out.
fn written_out(short: &str) -> String {
    let mut pieces = short.split('$');
    let mut json = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let in_word = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
        let end = piece.find(|letter| !in_word(letter)).unwrap_or(piece.len());
        let (word, rest) = piece.split_at(end);
        let (of, field) = word.split_once('.').expect("a field");
        json += &match of {
            "meta" | "ct" => format!(r#"{{"{of}": {{"key": "{field}"}}}}"#),
            protocol => {
                format!(r#"{{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}"#)
            }
        };
        json += rest;
    }
    json
}

/// A part, with what it is besides its words.
fn said(table: &Table, part: &Part) -> String {
    let text = table.part_text(part);
    match part {
        Part::Opaque(opaque) => format!("{:?}<{text}>", opaque.scope),
        Part::Chance(_) => format!("chance<{text}>"),
        Part::Connections(_) => format!("connections<{text}>"),
        Part::Note(_) => format!("note<{text}>"),
        Part::Queue(_) => format!("queue<{text}>"),
        Part::Take(_) => format!("take<{text}>"),
        _ => text,
    }
}

/// Rows of a rule's parts, an arrow, and how they are read in a table of `family`.
fn check(family: &str, rows: &str) {
    for (expr, expected) in split(rows) {
        assert_eq!(rule(family, &expr).trim_end(), expected, "{expr}");
    }
}

/// The halves of each row. What is before the arrow may take several lines; a line that begins
/// with `//` says why.
fn split(rows: &str) -> Vec<(String, &str)> {
    let mut split = Vec::new();
    let mut json = String::new();
    let lines = rows.lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with("//")) {
        let (before, expected) = match line.split_once("=>") {
            Some((before, expected)) => (before, Some(expected.trim())),
            None => (line, None),
        };
        json += before;
        json += "  ";
        if let Some(expected) = expected {
            split.push((std::mem::take(&mut json).trim().to_owned(), expected));
        }
    }
    split
}
