//! The harness's end of a network card's wire: frames of Ethernet, each after its length.
//!
//! That is how QEMU's `stream` back end writes them (docs/system, `-netdev stream`). It stops reading
//! while the card's ring is full, so nothing is lost on the way.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::record::{Direction, Record};

/// The shortest frame, without its checksum (IEEE 802.3, 3.2.8).
const FRAME_BYTES_MIN: usize = 60;

/// The longest that either side may write.
const FRAME_BYTES_MAX: usize = 1514;

/// How long a card may refuse to take a frame.
const TAKES_WITHIN: Duration = Duration::from_secs(20);

/// The harness's end of one card's wire.
#[derive(Debug)]
pub struct Card {
    stream: UnixStream,
    incoming: Vec<u8>,
    used: usize,
    record: Record,
}

impl Card {
    /// A card whose frames go through a socket.
    ///
    /// # Errors
    /// When the socket takes no time limit.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_write_timeout(Some(TAKES_WITHIN))?;
        Ok(Self {
            stream,
            incoming: Vec::new(),
            used: 0,
            record: Record::default(),
        })
    }

    /// Puts a frame on the wire.
    ///
    /// # Errors
    /// When the card takes none.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        let length = frame.len().max(FRAME_BYTES_MIN);
        let mut bytes = Vec::with_capacity(4 + length);
        bytes.extend(u32::try_from(length)?.to_be_bytes());
        bytes.extend_from_slice(frame);
        bytes.resize(4 + length, 0);
        self.record.add(Direction::ToMachine, frame);
        let sent = self.stream.write_all(&bytes);
        sent.context("the network card of the VM takes no frame")
    }

    /// Whether it takes a frame without anybody waiting: while a machine has no driver for it, it takes
    /// none, but for a few that wait.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn takes_a_frame(&self) -> Result<bool> {
        let mut watched = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        poll(&mut watched, PollTimeout::ZERO)?;
        Ok(watched[0].any().unwrap_or(false))
    }

    /// The next frame, when one comes in time.
    ///
    /// # Errors
    /// When the wire is cut.
    pub fn receive(&mut self, until: Instant) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.buffered()? {
                self.record.add(Direction::FromMachine, &frame);
                return Ok(Some(frame));
            }
            if !self.read_more(until)? {
                return Ok(None);
            }
        }
    }

    /// Whether a frame has been read that nobody has asked for yet.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.incoming.len() > self.used
    }

    /// Every frame so far.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    fn buffered(&mut self) -> Result<Option<Vec<u8>>> {
        let rest = &self.incoming[self.used..];
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            bail!(
                "QEMU announces a frame of {length} bytes, at most {FRAME_BYTES_MAX} are possible"
            );
        }
        let frame = rest.get(..length).map(<[u8]>::to_vec);
        if frame.is_some() {
            self.used += 4 + length;
        }
        Ok(frame)
    }

    /// Whether anything came in time.
    fn read_more(&mut self, until: Instant) -> Result<bool> {
        self.incoming.drain(..self.used);
        self.used = 0;
        // Zero would mean "for ever".
        let left = until.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_micros(1));
        self.stream.set_read_timeout(Some(left))?;
        let before = self.incoming.len();
        self.incoming.resize(before + (1 << 16), 0);
        let read = self.stream.read(&mut self.incoming[before..]);
        self.incoming
            .truncate(before + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => bail!("QEMU has closed the wire of a network card"),
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => Ok(false),
                _ => Err(error).context("the wire of a network card"),
            },
        }
    }
}

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let (mut other, stream) = UnixStream::pair().unwrap();
        let mut card = Card::new(stream).unwrap();
        let frame = vec![7; 100];
        let bytes = [100_u32.to_be_bytes().as_slice(), &frame].concat();
        for cut in [1, 4, 50, 103] {
            other.write_all(&bytes[..cut]).unwrap();
            assert_eq!(card.receive(soon()).unwrap(), None, "cut at {cut}");
            other.write_all(&bytes[cut..]).unwrap();
            assert_eq!(card.receive(soon()).unwrap(), Some(frame.clone()));
        }
    }

    #[test]
    fn a_wire_that_is_cut_and_a_length_that_cannot_be_are_errors() {
        let (mut other, stream) = UnixStream::pair().unwrap();
        let mut card = Card::new(stream).unwrap();
        other.write_all(&5_000_u32.to_be_bytes()).unwrap();
        assert!(card.receive(soon()).is_err());
        let (other, stream) = UnixStream::pair().unwrap();
        let mut card = Card::new(stream).unwrap();
        drop(other);
        assert!(card.receive(soon()).is_err());
    }

    #[test]
    fn a_short_frame_is_filled_up() {
        let (mut other, stream) = UnixStream::pair().unwrap();
        Card::new(stream).unwrap().send(&[1; 42]).unwrap();
        let mut bytes = Vec::new();
        other.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 4 + FRAME_BYTES_MIN);
        assert_eq!(bytes[..4], [0, 0, 0, 60]);
    }
}
