//! The operator's configuration: one TOML file, and `--set` on the command line.
//!
//! Every error names the file, the line and the key, what was found and what is allowed, and all
//! of them are reported at once. A key that this version cannot honour is refused, not ignored.

mod goals;
mod period;
mod reader;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use portreeve_model::diagnostic::{Diagnostic, Quoted};

pub use self::period::{NoPeriod, confirm_within};
#[cfg(test)]
pub(super) use self::reader::read;
use super::InputsError;
use super::feed::Contract;
use super::file::{self, ReadError};
use super::goals::StatedGoal;
use super::raw::{Place, Raw};

/// Where the configuration is when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/portreeve/portreeve.toml";

/// Bytes in a configuration file. Ours: a thousand times the usual one.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// How long a trial runs when nobody says otherwise: time enough to open a session and to type.
const CONFIRM_WITHIN: Duration = Duration::from_secs(60);

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    policy: String,
    /// Values of the policy's settings; the first one of a name counts.
    pub(super) settings: Vec<Entry>,
    /// Where feeds come from.
    pub(super) feeds: Vec<FeedConfig>,
    confirm_within: Duration,
    goals: Vec<StatedGoal>,
}

/// A setting as the operator wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Raw,
    pub(super) place: Place,
}

/// A feed as the operator wants it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FeedConfig {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) sources: Vec<FeedSource>,
    pub(super) contract: Contract,
}

/// Where the prefixes of a feed are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FeedSource {
    /// The ranges of Cloudflare that the binary carries.
    BuiltInCloudflare,
    File(PathBuf),
}

/// What holds on a machine without a configuration.
impl Default for Config {
    fn default() -> Self {
        Self {
            policy: "strict-origin".to_owned(),
            settings: Vec::new(),
            feeds: Vec::new(),
            confirm_within: CONFIRM_WITHIN,
            goals: Vec::new(),
        }
    }
}

impl Config {
    /// The policy that decides: the name of a built-in one, or the path of a component.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// How long a trial runs unless the command line says otherwise.
    #[must_use]
    pub const fn confirm_within(&self) -> Duration {
        self.confirm_within
    }

    /// What the operator wants of every rule set, beside what its policy promises.
    #[must_use]
    pub fn goals(&self) -> &[StatedGoal] {
        &self.goals
    }

    /// The configuration in the file at `path`, or at [`DEFAULT_PATH`], which need not exist.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in the order of its lines.
    pub fn load(path: Option<&Path>) -> Result<Self, InputsError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let contents = match file::read(file, CONFIG_BYTES_MAX) {
            Err(ReadError::Io(error))
                if path.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(Self::default());
            }
            Err(error) => return Err(unreadable(file, &error)),
            Ok(contents) => contents,
        };
        let (owner, mode) = (contents.metadata.uid(), contents.metadata.mode());
        if Uid::effective().is_root()
            && let Some(found) = others_who_may_write(owner, mode)
        {
            return Err(writable(file, &found));
        }
        match std::str::from_utf8(&contents.bytes) {
            Ok(text) => reader::read(text, file).map_err(InputsError::Invalid),
            Err(error) => Err(unreadable(file, &error)),
        }
    }

    /// Gives a setting the value that the command line says: `ssh-port=2222`. Whether there is
    /// such a setting, and what its values look like, only the policy's description can tell.
    ///
    /// # Errors
    /// When `argument` is not of the form `KEY=VALUE`.
    pub fn set(&mut self, argument: &str) -> Result<(), InputsError> {
        match argument.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                let entry = Entry {
                    key: key.to_owned(),
                    value: Raw::Argument(value.to_owned()),
                    place: Place::CommandLine,
                };
                // The last word on the command line outdoes earlier ones and the file.
                self.settings.insert(0, entry);
                Ok(())
            }
            _ => Err(InputsError::Invalid(vec![Diagnostic {
                code: "C008",
                subject: "`--set`".to_owned(),
                message: format!("found {}, allowed is KEY=VALUE", Quoted(argument)),
                help: "write it as in `--set ssh-port=2222`".to_owned(),
            }])),
        }
    }
}

fn unreadable(file: &Path, cause: &dyn std::fmt::Display) -> InputsError {
    InputsError::Invalid(vec![Diagnostic {
        code: "C001",
        subject: format!("configuration {}", Quoted(&file.to_string_lossy())),
        message: cause.to_string(),
        help: "name a readable TOML file with `--config`".to_owned(),
    }])
}

/// Who but root may write a file. Who writes the configuration decides what root's firewall does.
fn others_who_may_write(owner: u32, mode: u32) -> Option<String> {
    if owner != 0 {
        Some(format!("user {owner} owns it"))
    } else if mode & 0o022 != 0 {
        Some(format!("its mode is {:04o}", mode & 0o7777))
    } else {
        None
    }
}

fn writable(file: &Path, found: &str) -> InputsError {
    InputsError::Invalid(vec![Diagnostic {
        code: "C002",
        subject: format!("configuration {}", Quoted(&file.to_string_lossy())),
        message: format!("others than root may write it: {found}"),
        help: "read what it says, then `chown root` and `chmod go-w` it".to_owned(),
    }])
}

#[cfg(test)]
mod tests;
