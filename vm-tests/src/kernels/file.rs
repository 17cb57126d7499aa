//! `kernels.toml` as it is written, and what is wrong with it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use crate::kernels::{Architecture, Half, Kind, Pair, Suite};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) suite: Vec<Suite>,
    kernel: Vec<Kernel>,
    nft: Vec<Nft>,
    #[serde(default)]
    system: Vec<System>,
    pair: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kernel {
    name: String,
    suite: String,
    #[serde(default)]
    architecture: Architecture,
    package: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nft {
    name: String,
    suite: String,
    #[serde(default)]
    architecture: Architecture,
    packages: Vec<String>,
}

/// A whole system, whose nft is the one of its suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    name: String,
    suite: String,
    packages: Vec<String>,
}

/// A pair, by the names of its halves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kernel: String,
    nft: Option<String>,
    system: Option<String>,
    #[serde(default)]
    architecture: Architecture,
    #[serde(default = "wanted_unless_said")]
    default: bool,
}

fn wanted_unless_said() -> bool {
    true
}

impl File {
    /// The pairs, each with its halves.
    pub(super) fn pairs(&self) -> Result<Vec<Pair>> {
        let kernels = self.kernels()?;
        let userlands = [self.userlands()?, self.systems()?].concat();
        let mut pairs: Vec<Pair> = Vec::new();
        for line in &self.pair {
            let kernel = &line.kernel;
            let (kind, userland, mut name) = match (&line.nft, &line.system) {
                (Some(nft), None) => (Kind::Userland, nft, format!("{kernel}/{nft}")),
                (None, Some(it)) => (Kind::System, it, format!("{kernel}/systemd-{it}")),
                _ => bail!("a pair of kernel `{kernel}` is of one `nft` or one `system`"),
            };
            match line.architecture {
                Architecture::Amd64 => {}
                Architecture::Arm64 => name += "/arm64",
            }
            ensure!(
                pairs.iter().all(|pair| pair.name != name),
                "pair `{name}` is listed twice"
            );
            let wrong = || format!("pair `{name}`");
            pairs.push(Pair {
                architecture: line.architecture,
                kernel: find(&kernels, Kind::Kernel, &line.kernel, line.architecture)
                    .with_context(wrong)?,
                userland: find(&userlands, kind, userland, line.architecture)
                    .with_context(wrong)?,
                default: line.default,
                name: name.clone(),
            });
        }
        Ok(pairs)
    }

    fn kernels(&self) -> Result<Vec<Half>> {
        let halves = self.kernel.iter().map(|kernel| Half {
            kind: Kind::Kernel,
            name: kernel.name.clone(),
            suite: kernel.suite.clone(),
            architecture: kernel.architecture,
            packages: vec![kernel.package.clone()],
        });
        self.checked(halves.collect())
    }

    fn userlands(&self) -> Result<Vec<Half>> {
        let halves = self.nft.iter().map(|nft| Half {
            kind: Kind::Userland,
            name: nft.name.clone(),
            suite: nft.suite.clone(),
            architecture: nft.architecture,
            packages: nft.packages.clone(),
        });
        self.checked(halves.collect())
    }

    fn systems(&self) -> Result<Vec<Half>> {
        let halves = self.system.iter().map(|system| Half {
            kind: Kind::System,
            name: system.name.clone(),
            suite: system.suite.clone(),
            architecture: Architecture::Amd64,
            packages: system.packages.clone(),
        });
        self.checked(halves.collect())
    }

    fn checked(&self, halves: Vec<Half>) -> Result<Vec<Half>> {
        for (index, half) in halves.iter().enumerate() {
            let same =
                |other: &Half| (&other.name, other.architecture) == (&half.name, half.architecture);
            ensure!(!halves[..index].iter().any(same), "{half} is listed twice");
            ensure!(!half.packages.is_empty(), "{half} has no packages");
            let suite = self.suite.iter().find(|suite| suite.name == half.suite);
            let suite = suite.ok_or_else(|| {
                let names = self.suite.iter().map(|suite| &*suite.name);
                anyhow!(
                    "{half} is of suite `{}`, which is none of {}",
                    half.suite,
                    list(names)
                )
            })?;
            ensure!(
                suite.architectures.contains(&half.architecture),
                "{half} is of suite `{}`, which is read for {}",
                suite.name,
                list(suite.architectures.iter().map(|known| known.name())),
            );
        }
        Ok(halves)
    }
}

fn find(halves: &[Half], kind: Kind, name: &str, architecture: Architecture) -> Result<Half> {
    let mut here = halves
        .iter()
        .filter(|half| (half.kind, half.architecture) == (kind, architecture));
    let found = here.clone().find(|half| half.name == name);
    found.cloned().ok_or_else(|| {
        let names = list(here.by_ref().map(|half| &*half.name));
        anyhow!("{kind} `{name}` for {architecture} is none of {names}")
    })
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return "those listed".to_owned();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        suite = [{ name = "s", architectures = ["amd64"], components = ["main"], keyring = "k",
                   archives = [{ uri = "u", suite = "s" }] }]
        kernel = [{ name = "6.1", suite = "s", package = "linux" }]
        nft = [{ name = "1.0.6", suite = "s", packages = ["nftables"] }]
        pair = [{ kernel = "6.1", nft = "1.0.6", default = false }]
    "#;

    fn check(old: &str, new: &str, expected: &str) {
        assert!(FILE.contains(old));
        let file = toml::from_str::<File>(&FILE.replacen(old, new, 1));
        let pairs = file
            .map_err(anyhow::Error::from)
            .and_then(|file| file.pairs());
        let error = format!("{:#}", pairs.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn pair_may_be_left_out_by_default() {
        let file: File = toml::from_str(FILE).unwrap();
        assert!(!file.pairs().unwrap()[0].default);
    }

    #[test]
    fn whatever_is_wrong_is_named_with_what_is_allowed() {
        check(
            "default = false",
            "defualt = false",
            "unknown field `defualt`, expected one of",
        );
        check(
            "[\"amd64\"]",
            "[\"mips\"]",
            "unknown variant `mips`, expected `amd64` or `arm64`",
        );
        check(
            "{ kernel = \"6.1\"",
            "{ kernel = \"6.2\"",
            "pair `6.2/1.0.6`: kernel `6.2` for amd64 is none of `6.1`",
        );
        check(
            "nft = \"1.0.6\"",
            "architecture = \"arm64\", nft = \"1.0.6\"",
            "pair `6.1/1.0.6/arm64`: kernel `6.1` for arm64 is none of those listed",
        );
        check(
            "\"6.1\", suite = \"s\"",
            "\"6.1\", suite = \"t\"",
            "kernel `6.1` for amd64 is of suite `t`, which is none of `s`",
        );
        check(
            "suite = \"s\", packages",
            "suite = \"s\", architecture = \"arm64\", packages",
            "nft `1.0.6` for arm64 is of suite `s`, which is read for `amd64`",
        );
        check(
            "[\"nftables\"]",
            "[]",
            "nft `1.0.6` for amd64 has no packages",
        );
        check(
            "pair = [",
            "pair = [{ kernel = \"6.1\", nft = \"1.0.6\" }, ",
            "pair `6.1/1.0.6` is listed twice",
        );
    }
}
