//! Open files that one process gives another, over a socket between them (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Files that are given at once, at most.
const FILES_MAX: usize = 4;

/// Gives open files away; they stay open here, too. One byte of the conversation goes with them.
///
/// # Errors
/// When nobody is there to take them.
pub fn give(over: &UnixStream, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<i32> = files.iter().map(|file| file.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let byte = [IoSlice::new(&[0])];
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(over.as_raw_fd(), &byte, &rights, flags, None)?;
    Ok(())
}

/// Takes what is given next.
///
/// # Errors
/// When nothing is given, because the other process has ended, or says something else.
pub fn take(over: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([i32; FILES_MAX]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(over.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let rights = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(numbers) => Some(numbers),
        _ => None,
    });
    let numbers = rights.ok_or_else(|| io::Error::other("nothing was given"))?;
    let owned = |number| {
        // SAFETY: the kernel has just opened these numbers for this process, and nobody else has heard
        // of them.
        #[expect(unsafe_code, reason = "the kernel tells numbers")]
        unsafe {
            OwnedFd::from_raw_fd(number)
        }
    };
    Ok(numbers.into_iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    /// Losing this, a machine would get the files of another, or wait for ever for what never comes.
    #[test]
    fn what_is_given_is_what_is_taken() {
        let (giver, taker) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        give(&giver, &[writer.as_fd()]).unwrap();
        (&giver).write_all(b"x").unwrap();
        let mut taken = take(&taker).unwrap();
        writer.write_all(b"one ").unwrap();
        let taken = taken.pop().unwrap();
        File::from(taken).write_all(b"wire").unwrap();
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "one wire");
        assert_eq!(take(&taker).unwrap_err().to_string(), "nothing was given");
        drop(giver);
        assert!(take(&taker).is_err());
    }
}
