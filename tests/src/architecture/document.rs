//! D12: the document names what exists, and marks with `▸` what does not exist yet.

use super::{Code, DOCUMENT, Project, RULES, Violation};

/// In front of a name: a later stage brings it.
const LATER: &str = "▸ ";

/// The section in which each entry ends with the test that holds it.
const INVARIANTS: &str = "## Invariants";

/// What the names in a column are names of.
#[derive(Clone, Copy)]
enum Kind {
    Path,
    Rule,
    /// A package, a dependency, a module of the host, or a path.
    Part,
    /// Any word of the code.
    Word,
    Test,
}

/// A name in the document.
struct Name<'a> {
    line: usize,
    later: bool,
    text: &'a str,
    kind: Kind,
}

pub(super) fn check(project: &Project, code: &[Code]) -> Vec<Violation> {
    let names = names(&project.document);
    let mut found: Vec<Violation> = names
        .iter()
        .filter_map(|name| {
            let state = match (exists(project, code, name), name.later) {
                (true, false) | (false, true) => return None,
                (false, false) => "does not exist",
                (true, true) => "exists, and is marked ▸",
            };
            Some(violation(name.line, format!("`{}` {state}", name.text)))
        })
        .collect();
    let listed = |rule: &&str| names.iter().any(|name| name.text == *rule);
    for rule in RULES.iter().filter(|rule| !listed(rule)) {
        found.push(violation(1, format!("does not list the rule {rule}")));
    }
    found.extend(invariants_without_test(&project.document));
    found
}

fn violation(line: usize, message: String) -> Violation {
    Violation {
        rule: "D12",
        place: format!("{DOCUMENT}:{line}"),
        message,
    }
}

fn exists(project: &Project, code: &[Code], name: &Name) -> bool {
    let text = name.text;
    let is_path = |path: &str| project.paths.contains(path.trim_end_matches('/'));
    match name.kind {
        Kind::Path => is_path(text),
        Kind::Rule => RULES.contains(&text),
        Kind::Word => code
            .iter()
            .any(|file| file.tokens.iter().any(|token| token.text == text)),
        Kind::Test => code
            .iter()
            .any(|file| file.functions.iter().any(|function| function == text)),
        Kind::Part => {
            let package = project.packages.iter().any(|package| {
                package.name == text
                    || package.name.strip_prefix("portreeve-") == Some(text)
                    || package.dependencies.iter().any(|needed| needed == text)
            });
            package
                || is_path(text)
                || is_path(&format!("host/src/{text}"))
                || is_path(&format!("host/src/{text}.rs"))
        }
    }
}

/// Every name that the document's tables and invariants promise.
fn names(document: &str) -> Vec<Name<'_>> {
    let mut names = Vec::new();
    let mut columns: Option<Vec<Option<Kind>>> = None;
    let mut in_invariants = false;
    for (line, text) in (1..).zip(document.lines()) {
        if text.starts_with("## ") {
            in_invariants = text == INVARIANTS;
        }
        if in_invariants && text.starts_with("- ") {
            names.extend(last_name(text, line));
        }
        let Some(row) = text.strip_prefix('|') else {
            columns = None;
            continue;
        };
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').collect();
        let Some(kinds) = &columns else {
            columns = Some(cells.iter().map(|cell| kind(cell.trim())).collect());
            continue;
        };
        for (cell, kind) in cells.iter().zip(kinds) {
            names.extend(kind.iter().flat_map(|kind| quoted(cell, line, *kind)));
        }
    }
    names
}

/// What a column's head says of the names below it.
fn kind(head: &str) -> Option<Kind> {
    match head {
        "path" => Some(Kind::Path),
        "#" => Some(Kind::Rule),
        "rule" | "lives in" => Some(Kind::Part),
        "say" => Some(Kind::Word),
        _ => None,
    }
}

/// Everything between backticks.
fn quoted(text: &str, line: usize, kind: Kind) -> Vec<Name<'_>> {
    let parts: Vec<&str> = text.split('`').collect();
    let pairs = parts.chunks(2).filter(|pair| pair.len() == 2);
    pairs
        .map(|pair| Name {
            line,
            later: pair[0].ends_with(LATER),
            text: pair[1],
            kind,
        })
        .collect()
}

fn last_name(entry: &str, line: usize) -> Option<Name<'_>> {
    quoted(entry, line, Kind::Test).pop()
}

/// An invariant that nothing holds is a hope.
fn invariants_without_test(document: &str) -> Vec<Violation> {
    let section = (1..)
        .zip(document.lines())
        .skip_while(|(_, text)| *text != INVARIANTS)
        .skip(1)
        .take_while(|(_, text)| !text.starts_with("## "));
    section
        .filter(|(_, text)| text.starts_with("- ") && !text.ends_with('`'))
        .map(|(line, _)| violation(line, "does not end with the name of a test".to_owned()))
        .collect()
}
