//! Each entry of the ledger, `host/docs/semantics.md`, ends with what holds it: a test, or a round
//! against the kernel that is played again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where tests are.
const SOURCES: [&str; 3] = ["host/src", "host/crates", "tests"];

/// Where the rounds are.
const ROUNDS: &str = "tests/regressions/kernel";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below `folder` whose name ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// The functions marked `#[test]`, and the rounds.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in SOURCES.iter().flat_map(|it| files(&root().join(it), ".rs")) {
        let text = fs::read_to_string(source).expect("a file of the sources");
        let tests = text.split("#[test]").skip(1).filter_map(|after| {
            let (_, after) = after.split_once("fn ")?;
            Some(after.split_once('(')?.0.to_owned())
        });
        names.extend(tests);
    }
    for round in files(&root().join(ROUNDS), ".toml") {
        let name = round.file_stem().and_then(|it| it.to_str());
        names.insert(name.expect("a file of the sources").to_owned());
    }
    names
}

/// What an entry says holds it: the names in backticks after its last colon.
fn holders(entry: &str) -> Vec<&str> {
    let (_, last) = entry.rsplit_once(": `").unwrap_or_default();
    let quoted = last.split('`').step_by(2);
    quoted
        .filter(|name| !name.is_empty() && *name != ".")
        .collect()
}

/// Losing this, the ledger would tell of differences that nobody looks at any more.
#[test]
fn every_entry_of_the_ledger_is_held() {
    let path = root().join("host/docs/semantics.md");
    let ledger = fs::read_to_string(path).expect("a file of the sources");
    let names = names();
    let mut wrong = Vec::new();
    for entry in ledger.lines().filter(|line| line.starts_with("- ")) {
        let holders = holders(entry);
        if holders.is_empty() {
            wrong.push(format!("nothing holds this: {entry}"));
        }
        for holder in holders.iter().filter(|it| !names.contains(**it)) {
            wrong.push(format!("there is no `{holder}`: {entry}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_entry_ends_with_what_holds_it() {
    assert_eq!(
        holders("- **A**: `x` is so: `a_test`, `b-case`."),
        ["a_test", "b-case"]
    );
    assert_eq!(holders("- **A** is so."), [""; 0]);
}
