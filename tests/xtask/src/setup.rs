//! Installs what is missing, or says how.

use std::io;
use std::path::Path;

use crate::architecture::Architecture;
use crate::machine::{Machine, WASM};
use crate::step::{Ended, cargo, program};

/// A tool that is looked for, and the Debian package that has it.
const TOOLS: [(&str, &str); 3] = [
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
];

/// What compiles policies where rustup cannot help.
const DEBIAN_WASM: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld",
];

/// What must be there for the command to make sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Needs {
    /// Everything that compiles. Tests that need more say that they are skipped.
    Toolchain,
    /// The kernel's tools as well.
    Everything,
}

/// Sees to it that the machine has what `needs` says.
pub(crate) fn ensure(needs: Needs) -> io::Result<Machine> {
    let machine = Machine;
    let missing: Vec<&str> = TOOLS
        .into_iter()
        .filter(|(tool, _)| !machine.has_tool(tool))
        .map(|(_, package)| package)
        .collect();
    match (install(machine, &missing), needs) {
        (Ok(()), _) => {}
        (Err(error), Needs::Toolchain) => println!("{error}"),
        (Err(error), Needs::Everything) => return Err(error),
    }
    ensure_components(machine);
    ensure_wasm(machine)?;
    Ok(machine)
}

/// The formatter and clippy are missing from rustup's minimal profile.
fn ensure_components(machine: Machine) {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !machine.has_cargo_command(command) && machine.has_rustup() {
            // Where it fails, the step that needs it says so.
            let _ = program(Path::new("rustup"))
                .args(&["component", "add", component])
                .run();
        }
    }
}

fn ensure_wasm(machine: Machine) -> io::Result<()> {
    if machine.compiles_to_wasm() {
        return Ok(());
    }
    if machine.has_rustup() {
        let add = program(Path::new("rustup")).args(&["target", "add", WASM]);
        if add.run()? == Ended::Well && machine.compiles_to_wasm() {
            return Ok(());
        }
    }
    install(machine, &DEBIAN_WASM)
}

/// Has rustup add a target that is missing.
fn ensure_target(target: &str) -> io::Result<()> {
    match program(Path::new("rustup"))
        .args(&["target", "add", target])
        .run()?
    {
        Ended::Well => Ok(()),
        Ended::Badly => Err(io::Error::other(format!(
            "missing: rustup target add {target}"
        ))),
    }
}

/// Sees to it that what runs on machines of an architecture can be built.
pub(crate) fn ensure_compiler(architecture: &Architecture) -> io::Result<()> {
    ensure_target(architecture.target)?;
    let (compiler, packages) = architecture.compiler;
    if !Machine.compiles_c(compiler) {
        install(Machine, packages)?;
    }
    Ok(())
}

/// Sees to it that these tools are here, each of which a package has. Without one, scenarios are
/// skipped, so that is only said.
pub(crate) fn ensure_tools(tools: &[(&str, &str)]) {
    let missing = tools.iter().filter(|(tool, _)| !Machine.has_tool(tool));
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if let Err(error) = install(Machine, &missing) {
        println!("{error}");
    }
}

/// Sees to it that cargo-fuzz and what it compiles libFuzzer with are there.
pub(crate) fn ensure_fuzzer() -> io::Result<()> {
    let machine = Machine;
    if !machine.has_tool("c++") {
        install(machine, &["g++"])?;
    }
    if machine.has_cargo_command("fuzz") {
        return Ok(());
    }
    match cargo(&["install", "--locked", "cargo-fuzz"]).run()? {
        Ended::Well => Ok(()),
        Ended::Badly => Err(io::Error::other(
            "missing: cargo install --locked cargo-fuzz",
        )),
    }
}

/// Installs Debian packages as root, or says in one line what to run.
fn install(machine: Machine, packages: &[&str]) -> io::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    if !machine.has_apt() {
        let packages = packages.join(" ");
        let message = format!("missing: what Debian calls {packages}; install it");
        return Err(io::Error::other(message));
    }
    if !machine.is_root() {
        return Err(io::Error::other(format!(
            "missing; please run: sudo {line}"
        )));
    }
    if !machine.has_package_lists() {
        apt_get(&["update"])?;
    }
    let arguments: Vec<&str> = line.split(' ').skip(1).collect();
    if apt_get(&arguments)? == Ended::Well {
        return Ok(());
    }
    // Old lists name versions that are gone from the archive.
    apt_get(&["update"])?;
    match apt_get(&arguments)? {
        Ended::Well => Ok(()),
        Ended::Badly => Err(io::Error::other(format!("could not be installed: {line}"))),
    }
}

fn apt_get(arguments: &[&str]) -> io::Result<Ended> {
    program(Path::new("apt-get"))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments)
        .run()
}
