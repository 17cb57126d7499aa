//! `portreeve-build [DIRECTORY]`: builds the policy in a directory, here by default, and writes
//! its component to `target/NAME.wasm` there.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use portreeve_build::{Guest, Targets, build};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| ".".into()));
    if arguments.next().is_some() {
        eprintln!("usage: portreeve-build [DIRECTORY]");
        return ExitCode::from(2);
    }
    match build_policy(&directory) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("portreeve-build: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the package in `directory`; the path of its component.
fn build_policy(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let manifest = directory.join("Cargo.toml");
    let package = package_name(&manifest)?;
    let target_dir = directory.join("target");
    let components = build(&Guest {
        manifest,
        package: package.clone(),
        targets: Targets::Library,
        profile: "release".to_owned(),
        target_dir: target_dir.clone(),
        locked: false,
    })?;
    let path = target_dir.join(format!("{package}.wasm"));
    let component = components.into_values().next();
    fs::write(&path, component.ok_or("the package has no library")?)?;
    Ok(path)
}

/// The name that the package has in its manifest, as cargo reads it.
fn package_name(manifest: &Path) -> Result<String, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .arg("read-manifest")
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("{} is not read: {said}", manifest.display()).into());
    }
    let read: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let name = read["name"].as_str().ok_or("cargo names no package")?;
    Ok(name.to_owned())
}
