//! Packages, from an archive into the store.
//!
//! Only this module downloads, and only what `kernels.lock` pins: a package that differs by one bit
//! from the one that was pinned never gets into the store. The machine's own packages, and what its
//! own `apt` knows, stay as they are; nothing needs root.

mod apt;
mod closure;
mod lock;
mod program;
mod store;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::fetch::apt::Apt;
pub use crate::fetch::lock::{Lock, Package, Pinned};
pub(crate) use crate::fetch::store::{absent, folder, hexadecimal};
use crate::kernels::{Architecture, Half, Kernels, Pair};

/// What renews the lock file.
pub(crate) const UPDATE: &str = "cargo xtask vm fetch --update";

/// Puts every package of `wanted` into `store`, as `lock` pins it. What is there already
/// is not fetched again.
///
/// # Errors
/// When a pair is not pinned, or a package cannot be had as it is pinned.
pub fn fetch(kernels: &Kernels, lock: &Lock, store: &Path, wanted: &[&Pair]) -> Result<()> {
    std::fs::create_dir_all(store)?;
    let mut missing: BTreeMap<(&str, Architecture), Vec<&Package>> = BTreeMap::new();
    for half in wanted.iter().flat_map(|pair| pair.halves()) {
        let packages = missing.entry((&half.suite, half.architecture)).or_default();
        packages.extend(absent(store, &lock.pinned(half)?.packages));
    }
    for ((suite, architecture), mut packages) in missing {
        packages.sort();
        packages.dedup();
        if packages.is_empty() {
            continue;
        }
        let apt = open(kernels, store, suite, architecture)?;
        let folder = tempfile::tempdir_in(store)?;
        let vanished = || {
            format!(
                "failed to download from suite `{suite}`; if the archive has moved on, \
                 `{UPDATE}` pins what it has now"
            )
        };
        apt.download(&packages, folder.path())
            .with_context(vanished)?;
        store::unpack(store, &packages, folder.path())?;
    }
    Ok(())
}

/// Pins the newest version of every package of `wanted` in the file `lock`; other pairs stay as
/// they are pinned, and what `kernels` no longer lists goes.
///
/// # Errors
/// When an archive cannot be read, or lacks a package.
pub fn update(kernels: &Kernels, lock: &Path, store: &Path, wanted: &[&Pair]) -> Result<()> {
    let old = if lock.exists() {
        Lock::read(lock)?
    } else {
        Lock::default()
    };
    let halves = |pairs: &[&Pair]| -> Vec<Half> {
        let halves = pairs.iter().flat_map(|pair| pair.halves());
        halves.cloned().collect()
    };
    let listed: Vec<&Pair> = kernels.pairs().iter().collect();
    let mut new = old.restricted_to(&halves(&listed));
    let mut opened: BTreeMap<(String, Architecture), Apt> = BTreeMap::new();
    for half in halves(wanted) {
        let key = (half.suite.clone(), half.architecture);
        if !opened.contains_key(&key) {
            let apt = open(kernels, store, &half.suite, half.architecture)?;
            opened.insert(key.clone(), apt);
        }
        let pinned = closure::resolve(&opened[&key], &half)
            .with_context(|| format!("failed to resolve {half}"))?;
        new.pin(&half, pinned)?;
    }
    new.write(lock)
}

fn open(kernels: &Kernels, store: &Path, suite: &str, architecture: Architecture) -> Result<Apt> {
    let Some(suite) = kernels.suite(suite) else {
        bail!("suite `{suite}` is not listed");
    };
    ensure!(
        Path::new(&suite.keyring).is_file(),
        "suite `{}` is signed with keys that are not here: {}; Debian's package is \
         `debian-archive-keyring`",
        suite.name,
        suite.keyring
    );
    Apt::open(suite, architecture, store)
}
