//! D6 to D9: what code may name at all.

use super::{Code, Violation};

/// Folders of the crates that compute and do nothing else.
const PURE: [&str; 3] = [
    "host/crates/model/src/",
    "host/crates/verify/src/",
    "host/crates/nft/src/",
];

/// What touches the world (D6). Addresses are values, so `std::net` as a whole is not here.
const IMPURE: [&str; 13] = [
    "std::fs",
    "std::time",
    "std::env",
    "std::process",
    "std::os",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
];

/// Types without an order (D7).
const UNORDERED: [&str; 2] = ["HashMap", "HashSet"];

/// The modules that hold what macros generate from the WIT files (D9). The guests that misbehave
/// on purpose are not bound by it.
const BINDINGS: &str = "bindings";
const GENERATORS: [&str; 2] = ["generate", "bindgen"];

pub(super) fn check(code: &[Code]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in code {
        if let Some(reason) = &file.unreadable {
            found.push(file.violation("D6", 1, format!("cannot be read: {reason}")));
        }
        if PURE.iter().any(|folder| file.path.starts_with(folder)) {
            found.extend(impure(file));
            found.extend(unordered(file));
        }
        if !file.path.starts_with("tests/") {
            found.extend(public_bindings(file));
            found.extend(stray_generators(file));
        }
    }
    found.extend(scattered_processes(code));
    found
}

fn impure(file: &Code) -> impl Iterator<Item = Violation> {
    let named = file.mentions.iter().filter(|mention| {
        let whole_std = mention.is_in("std::*") || mention.segments == ["std"];
        whole_std || IMPURE.iter().any(|path| mention.is_in(path))
    });
    named.map(|mention| {
        let message = format!("names `{}`", mention.segments.join("::"));
        file.violation("D6", mention.line, message)
    })
}

fn names_unordered(file: &Code) -> impl Iterator<Item = (usize, &str)> {
    file.mentions.iter().filter_map(|mention| {
        let word = mention
            .segments
            .iter()
            .find(|s| UNORDERED.contains(&s.as_str()))?;
        Some((mention.line, word.as_str()))
    })
}

fn unordered(file: &Code) -> impl Iterator<Item = Violation> {
    names_unordered(file).map(|(line, word)| file.violation("D7", line, format!("names `{word}`")))
}

/// The one file of the host that starts processes.
const STARTS_PROCESSES: &str = "host/src/apply/nft.rs";

/// No other file of the host starts processes (D8).
fn scattered_processes(code: &[Code]) -> Vec<Violation> {
    let starts = |mention: &&super::Mention| {
        mention.is_in("std::process::Command")
            || mention.is_in("process::Command")
            || mention.is_in("std::process::*")
    };
    code.iter()
        .filter(|file| file.path.starts_with("host/src/") && file.path != STARTS_PROCESSES)
        .filter_map(|file| {
            let mention = file.mentions.iter().find(starts)?;
            let message = format!("starts processes; only `{STARTS_PROCESSES}` may");
            Some(file.violation("D8", mention.line, message))
        })
        .collect()
}

/// A bindings module is declared without `pub`, or hidden for the sake of the sdk's macro (D9).
fn public_bindings(file: &Code) -> Vec<Violation> {
    let words: Vec<&str> = file
        .tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    let declared = |at: &usize| words[*at..].starts_with(&["mod", BINDINGS]);
    let public = |at: &usize| words[..*at].ends_with(&["pub"]) || words[..*at].ends_with(&[")"]);
    let hidden = |at: &usize| {
        file.path.starts_with("sdk/")
            && words[..at - 1].ends_with(&["#", "[", "doc", "(", "hidden", ")", "]"])
    };
    (0..words.len())
        .filter(|at| declared(at) && public(at) && !hidden(at))
        .map(|at| {
            let message = "makes the generated bindings public".to_owned();
            file.violation("D9", file.tokens[at].line, message)
        })
        .collect()
}

/// Bindings are generated into a bindings module and nowhere else (D9).
fn stray_generators(file: &Code) -> Vec<Violation> {
    let is_bindings = file.path.ends_with("/bindings.rs") || file.path.contains("/bindings/");
    let words: Vec<&str> = file
        .tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    let inline = |at: usize| words[..at].windows(3).any(|w| w == ["mod", BINDINGS, "{"]);
    words
        .windows(2)
        .enumerate()
        .filter(|(at, pair)| {
            GENERATORS.contains(&pair[0]) && pair[1] == "!" && !is_bindings && !inline(*at)
        })
        .map(|(at, _)| {
            let message = "generates bindings outside of a module `bindings`".to_owned();
            file.violation("D9", file.tokens[at].line, message)
        })
        .collect()
}
