//! The state directory: confirmed generations, what is on trial, and how others ended.
//!
//! ```text
//! generations/41       confirmed; never changed. The newest is the confirmed one, and is booted
//! generations/.42.new  about to be confirmed
//! candidates/42        on trial
//! ended/40             record of one that was not confirmed, and why
//! ssh-port             the port that the built-in rule set keeps open
//! lock                 held by whoever changes anything
//! ```
//!
//! Nothing here changes unless the lock is held. Everything that is read under the lock is made
//! lasting first, so that nothing is built on what a power cut could take away.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use nix::unistd::geteuid;
use portreeve_nft::layout::{Number, parse_number};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::generation::{DecodeError, Generation, Record};
use super::trial::{BUILT_IN, Ending, InKernel, OnDisk};
use crate::durable;

/// Confirmed generations that are kept, and ended ones.
pub const KEPT_MAX: usize = 20;

/// Where confirmed generations lie.
const GENERATIONS: &str = "generations";
/// Where generations on trial lie.
const CANDIDATES: &str = "candidates";
/// Where it is written how others ended.
const ENDED: &str = "ended";
/// The file that whoever changes anything holds locked.
const LOCK: &str = "lock";
/// The file of the SSH port.
const SSH_PORT: &str = "ssh-port";

/// Write permission for the group or for all.
const OTHERS_WRITE: u32 = 0o022;

/// The state directory.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

/// Shows that nobody else is changing anything while it lives.
#[derive(Debug)]
pub struct Lock {
    /// Absent on a file system that can only be read, where nobody changes anything.
    _file: Option<File>,
}

/// Which generations lie in the state directory. Their contents are read when they are asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shelf {
    /// Confirmed ones.
    pub generations: BTreeSet<Number>,
    /// Written to be confirmed.
    pub prepared: BTreeSet<Number>,
    /// Written for a trial.
    pub candidates: BTreeSet<Number>,
    /// Not confirmed, and over.
    pub ended: BTreeSet<Number>,
}

/// What became of a generation that was not confirmed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ended {
    /// Its record.
    pub record: Record,
    /// How it ended.
    pub ending: Ending,
    /// When that was noticed, in seconds since 1970, UTC.
    pub time: u64,
}

/// What became of a generation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A generation that was confirmed.
    Confirmed(Record),
    /// One that is on trial, or was when the machine or its portreeve stopped.
    Unconfirmed(Record),
    /// One that was not confirmed.
    Ended(Ended),
}

/// The generation that counts as confirmed, and what had to be passed over to find it.
#[derive(Debug)]
pub struct Newest {
    /// The newest that can be read.
    pub generation: Option<Generation>,
    /// What is wrong with those that are newer.
    pub damaged: Vec<StoreError>,
}

/// Why the state directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another portreeve is at work.
    #[error("another portreeve is changing the rule set (it holds {})", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// Others could have put something there.
    #[error("{} can be changed by others than root and this user", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("there is no space left for {}", path.display())]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
    },
    /// The file system can only be read.
    #[error("{} is on a file system that can only be read", path.display())]
    ReadOnly {
        /// What was to be written.
        path: PathBuf,
    },
    /// A file is not as it was written.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The system failed otherwise.
    #[error("{} cannot be {what}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried: `read`, `written`, `removed`.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl StoreError {
    fn new(path: &Path, what: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace { path },
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, what, source },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "wait until it has ended; `fuser` on that file names it",
            Self::NotOurs { .. } => {
                "look at who changed it, then give it to root: `chown root`, `chmod 700`"
            }
            Self::NoSpace { .. } => "make room there; `portreeve rollback` needs none",
            Self::ReadOnly { .. } => {
                "mount it writable again; `portreeve rollback` does not write to it first"
            }
            Self::Damaged { .. } => {
                "the one before it is used instead; `portreeve history` shows what there is"
            }
            Self::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                "run as root, or name another directory with --state-dir"
            }
            Self::Io { .. } => "look at the system's log for what is wrong with the disk",
        }
    }
}

impl StateDir {
    /// The state directory at `path`; it need not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes the lock that only one portreeve can hold; the kernel frees it however we end. Makes
    /// the directory if it is not there yet.
    ///
    /// # Errors
    /// When another one holds it, or the directory cannot be used.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        let parts = [GENERATIONS, CANDIDATES, ENDED].map(|part| self.0.join(part));
        let path = self.0.join(LOCK);
        // The lock is made last: where it is, the rest is there, and lasts.
        if !path.exists() || !parts.iter().all(|part| part.is_dir()) {
            let above = |it: &&Path| !it.as_os_str().is_empty();
            let stood = self.0.ancestors().skip(1).find(|it| it.is_dir());
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            for path in &parts {
                let made = builder.create(path);
                made.map_err(|e| StoreError::new(path, "made", e))?;
            }
            // A name lasts when the directory that has it does, up to the one that stood there before.
            for directory in self.0.ancestors().take_while(above) {
                let lasts = durable::sync_directory(directory);
                lasts.map_err(|e| StoreError::new(directory, "written", e))?;
                if Some(directory) == stood {
                    break;
                }
            }
        }
        self.check()?;
        let opened = match open_lock(&path, true) {
            // Whoever holds a file locked need not be able to write to it.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => open_lock(&path, false),
            opened => opened,
        };
        take(
            opened.map_err(|e| StoreError::new(&path, "opened", e))?,
            path,
        )
    }

    /// Takes the lock if there is one to take: a machine boots from a disk that can only be read
    /// as well. Makes nothing.
    ///
    /// # Errors
    /// When another portreeve holds the lock, or others could have written what lies here.
    pub fn lock_to_boot(&self) -> Result<Lock, StoreError> {
        self.check()?;
        let path = self.0.join(LOCK);
        match open_lock(&path, false) {
            Ok(file) => take(file, path),
            Err(_) => Ok(Lock { _file: None }),
        }
    }

    /// Which generations lie here, for whoever only looks.
    ///
    /// # Errors
    /// When the directory is there and cannot be read, or is not ours.
    pub fn look(&self) -> Result<Shelf, StoreError> {
        self.check()?;
        let (generations, prepared) = self.numbers(GENERATIONS)?;
        let (candidates, _) = self.numbers(CANDIDATES)?;
        let (ended, _) = self.numbers(ENDED)?;
        Ok(Shelf {
            generations,
            prepared,
            candidates,
            ended,
        })
    }

    /// Which generations lie here, for whoever is about to change that. What was put in place by
    /// one that was killed at once is made lasting.
    ///
    /// # Errors
    /// Those of [`Self::look`], and when the disk does not keep what it holds.
    pub fn load(&self, _lock: &Lock) -> Result<Shelf, StoreError> {
        for part in [GENERATIONS, CANDIDATES, ENDED] {
            make_lasting(&self.0.join(part))?;
        }
        self.look()
    }

    /// What the disk says, for a decision. Generations are read when the kernel holds another one
    /// than the newest here: only then does it matter which of them can be read.
    #[must_use]
    pub fn on_disk(&self, shelf: &Shelf, kernel: InKernel) -> OnDisk {
        let in_kernel = match kernel {
            InKernel::Confirmed(number) => Some(number),
            InKernel::Trial(trial) => trial.confirmed,
            InKernel::Open | InKernel::Strange => None,
        };
        let newest = shelf.generations.last().copied();
        let confirmed = if newest.is_none() || newest == in_kernel {
            newest
        } else {
            let readable = self.newest_readable(shelf).generation;
            Some(readable.map_or(BUILT_IN, |generation| generation.number()))
        };
        OnDisk {
            confirmed,
            candidates: shelf.candidates.clone(),
            prepared: shelf.prepared.clone(),
        }
    }

    /// The confirmed generation: the newest one that is as it was written.
    #[must_use]
    pub fn newest_readable(&self, shelf: &Shelf) -> Newest {
        let mut damaged = Vec::new();
        for number in shelf.generations.iter().rev() {
            match self.generation(*number) {
                Ok(generation) => {
                    return Newest {
                        generation: Some(generation),
                        damaged,
                    };
                }
                Err(error) => damaged.push(error),
            }
        }
        Newest {
            generation: None,
            damaged,
        }
    }

    /// A confirmed generation.
    ///
    /// # Errors
    /// When it is not there, or not as it was written.
    pub fn generation(&self, number: Number) -> Result<Generation, StoreError> {
        read(&self.file(GENERATIONS, number), |file| {
            Generation::read(number, file)
        })
    }

    /// A generation that was written for a trial.
    ///
    /// # Errors
    /// When it is not there, or not as it was written.
    pub fn candidate(&self, number: Number) -> Result<Generation, StoreError> {
        read(&self.file(CANDIDATES, number), |file| {
            Generation::read(number, file)
        })
    }

    /// A generation that was written to be confirmed, and is not yet.
    ///
    /// # Errors
    /// When it is not there, or not as it was written.
    pub fn prepared(&self, number: Number) -> Result<Generation, StoreError> {
        let path = durable::waiting(&self.file(GENERATIONS, number));
        read(&path, |file| Generation::read(number, file))
    }

    /// What became of a generation that was not confirmed.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub fn ended(&self, number: Number) -> Result<Ended, StoreError> {
        read(&self.file(ENDED, number), |file| {
            serde_json::from_reader(file).map_err(DecodeError::Record)
        })
    }

    /// All generations, the newest first. A list reads 20 records and not 20 rule sets, so what is
    /// wrong with a rule set does not show here.
    #[must_use]
    pub fn history(&self, shelf: &Shelf) -> Vec<Result<Entry, StoreError>> {
        let all = shelf.all();
        let entry = |number: &Number| {
            let number = *number;
            if shelf.generations.contains(&number) {
                let record = read_record(&self.file(GENERATIONS, number), number);
                record.map(Entry::Confirmed)
            } else if shelf.ended.contains(&number) {
                self.ended(number).map(Entry::Ended)
            } else {
                self.unconfirmed(number).map(Entry::Unconfirmed)
            }
        };
        all.iter().rev().map(entry).collect()
    }

    /// The port on which this machine is reached when no generation can be read.
    ///
    /// # Errors
    /// When the file is there and does not say.
    pub fn ssh_port(&self) -> Result<Option<u16>, StoreError> {
        let path = self.0.join(SSH_PORT);
        let port = read(&path, |file| {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let port = text.trim_end().parse();
            port.map_err(|error| io::Error::new(ErrorKind::InvalidData, error).into())
        });
        match port {
            Ok(port) => Ok(Some(port)),
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses a directory in which others could have put something.
    fn check(&self) -> Result<(), StoreError> {
        // The directory may be a link of the administrator's; what is in it is ours alone.
        let parts = [GENERATIONS, CANDIDATES, ENDED];
        let parts = parts.map(|part| {
            let path = self.0.join(part);
            (fs::symlink_metadata(&path), path)
        });
        let own = (fs::metadata(&self.0), self.0.clone());
        for (metadata, path) in [own].into_iter().chain(parts) {
            let metadata = match metadata {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|e| StoreError::new(&path, "read", e))?,
            };
            let owner = metadata.uid();
            let trusted = owner == 0 || owner == geteuid().as_raw();
            if !metadata.is_dir() || !trusted || metadata.mode() & OTHERS_WRITE != 0 {
                return Err(StoreError::NotOurs { path });
            }
        }
        Ok(())
    }

    /// The generations with a file in a part of the directory, and those with one that waits.
    /// Whatever else lies there is not ours.
    fn numbers(&self, part: &str) -> Result<(BTreeSet<Number>, BTreeSet<Number>), StoreError> {
        let path = self.0.join(part);
        let error = |error| StoreError::new(&path, "read", error);
        let (mut placed, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((placed, waiting)),
            entries => entries.map_err(error)?,
        };
        for entry in entries {
            let name = entry.map_err(error)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let name_of_waiting = name.strip_prefix('.').and_then(|n| n.strip_suffix(".new"));
            if let Some(number) = parse(name) {
                placed.insert(number);
            } else if let Some(number) = name_of_waiting.and_then(parse) {
                waiting.insert(number);
            }
        }
        Ok((placed, waiting))
    }

    fn file(&self, part: &str, number: Number) -> PathBuf {
        self.0.join(part).join(number.to_string())
    }

    /// The record of a generation that is not confirmed.
    fn unconfirmed(&self, number: Number) -> Result<Record, StoreError> {
        let candidate = read_record(&self.file(CANDIDATES, number), number);
        candidate.or_else(|error| {
            let prepared = durable::waiting(&self.file(GENERATIONS, number));
            read_record(&prepared, number).map_err(|_| error)
        })
    }
}

// The steps of the state machine that concern the disk: see `trial::Step`.
impl StateDir {
    /// Writes the file of a generation that goes on trial.
    ///
    /// # Errors
    /// When it cannot be written; then there is none.
    pub fn write_candidate(&self, _: &Lock, generation: &Generation) -> Result<(), StoreError> {
        let path = self.file(CANDIDATES, generation.number());
        let written = durable::replace(&path, |file| generation.write(file));
        written.map_err(|e| StoreError::new(&path, "written", e))
    }

    /// Writes the file of a generation that is to be confirmed beside its place, so that a full
    /// or read-only disk is found before the kernel is switched.
    ///
    /// # Errors
    /// When it cannot be written; then there is none.
    pub fn prepare_confirmed(&self, _: &Lock, generation: &Generation) -> Result<(), StoreError> {
        let path = self.file(GENERATIONS, generation.number());
        let written = durable::prepare(&path, |file| generation.write(file));
        written.map_err(|e| StoreError::new(&path, "written", e))
    }

    /// Makes what was prepared the confirmed generation. Needs no space.
    ///
    /// # Errors
    /// When it cannot be put in place; what was prepared stays.
    pub fn record_confirmed(&self, _: &Lock, number: Number) -> Result<(), StoreError> {
        let path = self.file(GENERATIONS, number);
        durable::put_in_place(&path).map_err(|e| StoreError::new(&path, "put in place", e))
    }

    /// Removes what was written for the trial of a generation, or to confirm it.
    ///
    /// # Errors
    /// When it stays.
    pub fn forget(&self, _: &Lock, number: Number) -> Result<(), StoreError> {
        let candidate = self.file(CANDIDATES, number);
        let prepared = durable::waiting(&self.file(GENERATIONS, number));
        for path in [candidate, prepared] {
            let removed = durable::remove(&path);
            removed.map_err(|e| StoreError::new(&path, "removed", e))?;
        }
        Ok(())
    }

    /// Files how a generation ended that was not confirmed, and removes what was written of it.
    /// One that is confirmed, or was filed before, is not filed again.
    ///
    /// # Errors
    /// When the disk does not take it; then what was written stays, too.
    pub fn end(
        &self,
        lock: &Lock,
        number: Number,
        ending: Ending,
        time: u64,
    ) -> Result<(), StoreError> {
        let path = self.file(ENDED, number);
        if !path.exists() && !self.file(GENERATIONS, number).exists() {
            match self.unconfirmed(number) {
                Ok(record) => {
                    let confirmed = None;
                    let record = Record {
                        confirmed,
                        ..record
                    };
                    let ended = Ended {
                        record,
                        ending,
                        time,
                    };
                    let text = serde_json::to_vec(&ended).expect("a record is plain data");
                    let written = durable::replace(&path, |file| file.write_all(&text));
                    written.map_err(|e| StoreError::new(&path, "written", e))?;
                }
                // Half a file, of one that was killed while it wrote: there is nothing to tell.
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.forget(lock, number)
    }

    /// Removes all but the newest generations, and what nobody will put in place any more.
    ///
    /// # Errors
    /// When something stays.
    pub fn prune(&self, _: &Lock) -> Result<(), StoreError> {
        let remove = |path: &Path| {
            let removed = durable::remove(path);
            removed.map_err(|e| StoreError::new(path, "removed", e))
        };
        for part in [GENERATIONS, ENDED] {
            let (placed, _) = self.numbers(part)?;
            for number in placed.iter().rev().skip(KEPT_MAX) {
                remove(&self.file(part, *number))?;
            }
        }
        for part in [CANDIDATES, ENDED] {
            let (_, waiting) = self.numbers(part)?;
            for number in waiting {
                remove(&durable::waiting(&self.file(part, number)))?;
            }
        }
        Ok(())
    }

    /// Writes down the port on which this machine is reached when no generation can be read.
    ///
    /// # Errors
    /// When it cannot be written; then the one before stays.
    pub fn write_ssh_port(&self, _: &Lock, port: u16) -> Result<(), StoreError> {
        if matches!(self.ssh_port(), Ok(Some(kept)) if kept == port) {
            return Ok(());
        }
        let path = self.0.join(SSH_PORT);
        let written = durable::replace(&path, |file| writeln!(file, "{port}"));
        written.map_err(|e| StoreError::new(&path, "written", e))
    }
}

impl Shelf {
    /// The number of the next generation: one that no file bears, and nothing in the kernel.
    #[must_use]
    pub fn next_number(&self, highest_in_kernel: Option<Number>) -> Number {
        let highest = self.all().last().copied().max(highest_in_kernel);
        highest.unwrap_or(BUILT_IN) + 1
    }

    /// The generation that ended last.
    #[must_use]
    pub fn last_ended(&self) -> Option<Number> {
        self.ended.last().copied()
    }

    fn all(&self) -> BTreeSet<Number> {
        let parts = [
            &self.generations,
            &self.prepared,
            &self.candidates,
            &self.ended,
        ];
        parts.into_iter().flatten().copied().collect()
    }
}

/// Makes the names in a directory last. One that is not there has none, and on a file system that
/// can only be read they do not change any more.
fn make_lasting(path: &Path) -> Result<(), StoreError> {
    match durable::sync_directory(path) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem => Ok(()),
            _ => Err(StoreError::new(path, "written", error)),
        },
    }
}

fn open_lock(path: &Path, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(write)
        .create(write)
        .truncate(false);
    options.mode(0o600).custom_flags(O_NOFOLLOW).open(path)
}

fn take(file: File, path: PathBuf) -> Result<Lock, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: Some(file) }),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy { path }),
        Err(TryLockError::Error(error)) => Err(StoreError::new(&path, "locked", error)),
    }
}

/// The number that a file is named by. The rule set that we carry has no file.
fn parse(name: &str) -> Option<Number> {
    parse_number(name).filter(|number| *number != BUILT_IN)
}

fn read<T>(
    path: &Path,
    decode: impl FnOnce(&mut BufReader<File>) -> Result<T, DecodeError>,
) -> Result<T, StoreError> {
    let file = durable::open(path).map_err(|e| StoreError::new(path, "read", e))?;
    decode(&mut BufReader::new(file)).map_err(|error| match error {
        DecodeError::Io(error) if error.kind() != ErrorKind::InvalidData => {
            StoreError::new(path, "read", error)
        }
        source => StoreError::Damaged {
            path: path.to_owned(),
            source,
        },
    })
}

fn read_record(path: &Path, number: Number) -> Result<Record, StoreError> {
    read(path, |file| Record::read(number, file))
}

#[cfg(test)]
mod tests;
