//! What was applied last, kept on disk: a record for people and the transaction for comparison.
//!
//! Both are in one file, a line each, which is replaced whole: temporary file, fsync, rename, fsync
//! of the directory. A crash leaves the old one or the new one, and never half of each.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use portreeve_nft::Transaction;
use serde::{Deserialize, Serialize};

use super::ApplyError;
use crate::pipeline::Plan;

/// The file of what was applied, in the state directory.
const APPLIED_FILE: &str = "applied";
/// What is about to replace it.
const NEXT_FILE: &str = "applied.new";
/// The file that whoever changes the rule set holds locked.
const LOCK_FILE: &str = "lock";

/// What was applied, when, and from what.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Seconds since 1970, UTC.
    pub time: u64,
    /// The version of portreeve.
    pub portreeve: String,
    /// The policy's name.
    pub policy: String,
    /// The policy's version.
    pub policy_version: String,
    /// SHA-256 of the policy's component.
    pub policy_digest: String,
    /// The settings, as `--set` takes them.
    pub settings: Vec<String>,
    /// The feeds.
    pub feeds: Vec<FeedRecord>,
}

/// One feed at the time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FeedRecord {
    /// Its name.
    pub name: String,
    /// How many IPv4 prefixes it had.
    pub ip_prefixes: u64,
    /// How many IPv6 prefixes it had.
    pub ip6_prefixes: u64,
    /// SHA-256 of its contents.
    pub digest: String,
}

impl Record {
    /// The record of applying `plan` at `time`.
    #[must_use]
    pub fn of(plan: &Plan, time: u64) -> Self {
        let feeds = plan.inputs().feeds.iter().map(|feed| FeedRecord {
            name: feed.name.clone(),
            ip_prefixes: feed.ip_prefixes,
            ip6_prefixes: feed.ip6_prefixes,
            digest: feed.digest.clone(),
        });
        Self {
            time,
            portreeve: env!("CARGO_PKG_VERSION").to_owned(),
            policy: plan.description().name.clone(),
            policy_version: plan.description().version.clone(),
            policy_digest: plan.policy_digest().to_owned(),
            settings: plan
                .inputs()
                .settings
                .iter()
                .map(ToString::to_string)
                .collect(),
            feeds: feeds.collect(),
        }
    }
}

/// Shows that nobody else is changing the rule set while it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The directory that holds the record.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

/// What was last applied, as the state directory tells it.
#[derive(Debug)]
pub struct Applied {
    /// When, by what and from what.
    pub record: Record,
    /// The transaction, as nft's JSON.
    pub transaction: String,
}

impl StateDir {
    /// The state directory at `path`; it need not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What was applied last, or `None` when nothing was.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn applied(&self) -> io::Result<Option<Applied>> {
        let text = match fs::read_to_string(self.0.join(APPLIED_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (record, transaction) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Some(Applied {
            record: serde_json::from_str(record)?,
            transaction: transaction.to_owned(),
        }))
    }

    /// Takes the lock that only one portreeve can hold; the kernel frees it however we end.
    ///
    /// # Errors
    /// When another one holds it, or the directory cannot be used.
    pub fn lock(&self) -> Result<Lock, ApplyError> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|e| self.error(e))?;
        let path = self.0.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|e| self.error(e))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ApplyError::Busy { path }),
            Err(TryLockError::Error(error)) => Err(self.error(error)),
        }
    }

    /// Writes the record beside the one in place, so that a full or read-only disk is found
    /// before the kernel is touched.
    pub(super) fn prepare(
        &self,
        record: &Record,
        transaction: &Transaction,
    ) -> Result<Prepared<'_>, ApplyError> {
        let record = serde_json::to_string(record).expect("a record is plain data");
        let text = record + "\n" + &transaction.to_json();
        write_new(&self.0.join(NEXT_FILE), text.as_bytes()).map_err(|e| self.error(e))?;
        Ok(Prepared(self))
    }

    fn error(&self, source: io::Error) -> ApplyError {
        ApplyError::State {
            path: self.0.clone(),
            source,
        }
    }
}

/// A record that is on disk, but not yet in place.
pub(super) struct Prepared<'a>(&'a StateDir);

impl Prepared<'_> {
    /// Makes it the record of what is in force.
    pub(super) fn put_in_place(self) -> io::Result<()> {
        fs::rename(self.0.0.join(NEXT_FILE), self.0.0.join(APPLIED_FILE))?;
        File::open(&self.0.0)?.sync_all()
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // Gone already once it is in place; what stays is removed by the next apply.
        let _ = fs::remove_file(self.0.0.join(NEXT_FILE));
    }
}

/// Writes a file that was not there, so that no link leads the bytes elsewhere.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
