//! Talks to a child through its three pipes, in one thread, within a time and a size.
//!
//! Input is written and output read as each becomes possible, so neither side waits for a pipe
//! that the other does not empty.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStdin};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes that a pipe which can be written to takes without waiting: `PIPE_BUF` in pipe(7).
const WRITE_BYTES: usize = 4096;

/// Bytes that are read at once: what a pipe holds (pipe(7)).
const READ_BYTES: usize = 65_536;

/// How far a conversation may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) output_bytes: usize,
}

/// Everything that the child said before it closed its output.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Why a conversation was broken off.
#[derive(Debug)]
pub(super) enum Broken {
    /// The child still had its output open.
    TimedOut,
    /// The child said more than it may.
    TooMuchOutput,
    /// The system failed.
    Io(io::Error),
}

/// Gives the child its input and hears it out.
pub(super) fn converse(child: &mut Child, input: &[u8], bounds: Bounds) -> Result<Said, Broken> {
    let deadline = Instant::now() + bounds.time;
    let mut input = Input {
        pipe: child.stdin.take(),
        left: input,
    };
    let mut stdout = Output::of(child.stdout.take());
    let mut stderr = Output::of(child.stderr.take());
    while stdout.pipe.is_some() || stderr.pipe.is_some() {
        let pipes = [
            input
                .pipe
                .as_ref()
                .map(|pipe| (pipe.as_fd(), PollFlags::POLLOUT)),
            stdout
                .pipe
                .as_ref()
                .map(|pipe| (pipe.as_fd(), PollFlags::POLLIN)),
            stderr
                .pipe
                .as_ref()
                .map(|pipe| (pipe.as_fd(), PollFlags::POLLIN)),
        ];
        let [to_write, to_read, to_read_too] = wait(pipes, deadline)?;
        if to_write {
            input.write().map_err(Broken::Io)?;
        }
        if to_read {
            stdout.read(bounds.output_bytes)?;
        }
        if to_read_too {
            stderr.read(bounds.output_bytes)?;
        }
    }
    Ok(Said {
        stdout: stdout.text(),
        stderr: stderr.text(),
    })
}

/// Waits until one of the pipes can be used; says which.
fn wait(
    pipes: [Option<(BorrowedFd<'_>, PollFlags)>; 3],
    deadline: Instant,
) -> Result<[bool; 3], Broken> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Broken::TimedOut);
    }
    let open = pipes.iter().flatten();
    let mut polled: Vec<_> = open
        .map(|(pipe, flags)| PollFd::new(*pipe, *flags))
        .collect();
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(Broken::Io(error.into())),
    }
    // A pipe that the other side has closed counts: reading or writing will tell.
    let mut usable = polled.iter().map(|pipe| pipe.any().unwrap_or(true));
    Ok(pipes.map(|pipe| pipe.is_some() && usable.next().unwrap_or(false)))
}

struct Input<'a> {
    pipe: Option<ChildStdin>,
    left: &'a [u8],
}

impl Input<'_> {
    /// Writes what fits; the pipe is closed after the last byte.
    fn write(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let count = self.left.len().min(WRITE_BYTES);
        match pipe.write(&self.left[..count]) {
            Ok(written) => self.left = &self.left[written..],
            // The child may refuse before it has read everything; what it says is what counts.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.left = &[],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if self.left.is_empty() {
            self.pipe = None;
        }
        Ok(())
    }
}

struct Output {
    pipe: Option<File>,
    bytes: Vec<u8>,
}

impl Output {
    fn of(pipe: Option<impl Into<OwnedFd>>) -> Self {
        let pipe = pipe.map(|pipe| File::from(pipe.into()));
        Self {
            pipe,
            bytes: Vec::new(),
        }
    }

    /// Reads what is there; the pipe is closed when the child has closed it.
    fn read(&mut self, bytes_max: usize) -> Result<(), Broken> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut chunk = [0; READ_BYTES];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(read) => self.bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Io(error)),
        }
        if self.bytes.len() > bytes_max {
            Err(Broken::TooMuchOutput)
        } else {
            Ok(())
        }
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// What `program` answers to `input`.
    fn answer(program: &mut Command, input: &[u8], bounds: Bounds) -> Result<Said, Broken> {
        let piped = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let said = converse(&mut child, input, bounds);
        // It may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
        said
    }

    const BOUNDS: Bounds = Bounds {
        time: Duration::from_secs(60),
        output_bytes: 64 << 20,
    };

    #[test]
    fn more_than_the_pipes_hold_goes_both_ways() {
        let input = "0123456789abcdef".repeat(1 << 18);
        let said = answer(&mut Command::new("cat"), input.as_bytes(), BOUNDS).unwrap();
        assert_eq!((said.stdout == input, said.stderr.as_str()), (true, ""));
    }

    #[test]
    fn a_child_that_does_not_read_is_heard_all_the_same() {
        let input = vec![b'x'; 1 << 20];
        let said = answer(Command::new("ls").arg("/nonexistent"), &input, BOUNDS).unwrap();
        assert!(said.stderr.contains("/nonexistent"), "{}", said.stderr);
    }

    #[test]
    fn a_conversation_has_an_end_in_time_and_size() {
        let short = Bounds {
            time: Duration::from_millis(10),
            ..BOUNDS
        };
        let endless = answer(Command::new("sleep").arg("60"), b"", short);
        assert!(matches!(endless, Err(Broken::TimedOut)));
        let little = Bounds {
            output_bytes: 1_000,
            ..BOUNDS
        };
        let much = answer(&mut Command::new("cat"), &[b'x'; 2_000], little);
        assert!(matches!(much, Err(Broken::TooMuchOutput)));
    }
}
