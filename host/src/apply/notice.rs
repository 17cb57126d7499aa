//! Tells those who come later: by the message of the day, and in the system's log.
//!
//! Nothing depends on it. What cannot be told is a note for whoever runs the command, never an
//! error, and nobody is waited for. Both places are open to all users: no token is told here.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::Uid;

/// Our message there.
const MOTD_FILE: &str = "portreeve";
/// What is about to replace it.
const MOTD_NEXT: &str = "portreeve.new";

/// Where syslog(3) leaves its messages.
const LOG_SOCKET: &str = "/dev/log";

/// What there is to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// A rule set is on trial.
    OnTrial {
        /// Which.
        generation: u64,
        /// Until when it can be confirmed.
        until: SystemTime,
        /// What is in force when it lapses; nothing when none was ever confirmed.
        otherwise: Option<u64>,
        /// Who applied it.
        who: String,
    },
    /// It was not confirmed in time.
    Lapsed {
        /// Which.
        generation: u64,
        /// When.
        at: SystemTime,
        /// What is in force now.
        in_force: Option<u64>,
    },
    /// It was confirmed, or installed without a trial.
    Confirmed {
        /// Which.
        generation: u64,
        /// Who did it.
        who: String,
        /// What it rests on, for example `the console`.
        evidence: String,
    },
    /// It was taken back before its time.
    RolledBack {
        /// Which.
        generation: u64,
        /// What is in force now.
        in_force: Option<u64>,
        /// Who did it.
        who: String,
    },
    /// It was loaded when the machine started.
    Booted {
        /// Which; none when the built-in safe rule set had to do.
        generation: Option<u64>,
    },
}

/// Where news is told.
#[derive(Clone, Debug)]
pub struct Notices {
    /// The directory of messages of the day, if they are wanted.
    motd: Option<PathBuf>,
    log: PathBuf,
}

impl Notices {
    /// Notices with the message of the day in `motd`, usually `/run/motd.d`, where pam_motd(8) looks; an empty path
    /// is none.
    #[must_use]
    pub fn new(motd: &Path) -> Self {
        Self {
            motd: (!motd.as_os_str().is_empty()).then(|| motd.to_path_buf()),
            log: PathBuf::from(LOG_SOCKET),
        }
    }

    /// Tells `news`. What could not be told is returned, in words for the operator.
    #[must_use = "the operator is told what others are not"]
    pub fn tell(&self, news: &News) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(directory) = &self.motd {
            let told = match news.motd() {
                Some(text) => post(directory, &text),
                None => take_down(directory),
            };
            if let Err(error) = told {
                let directory = directory.display();
                notes.push(format!(
                    "the message of the day in {directory} is not up to date: {error}"
                ));
            }
        }
        match log(&self.log, news) {
            // A machine without a log, such as many containers, has nobody to be told.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                notes.push(format!("the system log was not told: {error}"));
            }
            _ => {}
        }
        notes
    }
}

impl News {
    /// The message of the day; none when there is nothing that somebody who logs in must know.
    ///
    /// It stays true when nobody replaces it: whoever should have may have been killed.
    fn motd(&self) -> Option<String> {
        match self {
            Self::OnTrial {
                generation,
                until,
                otherwise,
                ..
            } => Some(format!(
                "portreeve: firewall generation {generation} is on trial until {}.\n\
                 Unless it is confirmed by then, {}. See `portreeve status`.\n",
                time(*until),
                match otherwise {
                    Some(otherwise) => format!("generation {otherwise} is in force again"),
                    None => "portreeve filters nothing again".to_owned(),
                },
            )),
            Self::Lapsed {
                generation,
                at,
                in_force,
            } => Some(format!(
                "portreeve: firewall generation {generation} was not confirmed and lapsed at {}.\n\
                 {}. See `portreeve status`.\n",
                time(*at),
                match in_force {
                    Some(in_force) => format!("Generation {in_force} is in force"),
                    None => "portreeve filters nothing".to_owned(),
                },
            )),
            Self::Booted { generation: None } => Some(
                "portreeve: no confirmed firewall could be loaded when the machine started.\n\
                 A built-in safe one is in force. See `portreeve status`.\n"
                    .to_owned(),
            ),
            Self::Confirmed { .. }
            | Self::RolledBack { .. }
            | Self::Booted {
                generation: Some(_),
            } => None,
        }
    }

    /// How much it matters, as syslog(3) counts: 4 is a warning, 5 a notice.
    const fn severity(&self) -> u8 {
        match self {
            Self::Lapsed { .. } | Self::Booted { generation: None } => 4,
            Self::OnTrial { .. }
            | Self::Confirmed { .. }
            | Self::RolledBack { .. }
            | Self::Booted {
                generation: Some(_),
            } => 5,
        }
    }
}

/// The line for the log.
impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTrial {
                generation,
                until,
                who,
                otherwise: _,
            } => write!(
                f,
                "generation {generation} is on trial until {}, applied by {who}",
                time(*until)
            ),
            Self::Lapsed {
                generation,
                at,
                in_force,
            } => write!(
                f,
                "generation {generation} was not confirmed and lapsed at {}; {} is in force",
                time(*at),
                name(*in_force)
            ),
            Self::Confirmed {
                generation,
                who,
                evidence,
            } => write!(
                f,
                "generation {generation} is confirmed by {who} ({evidence})"
            ),
            Self::RolledBack {
                generation,
                in_force,
                who,
            } => write!(
                f,
                "generation {generation} is rolled back by {who}; {} is in force",
                name(*in_force)
            ),
            Self::Booted {
                generation: Some(generation),
            } => write!(f, "generation {generation} is in force from the start"),
            Self::Booted { generation: None } => f.write_str(
                "no confirmed generation could be loaded at the start; the built-in safe rule set \
                 is in force",
            ),
        }
    }
}

fn name(generation: Option<u64>) -> String {
    generation.map_or_else(
        || "nothing of portreeve's".to_owned(),
        |generation| format!("generation {generation}"),
    )
}

/// `2026-03-01T12:00:05Z`.
fn time(time: SystemTime) -> impl fmt::Display {
    // Beyond the year 9999 there is no such notation.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(time.clamp(UNIX_EPOCH, last))
}

/// Puts the message up, whole, in place of an earlier one.
fn post(directory: &Path, text: &str) -> io::Result<()> {
    prepare(directory)?;
    let next = directory.join(MOTD_NEXT);
    remove(&next)?;
    // Opened only if it was not there, so that no link leads the text elsewhere. pam_motd shows
    // every file that the user who logs in may read: this one is root's until it is complete.
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    fs::rename(&next, directory.join(MOTD_FILE))
}

/// Makes the directory unless it is there, and looks whether it is one that only we write in.
fn prepare(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(directory) {
        // Whatever the umask took away: everybody who logs in reads there.
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(directory)?;
    let ours = found.uid() == Uid::effective().as_raw() || found.uid() == 0;
    if found.is_dir() && ours && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(io::Error::other(
            "it is not a directory that only root may write in",
        ))
    }
}

/// Takes down what stands there.
fn take_down(directory: &Path) -> io::Result<()> {
    remove(&directory.join(MOTD_NEXT))?;
    remove(&directory.join(MOTD_FILE))
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// One datagram, as syslog(3) sends it. The receiver adds the time.
fn log(socket: &Path, news: &News) -> io::Result<()> {
    /// Facility `daemon` of syslog(3), in the place it has in a priority.
    const DAEMON: u8 = 3 << 3;
    let priority = DAEMON | news.severity();
    let line = format!("<{priority}>portreeve[{}]: {news}", std::process::id());
    let datagram = UnixDatagram::unbound()?;
    // A log that is full must not hold up a firewall.
    datagram.set_nonblocking(true)?;
    datagram.send_to(line.as_bytes(), socket)?;
    Ok(())
}

#[cfg(test)]
mod tests;
