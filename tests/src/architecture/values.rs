//! D11: a plan and a rule set come only from their stage.

use super::{Code, Violation};

/// A type that only one place may make.
struct Guarded {
    name: &'static str,
    /// The one file, or the folder, where it is written out.
    maker: &'static str,
    /// Who may call its constructor, if it has one.
    callers: Option<&'static str>,
}

const GUARDED: [Guarded; 2] = [
    Guarded {
        name: "Plan",
        maker: "host/src/pipeline.rs",
        callers: None,
    },
    Guarded {
        name: "Ruleset",
        maker: "host/crates/model/src/ruleset/",
        callers: Some("host/crates/model/src/validate/"),
    },
];

/// The crates that can name these types.
const ROOTS: [&str; 3] = ["host/", "sdk/", "policies/"];

pub(super) fn check(code: &[Code]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in code {
        if !ROOTS.iter().any(|root| file.path.starts_with(root)) {
            continue;
        }
        for guarded in &GUARDED {
            if file.path.starts_with(guarded.maker) {
                found.extend(open_fields(file, guarded.name));
                found.extend(open_constructor(file, guarded));
            } else {
                found.extend(literals(file, guarded.name));
                found.extend(calls(file, guarded));
            }
        }
    }
    found
}

/// `Plan { … }` as an expression.
fn literals(file: &Code, name: &str) -> Vec<Violation> {
    let words = words(file);
    // A definition, an impl, a return type: not an expression.
    let is_expression = |at: &usize| {
        let before = &words[..*at];
        let before = before.strip_suffix(&["&"]).unwrap_or(before);
        let head = ["struct", "enum", "trait", "impl", "for", ">"];
        !before.last().is_some_and(|word| head.contains(word))
    };
    (0..words.len())
        .filter(|at| words[*at..].starts_with(&[name, "{"]))
        .filter(is_expression)
        .map(|at| file.violation("D11", file.tokens[at].line, format!("makes a `{name}`")))
        .collect()
}

/// `Ruleset::new` anywhere but where it may be called.
fn calls(file: &Code, guarded: &Guarded) -> Vec<Violation> {
    if guarded
        .callers
        .is_some_and(|callers| file.path.starts_with(callers))
    {
        return Vec::new();
    }
    let message = format!("calls `{}::new`", guarded.name);
    file.mentions
        .iter()
        .filter(|mention| {
            let last_two = mention.segments.iter().rev().take(2);
            last_two.eq(["new", guarded.name])
        })
        .map(|mention| file.violation("D11", mention.line, message.clone()))
        .collect()
}

/// A public field would let anyone change what was established.
fn open_fields(file: &Code, name: &str) -> Vec<Violation> {
    let words = words(file);
    let Some(start) = words.windows(3).position(|w| w == ["struct", name, "{"]) else {
        return Vec::new();
    };
    let message = format!("`{name}` has a public field");
    (start..words.len())
        .take_while(|at| words[*at] != "}")
        .filter(|at| words[*at] == "pub")
        .map(|at| file.violation("D11", file.tokens[at].line, message.clone()))
        .collect()
}

/// A constructor that all may call would let anyone skip the stage.
fn open_constructor(file: &Code, guarded: &Guarded) -> Vec<Violation> {
    let words = words(file);
    let head = ["impl", guarded.name, "{"];
    let Some(start) = words.windows(3).position(|w| w == head) else {
        return Vec::new();
    };
    let message = format!("anyone may call `{}::new`", guarded.name);
    (start..words.len())
        .take_while(|at| *at == start || words[*at] != "impl")
        .filter(|at| words[*at..].starts_with(&["pub", "fn", "new"]))
        .map(|at| file.violation("D11", file.tokens[at].line, message.clone()))
        .collect()
}

fn words(file: &Code) -> Vec<&str> {
    file.tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect()
}
