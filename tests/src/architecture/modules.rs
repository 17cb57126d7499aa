//! D10: the modules of the host name only modules to their left.

use super::{Code, Violation};

const HOST: &str = "host/src/";

/// The order; modules that a later stage brings have their place already.
const ORDER: [&str; 12] = [
    "inputs", "policy", "session", "proofs", "guard", "pipeline", "apply", "observe", "probe",
    "report", "daemon", "command",
];

/// Modules that all may name, and that name none of [`ORDER`].
const SHARED: [&str; 4] = ["exit_code", "cli", "durable", "limits"];

pub(super) fn check(code: &[Code]) -> Vec<Violation> {
    let host = code.iter().filter_map(|file| {
        let path = file.path.strip_prefix(HOST)?;
        Some((file, module_path(path)))
    });
    host.flat_map(|(file, module)| check_file(file, &module))
        .collect()
}

fn check_file(file: &Code, module: &[&str]) -> Vec<Violation> {
    let Some(own) = module.first().copied() else {
        // The roots of the library and of the binary name everything.
        return Vec::new();
    };
    let shared = SHARED.contains(&own);
    let Some(rank) = rank(own).or(shared.then_some(0)) else {
        let message = format!("module `{own}` has no place in the order of D10");
        return vec![file.violation("D10", 1, message)];
    };
    let mut found = Vec::new();
    for mention in &file.mentions {
        let Some(named) = top_module(&mention.segments, module) else {
            continue;
        };
        let to_the_right = |other: usize| other > rank || (shared && other >= rank);
        if named != own && self::rank(named).is_some_and(to_the_right) {
            let message = format!("`{own}` names `{named}`, which stands to its right");
            found.push(file.violation("D10", mention.line, message));
        }
    }
    found
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// `inputs/feed/parse.rs` is the module `inputs::feed::parse`.
fn module_path(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut segments: Vec<&str> = path.split('/').collect();
    if matches!(segments.last(), Some(&("mod" | "lib" | "main"))) {
        segments.pop();
    }
    segments
}

/// The module right under the crate's root that a path leads into, if it leads through the root.
fn top_module<'a>(segments: &'a [String], module: &[&str]) -> Option<&'a str> {
    let supers = segments.iter().take_while(|segment| *segment == "super");
    let at = match segments.first()?.as_str() {
        "crate" | "portreeve" => 1,
        "super" if supers.clone().count() == module.len() => module.len(),
        _ => return None,
    };
    segments.get(at).map(String::as_str)
}
