//! Runs cargo, once, with nothing inherited that could change the result.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::BuildError;
use crate::toolchain::{StandardLibrary, TARGET, Toolchain};
use crate::{Guest, Targets};

/// Bytes of the stack that rustc puts first in a guest's memory. Ours: policies do not recurse,
/// and the default of 1 MiB would be most of what an evaluation touches.
const STACK_BYTES: usize = 65_536;

/// The core modules that cargo makes of `guest`, by the name of their target.
pub(crate) fn core_modules(
    toolchain: &Toolchain,
    guest: &Guest,
) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    let mut command = command(toolchain, guest);
    let output = command.output().map_err(|source| BuildError::Start {
        program: toolchain.cargo.clone(),
        source,
    })?;
    let package = guest.package.clone();
    if !output.status.success() {
        return Err(BuildError::Cargo { package });
    }
    let kind = match guest.targets {
        Targets::Library => "cdylib",
        Targets::Examples => "example",
    };
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let modules: BTreeMap<_, _> = lines.filter_map(|line| module(line, kind)).collect();
    if modules.is_empty() {
        return Err(BuildError::NoModule { package });
    }
    Ok(modules)
}

/// The module that one of cargo's JSON messages tells of.
fn module(line: &[u8], kind: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let target = &message["target"];
    let kinds = target["kind"].as_array()?;
    if message["reason"] != "compiler-artifact" || !kinds.iter().any(|found| found == kind) {
        return None;
    }
    let files = message["filenames"].as_array()?.iter();
    let path = files
        .filter_map(Value::as_str)
        .map(Path::new)
        .find(|path| path.extension() == Some(OsStr::new("wasm")))?;
    Some((target["name"].as_str()?.to_owned(), path.to_owned()))
}

fn command(toolchain: &Toolchain, guest: &Guest) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os().filter(|(name, _)| changes_the_result(name)) {
        command.env_remove(name);
    }
    command
        .env("RUSTC", &toolchain.rustc)
        // Set, so that no configuration file can name others.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, guest))
        .arg("build")
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--target", TARGET, "--profile", &guest.profile])
        .args(["--package", &guest.package])
        .arg("--manifest-path")
        .arg(&guest.manifest)
        .arg("--target-dir")
        .arg(&guest.target_dir)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    match guest.targets {
        Targets::Library => command.arg("--lib"),
        Targets::Examples => command.arg("--examples"),
    };
    if guest.locked {
        command.arg("--locked");
    }
    if let StandardLibrary::Source { .. } = toolchain.std {
        // A stable compiler builds its own standard library only when told that it may.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .arg("-Zbuild-std=std,panic_abort");
    }
    command
}

/// Whether a variable is one that cargo sets for build scripts or reads as configuration. Where
/// packages come from stays as the user has it.
fn changes_the_result(name: &OsStr) -> bool {
    const KEPT: &[&str] = &[
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    const OTHERS: &[&str] = &[
        "DEBUG",
        "HOST",
        "MAKEFLAGS",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "RUSTC_BOOTSTRAP",
        "RUSTC_LINKER",
        "TARGET",
        "SOURCE_DATE_EPOCH",
    ];
    name.to_str().is_some_and(|name| {
        let kept = KEPT.iter().any(|kept| name.starts_with(kept));
        (name.starts_with("CARGO_") && !kept) || OTHERS.contains(&name)
    })
}

/// rustc's flags, as `CARGO_ENCODED_RUSTFLAGS` wants them.
fn flags(toolchain: &Toolchain, guest: &Guest) -> OsString {
    let mut flags = vec![OsString::from(format!(
        "-Clink-arg=-zstack-size={STACK_BYTES}"
    ))];
    if let StandardLibrary::Source { linker } = &toolchain.std {
        let mut flag = OsString::from("-Clinker=");
        flag.push(linker);
        flags.extend([flag, "-Clinker-flavor=wasm-ld".into()]);
    }
    // Paths end up in panic messages. The later of two that fit wins, so the narrow ones are last.
    let sources = guest.manifest.parent().filter(|path| path.is_absolute());
    let home = env::var_os("HOME").map(PathBuf::from);
    let registry = env::var_os("CARGO_HOME").map(PathBuf::from);
    let remapped = [
        (home.as_deref(), "/home"),
        (sources, "/source"),
        (registry.as_deref(), "/home/.cargo"),
    ];
    for (path, name) in remapped {
        let Some(path) = path else { continue };
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(path);
        flag.push("=");
        flag.push(name);
        flags.push(flag);
    }
    flags.join(OsStr::new("\u{1f}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_flags_stay_outside_and_the_users_registry_stays() {
        let check = |name: &str, expected| {
            assert_eq!(changes_the_result(OsStr::new(name)), expected, "{name}");
        };
        for changing in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "OUT_DIR",
        ] {
            check(changing, true);
        }
        for kept in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "CARGO_HTTP_PROXY",
            "RUSTUP_TOOLCHAIN",
        ] {
            check(kept, false);
        }
    }

    #[test]
    fn a_module_is_found_among_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["cdylib"],"name":"p"},
            "filenames":["/t/p.d","/t/p.wasm"]}"#;
        let expected = Some(("p".to_owned(), PathBuf::from("/t/p.wasm")));
        assert_eq!(module(line.as_bytes(), "cdylib"), expected);
        assert_eq!(module(line.as_bytes(), "example"), None);
        assert_eq!(module(b"", "cdylib"), None);
    }
}
