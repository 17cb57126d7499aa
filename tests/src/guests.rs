//! The components of `tests/guests`: policies that misbehave on purpose, and an honest one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portreeve_build::{Guest, Targets};

/// The root of the repository.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every guest's component, by its name. Cargo keeps what it makes of them in `directory`.
///
/// # Panics
/// When they cannot be built.
#[must_use]
pub fn build(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let guest = Guest {
        manifest: workspace().join("Cargo.toml"),
        package: "hostile-guests".to_owned(),
        targets: Targets::Examples,
        profile: "guest".to_owned(),
        target_dir: directory.join("guests"),
        locked: true,
    };
    portreeve_build::build(&guest).unwrap_or_else(|error| panic!("{error}"))
}
