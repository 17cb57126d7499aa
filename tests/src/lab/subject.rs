//! The program under test, and the rule set that it says it will apply.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use portreeve_model::ruleset::Ruleset;
use tempfile::TempDir;

use crate::namespace::tool;

/// A `portreeve` binary with a configuration and a state of its own, gone when dropped.
#[derive(Debug)]
pub struct Subject {
    program: PathBuf,
    settings: Vec<String>,
    folder: TempDir,
}

impl Subject {
    /// `program` with the built-in policy `policy`; each setting is `KEY=VALUE`.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new(program: &Path, policy: &str, settings: &[String]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(
            folder.path().join("portreeve.toml"),
            format!("policy = \"{policy}\"\n"),
        )?;
        Ok(Self {
            program: program.to_owned(),
            settings: settings.to_owned(),
            folder,
        })
    }

    /// The rule set that `portreeve plan` prints, as this program reads it.
    pub(super) fn planned(&self) -> io::Result<Ruleset> {
        let json = self.run(&["plan", "--format", "nft-json"])?;
        portreeve_nft::lift(&json).map_err(io::Error::other)
    }

    /// Puts the rule set into the kernel of the namespace that this runs in.
    pub(super) fn apply(&self) -> io::Result<()> {
        // The lab's servers run in this process: whoever is at the other end of what they hold is
        // taken for the operator, whatever port they came in by.
        let words = ["apply", "--no-trial", "--allow-lockout"];
        self.run(&words).map(drop)
    }

    fn run(&self, arguments: &[&str]) -> io::Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("portreeve.toml"))
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .arg("--cache-dir")
            .arg(self.folder.path().join("cache"))
            .stdin(Stdio::null());
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        answer(
            &command.output()?,
            &format!("portreeve {}", arguments.join(" ")),
        )
    }
}

/// Somebody else's table, which also makes the kernel track connections before the rules come.
const BYSTANDER: &str = "table inet bystander {
    chain prerouting {
        type filter hook prerouting priority -150; policy accept;
        ct state vmap { established : accept, new : accept }
    }
}";

/// Loads the bystander's table.
pub(super) fn load_bystander() -> io::Result<()> {
    use std::io::Write;
    let mut child = Command::new(tool("nft")?)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(BYSTANDER.as_bytes())?;
    }
    answer(&child.wait_with_output()?, "nft -f").map(drop)
}

/// The bystander's table as the kernel lists it, handles and all.
pub(super) fn list_bystander() -> io::Result<String> {
    let output = Command::new(tool("nft")?)
        .args(["-a", "list", "table", "inet", "bystander"])
        .output()?;
    answer(&output, "nft list table inet bystander")
}

fn answer(output: &Output, what: &str) -> io::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{what}: {}: {}",
        output.status,
        said.trim()
    )))
}
