//! `apt`, with a folder of its own: one suite, one architecture, nothing of this machine's.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::fetch::lock::Package;
use crate::fetch::program;
use crate::kernels::{Architecture, Suite};

/// An index is 10 MB, a kernel 30 MB.
const LIMIT: Duration = Duration::from_secs(900);

/// A suite's index, as new as it was when this was opened.
pub(super) struct Apt {
    config: PathBuf,
}

impl Apt {
    /// Reads the suite's index.
    pub(super) fn open(suite: &Suite, architecture: Architecture, store: &Path) -> Result<Self> {
        let folder = store
            .join("apt")
            .join(format!("{}-{architecture}", suite.name));
        for part in ["etc/preferences.d", "lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let folder = folder.canonicalize()?;
        let config = folder.join("apt.conf");
        fs::write(&config, configuration(&folder, architecture))?;
        fs::write(folder.join("status"), "")?;
        fs::write(
            folder.join("etc/sources.list"),
            sources(suite, architecture),
        )?;
        let apt = Self { config };
        apt.run("apt-get", ["update", "--error-on=any"])
            .with_context(|| format!("failed to read the index of suite `{}`", suite.name))?;
        Ok(apt)
    }

    /// What the index says about the newest version of each of `names`.
    pub(super) fn describe(&self, names: &[String]) -> Result<String> {
        let words = ["show", "--no-all-versions"].into_iter();
        self.run("apt-cache", words.chain(names.iter().map(String::as_str)))
    }

    /// Puts the files of `packages` into `folder`.
    pub(super) fn download(&self, packages: &[&Package], folder: &Path) -> Result<()> {
        let named = packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version));
        let mut command = self.command("apt-get");
        command.arg("download").args(named).current_dir(folder);
        program::run(&mut command, LIMIT)?;
        Ok(())
    }

    fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        program::run(self.command(program).args(words), LIMIT)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--config-file")
            .arg(&self.config)
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

/// Read after the machine's own configuration: its proxies count, its hooks do not.
fn configuration(folder: &Path, architecture: Architecture) -> String {
    let folder = folder.display();
    format!(
        r#"#clear APT::Update;
#clear APT::Architectures;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{folder}";
Dir::State::lists "lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc "{folder}/etc";
"#
    )
}

fn sources(suite: &Suite, architecture: Architecture) -> String {
    let mut lines = String::new();
    let frozen = if suite.frozen {
        " check-valid-until=no"
    } else {
        ""
    };
    for archive in &suite.archives {
        let _ = writeln!(
            lines,
            "deb [arch={architecture} signed-by={} target=Packages{frozen}] {} {} {}",
            suite.keyring,
            archive.uri,
            archive.suite,
            suite.components.join(" ")
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Archive;

    #[test]
    fn source_is_signed_and_only_what_is_frozen_may_be_stale() {
        let mut suite = Suite {
            name: "bullseye".to_owned(),
            architectures: vec![Architecture::Amd64],
            components: vec!["main".to_owned(), "contrib".to_owned()],
            keyring: "/keys.gpg".to_owned(),
            frozen: false,
            archives: vec![Archive {
                uri: "http://deb.debian.org/debian".to_owned(),
                suite: "bullseye".to_owned(),
            }],
        };
        let expected = "deb [arch=amd64 signed-by=/keys.gpg target=Packages] \
                        http://deb.debian.org/debian bullseye main contrib\n";
        assert_eq!(sources(&suite, Architecture::Amd64), expected);
        suite.frozen = true;
        let expected = expected.replace("Packages]", "Packages check-valid-until=no]");
        assert_eq!(sources(&suite, Architecture::Amd64), expected);
    }
}
