//! Which kernels are tested with which nft, as `kernels.toml` lists them.
//!
//! Reading it downloads nothing and looks for nothing: a pair that is listed need not be here.

mod file;

use std::env::consts::ARCH;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::kernels::file::File;

/// Everything that can be tested.
#[derive(Clone, Debug)]
pub struct Kernels {
    suites: Vec<Suite>,
    pairs: Vec<Pair>,
}

/// A kernel, and the nft that talks to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// What a person calls it: `6.1/1.0.6`, `6.1/systemd-252`, and `6.12/1.1.3/arm64` on what is
    /// not a PC.
    pub name: String,
    /// What the guest runs on.
    pub architecture: Architecture,
    /// The kernel and its modules.
    pub kernel: Half,
    /// nft and what else a guest starts, or a whole system.
    pub userland: Half,
    /// Whether it is fetched and run when nobody says which.
    pub default: bool,
}

/// One half of a pair: packages of one suite, for one architecture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Half {
    /// Which of the two it is.
    pub kind: Kind,
    /// What its version begins with, or the suite, if that moves on.
    pub name: String,
    /// The suite that its packages are of.
    pub suite: String,
    /// What its packages are for.
    pub architecture: Architecture,
    /// Packages to start from; the first one's version is the half's.
    pub packages: Vec<String>,
}

/// What a half of a pair may be.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A kernel.
    Kernel,
    /// An nft with its libraries.
    Userland,
    /// A distribution with its systemd.
    System,
}

/// A distribution's release, and where it can be had.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What kernels and nfts call it.
    pub name: String,
    /// What it is read for.
    pub architectures: Vec<Architecture>,
    /// Such as `main`.
    pub components: Vec<String>,
    /// The file of keys that its index must be signed with.
    pub keyring: String,
    /// Nothing changes any more, so an index may be as old as it likes.
    #[serde(default)]
    pub frozen: bool,
    /// The release itself and, where there is one, its security updates.
    pub archives: Vec<Archive>,
}

/// One place that packages of a suite come from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Where the archive begins.
    pub uri: String,
    /// The suite's name there.
    pub suite: String,
}

/// What a guest runs on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// A PC.
    #[default]
    Amd64,
    /// A 64-bit Arm machine.
    Arm64,
}

impl Kernels {
    /// Reads `kernels.toml`.
    ///
    /// # Errors
    /// When it cannot be read, or says something that it may not.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = || format!("failed to read {}", path.display());
        let text = std::fs::read_to_string(path).with_context(failed)?;
        Self::parse(&text).with_context(failed)
    }

    /// Those that this program carries.
    ///
    /// # Errors
    /// When it was built with a file that says something that it may not.
    pub fn carried() -> Result<Self> {
        Self::parse(include_str!("../kernels.toml")).context("the kernels that are carried")
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let pairs = file.pairs()?;
        Ok(Self {
            suites: file.suite,
            pairs,
        })
    }

    /// All pairs, in the order of the file.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The pairs that `wanted` names: a pair, a kernel with whatever nft, or a system.
    #[must_use]
    pub fn matching(&self, wanted: &str) -> Vec<&Pair> {
        self.pairs.iter().filter(|pair| pair.is(wanted)).collect()
    }

    /// The suite of that name.
    #[must_use]
    pub fn suite(&self, name: &str) -> Option<&Suite> {
        self.suites.iter().find(|suite| suite.name == name)
    }
}

impl Pair {
    /// Whether that is what it is called, or its kernel with an nft, or its system.
    fn is(&self, wanted: &str) -> bool {
        let half = match self.userland.kind {
            Kind::System => self.name.split('/').nth(1),
            Kind::Kernel | Kind::Userland => Some(&*self.kernel.name),
        };
        self.name == wanted || half == Some(wanted)
    }

    /// The kernel and the userland.
    #[must_use]
    pub fn halves(&self) -> [&Half; 2] {
        [&self.kernel, &self.userland]
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` for {}", self.kind, self.name, self.architecture)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Kernel => "kernel",
            Kind::Userland => "nft",
            Kind::System => "system",
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Architecture {
    /// That of the machine that this runs on.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of_this_machine() -> Result<Self> {
        match ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("machines are made for x86_64 and aarch64, and this one is of {other}"),
        }
    }

    /// Debian's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Amd64 => "amd64",
            Architecture::Arm64 => "arm64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../kernels.toml");

    #[test]
    fn file_lists_every_pair_that_is_promised() {
        let kernels = Kernels::parse(FILE).unwrap();
        let names: Vec<&str> = kernels.pairs().iter().map(|pair| &*pair.name).collect();
        let promised = [
            "5.10/0.9.8",
            "6.1/1.0.6",
            "6.12/1.1.3",
            "6.12/1.1.3/arm64",
            "sid/sid",
            "5.10/sid",
            "sid/0.9.8",
            "6.1/systemd-252",
        ];
        assert_eq!(names, promised);
        assert!(kernels.pairs().iter().all(|pair| pair.default));
    }

    #[test]
    fn a_kernel_is_named_with_or_without_its_nft() {
        let kernels = Kernels::parse(FILE).unwrap();
        let check = |wanted: &str, expected: &[&str]| {
            let found = kernels.matching(wanted);
            let names: Vec<&str> = found.iter().map(|pair| &*pair.name).collect();
            assert_eq!(names, expected, "{wanted}");
        };
        check("6.1/1.0.6", &["6.1/1.0.6"]);
        check("6.12", &["6.12/1.1.3", "6.12/1.1.3/arm64"]);
        check("5.10", &["5.10/0.9.8", "5.10/sid"]);
        check("systemd-252", &["6.1/systemd-252"]);
        check("4.19", &[]);
    }
}
