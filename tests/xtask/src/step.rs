//! One program that is run, with its name on the screen.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How something ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// As it should.
    Well,
    /// Not so; it has said why.
    Badly,
}

/// A program that is about to run in the root of the repository.
pub(crate) struct Step(Command);

/// The cargo that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Step {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    program(Path::new(&cargo)).args(arguments)
}

/// Any program.
pub(crate) fn program(path: &Path) -> Step {
    let mut command = Command::new(path);
    command.current_dir(root()).stdin(Stdio::null());
    Step(command)
}

/// A program that cargo has built: this one is in the folder of the debug builds.
pub(crate) fn built(profile: &str, name: &str) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).unwrap_or(&own);
    let path = target.join(profile).join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(io::Error::other(format!(
        "{} was not built",
        path.display()
    )))
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

impl Step {
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Has it read what this program is given to read.
    pub(crate) fn reading(mut self) -> Self {
        self.0.stdin(Stdio::inherit());
        self
    }

    /// Runs it with its output on the screen.
    pub(crate) fn run(mut self) -> io::Result<Ended> {
        self.announce();
        let status = self.0.status()?;
        Ok(ended(status.success()))
    }

    /// Runs it with its output on the screen, and shows each line to `look` as well.
    pub(crate) fn watch(self, mut look: impl FnMut(&str)) -> io::Result<Ended> {
        self.listen(|line| {
            println!("{line}");
            look(line);
        })
    }

    /// Runs it and shows each line of its output to `look` alone.
    pub(crate) fn listen(mut self, mut look: impl FnMut(&str)) -> io::Result<Ended> {
        self.announce();
        let (reader, writer) = io::pipe()?;
        self.0.stdout(writer.try_clone()?).stderr(writer);
        let mut child = self.0.spawn()?;
        // The command holds the last end of the pipe that is written to.
        drop(self);
        for line in BufReader::new(reader).split(b'\n') {
            let line = line?;
            look(&String::from_utf8_lossy(&line));
        }
        Ok(ended(child.wait()?.success()))
    }

    /// Whether it runs and ends well; its output is of no interest.
    pub(crate) fn works(mut self) -> bool {
        let status = self.0.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// What it prints, if it runs and ends well.
    pub(crate) fn prints(mut self) -> Option<String> {
        let output = self.0.stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    fn announce(&self) {
        let path = Path::new(self.0.get_program());
        let mut line = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for argument in self.0.get_args() {
            line += " ";
            line += &argument.to_string_lossy();
        }
        println!("\n==> {line}");
    }
}

const fn ended(well: bool) -> Ended {
    if well { Ended::Well } else { Ended::Badly }
}
