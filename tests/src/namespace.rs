//! Network namespaces of our own, in which nft may do as it likes.
//!
//! The machine's own firewall is never touched: every nft started here is inside.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread;

/// Where Linux distributions keep the programs that are needed.
const PROGRAM_DIRS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// How this machine lets us make a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Namespaces(&'static [&'static str]);

impl Namespaces {
    /// As root.
    pub const OF_ROOT: Self = Self(&["--net"]);

    /// As anybody, who is root in a user namespace.
    pub const OF_ANYBODY: Self = Self(&["--user", "--map-root-user", "--net"]);

    /// Finds out by doing it whether rules can be loaded in a namespace and a cable be laid there.
    ///
    /// # Errors
    /// One line: what was tried and what came of it.
    pub fn find() -> Result<Self, Unavailable> {
        let tool = |name| tool(name).map_err(|error| Unavailable(error.to_string()));
        let (nft, ip) = (tool("nft")?, tool("ip")?);
        let cable = ["link", "add", "eth0", "type", "veth"];
        let mut reasons = Vec::new();
        for namespaces in [Self::OF_ROOT, Self::OF_ANYBODY] {
            let tried = namespaces
                .tries(&nft, &["list", "ruleset"])
                .and_then(|()| namespaces.tries(&ip, &cable));
            match tried {
                Ok(()) => return Ok(namespaces),
                Err(reason) => {
                    reasons.push(format!("unshare {}: {reason}", namespaces.0.join(" ")));
                }
            }
        }
        Err(Unavailable(reasons.join("; ").replace('\n', " ")))
    }

    /// A command that runs `program` in a network namespace of its own, as its root. `unshare`
    /// gets `options` as well.
    #[must_use]
    pub fn command(self, options: &[&str], program: &Path) -> Command {
        let unshare = tool("unshare").unwrap_or_else(|_| "unshare".into());
        let mut command = Command::new(unshare);
        command.args(self.0).args(options).arg("--").arg(program);
        command
    }

    /// Whether `program` runs there and ends well; otherwise what it says.
    fn tries(self, program: &Path, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.command(&[], program);
        match command.args(arguments).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A private network namespace. It is gone when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    /// The process that keeps it alive until its input is closed.
    keeper: Child,
    input: Option<ChildStdin>,
    nsenter: PathBuf,
    nft: PathBuf,
    in_user_namespace: bool,
}

/// Why there is no namespace to test in, in one line.
#[derive(Debug)]
pub struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

impl Namespace {
    /// A new namespace: as root a plain one, otherwise inside a user namespace of its own.
    ///
    /// # Errors
    /// When this machine allows neither, or a program is missing; found out by trying.
    pub fn new() -> Result<Self, Unavailable> {
        Self::start(Namespaces::OF_ROOT).or_else(|_| Self::in_user_namespace())
    }

    /// A new namespace inside a user namespace, whoever we are: what an unprivileged user has.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn in_user_namespace() -> Result<Self, Unavailable> {
        Self::start(Namespaces::OF_ANYBODY)
    }

    fn start(namespaces: Namespaces) -> Result<Self, Unavailable> {
        let tool = |name| tool(name).map_err(|error| Unavailable(error.to_string()));
        let (cat, nsenter, nft) = (tool("cat")?, tool("nsenter")?, tool("nft")?);
        let no = |error: io::Error| Unavailable(format!("unshare: {error}"));
        let mut keeper = namespaces
            .command(&[], &cat)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no)?;
        // `cat` answers only once the namespace is there.
        let mut input = keeper.stdin.take().expect("piped");
        let mut output = BufReader::new(keeper.stdout.take().expect("piped"));
        let mut answer = String::new();
        let asked = input.write_all(b"here\n");
        if asked.and_then(|()| output.read_line(&mut answer)).is_err() || answer != "here\n" {
            drop(input);
            let said = keeper.wait_with_output().map_err(no)?.stderr;
            return Err(Unavailable(
                String::from_utf8_lossy(&said).trim().to_owned(),
            ));
        }
        let namespace = Self {
            keeper,
            input: Some(input),
            nsenter,
            nft,
            in_user_namespace: namespaces.0.contains(&"--user"),
        };
        match namespace.nft(&["list", "tables"], "") {
            Ok(_) => Ok(namespace),
            Err(error) => Err(Unavailable(format!("nft in a namespace: {}", error.trim()))),
        }
    }

    /// What nft with these arguments and this input writes, or what it complains about.
    ///
    /// # Errors
    /// nft's standard error, when it exits with another status than 0.
    ///
    /// # Panics
    /// When nft cannot be started.
    pub fn nft(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        output(self.command(&self.nft).args(arguments), input)
    }

    /// A command that will run inside, with every privilege there.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.nsenter);
        command
            .arg(format!("--target={}", self.keeper.id()))
            .arg("--net");
        if self.in_user_namespace {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }

    /// A command that will run inside as a user without any privilege; possible for root only.
    ///
    /// # Panics
    /// When util-linux's `setpriv` is missing.
    #[must_use]
    pub fn unprivileged_command(&self, program: &Path) -> Command {
        let setpriv = tool("setpriv").expect("util-linux has setpriv");
        let mut command = self.command(&setpriv);
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(program);
        command
    }

    /// The same, as a user without any privilege in the namespace; possible for root only.
    ///
    /// # Errors
    /// As for [`Self::nft`].
    ///
    /// # Panics
    /// When `setpriv` cannot be started.
    pub fn nft_unprivileged(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        output(self.unprivileged_command(&self.nft).args(arguments), input)
    }

    /// Whether the namespace belongs to a user namespace, and not to the machine's root.
    #[must_use]
    pub const fn is_in_user_namespace(&self) -> bool {
        self.in_user_namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its input at an end, the keeper exits, and the namespace with it.
        drop(self.input.take());
        drop(self.keeper.wait());
    }
}

/// What the command writes when `input` is its standard input.
fn output(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("probed: the program can be started");
    let mut pipe = child.stdin.take().expect("piped");
    let Output {
        status,
        stdout,
        stderr,
    } = thread::scope(|scope| {
        // A program that refuses early closes its input; that is its answer, not our error.
        scope.spawn(move || drop(pipe.write_all(input.as_bytes())));
        child.wait_with_output().expect("it was started")
    });
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if status.success() {
        Ok(text(stdout))
    } else {
        Err(text(stderr))
    }
}

/// The absolute path of a system tool. `PATH` of an ordinary user often lacks the `sbin` folders.
///
/// # Errors
/// When it is not installed.
pub fn tool(name: &str) -> io::Result<PathBuf> {
    PROGRAM_DIRS
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            io::Error::other(format!(
                "there is no `{name}` in {}",
                PROGRAM_DIRS.join(", ")
            ))
        })
}

/// Has `ip`, a command for iproute2's `ip` wherever it shall run, carry out these lines.
///
/// # Errors
/// What it complains about.
pub fn ip_batch(ip: &mut Command, lines: &str) -> io::Result<()> {
    match output(ip.args(["-batch", "-"]), lines) {
        Ok(_) => Ok(()),
        Err(said) => Err(io::Error::other(format!("ip: {}", said.trim()))),
    }
}
