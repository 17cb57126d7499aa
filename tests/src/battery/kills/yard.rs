//! Where commands are killed: a kernel and a disk that are put back to a known state each time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::TABLE;
use tempfile::TempDir;

use crate::battery::Programs;
use crate::battery::confirmed::{Generation, generations, token};
use crate::battery::kills::deed::{FIRST, SECOND, Side, Standing, THIRD};
use crate::battery::kills::tracer::{self, Instance, Traced, Victims, kill_others, wait_for_all};
use crate::namespace::tool;
use crate::program::Run;

/// The kernel of this namespace, and a state directory.
pub(super) struct Yard {
    programs: Programs,
    nft: PathBuf,
    folder: TempDir,
    /// What the kernel lists of each rule set.
    rulesets: BTreeMap<&'static str, Ruleset>,
}

impl Yard {
    /// Applies every rule set once, to know it, and keeps the disks that runs start from.
    pub(super) fn new(programs: &Programs) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("portreeve.toml"), "")?;
        let mut yard = Self {
            programs: programs.clone(),
            nft: tool("nft")?,
            folder,
            rulesets: BTreeMap::new(),
        };
        for settings in [THIRD, FIRST, SECOND] {
            if settings == FIRST {
                fs::remove_dir_all(yard.state())?;
                yard.delete_table();
            }
            yard.must(&["apply", "--no-trial", "--set", settings])?;
            let (confirmed, _) = yard.standing()?;
            let (_, ruleset) = confirmed.ok_or_else(|| io::Error::other("nothing confirmed"))?;
            yard.rulesets.insert(settings, ruleset);
            copy(&yard.state(), &yard.path(settings))?;
        }
        Ok(yard)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Puts the kernel and the disk into this state. Gives the token of the trial, if one runs.
    pub(super) fn reset(&self, standing: Standing) -> io::Result<String> {
        self.delete_table();
        drop(fs::remove_dir_all(self.state()));
        let saved = match standing.confirmed {
            Side::First => FIRST,
            Side::Second => SECOND,
        };
        copy(&self.path(saved), &self.state())?;
        self.must(&["boot"])?;
        if standing.trial.is_none() {
            return Ok(String::new());
        }
        let run = self.must(&[
            "apply",
            "--no-wait",
            "--confirm-within",
            "10m",
            "--set",
            SECOND,
        ])?;
        // The watcher would outlive the run; nothing depends on it.
        kill_others()?;
        wait_for_all()?;
        token(&run).ok_or_else(|| io::Error::other(format!("no token in: {}", run.stdout)))
    }

    fn delete_table(&self) {
        let delete = ["delete", "table", "inet", TABLE];
        drop(Run::of(Command::new(&self.nft).args(delete)));
    }

    /// The words of a command line.
    fn words(&self, arguments: &[String]) -> Vec<String> {
        self.words_on("state", arguments)
    }

    /// The same, on this state directory.
    fn words_on(&self, state: &str, arguments: &[String]) -> Vec<String> {
        let file = |name: &str| self.path(name).display().to_string();
        let mut words = vec![self.programs.portreeve.display().to_string()];
        for (option, value) in [
            ("--config", file("portreeve.toml")),
            ("--state-dir", file(state)),
            ("--cache-dir", file("cache")),
            ("--motd-dir", file("motd")),
        ] {
            words.extend([option.to_owned(), value]);
        }
        words.extend_from_slice(arguments);
        words
    }

    /// Runs a command.
    fn run(&self, arguments: &[&str]) -> Run {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let words = self.words(&arguments);
        Run::of(Command::new(&words[0]).args(&words[1..]))
    }

    /// Runs a command that must end well.
    fn must(&self, arguments: &[&str]) -> io::Result<Run> {
        let run = self.run(arguments);
        if run.code == Some(0) {
            return Ok(run);
        }
        let (what, Run { code, stderr, .. }) = (arguments.join(" "), &run);
        Err(io::Error::other(format!("{what}: {code:?}: {stderr}")))
    }

    /// Runs a command and kills it when it is time.
    pub(super) fn kill(
        &self,
        arguments: &[String],
        instance: Instance,
        victims: Victims,
    ) -> io::Result<Traced> {
        let words = self.words(arguments);
        tracer::run(&self.programs.battery, &words, instance, victims)
    }

    /// How long a command takes that nobody disturbs.
    pub(super) fn time(&self, arguments: &[String]) -> io::Result<Duration> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let started = Instant::now();
        self.must(&arguments)?;
        let time = started.elapsed();
        kill_others()?;
        wait_for_all()?;
        Ok(time)
    }

    /// What the kernel holds: confirmed, and on trial.
    fn standing(&self) -> io::Result<(Option<Generation>, Option<Generation>)> {
        let list = ["-j", "list", "table", "inet", TABLE];
        let run = Run::of(Command::new(&self.nft).args(list));
        if run.code != Some(0) {
            return Err(io::Error::other(format!("the kernel: {}", run.stderr)));
        }
        generations(&run.stdout)
    }

    fn side(&self, ruleset: &Ruleset) -> io::Result<Side> {
        let is = |settings| self.rulesets.get(settings) == Some(ruleset);
        match (is(FIRST), is(SECOND)) {
            (true, _) => Ok(Side::First),
            (_, true) => Ok(Side::Second),
            (false, false) => Err(io::Error::other(format!("a mixture: {ruleset:?}"))),
        }
    }

    /// Whether the kernel holds whole rule sets, and which.
    pub(super) fn kernel(&self) -> io::Result<Standing> {
        let (confirmed, trial) = self.standing()?;
        let (_, confirmed) = confirmed.ok_or_else(|| io::Error::other("nothing confirmed"))?;
        let trial = trial.map(|(_, ruleset)| self.side(&ruleset)).transpose()?;
        let confirmed = self.side(&confirmed)?;
        Ok(Standing { confirmed, trial })
    }

    /// Which rule set a boot from a copy of the disk loads, in a namespace of its own.
    pub(super) fn boots(&self) -> io::Result<Side> {
        let copied = self.path("copy");
        drop(fs::remove_dir_all(&copied));
        copy(&self.state(), &copied)?;
        let words = self.words_on("copy", &["boot".to_owned()]);
        let nft = self.nft.display();
        let script = format!("\"$@\" >&2 && exec {nft} -j list table inet {TABLE}");
        let run = Run::of(
            Command::new(tool("unshare")?)
                .args(["--net", "--", "/bin/sh", "-c", &script, "sh"])
                .args(words),
        );
        let booted = generations(&run.stdout);
        match booted {
            Ok((Some((_, ruleset)), None)) => self.side(&ruleset),
            other => {
                let (code, said) = (run.code, run.stderr);
                let text = format!("a boot ends with {code:?}, loads {other:?}: {said}");
                Err(io::Error::other(text))
            }
        }
    }

    /// Whether everything still works: what is recorded can be read, and a rule set be applied.
    pub(super) fn goes_on(&self) -> io::Result<()> {
        let told = self.must(&["status"]).and_then(|_| self.must(&["history"]));
        self.must(&["apply", "--no-trial", "--set", THIRD])?;
        match self.standing()? {
            (Some((_, ruleset)), None) if self.rulesets.get(THIRD) == Some(&ruleset) => {}
            other => {
                let text = format!("the next apply left {other:?}");
                return Err(io::Error::other(text));
            }
        }
        // The worst is told first: what is said is mended sooner than what is done.
        told.map(drop)
    }
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}
