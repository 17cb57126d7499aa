//! `kernels.lock`: exactly which packages the pairs are made of.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::fetch::UPDATE;
use crate::kernels::{Architecture, Half, Kind};

/// What is pinned.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    #[serde(default, rename = "kernel")]
    kernels: Vec<Pinned>,
    #[serde(default, rename = "nft")]
    userlands: Vec<Pinned>,
    #[serde(default, rename = "system", skip_serializing_if = "Vec::is_empty")]
    systems: Vec<Pinned>,
}

/// One half of a pair, as packages.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The name in `kernels.toml`.
    pub name: String,
    /// What its packages are for.
    pub architecture: Architecture,
    /// The suite that they were found in.
    pub suite: String,
    /// The version of what it is named after.
    pub version: String,
    /// The packages, by name.
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
}

/// A package, to the bit.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its own architecture, which may be `all`.
    pub architecture: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

const HEAD: &str =
    "# Written by `cargo xtask vm fetch --update`; tests use exactly these packages.\n\n";

impl Lock {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, or not what [`Lock::write`] writes.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = || format!("failed to read {}; `{UPDATE}` makes it", path.display());
        let text = fs::read_to_string(path).with_context(failed)?;
        Self::parse(&text).with_context(failed)
    }

    /// What this program was built with.
    ///
    /// # Errors
    /// When that is not what [`Lock::write`] writes.
    pub fn carried() -> Result<Self> {
        Self::parse(include_str!("../../kernels.lock")).context("the packages that are carried")
    }

    fn parse(text: &str) -> Result<Self> {
        let lock: Self = toml::from_str(text)?;
        let userlands = lock.userlands.iter().chain(&lock.systems);
        let pinned = lock.kernels.iter().chain(userlands);
        for package in pinned.flat_map(|pinned| &pinned.packages) {
            let digest = &package.sha256;
            let is_digest =
                digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            ensure!(
                is_digest,
                "sha256 of `{}` is not 64 hexadecimal digits",
                package.name
            );
        }
        Ok(lock)
    }

    /// Writes the file, the same bytes for the same pins.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = HEAD.to_owned() + &toml::to_string(self)?;
        fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    /// What `half` is made of.
    ///
    /// # Errors
    /// When it is not pinned, or was when it was of another suite.
    pub fn pinned(&self, half: &Half) -> Result<&Pinned> {
        let found = self.of(half.kind).iter().find(|pinned| pinned.is(half));
        found.with_context(|| format!("{half} is not pinned; `{UPDATE}` does it"))
    }

    /// Without what is none of `halves`.
    pub(super) fn restricted_to(&self, halves: &[Half]) -> Self {
        let keep = |kind| {
            let listed = |pinned: &&Pinned| {
                let mut halves = halves.iter().filter(|half| half.kind == kind);
                halves.any(|half| pinned.is(half))
            };
            self.of(kind).iter().filter(listed).cloned().collect()
        };
        Self {
            kernels: keep(Kind::Kernel),
            userlands: keep(Kind::Userland),
            systems: keep(Kind::System),
        }
    }

    /// Replaces what a half is made of.
    pub(super) fn pin(&mut self, half: &Half, pinned: Pinned) -> Result<()> {
        ensure!(
            half.name == half.suite || pinned.version.starts_with(&half.name),
            "{half} is of version {} in suite `{}`",
            pinned.version,
            half.suite
        );
        let all = match half.kind {
            Kind::Kernel => &mut self.kernels,
            Kind::Userland => &mut self.userlands,
            Kind::System => &mut self.systems,
        };
        all.retain(|pinned| !pinned.is(half));
        all.push(pinned);
        all.sort();
        Ok(())
    }

    fn of(&self, kind: Kind) -> &[Pinned] {
        match kind {
            Kind::Kernel => &self.kernels,
            Kind::Userland => &self.userlands,
            Kind::System => &self.systems,
        }
    }
}

impl Pinned {
    fn is(&self, half: &Half) -> bool {
        (&self.name, self.architecture, &self.suite) == (&half.name, half.architecture, &half.suite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(kind: Kind, name: &str) -> Half {
        Half {
            kind,
            name: name.to_owned(),
            suite: "bookworm".to_owned(),
            architecture: Architecture::Amd64,
            packages: vec!["first".to_owned()],
        }
    }

    fn pinned(half: &Half, version: &str) -> Pinned {
        let package = Package {
            name: "package".to_owned(),
            version: version.to_owned(),
            architecture: "all".to_owned(),
            sha256: "0123456789abcdef".repeat(4),
        };
        Pinned {
            name: half.name.clone(),
            architecture: half.architecture,
            suite: half.suite.clone(),
            version: version.to_owned(),
            packages: vec![package],
        }
    }

    #[test]
    fn what_is_written_is_read_whatever_was_pinned_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernels.lock");
        let halves = [half(Kind::Kernel, "6.1"), half(Kind::Kernel, "5.10")];
        let mut texts = Vec::new();
        for order in [[0, 1], [1, 0]] {
            let mut lock = Lock::default();
            for half in order.map(|index| &halves[index]) {
                lock.pin(half, pinned(half, &half.name)).unwrap();
            }
            lock.write(&path).unwrap();
            assert_eq!(Lock::read(&path).unwrap(), lock);
            texts.push(fs::read_to_string(&path).unwrap());
        }
        assert_eq!(texts[0], texts[1]);
    }

    #[test]
    fn half_that_goes_takes_its_pin_along() {
        let (kernel, nft) = (half(Kind::Kernel, "6.1"), half(Kind::Userland, "1.0.6"));
        let mut lock = Lock::default();
        lock.pin(&kernel, pinned(&kernel, "6.1.192-2")).unwrap();
        lock.pin(&nft, pinned(&nft, "1.0.6-2")).unwrap();
        let lock = lock.restricted_to(std::slice::from_ref(&nft));
        assert!(lock.pinned(&nft).is_ok());
        let error = lock.pinned(&kernel).unwrap_err().to_string();
        let expected = "kernel `6.1` for amd64 is not pinned; \
                        `cargo xtask vm fetch --update` does it";
        assert_eq!(error, expected);
    }

    #[test]
    fn half_of_another_version_than_its_name_says_is_not_pinned() {
        let half = half(Kind::Kernel, "6.1");
        let error = Lock::default()
            .pin(&half, pinned(&half, "6.2.1-1"))
            .unwrap_err();
        let expected = "kernel `6.1` for amd64 is of version 6.2.1-1 in suite `bookworm`";
        assert_eq!(error.to_string(), expected);
    }
}
