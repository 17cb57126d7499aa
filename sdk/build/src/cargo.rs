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
    let metadata = answer(metadata(toolchain, guest), guest)?;
    let sources = sources(&serde_json::from_slice(&metadata).unwrap_or_default());
    let messages = answer(build(toolchain, guest, &sources), guest)?;
    let kind = match guest.targets {
        Targets::Library => "cdylib",
        Targets::Examples => "example",
    };
    let lines = messages.split(|&byte| byte == b'\n');
    let modules: BTreeMap<_, _> = lines.filter_map(|line| module(line, kind)).collect();
    if modules.is_empty() {
        let package = guest.package.clone();
        return Err(BuildError::NoModule { package });
    }
    Ok(modules)
}

/// What cargo prints on standard output when it succeeds.
fn answer(mut cargo: Command, guest: &Guest) -> Result<Vec<u8>, BuildError> {
    let output = cargo.output().map_err(|source| BuildError::Start {
        program: cargo.get_program().into(),
        source,
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let package = guest.package.clone();
    Err(BuildError::Cargo { package })
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

/// A cargo that gets nothing from outside that could change the result.
fn cargo(toolchain: &Toolchain, guest: &Guest, subcommand: &str) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os().filter(|(name, _)| changes_the_result(name)) {
        command.env_remove(name);
    }
    command
        .env("RUSTC", &toolchain.rustc)
        // Set, so that no configuration file can name others.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .arg(subcommand)
        .arg("--manifest-path")
        .arg(&guest.manifest)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if guest.locked {
        command.arg("--locked");
    }
    command
}

/// Asks where the sources lie.
fn metadata(toolchain: &Toolchain, guest: &Guest) -> Command {
    let mut command = cargo(toolchain, guest, "metadata");
    command.args(["--format-version", "1", "--filter-platform", TARGET]);
    command
}

fn build(toolchain: &Toolchain, guest: &Guest, sources: &Sources) -> Command {
    let mut command = cargo(toolchain, guest, "build");
    command
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, sources))
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--target", TARGET, "--profile", &guest.profile])
        .args(["--package", &guest.package])
        .arg("--target-dir")
        .arg(&guest.target_dir);
    match guest.targets {
        Targets::Library => command.arg("--lib"),
        Targets::Examples => command.arg("--examples"),
    };
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
fn flags(toolchain: &Toolchain, sources: &Sources) -> OsString {
    let mut flags = vec![OsString::from(format!(
        "-Clink-arg=-zstack-size={STACK_BYTES}"
    ))];
    if let StandardLibrary::Source { linker } = &toolchain.std {
        let mut flag = OsString::from("-Clinker=");
        flag.push(linker);
        flags.extend([flag, "-Clinker-flavor=wasm-ld".into()]);
    }
    let home = env::var_os("HOME").map(PathBuf::from);
    let registry = env::var_os("CARGO_HOME").map(PathBuf::from);
    for (path, name) in remapped(home, registry, sources) {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(path);
        flag.push("=");
        flag.push(name);
        flags.push(flag);
    }
    flags.join(OsStr::new("\u{1f}"))
}

/// Directories of this machine, each with the name it has in messages.
type Sources = Vec<(PathBuf, String)>;

/// Paths end up in panic messages, so each directory that may be in one gets a name. The later of
/// two that fit wins: the narrow ones are last.
fn remapped(home: Option<PathBuf>, registry: Option<PathBuf>, sources: &Sources) -> Sources {
    let named = |path: Option<PathBuf>, name: &str| path.map(|path| (path, name.to_owned()));
    let mut remapped: Sources = named(home, "/home").into_iter().collect();
    remapped.extend(sources.iter().cloned());
    remapped.extend(named(registry, "/home/.cargo"));
    remapped
}

/// The workspace, and the packages that a `path` outside of it names: all that is compiled from
/// where the author keeps it. Cargo's paths are absolute, however the manifest was named.
fn sources(metadata: &Value) -> Sources {
    let root = metadata["workspace_root"].as_str();
    let mut sources: Sources = root
        .map(|root| (PathBuf::from(root), "/source".to_owned()))
        .into_iter()
        .collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    for package in packages.filter(|package| package["source"].is_null()) {
        let manifest = package["manifest_path"].as_str().map(Path::new);
        let Some(directory) = manifest.and_then(Path::parent) else {
            continue;
        };
        let inside = root.is_some_and(|root| directory.starts_with(root));
        if let (false, Some(name)) = (inside, package["name"].as_str()) {
            sources.push((directory.to_owned(), format!("/source/{name}")));
        }
    }
    sources
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

    #[test]
    fn no_directory_of_the_author_is_told() {
        let metadata = serde_json::json!({
            "workspace_root": "/srv/mine",
            "packages": [
                {"name": "mine", "source": null, "manifest_path": "/srv/mine/Cargo.toml"},
                {"name": "part", "source": null, "manifest_path": "/srv/mine/part/Cargo.toml"},
                {"name": "sdk", "source": null, "manifest_path": "/opt/sdk/Cargo.toml"},
                {"name": "serde", "source": "registry+x", "manifest_path": "/r/serde/Cargo.toml"},
            ],
        });
        let found: Vec<_> = remapped(Some("/root".into()), None, &sources(&metadata))
            .iter()
            .map(|(path, name)| format!("{}={name}", path.display()))
            .collect();
        let expected = ["/root=/home", "/srv/mine=/source", "/opt/sdk=/source/sdk"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_manifest_may_be_named_relative_to_where_the_program_runs() {
        // Tests run in the directory of their package.
        let guest = Guest {
            manifest: "Cargo.toml".into(),
            package: "portreeve-build".to_owned(),
            targets: Targets::Library,
            profile: "release".to_owned(),
            target_dir: "unused".into(),
            locked: false,
        };
        let toolchain = Toolchain {
            cargo: env!("CARGO").into(),
            rustc: "rustc".into(),
            std: StandardLibrary::Compiled,
        };
        let metadata = answer(metadata(&toolchain, &guest), &guest).unwrap();
        let sources = sources(&serde_json::from_slice(&metadata).unwrap());
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (path, name) = &sources[0];
        assert!(own.starts_with(path), "{sources:?}");
        assert_eq!(name, "/source");
    }
}
