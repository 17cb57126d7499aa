//! Files that a power cut leaves whole or leaves out.
//!
//! Bytes go to a new file beside their place and onto the disk; only then do they take the place,
//! and the directory goes onto the disk as well. The two halves can be called apart, so that what
//! can fail on a full disk fails before anything else is touched. No link is ever followed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;

/// Where the bytes for `path` wait until they take their place: `.42.new` for `42`.
pub(crate) fn waiting(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// Puts the bytes for `path` onto the disk, but not yet in their place. What cannot be written
/// whole is taken away again.
///
/// # Errors
/// What the system says; then `path` is what it was, and nothing waits for it.
pub(crate) fn prepare(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let waiting = waiting(path);
    // Left by one that was killed, perhaps; a file that is made anew is nobody else's.
    remove(&waiting)?;
    let written = write_new(&waiting, write);
    if written.is_err() {
        // The reason it could not be written tells more than why it cannot be removed.
        let _ = fs::remove_file(&waiting);
    }
    written
}

/// Writes a file that was not there, for this user alone, onto the disk.
///
/// # Errors
/// What the system says; half a file may be left.
pub(crate) fn write_new(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut file = BufWriter::new(file);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Gives what waits for `path` its place, for good.
///
/// # Errors
/// What the system says; whether the place was taken must then be looked up.
pub(crate) fn put_in_place(path: &Path) -> io::Result<()> {
    fs::rename(waiting(path), path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Both halves at once.
///
/// # Errors
/// Those of [`prepare`] and [`put_in_place`].
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    prepare(path, write)?;
    put_in_place(path)
}

/// Makes the names in a directory last: which files there are, and which are gone.
///
/// # Errors
/// What the system says.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file for good. It may be gone already.
///
/// # Errors
/// When it is there and stays.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a regular file; anything else is refused, and so is a link to one.
///
/// # Errors
/// What the system says, `InvalidInput` for what is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Looked at first: opening a pipe would wait for its writer.
    if !fs::symlink_metadata(path)?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(error);
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(O_NOFOLLOW).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    fn names(directory: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_there_stays_until_the_new_file_is_whole() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("42");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        prepare(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        put_in_place(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(&directory), ["42"]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    }

    #[test]
    fn half_a_file_is_not_left_behind() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("42");
        let full = prepare(&path, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(&directory), [""; 0]);
    }

    #[test]
    fn a_link_leads_no_byte_elsewhere() {
        let directory = TempDir::new().unwrap();
        let (path, target) = (directory.path().join("42"), directory.path().join("target"));
        fs::write(&target, "untouched").unwrap();
        symlink(&target, waiting(&path)).unwrap();
        symlink(&target, &path).unwrap();
        assert!(open(&path).is_err(), "nor is one read through it");
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"untouched");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(&directory), ["42", "target"]);
    }
}
