//! Writes files.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes a file, with the folders above it.
///
/// # Errors
/// When it cannot be written; the error names it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, content))
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    written.map_err(|error| io::Error::other(format!("`{}`: {error}", path.display())))
}
