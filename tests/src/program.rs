//! The program under test: the `portreeve` binary of this build.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary, freshly built unless `PORTREEVE_BIN` names one, as `cargo xtask test` does after
/// it has built the workspace once.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn portreeve() -> PathBuf {
    if let Some(named) = std::env::var_os("PORTREEVE_BIN") {
        return named.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(cargo)
        .args(["build", "--package", "portreeve", "--bin", "portreeve"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .output()
        .expect("cargo runs where tests are run");
    assert!(output.status.success(), "portreeve does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .expect("cargo says where it put the binary")
}
