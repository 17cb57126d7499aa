//! Reads rule sets that portreeve did not write, and counts how much of them it understands.
//!
//! ```text
//! PORTREEVE_NFTABLES_TESTS=…/tests/py  nftables' own tests: `*.t.json`, one rule each
//! PORTREEVE_REAL_RULESETS=…            listings of machines: `*.json`, each `nft -j list ruleset`
//! ```
//!
//! Prints for each folder how many rules are exact, certain but for chance, and opaque; then what
//! was opaque, and how often. Fails when a text cannot be read at all.

mod corpus;
mod count;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portreeve_nft::read;

use crate::count::{CLASSES, Count};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("yardstick: set PORTREEVE_NFTABLES_TESTS or PORTREEVE_REAL_RULESETS");
            ExitCode::FAILURE
        }
        // Whoever asked has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yardstick: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what there is; whether there was something.
fn run() -> io::Result<bool> {
    let tests = env::var_os("PORTREEVE_NFTABLES_TESTS").map(PathBuf::from);
    let real = env::var_os("PORTREEVE_REAL_RULESETS").map(PathBuf::from);
    if let Some(folder) = &tests {
        let mut count = Count::default();
        for file in files(folder, ".t.json")? {
            for document in corpus::documents(&file)? {
                measure(&file, &document, &mut count)?;
            }
        }
        report("nftables' own tests", &count)?;
    }
    if let Some(folder) = &real {
        let mut count = Count::default();
        for file in files(folder, ".json")? {
            measure(&file, &fs::read_to_string(&file)?, &mut count)?;
        }
        report("listings of machines", &count)?;
    }
    Ok(tests.is_some() || real.is_some())
}

fn measure(file: &Path, json: &str, count: &mut Count) -> io::Result<()> {
    let tables = read(json).map_err(|error| {
        let error = format!("{}: {error}", file.display());
        io::Error::other(error)
    })?;
    count.add(&tables);
    Ok(())
}

/// The files under `folder` whose names end so, sorted.
fn files(folder: &Path, end: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn report(name: &str, count: &Count) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let all: usize = count.rules.values().sum();
    writeln!(out, "{name}: {all} rules")?;
    for (class, words) in CLASSES {
        let rules = count.rules.get(&class).copied().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "counts of rules are small")]
        let percent = 100.0 * rules as f64 / all.max(1) as f64;
        writeln!(out, "  {rules:>6}  {percent:>5.1} %  {}", words)?;
    }
    for text in &count.unknown {
        writeln!(out, "  not known outside of rules: {text}")?;
    }
    let mut opaque: Vec<(&String, &usize)> = count.opaque.iter().collect();
    opaque.sort_by_key(|(text, times)| (std::cmp::Reverse(**times), text.to_owned()));
    writeln!(out, "what was opaque:")?;
    for (text, times) in opaque {
        writeln!(out, "  {times:>6}  {text}")?;
    }
    writeln!(out)
}

/// How often something was seen.
type Times = BTreeMap<String, usize>;
