//! Builds a policy into a WebAssembly component that imports nothing but `log`.
//!
//! [`build`] finds a toolchain that can compile for wasm, runs cargo once, turns each core module
//! into a component, and checks what that imports. Neither WASI nor a tool beyond rustc and cargo
//! is needed, and the same sources give the same bytes whatever directory they lie in.

mod cargo;
mod component;
mod error;
mod toolchain;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::component::component_of;
pub use self::error::BuildError;
pub use self::toolchain::{Facts, StandardLibrary, Toolchain};

/// What to build.
#[derive(Clone, Debug)]
pub struct Guest {
    /// `Cargo.toml` of the package, or of a workspace that it belongs to.
    pub manifest: PathBuf,
    /// The package.
    pub package: String,
    /// Which of its targets become components.
    pub targets: Targets,
    /// The cargo profile: `guest` where the workspace has one, else `release`.
    pub profile: String,
    /// Where cargo keeps what it makes. It must not be the directory of a cargo that is running.
    pub target_dir: PathBuf,
    /// Whether `Cargo.lock` must be there and fit.
    pub locked: bool,
}

/// The targets of a package that become components; each needs crate type `cdylib`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Targets {
    /// The library: one policy.
    Library,
    /// Every example: many small policies for one start of cargo.
    Examples,
}

/// The components of `guest`, by the name of their target.
///
/// # Errors
/// When no toolchain can compile for wasm, cargo fails, or a component would import something
/// else than `log`.
pub fn build(guest: &Guest) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
    let toolchain = Toolchain::choose(&Facts::gather())?;
    let mut components = BTreeMap::new();
    for (name, path) in cargo::core_modules(&toolchain, guest)? {
        let module = std::fs::read(&path).map_err(|source| BuildError::Read { path, source })?;
        components.insert(name.clone(), component_of(&name, &module)?);
    }
    Ok(components)
}
