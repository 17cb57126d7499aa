//! Why a policy could not be built.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a policy could not be built, and what to do about it.
#[derive(Debug, Error)]
pub enum BuildError {
    /// No toolchain on this machine can compile for wasm.
    #[error("no Rust toolchain here can compile for wasm32-unknown-unknown; run `{command}`")]
    NoToolchain {
        /// The one command that mends it.
        command: &'static str,
    },
    /// Cargo could not be started.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Cargo has said on standard error what is wrong.
    #[error("cargo could not build `{package}` for wasm; its message is above")]
    Cargo {
        /// The package.
        package: String,
    },
    /// Cargo built nothing that could be a policy.
    #[error("package `{package}` has no target of crate type `cdylib`; add it to Cargo.toml")]
    NoModule {
        /// The package.
        package: String,
    },
    /// What cargo built cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The module is no component and cannot be made one.
    #[error("`{name}` cannot be made a component: {reason}")]
    Encode {
        /// The target.
        name: String,
        /// What the encoder says.
        reason: String,
    },
    /// The component wants something that no policy gets.
    #[error("`{name}` imports `{import}`; a policy may import `portreeve:policy/log` only")]
    Import {
        /// The target.
        name: String,
        /// What it imports.
        import: String,
    },
}
