//! Each target of `tests/fuzz` in turn: what it reached, and what it found.
//!
//! What libFuzzer learns on the way stays below `target/`, and the next run begins with it. What
//! it finds is for a person to look at, to mend, and to keep as a seed.

use std::fmt;
use std::fs;
use std::io;

use crate::setup;
use crate::step::{Ended, Step, cargo, root};

/// The project of cargo-fuzz.
const PROJECT: &str = "tests/fuzz";

/// Where its targets are built, and where what they learn is kept.
const BUILT: &str = "target/fuzz";

/// Seconds for each target when nobody says otherwise: as long as on every change.
const SECONDS: u32 = 60;

/// Seconds that one input may take. An evaluation ends after 1.5, and there are four in a run:
/// twice the first attempt and the watched one.
const TIMEOUT: u32 = 10;

/// Lines of libFuzzer's that are shown when it found something: its stack and where the input is.
const SHOWN: usize = 60;

/// Fuzzes the target that `options` name, or each; none when they make no sense.
pub(crate) fn run(options: &[&str]) -> Option<io::Result<Ended>> {
    let (seconds, rest) = match options {
        ["--seconds", seconds, rest @ ..] => (seconds.parse().ok()?, rest),
        rest => (SECONDS, rest),
    };
    match rest {
        [] => Some(fuzz(None, seconds)),
        [target] if !target.starts_with('-') => Some(fuzz(Some(target), seconds)),
        _ => None,
    }
}

fn fuzz(only: Option<&str>, seconds: u32) -> io::Result<Ended> {
    let mut targets = targets()?;
    if let Some(only) = only {
        if !targets.iter().any(|target| target == only) {
            let known = targets.join(", ");
            let message = format!("there is no target `{only}`; there are {known}");
            return Err(io::Error::other(message));
        }
        targets.retain(|target| target == only);
    }
    setup::ensure_fuzzer()?;
    let build = cargo_fuzz("build").args(only.as_slice());
    if build.run()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    let mut runs = Vec::with_capacity(targets.len());
    for target in targets {
        let run = Run::of(target, seconds)?;
        println!("{run}");
        runs.push(run);
    }
    if only.is_none() {
        println!();
        runs.iter().for_each(|run| println!("{run}"));
    }
    let well = runs.iter().all(|run| run.ended == Ended::Well);
    Ok(if well { Ended::Well } else { Ended::Badly })
}

/// The names of all targets, sorted.
fn targets() -> io::Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root().join(PROJECT).join("fuzz_targets"))? {
        let path = entry?.path();
        targets.extend(path.file_stem().map(|it| it.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// cargo-fuzz without a sanitizer, since those need a nightly compiler: what is looked for are
/// panics, which safe code has instead of memory errors.
fn cargo_fuzz(subcommand: &str) -> Step {
    cargo(&["fuzz", subcommand, "--fuzz-dir", PROJECT]).args(&[
        "--sanitizer",
        "none",
        "--target-dir",
        BUILT,
    ])
}

/// What came of one target.
struct Run {
    target: String,
    ended: Ended,
    /// libFuzzer's last count: inputs, edges of the program that they reached, inputs a second.
    reached: Option<[String; 3]>,
}

impl Run {
    fn of(target: String, seconds: u32) -> io::Result<Self> {
        let learnt = format!("{BUILT}/corpus/{target}");
        fs::create_dir_all(root().join(&learnt))?;
        let seeds = format!("{PROJECT}/corpus/{target}");
        let step = cargo_fuzz("run")
            .args(&[&target, &learnt, &seeds, "--"])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={TIMEOUT}"));
        let (mut lines, mut reached) = (Vec::new(), None);
        let ended = step.listen(|line| {
            reached = counts(line).or(reached.take());
            lines.push(line.to_owned());
        })?;
        if ended == Ended::Badly {
            for line in &lines[lines.len().saturating_sub(SHOWN)..] {
                println!("{line}");
            }
        }
        Ok(Self {
            target,
            ended,
            reached,
        })
    }
}

/// The counts in `#97 DONE cov: 12 ft: 45 corp: 8/1Kb lim: 4096 exec/s: 99 rss: 45Mb`.
fn counts(line: &str) -> Option<[String; 3]> {
    let inputs = line.strip_prefix('#')?.split_whitespace().next()?;
    let after = |name: &str| line.split_once(name)?.1.split_whitespace().next();
    let counts = [inputs, after(" cov: ")?, after(" exec/s: ")?];
    Some(counts.map(str::to_owned))
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12}", self.target)?;
        if let Some([inputs, edges, speed]) = &self.reached {
            write!(
                f,
                "{inputs:>12} inputs {edges:>7} edges {speed:>8} a second"
            )?;
        }
        match self.ended {
            Ended::Well => f.write_str("  nothing found"),
            Ended::Badly => write!(f, "  FOUND: {PROJECT}/artifacts/{}", self.target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_of_libfuzzer_is_read() {
        let check = |line: &str, expected: Option<[&str; 3]>| {
            let expected = expected.map(|counts| counts.map(str::to_owned));
            assert_eq!(counts(line), expected, "{line}");
        };
        check(
            "#97\tDONE   cov: 12 ft: 45 corp: 8/1Kb lim: 4096 exec/s: 99 rss: 45Mb",
            Some(["97", "12", "99"]),
        );
        check("#0\tREAD units: 8", None);
        check("Done 97 runs in 6 second(s)", None);
    }
}
