//! Builds the policies that the binary carries, and compiles them for the target.
//!
//! At run time a built-in policy is then loaded without a compiler. The engine's configuration is
//! the host's own file, and the target is named, so nothing of this machine's processor leaks in.

#[path = "src/policy/engine.rs"]
#[expect(
    dead_code,
    reason = "limits are for evaluations, of which the build makes none"
)]
mod engine;

#[path = "src/policy/digest.rs"]
mod digest;

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portreeve_build::{Guest, Targets, build};
use wasmtime::Engine;

/// The policies, in the order of their names.
const POLICIES: &[&str] = &["strict-origin", "tunnel-origin"];

/// What a policy is made of, from the root of the workspace.
const SOURCES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "host/crates/model/Cargo.toml",
    "host/crates/model/src",
    "sdk/Cargo.toml",
    "sdk/src",
    "wit",
];

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the built-in policies could not be built: {error}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the host's package has no parent directory")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let target = env::var("TARGET")?;
    // To load the code, the same target is named again; it saves asking the processor.
    println!("cargo:rustc-env=PORTREEVE_TARGET={target}");
    let (here, there) = (env::consts::ARCH, env::var("CARGO_CFG_TARGET_ARCH")?);
    if cfg!(not(feature = "cross")) && here != there {
        let message = format!("building on {here} for {there} takes `--features portreeve/cross`");
        return Err(message.into());
    }
    let engine = Engine::new(&engine::config(Some(&target))?)?;

    let mut table = String::from("const BUILTIN: &[Builtin] = &[\n");
    for name in POLICIES {
        let component = component(root, &out, name)?;
        let files = [
            (format!("{name}.wasm"), component.clone()),
            (
                format!("{name}.cwasm"),
                engine.precompile_component(&component)?,
            ),
        ];
        for (file, bytes) in &files {
            fs::write(out.join(file), bytes)?;
        }
        let [(component, bytes), (precompiled, _)] = &files;
        let digest = digest::hex(bytes);
        writeln!(
            table,
            "    Builtin {{\n        name: {name:?},\n        digest: {digest:?},\n        \
             component: include_bytes!({component:?}),\n        \
             precompiled: include_bytes!({precompiled:?}),\n    }},"
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("builtin.rs"), table)?;
    rerun_when_changed(root);
    Ok(())
}

fn component(root: &Path, out: &Path, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let guest = Guest {
        manifest: root.join("Cargo.toml"),
        package: name.to_owned(),
        targets: Targets::Library,
        profile: "guest".to_owned(),
        target_dir: out.join("guests"),
        locked: true,
    };
    let components = build(&guest)?;
    let built = components.into_values().next();
    Ok(built.ok_or("portreeve-build answers with a component or an error")?)
}

fn rerun_when_changed(root: &Path) {
    let policies = POLICIES
        .iter()
        .flat_map(|name| ["Cargo.toml", "src"].map(|part| format!("policies/{name}/{part}")));
    let mine = ["build.rs", "src/policy/digest.rs", "src/policy/engine.rs"]
        .map(|file| format!("host/{file}"));
    let sources = SOURCES.iter().copied().map(String::from);
    for path in sources.chain(policies).chain(mine) {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
}
