//! The kernel of this machine is the judge of the model, in short; `cargo xtask fuzz kernel` takes
//! its time over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program prints, whether it ended well; none where there can be no machine.
fn duel(arguments: &[&str]) -> Option<(String, bool)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_duel"));
    let output = command.args(arguments).output().expect("it was built");
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(3) => {
            eprintln!("skipped: no machine to judge can be made: {}", said.trim());
            None
        }
        Some(0 | 1) => {
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            Some((printed, output.status.success()))
        }
        _ => panic!("{}: {said}", output.status),
    }
}

/// The cases that were kept.
fn regressions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../regressions/kernel");
    let files = fs::read_dir(&folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("it is read").path()).collect();
    files.sort();
    files
}

#[test]
fn kernel_and_model_do_not_differ() {
    let Some((printed, well)) = duel(&["run", "--seed", "1", "--rounds", "60"]) else {
        return;
    };
    assert!(well, "{printed}");
    println!("{printed}");
}

#[test]
fn what_was_found_once_is_as_it_was() {
    let files = regressions();
    let files: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    assert!(!files.is_empty());
    let arguments: Vec<&str> = ["replay"].into_iter().chain(files).collect();
    let Some((printed, well)) = duel(&arguments) else {
        return;
    };
    assert!(well, "{printed}");
}

/// A rule that sees a packet before it has the mark that the model is told of.
const EARLY: &str = r#"
shows = "a rule that runs before the packet begins"
rules = """
table inet t0 {
 chain c0 {
  type filter hook prerouting priority -460; policy accept;
  meta mark 1 counter drop
 }
}
"""
packets = ["eth0 45000028a001000040060ab7c61200010a0000050001000aa0010000a0010000500204009bbc0000"]
passed = ["prerouting"]
"#;

#[test]
fn a_difference_is_seen() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("early.toml");
    fs::write(&path, EARLY).expect("it is written");
    let Some((printed, well)) = duel(&["replay", path.to_str().expect("an ordinary path")]) else {
        return;
    };
    assert!(!well, "{printed}");
    let expected = "packet 0 passes prerouting; the model: [Fate { verdict: Drop";
    assert!(printed.contains(expected), "{printed}");
    let expected = "counter 1 of `meta mark 0x1 counter drop` has counted 0; the model: 1 to 1";
    assert!(printed.contains(expected), "{printed}");
}
