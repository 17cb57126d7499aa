//! The program under test: the `portreeve` binary of this build, with directories of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::namespace::Namespace;

/// What a run of the program said and how it ended.
#[derive(Debug, Default)]
pub struct Run {
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The answer.
    pub stdout: String,
    /// The story.
    pub stderr: String,
}

impl Run {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The run ended with `code` and told each of `parts` on stderr.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        contains(&self.stderr, parts);
        let last = self.stderr.lines().last().unwrap_or_default().trim();
        assert!(
            last.starts_with("machine "),
            "the last line is about the machine: {last}"
        );
    }

    /// The run ended well and answered each of `parts`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn succeeds(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        contains(&self.stdout, parts);
    }

    /// The answer, as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("the answer is JSON")
    }

    /// The answers, each as JSON: a trial that is watched has one when it begins and one when it
    /// ends.
    ///
    /// # Panics
    /// When something else is among them.
    #[must_use]
    #[track_caller]
    pub fn all_json(&self) -> Vec<Value> {
        let answers = serde_json::Deserializer::from_str(&self.stdout).into_iter();
        answers
            .collect::<Result<_, _>>()
            .expect("the answers are JSON")
    }
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// The program with a configuration and directories that no other test uses.
#[derive(Debug)]
pub struct Subject {
    /// The binary.
    pub program: PathBuf,
    directory: TempDir,
}

impl Default for Subject {
    fn default() -> Self {
        Self::new()
    }
}

impl Subject {
    /// One with an empty configuration: what this machine has in `/etc` is never read.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[must_use]
    pub fn new() -> Self {
        let subject = Self {
            program: portreeve(),
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
        };
        subject.configure("");
        subject
    }

    /// The path of a file in its directory.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes the configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, text: &str) {
        fs::write(self.path("portreeve.toml"), text).expect("a temporary file can be written");
    }

    /// Adds the arguments, the configuration and the directories.
    #[must_use]
    pub fn with(&self, command: Command, arguments: &[&str]) -> Command {
        let mut command = self.without_configuration(command, arguments);
        command.arg("--config").arg(self.path("portreeve.toml"));
        command
    }

    /// Adds the arguments and the directories.
    #[must_use]
    pub fn without_configuration(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--cache-dir")
            .arg(self.path("cache"))
            // What logins are told of a trial is not for the users of this machine.
            .arg("--motd-dir")
            .arg(self.path("motd"))
            .args(arguments);
        command
    }

    /// Runs with an empty configuration where it has no privilege to lose: no kernel is asked.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.configured("", arguments)
    }

    /// Runs with a configuration of this text.
    #[must_use]
    pub fn configured(&self, text: &str, arguments: &[&str]) -> Run {
        self.configure(text);
        self.run_again(arguments)
    }

    /// Runs with the configuration that was written last.
    #[must_use]
    pub fn run_again(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.with(Command::new(&self.program), arguments))
    }

    /// Runs in a namespace, with the configuration that was written last.
    #[must_use]
    pub fn run_in(&self, namespace: &Namespace, arguments: &[&str]) -> Run {
        Run::of(&mut self.with(namespace.command(&self.program), arguments))
    }
}

/// A namespace, or the reason on stderr why the test is skipped.
#[must_use]
pub fn namespace() -> Option<Namespace> {
    match Namespace::new() {
        Ok(namespace) => Some(namespace),
        Err(reason) => {
            eprintln!("skipped: no network namespace with nftables can be made: {reason}");
            None
        }
    }
}

/// The binary, freshly built unless `PORTREEVE_BIN` names one, as `cargo xtask test` does after
/// it has built the workspace once.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn portreeve() -> PathBuf {
    if let Some(named) = std::env::var_os("PORTREEVE_BIN") {
        return named.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(cargo)
        .args(["build", "--locked", "--workspace", "--bins"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .output()
        .expect("cargo runs where tests are run");
    assert!(output.status.success(), "portreeve does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "portreeve")
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .expect("cargo says where it put the binary")
}
