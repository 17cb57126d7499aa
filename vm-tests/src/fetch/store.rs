//! The store: unpacked packages, each in a folder that carries its digest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::fetch::lock::Package;
use crate::fetch::program;

const LIMIT: Duration = Duration::from_secs(120);

/// Where `package` is unpacked, if it is.
pub(crate) fn folder(store: &Path, package: &Package) -> PathBuf {
    let Package {
        name,
        version,
        architecture,
        sha256,
    } = package;
    // The colon of an epoch would separate paths in a variable.
    let version = version.replace(':', "%3a");
    let digest = &sha256[..12];
    store.join(format!("packages/{name}_{version}_{architecture}-{digest}"))
}

/// Those of `packages` that are not in the store.
pub(crate) fn absent<'a>(
    store: &Path,
    packages: impl IntoIterator<Item = &'a Package>,
) -> impl Iterator<Item = &'a Package> {
    let absent = |package: &&Package| !folder(store, package).is_dir();
    packages.into_iter().filter(absent)
}

/// Unpacks `packages`, whose files are in `downloads`, unless one of them is not what was pinned.
pub(super) fn unpack(store: &Path, packages: &[&Package], downloads: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for file in fs::read_dir(downloads)? {
        let file = file?.path();
        let bytes =
            fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        files.insert(hexadecimal(Sha256::new_with_prefix(bytes)), file);
    }
    for package in packages {
        let Some(file) = files.get(&package.sha256) else {
            bail!(
                "{} {} is not the file that was pinned: none that was downloaded has sha256 {}",
                package.name,
                package.version,
                package.sha256
            );
        };
        let unpacked = downloads.join(&package.sha256);
        let mut command = Command::new("dpkg-deb");
        program::run(command.arg("--extract").arg(file).arg(&unpacked), LIMIT)?;
        let folder = folder(store, package);
        fs::create_dir_all(store.join("packages"))?;
        // The folder appears whole or not at all. Another fetch may have been faster.
        if let Err(error) = fs::rename(&unpacked, &folder)
            && !folder.is_dir()
        {
            return Err(error).with_context(|| format!("failed to make {}", folder.display()));
        }
    }
    Ok(())
}

/// A digest as it is written.
pub(crate) fn hexadecimal(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_was_not_pinned_does_not_get_into_the_store() {
        let store = tempfile::tempdir().unwrap();
        let downloads = tempfile::tempdir_in(store.path()).unwrap();
        fs::write(downloads.path().join("nftables.deb"), "something else").unwrap();
        let package = Package {
            name: "nftables".to_owned(),
            version: "1:1.0.6-2".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: "0123456789abcdef".repeat(4),
        };
        let error = unpack(store.path(), &[&package], downloads.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is not the file that was pinned"),
            "{error}"
        );
        let expected = store
            .path()
            .join("packages/nftables_1%3a1.0.6-2_amd64-0123456789ab");
        assert_eq!(folder(store.path(), &package), expected);
        assert!(!expected.exists());
        assert_eq!(absent(store.path(), [&package]).count(), 1);
    }
}
