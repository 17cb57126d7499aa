//! Unpacks the files that a machine starts with, as its kernel would: a cpio archive in the "newc"
//! format (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A header: six bytes that say what it is, and 13 numbers of eight hexadecimal digits.
const HEADER_BYTES: usize = 6 + 13 * 8;

/// The kinds of nodes, in their mode.
const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The longest name, and the longest that a link may lead to (`PATH_MAX`).
const NAME_BYTES_MAX: usize = 4096;

/// Unpacks an archive into a folder. Device nodes are left out: nobody may make them.
///
/// # Errors
/// When it is no archive, or a file cannot be written.
pub(crate) fn unpack(archive: &mut File, into: &Path) -> io::Result<()> {
    loop {
        let mut header = [0; HEADER_BYTES];
        archive.read_exact(&mut header)?;
        let [mode, bytes, name_bytes] = [1, 6, 11].map(|at| number(&header, at));
        let (mode, bytes, name_bytes) = (mode?, bytes?, name_bytes?);
        let name = text(archive, name_bytes)?;
        let name = name.trim_end_matches('\0');
        skip(archive, HEADER_BYTES + name_bytes as usize)?;
        if name == "TRAILER!!!" {
            return Ok(());
        }
        let path = into.join(name);
        match mode & KIND {
            FOLDER => {
                fs::create_dir(&path)?;
                fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
            }
            FILE => {
                let mut file = File::create(&path)?;
                let copied = io::copy(&mut archive.take(bytes.into()), &mut file)?;
                if copied != u64::from(bytes) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
            }
            LINK => symlink(text(archive, bytes)?, &path)?,
            _ => skip_bytes(archive, bytes.into())?,
        }
        skip(archive, bytes as usize)?;
    }
}

/// One of the numbers of a header.
fn number(header: &[u8; HEADER_BYTES], at: usize) -> io::Result<u32> {
    let digits = &header[6 + at * 8..][..8];
    let read = std::str::from_utf8(digits).ok();
    let read = read.filter(|_| header.starts_with(b"070701"));
    let read = read.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    read.ok_or_else(|| io::Error::other("the files of the machine are no archive"))
}

fn text(archive: &mut File, bytes: u32) -> io::Result<String> {
    let bytes = bytes as usize;
    if bytes > NAME_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a name in the archive is {bytes} bytes long, the kernel takes {NAME_BYTES_MAX}"
        )));
    }
    let mut text = vec![0; bytes];
    archive.read_exact(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// Skips what fills up to a multiple of four bytes.
fn skip(archive: &mut File, after: usize) -> io::Result<()> {
    skip_bytes(archive, (after.next_multiple_of(4) - after) as i64)
}

fn skip_bytes(archive: &mut File, bytes: i64) -> io::Result<()> {
    archive.seek_relative(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn entry(mode: u32, name: &str, content: &str) -> Vec<u8> {
        let mut bytes = b"070701".to_vec();
        let (length, name_length) = (content.len() as u32, name.len() as u32 + 1);
        let numbers = [1, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
        bytes.extend(numbers.map(|it| format!("{it:08X}")).concat().bytes());
        bytes.extend(format!("{name}\0").bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content.bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn unpacked(bytes: &[u8]) -> io::Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        let mut archive = tempfile::tempfile()?;
        archive.write_all(bytes)?;
        archive.rewind()?;
        unpack(&mut archive, folder.path()).map(|()| folder)
    }

    /// Losing this, a machine of namespaces would start with other files than a VM.
    #[test]
    fn every_kind_of_node_is_unpacked() {
        let archive = [
            entry(FOLDER | 0o755, "a", ""),
            entry(FILE | 0o755, "a/program", "hello"),
            entry(0o020_600, "a/null", ""),
            entry(LINK | 0o777, "a/link", "program"),
            entry(0, "TRAILER!!!", ""),
        ];
        let folder = unpacked(&archive.concat()).unwrap();
        let link = folder.path().join("a/link");
        assert_eq!(fs::read_to_string(&link).unwrap(), "hello");
        assert_eq!(
            fs::metadata(&link).unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert!(!folder.path().join("a/null").exists());
    }

    #[test]
    fn what_is_no_archive_or_ends_early_is_an_error() {
        let file = entry(FILE | 0o644, "file", "all of it");
        for bytes in [
            &b""[..],
            &[b'x'; 200],
            &file[..file.len() - 8],
            &entry(FILE, &"n".repeat(NAME_BYTES_MAX), ""),
        ] {
            assert!(unpacked(bytes).is_err());
        }
    }
}
