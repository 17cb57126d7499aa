//! Reads a small regular file whole, or says why not.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// A file's contents, and what the system says of the very file that was read.
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Metadata,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("{}", reason(.0))]
    Io(#[from] io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// It is not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// It is too large to be what it should be.
    #[error("is longer than the {max} bytes allowed")]
    TooLong {
        /// The bytes allowed.
        max: u64,
    },
}

/// The contents of the file at `path`, at most `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Contents, ReadError> {
    // Opening a pipe would wait for its writer, so look first.
    if !std::fs::metadata(path)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(ReadError::TooLong { max });
    }
    Ok(Contents { bytes, metadata })
}

/// What the system said, in lower case and without its number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
