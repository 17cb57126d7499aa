//! What fuzzing has found, and what it began with: every file of `fuzz/corpus` goes through the
//! target that its folder is named after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
pub mod fuzz;

/// Bytes of all seeds of one target: they are read by people, and by every fuzzer at its start.
const SEED_BYTES_MAX: u64 = 32 << 10;

/// The files below `folder` of the fuzz project.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder);
    let entries = fs::read_dir(&folder).expect("a folder of the sources");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry of it").path())
        .collect();
    paths.sort();
    paths
}

/// The names of those files, without what they end in.
fn names(folder: &str) -> BTreeSet<String> {
    let name = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    files(folder).into_iter().filter_map(name).collect()
}

/// Losing this, a mistake that fuzzing found once could come back.
#[test]
fn no_seed_breaks_a_law() {
    for (name, target) in fuzz::TARGETS {
        for seed in files(&format!("corpus/{name}")) {
            // The name of the seed under which the panic of a target stands.
            println!("{}", seed.display());
            target(&fs::read(&seed).expect("a file of the sources"));
        }
    }
}

/// Losing this, a parser could be left out of fuzzing, or its seeds out of the tests.
#[test]
fn every_target_has_a_binary_and_seeds() {
    let targets: BTreeSet<_> = fuzz::TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    for target in targets {
        let seeds = files(&format!("corpus/{target}"));
        let bytes: u64 = seeds
            .iter()
            .map(|seed| seed.metadata().expect("a file of the sources").len())
            .sum();
        assert!(
            (1..=SEED_BYTES_MAX).contains(&bytes),
            "{target}: {bytes} bytes"
        );
    }
}
