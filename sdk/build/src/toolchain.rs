//! Which toolchain compiles policies: a choice over facts, and the gathering of those facts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BuildError;

/// The target: wasm without any interface to a system.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A cargo and a rustc that can compile for wasm together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Toolchain {
    /// The program `cargo`.
    pub cargo: PathBuf,
    /// The program `rustc`.
    pub rustc: PathBuf,
    /// Where the standard library comes from.
    pub std: StandardLibrary,
}

/// Where the standard library for wasm comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StandardLibrary {
    /// It is installed, compiled.
    Compiled,
    /// Its source is installed; cargo compiles it, and `linker` links.
    Source {
        /// A linker that knows wasm.
        linker: PathBuf,
    },
}

/// What there is on this machine.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The toolchains, the one in use first.
    pub installed: Vec<Installed>,
    /// Whether `rustup` manages the toolchain in use.
    pub rustup: bool,
}

/// What is known of one toolchain.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The program `cargo`.
    pub cargo: PathBuf,
    /// The program `rustc`.
    pub rustc: PathBuf,
    /// Whether the compiled standard library for wasm is there.
    pub compiled: bool,
    /// Whether the source of the standard library is there.
    pub source: bool,
    /// A linker that knows wasm, if there is one.
    pub linker: Option<PathBuf>,
}

impl Toolchain {
    /// The first toolchain with a compiled standard library, else the first that can compile one.
    ///
    /// # Errors
    /// When there is neither. The error names the one command to run.
    pub fn choose(facts: &Facts) -> Result<Self, BuildError> {
        let with = |toolchain: &Installed, std| Self {
            cargo: toolchain.cargo.clone(),
            rustc: toolchain.rustc.clone(),
            std,
        };
        let compiled = facts.installed.iter().find(|found| found.compiled);
        if let Some(found) = compiled {
            return Ok(with(found, StandardLibrary::Compiled));
        }
        let source = facts.installed.iter().find_map(|found| {
            let linker = found.linker.clone().filter(|_| found.source)?;
            Some(with(found, StandardLibrary::Source { linker }))
        });
        source.ok_or(BuildError::NoToolchain {
            command: if facts.rustup {
                "rustup target add wasm32-unknown-unknown"
            } else {
                "apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld"
            },
        })
    }
}

impl Facts {
    /// Looks at the toolchain in use and at the distribution's.
    #[must_use]
    pub fn gather() -> Self {
        let in_use = (program("CARGO", "cargo"), program("RUSTC", "rustc"));
        let distribution = ("/usr/bin/cargo".into(), "/usr/bin/rustc".into());
        let mut candidates = vec![in_use, distribution];
        candidates.dedup();
        Self {
            installed: candidates.into_iter().filter_map(Installed::look).collect(),
            rustup: answer(Path::new("rustup"), &["--version"]).is_some(),
        }
    }
}

impl Installed {
    /// What is known of a toolchain, or nothing when its rustc does not run.
    fn look((cargo, rustc): (PathBuf, PathBuf)) -> Option<Self> {
        let directory = |arguments: &[&str]| answer(&rustc, arguments).map(PathBuf::from);
        let sysroot = directory(&["--print", "sysroot"])?;
        let library = directory(&["--print", "target-libdir", "--target", TARGET]);
        let tools = directory(&["--print", "target-libdir"])
            .and_then(|library| Some(library.parent()?.join("bin")));
        let linker = tools
            .map(|tools| tools.join("rust-lld"))
            .into_iter()
            .chain(["/usr/bin/wasm-ld".into()])
            .find(|linker| linker.is_file());
        Some(Self {
            compiled: library.is_some_and(|library| library.is_dir()),
            source: sysroot
                .join("lib/rustlib/src/rust/library/Cargo.lock")
                .is_file(),
            linker,
            cargo,
            rustc,
        })
    }
}

/// The program that the variable names, as cargo sets it for build scripts, or the usual one.
fn program(variable: &str, usual: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| usual.into(), PathBuf::from)
}

/// The one line that the program answers, when it runs and succeeds.
fn answer(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(name: &str, compiled: bool, source: bool, linker: bool) -> Installed {
        Installed {
            cargo: format!("/{name}/cargo").into(),
            rustc: format!("/{name}/rustc").into(),
            compiled,
            source,
            linker: linker.then(|| format!("/{name}/wasm-ld").into()),
        }
    }

    fn check(rustup: bool, installed: &[Installed], expected: &str) {
        let facts = Facts {
            installed: installed.to_vec(),
            rustup,
        };
        let found = match Toolchain::choose(&facts) {
            Ok(Toolchain { rustc, std, .. }) => match std {
                StandardLibrary::Compiled => format!("{}", rustc.display()),
                StandardLibrary::Source { linker } => {
                    format!("{} with {}", rustc.display(), linker.display())
                }
            },
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_compiled_standard_library_comes_before_one_that_takes_a_minute() {
        let (source, compiled) = (
            installed("a", false, true, true),
            installed("b", true, false, false),
        );
        check(true, &[source.clone(), compiled.clone()], "/b/rustc");
        check(true, &[compiled, source], "/b/rustc");
    }

    #[test]
    fn a_source_needs_a_linker() {
        let bare = installed("a", false, true, false);
        let whole = installed("b", false, true, true);
        check(false, &[bare, whole], "/b/rustc with /b/wasm-ld");
    }

    #[test]
    fn the_author_is_told_the_one_command_that_helps() {
        let nothing = installed("a", false, false, true);
        let none = "no Rust toolchain here can compile for wasm32-unknown-unknown; run ";
        check(
            true,
            std::slice::from_ref(&nothing),
            &format!("{none}`rustup target add wasm32-unknown-unknown`"),
        );
        check(
            false,
            &[nothing],
            &format!("{none}`apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld`"),
        );
    }
}
