//! A guest's image: a kernel, and the files that it finds in memory when it starts.
//!
//! It is put together from packages in the store as this process's user, downloads nothing, and
//! starts no other program. The same parts give the same image.

mod archive;
mod compression;
mod depmod;
pub mod files;
mod guest;
mod kernel;
mod libraries;
mod modules;
mod overlay;
pub mod own;
mod system;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::fetch::{self, Lock, Package, hexadecimal};
use crate::image::modules::{Loaded, Modules};
use crate::image::overlay::Overlay;
use crate::kernels::{Architecture, Half, Kind, Pair};

/// What goes into an image besides packages.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The first process.
    pub agent: &'a Path,
    /// The firewall under test.
    pub portreeve: Option<&'a Path>,
    /// Further files: path, mode, contents. They take the place of whatever has that path.
    pub files: Vec<(String, u32, Vec<u8>)>,
}

/// What a guest needs of memory, and what a whole system does, which is unpacked into it.
const GUEST_MIB: u32 = 256;
const SYSTEM_MIB: u32 = 512;

/// A guest, ready to be started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// What it runs on.
    pub architecture: Architecture,
    /// What QEMU takes for `-kernel`.
    pub kernel: PathBuf,
    /// What QEMU takes for `-initrd`.
    pub initrd: PathBuf,
    /// What it needs of memory, in MiB.
    pub memory_mib: u32,
    /// What `uname -r` says in it.
    pub release: String,
    /// SHA-256 over everything that went in, in hexadecimal.
    pub digest: String,
    /// The modules that it loads, in order.
    pub modules: Vec<String>,
    /// What was wanted and is no module: built in where the kernel does not say so, or not there.
    pub absent: Vec<String>,
    /// Why the kernel is as it was shipped, and unpacks itself in the guest.
    pub packed: Option<String>,
}

/// Puts together the image of `pair`, from packages in `store`. What is unpacked stays in the
/// folder `into` for the next time; nothing there is needed once no guest runs.
///
/// # Errors
/// When a package is not in the store, or lacks what a guest needs.
pub fn build(
    pair: &Pair,
    lock: &Lock,
    store: &Path,
    parts: &Parts<'_>,
    into: &Path,
) -> Result<Image> {
    let kernel = Unpacked::find(&pair.kernel, lock, store)?;
    let userland = Unpacked::find(&pair.userland, lock, store)?;
    let cache = into.join(format!("kernel-{}", &kernel.digest[..16]));
    fs::create_dir_all(&cache)?;

    let modules = Modules::find(&kernel.folders, cache.clone())?;
    let start = kernel::unpack(&kernel::find(&kernel.folders)?, &cache.join("vmlinux"))?;
    let mut loaded = Loaded::default();
    let tree = match pair.userland.kind {
        // It loads what it needs when it needs it.
        Kind::System => system::tree(&userland, &modules, parts),
        Kind::Kernel | Kind::Userland => {
            loaded = modules.load(&guest::MODULES)?;
            let packages = Overlay::new(userland.folders);
            guest::tree(pair.architecture, &packages, &loaded, parts)
        }
    };
    let tree = tree.with_context(|| format!("failed to put together {}", pair.name))?;

    let archive = tree.to_bytes();
    let digest = Sha256::new_with_prefix(&kernel.digest).chain_update(&archive);
    let digest = hexadecimal(digest);
    let initrd = into.join(format!("initrd-{}.cpio", &digest[..16]));
    write_whole(&initrd, &archive)?;
    Ok(Image {
        architecture: pair.architecture,
        kernel: start.kernel,
        initrd,
        memory_mib: match pair.userland.kind {
            Kind::System => SYSTEM_MIB,
            Kind::Kernel | Kind::Userland => GUEST_MIB,
        },
        release: modules.release,
        digest,
        modules: loaded.modules.into_iter().map(|(name, _)| name).collect(),
        absent: loaded.absent,
        packed: start.packed,
    })
}

/// One half of a pair, as folders in the store.
struct Unpacked {
    folders: Vec<PathBuf>,
    digest: String,
}

impl Unpacked {
    fn find(half: &Half, lock: &Lock, store: &Path) -> Result<Self> {
        let packages = &lock.pinned(half)?.packages;
        let absent: Vec<&Package> = fetch::absent(store, packages).collect();
        let names: Vec<&str> = absent.iter().map(|package| &*package.name).collect();
        ensure!(
            absent.is_empty(),
            "{half} lacks {}; `portreeve-harness fetch` downloads them",
            names.join(", ")
        );
        let mut digest = Sha256::new();
        for package in packages {
            digest.update(&package.sha256);
        }
        let folders = packages.iter().map(|package| fetch::folder(store, package));
        Ok(Self {
            folders: folders.collect(),
            digest: hexadecimal(digest),
        })
    }
}

/// Writes a file that its readers see whole or not at all. One that is there already stays: its
/// name says what is in it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let failed = || format!("failed to write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    fs::write(draft.path(), bytes).with_context(failed)?;
    draft.persist(path).with_context(failed)?;
    Ok(())
}
