//! What a machine starts with whose kernel is there already: the files of a guest, without modules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::guest::{Linker, NAMES, of_machine, skeleton, tools};
use super::overlay::Overlay;
use super::{Unpacked, write_whole};
use crate::fetch::{Lock, hexadecimal};
use crate::kernels::{Architecture, Half};

/// Whose nft and tools they are.
#[derive(Clone, Copy, Debug)]
pub enum Userland<'a> {
    /// Those of this machine.
    OfThisMachine,
    /// Those of packages in the store.
    Packages(&'a Half, &'a Lock, &'a Path),
}

/// The files of a machine, as one archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// The archive.
    pub archive: PathBuf,
    /// Programs of a guest that are not in it, for this machine does not have them.
    pub absent: Vec<String>,
}

/// Where nft and busybox may be, before where a guest has them.
const NFT: [&str; 3] = ["usr/sbin/nft", "sbin/nft", "usr/local/sbin/nft"];
const BUSYBOX: [&str; 2] = ["bin/busybox", "usr/bin/busybox"];

/// Puts the files together, in the folder `into`. Nothing is started and nothing downloaded; the same
/// parts give the same archive.
///
/// # Errors
/// When nft is missing, or something that a program is linked with.
pub fn files(userland: Userland<'_>, portreeve: &Path, into: &Path) -> Result<Files> {
    let packages = match userland {
        Userland::OfThisMachine => Overlay::new(vec![PathBuf::from("/")]),
        Userland::Packages(half, lock, store) => {
            Overlay::new(Unpacked::find(half, lock, store)?.folders)
        }
    };
    let linker = Linker {
        architecture: Architecture::of_this_machine()?,
        packages: &packages,
    };
    let mut tree = skeleton();
    for path in NAMES {
        if let Some(names) = packages.resolve(path) {
            tree.file(path, 0o644, of_machine(&names)?);
        }
    }
    let found = |paths: &[&str]| paths.iter().find_map(|path| packages.resolve(path));
    let nft = found(&NFT).context("nft is not installed; on Debian: apt-get install nftables")?;
    linker.add(&mut tree, "usr/sbin/nft", of_machine(&nft)?)?;
    linker.add(&mut tree, "usr/sbin/portreeve", of_machine(portreeve)?)?;
    let absent: Vec<String> = match found(&BUSYBOX) {
        Some(busybox) => {
            linker.add(&mut tree, BUSYBOX[0], of_machine(&busybox)?)?;
            tools().for_each(|tool| tree.link(&tool, "busybox"));
            Vec::new()
        }
        None => [BUSYBOX[0].to_owned()].into_iter().chain(tools()).collect(),
    };
    let archive = tree.to_bytes();
    let digest = hexadecimal(Sha256::new_with_prefix(&archive));
    fs::create_dir_all(into).with_context(|| format!("failed to make {}", into.display()))?;
    let path = into.join(format!("files-{}.cpio", &digest[..16]));
    write_whole(&path, &archive)?;
    Ok(Files {
        archive: path,
        absent: absent.into_iter().map(|path| format!("/{path}")).collect(),
    })
}
