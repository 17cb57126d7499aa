//! The only file that starts a process: `nft`, by absolute path, without a shell; this program
//! itself, for what must not happen in a process of many threads; and the harness of scenarios, which
//! this process becomes.
//!
//! `nft` is looked for in the system's own directories, never in `PATH`. It and this program get an empty
//! environment, their input on stdin, and a limit on their time and on what they may print.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use portreeve_model::tables::TableFamily;
use portreeve_nft::{Cause, Refusal, Subject, Transaction};
use serde_json::Value;
use thiserror::Error;

use super::conversation::{Bounds, Broken, Said, converse};

/// Where distributions put `nft`.
const NFT_PATHS: [&str; 4] = [
    "/usr/sbin/nft",
    "/sbin/nft",
    "/usr/bin/nft",
    "/usr/local/sbin/nft",
];

/// Where distributions put `unshare` of util-linux.
const UNSHARE_PATHS: [&str; 2] = ["/usr/bin/unshare", "/bin/unshare"];

/// How long one `nft` may take. A million prefixes took 14 s (nft 1.0.6, kernel 6.18).
const TIME_MAX: Duration = Duration::from_secs(300);

/// Bytes that one `nft` may print. Ours: a listing of a million prefixes has 26 MB.
const OUTPUT_BYTES_MAX: usize = 256 << 20;

/// Why `nft` did not do what it was asked.
#[derive(Debug, Error)]
pub enum NftError {
    /// It is not installed.
    #[error("nft was not found at {}; install the package nftables", NFT_PATHS.join(", "))]
    NotInstalled,
    /// Its user namespace cannot be made, for want of `unshare`.
    #[error("unshare was not found at {}; run as root instead", UNSHARE_PATHS.join(", "))]
    NoUnshare,
    /// It could not be started.
    #[error("nft could not be started")]
    Start(#[source] io::Error),
    /// It could not be talked to.
    #[error("nft could not be talked to")]
    Run(#[source] io::Error),
    /// It took too long and was ended. The kernel takes a transaction whole or not at all.
    #[error("nft was still busy after {} s and was ended", TIME_MAX.as_secs())]
    TimedOut,
    /// It printed too much and was ended.
    #[error("nft printed more than {} MB and was ended", OUTPUT_BYTES_MAX >> 20)]
    TooMuchOutput,
    /// It was ended by a signal or a fault of its own.
    #[error("nft ended by itself: {status}")]
    Crashed {
        /// How it ended.
        status: ExitStatus,
    },
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl NftError {
    /// Whether it is certain that the kernel was left as it was.
    #[must_use]
    pub const fn is_an_answer(&self) -> bool {
        match self {
            Self::NotInstalled | Self::NoUnshare | Self::Start(_) | Self::Refused(_) => true,
            Self::Run(_) | Self::TimedOut | Self::TooMuchOutput | Self::Crashed { .. } => false,
        }
    }
}

impl From<Unheard> for NftError {
    fn from(unheard: Unheard) -> Self {
        match unheard {
            Unheard::Start(error) => Self::Start(error),
            Unheard::Run(error) => Self::Run(error),
            Unheard::TimedOut => Self::TimedOut,
            Unheard::TooMuchOutput => Self::TooMuchOutput,
        }
    }
}

/// Why a process was not heard to its end.
#[derive(Debug, Error)]
pub enum Unheard {
    /// It could not be started.
    #[error("it could not be started")]
    Start(#[source] io::Error),
    /// It could not be talked to.
    #[error("it could not be talked to")]
    Run(#[source] io::Error),
    /// It took too long and was ended.
    #[error("it was still busy after {} s and was ended", TIME_MAX.as_secs())]
    TimedOut,
    /// It printed too much and was ended.
    #[error("it printed more than {} MB and was ended", OUTPUT_BYTES_MAX >> 20)]
    TooMuchOutput,
}

impl From<Broken> for Unheard {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TimedOut => Self::TimedOut,
            Broken::TooMuchOutput => Self::TooMuchOutput,
            Broken::Io(error) => Self::Run(error),
        }
    }
}

/// What a process said until it ended.
#[derive(Debug)]
pub struct Heard {
    /// How it ended.
    pub status: ExitStatus,
    /// Its answer.
    pub stdout: String,
    /// Its story.
    pub stderr: String,
}

/// Starts a portreeve with one argument, and hears it to its end.
///
/// # Errors
/// When it cannot be heard. How it ended is for the caller to judge.
pub fn start_portreeve(program: &Path, argument: &str, input: &[u8]) -> Result<Heard, Unheard> {
    hear(Command::new(program).arg(argument).env_clear(), input)
}

/// Becomes the program that tries scenarios: from then on it is the one that whoever called this talks to.
/// Returns only when it cannot be started, with the reason.
#[must_use]
pub fn become_harness(program: &Path, arguments: &[OsString]) -> io::Error {
    Command::new(program).args(arguments).exec()
}

/// The `nft` of this machine.
#[derive(Clone, Debug)]
pub struct Nft {
    program: PathBuf,
    /// What comes before the program's own name and arguments on its command line.
    within: Option<PathBuf>,
}

/// What part of a table is listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listing {
    /// Everything.
    Whole,
    /// Everything but the elements of sets, which take the kernel minutes when there are many.
    Terse,
}

impl Nft {
    /// Finds `nft`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn find() -> Result<Self, NftError> {
        let program = first_file(&NFT_PATHS).ok_or(NftError::NotInstalled)?;
        Ok(Self {
            program,
            within: None,
        })
    }

    /// Finds `nft`, to be run in a user and network namespace of its own: it can check a rule
    /// set there without any privilege, and cannot change this machine's.
    ///
    /// # Errors
    /// When `nft` or `unshare` is not installed.
    pub fn find_in_namespace() -> Result<Self, NftError> {
        let nft = Self::find()?;
        let unshare = first_file(&UNSHARE_PATHS).ok_or(NftError::NoUnshare)?;
        Ok(Self {
            within: Some(unshare),
            ..nft
        })
    }

    /// Puts a transaction into the kernel, whole or not at all.
    ///
    /// # Errors
    /// When it was not put there.
    pub fn apply(&self, transaction: &Transaction) -> Result<(), NftError> {
        self.send(&["-j", "-f", "-"], transaction)
    }

    /// Asks the kernel whether it would take a transaction; changes nothing.
    ///
    /// # Errors
    /// When it would not, or could not be asked.
    pub fn check(&self, transaction: &Transaction) -> Result<(), NftError> {
        self.send(&["-c", "-j", "-f", "-"], transaction)
    }

    fn send(&self, arguments: &[&str], transaction: &Transaction) -> Result<(), NftError> {
        match self.run(arguments, transaction.to_json().as_bytes()) {
            Ok(_) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Refused(stderr)) => {
                let mut refusal = Refusal::read(&stderr, transaction);
                if refusal.subject.is_none() && !is_about_the_whole(refusal.cause) {
                    refusal.subject = self.culprit(transaction);
                }
                Err(refusal.into())
            }
        }
    }

    /// The first command that the kernel refuses, which its own errors do not tell: found by
    /// halving, with checks that change nothing.
    fn culprit(&self, transaction: &Transaction) -> Option<Subject> {
        let takes = |count| self.would_take(&transaction.prefix(count));
        let (mut taken, mut refused) = (0, transaction.commands().len());
        if takes(refused)? {
            // A check does not find what only the real attempt met.
            return None;
        }
        while refused - taken > 1 {
            let middle = taken + (refused - taken) / 2;
            if takes(middle)? {
                taken = middle;
            } else {
                refused = middle;
            }
        }
        transaction
            .commands()
            .get(taken)
            .map(|command| command.subject().clone())
    }

    /// Whether a check of `transaction` succeeds; `None` when it cannot be told.
    fn would_take(&self, transaction: &Transaction) -> Option<bool> {
        match self.run(&["-c", "-j", "-f", "-"], transaction.to_json().as_bytes()) {
            Ok(_) => Some(true),
            Err(Failure::Refused(_)) => Some(false),
            Err(Failure::Error(_)) => None,
        }
    }

    /// The table `inet portreeve` as nft's JSON, or `None` when the kernel has no such table.
    ///
    /// # Errors
    /// When nft could not be asked.
    pub fn list(&self, listing: Listing) -> Result<Option<String>, NftError> {
        // `-n`: names of protocols and types differ between machines, numbers do not.
        let (options, what): (&[&str], &[&str]) = match listing {
            Listing::Whole => (
                &["-n", "-j"],
                &["list", "table", "inet", portreeve_nft::TABLE],
            ),
            // Asked for one table, nft fetches all elements and leaves them out; asked for the
            // rule set it does not fetch them (43,000 elements: 150 ms and 3 ms).
            Listing::Terse => (&["-n", "-j", "-t"], &["list", "ruleset", "inet"]),
        };
        match self.run(&[options, what].concat(), b"") {
            Ok(listed) => match listing {
                Listing::Whole => Ok(Some(listed)),
                Listing::Terse => Ok(only_ours(listed)),
            },
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Refused(stderr)) => {
                let refusal = Refusal::read(&stderr, &Transaction::default());
                // What a listing does not find is the table; a kernel without nftables has none.
                if refusal.cause == Cause::NotThere {
                    Ok(None)
                } else {
                    Err(refusal.into())
                }
            }
        }
    }

    /// Every table of every family, with all elements, as nft's JSON.
    ///
    /// # Errors
    /// When nft could not be asked.
    pub fn list_everything(&self) -> Result<String, NftError> {
        self.ask(&["-j", "list", "ruleset"], "")
    }

    /// Every table of every family, without the elements of sets.
    ///
    /// # Errors
    /// When nft could not be asked.
    pub fn list_everything_tersely(&self) -> Result<String, NftError> {
        self.ask(&["-j", "-t", "list", "ruleset"], "")
    }

    /// One table with all elements; none when it has a name that nft would not read as one.
    ///
    /// # Errors
    /// When nft could not be asked.
    pub fn list_table(&self, family: TableFamily, name: &str) -> Result<Option<String>, NftError> {
        // nft puts its arguments together and reads them as commands.
        let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
        if !(name.as_bytes().first().is_some_and(is_letter) && name.bytes().all(is_plain)) {
            return Ok(None);
        }
        let listed = self.ask(&["-j", "list", "table", family.keyword(), name], "");
        listed.map(Some)
    }

    /// Puts tables into the kernel that nft has listed as JSON.
    ///
    /// # Errors
    /// When they were not put there.
    pub fn load_listing(&self, listing: &str) -> Result<(), NftError> {
        self.ask(&["-j", "-f", "-"], listing).map(drop)
    }

    /// Has nft do what text of our own says.
    ///
    /// # Errors
    /// When it did not.
    pub fn load_text(&self, text: &str) -> Result<(), NftError> {
        self.ask(&["-f", "-"], text).map(drop)
    }

    /// What nft prints when it is asked about what is no transaction.
    fn ask(&self, arguments: &[&str], input: &str) -> Result<String, NftError> {
        match self.run(arguments, input.as_bytes()) {
            Ok(printed) => Ok(printed),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Refused(stderr)) => {
                Err(Refusal::read(&stderr, &Transaction::default()).into())
            }
        }
    }

    /// Runs nft to its end and gives what it printed.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<String, Failure> {
        let heard = hear(&mut self.command(arguments), input).map_err(NftError::from)?;
        match heard.status.code() {
            Some(0) => Ok(heard.stdout),
            Some(_) => Err(Failure::Refused(heard.stderr)),
            None => Err(NftError::Crashed {
                status: heard.status,
            }
            .into()),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.within {
            None => Command::new(&self.program),
            Some(unshare) => {
                let mut command = Command::new(unshare);
                command
                    .args(["--user", "--map-root-user", "--net", "--"])
                    .arg(&self.program);
                command
            }
        };
        // Messages are recognised by their English text.
        command.args(arguments).env_clear();
        // Times are listed as the clock of UTC shows them.
        command.envs([("LC_ALL", "C"), ("TZ", "UTC")]);
        command
    }
}

/// Starts a process, gives it its input and hears it to its end.
fn hear(command: &mut Command, input: &[u8]) -> Result<Heard, Unheard> {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(Unheard::Start)?;
    let bounds = Bounds {
        time: TIME_MAX,
        output_bytes: OUTPUT_BYTES_MAX,
    };
    let said = converse(&mut child, input, bounds);
    if said.is_err() {
        // It may have ended already, which is as good.
        let _ = child.kill();
    }
    let status = child.wait().map_err(Unheard::Run)?;
    let Said { stdout, stderr } = said?;
    Ok(Heard {
        status,
        stdout,
        stderr,
    })
}

/// What a listing of several tables says of ours; none when it is not among them. What is no
/// listing stays as it is, for whoever reads it to say so.
fn only_ours(listed: String) -> Option<String> {
    let Ok(mut document) = serde_json::from_str::<Value>(&listed) else {
        return Some(listed);
    };
    let Some(objects) = document.get_mut("nftables").and_then(Value::as_array_mut) else {
        return Some(listed);
    };
    let is_table = |object: &Value| {
        let name = object.pointer("/table/name").and_then(Value::as_str);
        name == Some(portreeve_nft::TABLE)
    };
    let is_in_it = |object: &Value| {
        let mut bodies = object.as_object().into_iter().flatten();
        bodies.any(|(_, body)| {
            body.get("table")
                .is_some_and(|it| it == portreeve_nft::TABLE)
        })
    };
    objects.retain(|object| is_table(object) || is_in_it(object));
    objects.iter().any(is_table).then(|| document.to_string())
}

/// How a run of nft failed.
enum Failure {
    Error(NftError),
    /// It said why on stderr.
    Refused(String),
}

impl From<NftError> for Failure {
    fn from(error: NftError) -> Self {
        Self::Error(error)
    }
}

/// Whether a refusal is about the transaction as a whole, and not about one command.
const fn is_about_the_whole(cause: Cause) -> bool {
    match cause {
        Cause::NotPermitted | Cause::TooLargeForUserNamespace | Cause::NoMemory => true,
        Cause::NotThere
        | Cause::TooMany
        | Cause::Conflict
        | Cause::Overlap
        | Cause::NotUnderstood
        | Cause::Other => false,
    }
}

fn first_file(paths: &[&str]) -> Option<PathBuf> {
    paths
        .iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .map(Path::to_path_buf)
}
