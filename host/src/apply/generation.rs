//! A generation as it is kept on disk: what it came from, and the transaction that makes it.
//!
//! A file is three lines: what it is and the SHA-256 of the rest, the record, the transaction. A
//! byte that the disk lost or changed is noticed, and nothing of such a file is used.

use std::io::{self, BufRead, Read, Write};

use portreeve_nft::layout::Number;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::pipeline::Plan;
use crate::policy::digest::hexadecimal;

/// What the first line of a file begins with.
const HEAD: &str = "portreeve-generation 1 sha256:";

/// Bytes of a first line that is ours, and of a record, at most.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A numbered rule set: where it came from, and what nft is sent to make it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Generation {
    /// When, by whom and from what.
    pub record: Record,
    /// The rule set, as [`portreeve_nft::lift`] reads it.
    pub transaction: String,
}

/// When a generation was made, by whom and from what.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Its number.
    pub number: Number,
    /// When it was put in, in seconds since 1970, UTC.
    pub time: u64,
    /// Who put it in: `root, sudo by alice, from 192.0.2.7`.
    pub who: String,
    /// How it came.
    pub origin: Origin,
    /// What it was made from.
    pub source: Source,
    /// When and how it became the confirmed one, if it did.
    pub confirmed: Option<Confirmed>,
}

/// What a rule set was made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
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
    /// The goals that the policy states.
    pub goals: Vec<String>,
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

/// How a generation came.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Origin {
    /// Applied, on trial first.
    Trial {
        /// Seconds that the trial lasts.
        confirm_within: u64,
        /// SHA-256 of the token that confirms it.
        token_digest: String,
    },
    /// Applied, at once and for good.
    WithoutTrial,
    /// An earlier one brought back, at once and for good.
    RolledBackTo(Number),
}

/// When and how a generation became the confirmed one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Confirmed {
    /// When, in seconds since 1970, UTC.
    pub time: u64,
    /// Who confirmed it.
    pub who: String,
    /// What it was confirmed by.
    pub by: ConfirmedBy,
}

/// What a generation was confirmed by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfirmedBy {
    /// A connection that it let in: `192.0.2.7:40000 > 192.0.2.10:22`.
    Connection(String),
    /// Somebody at the console.
    Console,
    /// Nobody: it was put in without a trial.
    WithoutTrial,
}

/// Why a file is no generation.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// It does not begin as our files do.
    #[error("it does not begin with `{HEAD}`")]
    NotOurs,
    /// Its bytes are not those that were written.
    #[error("its SHA-256 is {found}, and should be {expected}")]
    Digest {
        /// What its bytes come to.
        found: String,
        /// What its first line says.
        expected: String,
    },
    /// The record cannot be read.
    #[error("its record cannot be read")]
    Record(#[source] serde_json::Error),
    /// It calls itself by another number than its name.
    #[error("it is generation {0} by what it says")]
    Misnamed(Number),
    /// The system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Source {
    /// What `plan` was made from.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let inputs = plan.inputs();
        let feeds = inputs.feeds.iter().map(|feed| FeedRecord {
            name: feed.name.clone(),
            ip_prefixes: feed.ip_prefixes,
            ip6_prefixes: feed.ip6_prefixes,
            digest: feed.digest.clone(),
        });
        Self {
            portreeve: env!("CARGO_PKG_VERSION").to_owned(),
            policy: plan.description().name.clone(),
            policy_version: plan.description().version.clone(),
            policy_digest: plan.policy_digest().to_owned(),
            settings: inputs.settings.iter().map(ToString::to_string).collect(),
            feeds: feeds.collect(),
            goals: plan
                .proofs()
                .iter()
                .map(|proof| proof.goal.name.clone())
                .collect(),
        }
    }
}

impl Generation {
    /// Its number.
    #[must_use]
    pub const fn number(&self) -> Number {
        self.record.number
    }

    /// Writes the file that [`Self::read`] reads.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut record = serde_json::to_string(&self.record).expect("a record is plain data");
        record.push('\n');
        let mut digest = Sha256::new();
        digest.update(&record);
        digest.update(&self.transaction);
        digest.update("\n");
        writeln!(out, "{HEAD}{}", hexadecimal(digest))?;
        out.write_all(record.as_bytes())?;
        out.write_all(self.transaction.as_bytes())?;
        out.write_all(b"\n")
    }

    /// Reads the file of generation `number`, and checks that its bytes are those written.
    ///
    /// # Errors
    /// When anything about it is not as it should be.
    pub fn read(number: Number, file: &mut impl BufRead) -> Result<Self, DecodeError> {
        let expected = first_line(file)?;
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        let found = hexadecimal(Sha256::new_with_prefix(&rest));
        if found != expected {
            return Err(DecodeError::Digest { found, expected });
        }
        let line = rest.iter().position(|byte| *byte == b'\n');
        let mut transaction = rest.split_off(line.map_or(rest.len(), |end| end + 1));
        let record = record(number, &rest)?;
        if transaction.last() == Some(&b'\n') {
            transaction.pop();
        }
        let transaction = String::from_utf8(transaction)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self {
            record,
            transaction,
        })
    }
}

impl Record {
    /// Reads the record alone, for a list: the transaction is not read, and nothing is checked.
    ///
    /// # Errors
    /// When the file does not begin as it should.
    pub fn read(number: Number, file: &mut impl BufRead) -> Result<Self, DecodeError> {
        first_line(file)?;
        let mut line = Vec::new();
        file.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        record(number, &line)
    }
}

/// The digest that the first line tells.
fn first_line(file: &mut impl BufRead) -> Result<String, DecodeError> {
    let mut line = Vec::new();
    file.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    let line = String::from_utf8(line).map_err(|_| DecodeError::NotOurs)?;
    let digest = line
        .strip_prefix(HEAD)
        .and_then(|rest| rest.strip_suffix('\n'));
    digest.map(str::to_owned).ok_or(DecodeError::NotOurs)
}

fn record(number: Number, line: &[u8]) -> Result<Record, DecodeError> {
    let record: Record = serde_json::from_slice(line).map_err(DecodeError::Record)?;
    if record.number == number {
        Ok(record)
    } else {
        Err(DecodeError::Misnamed(record.number))
    }
}
