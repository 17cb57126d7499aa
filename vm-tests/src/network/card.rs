//! The harness's end of a network card's wire, which is a socket: frames of Ethernet go through it.
//!
//! QEMU's `stream` back end writes each after its length (docs/system, `-netdev stream`), and stops
//! reading while the card's ring is full, so nothing is lost on the way. A card of a namespace has a
//! socket of packet(7), which takes and gives frames whole, and has room for the answers to more than is
//! ever under way.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;

use super::record::{Direction, Record};

/// Before a frame of a stream.
const LENGTH_BYTES: usize = 4;

/// The shortest frame, without its checksum (IEEE 802.3, 3.2.8).
const FRAME_BYTES_MIN: usize = 60;

/// The longest that either side may write.
const FRAME_BYTES_MAX: usize = 1514;

/// How long a card may refuse to take a frame.
const TAKES_WITHIN: Duration = Duration::from_secs(20);

/// The harness's end of one card's wire.
#[derive(Debug)]
pub struct Card {
    socket: Socket,
    framing: Framing,
    incoming: Vec<u8>,
    used: usize,
    record: Record,
}

/// How a socket tells one frame from the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    /// Before each there is its length.
    Lengths,
    /// It gives one at a time.
    Datagrams,
}

impl Card {
    /// A card whose frames go through a stream.
    ///
    /// # Errors
    /// When the socket takes no time limit.
    pub fn new(stream: UnixStream) -> Result<Self> {
        Self::of(OwnedFd::from(stream).into(), Framing::Lengths)
    }

    /// A card whose frames go through a socket of packet(7).
    ///
    /// # Errors
    /// When the socket takes no time limit.
    pub fn of_packets(socket: OwnedFd) -> Result<Self> {
        Self::of(socket.into(), Framing::Datagrams)
    }

    fn of(socket: Socket, framing: Framing) -> Result<Self> {
        socket.set_write_timeout(Some(TAKES_WITHIN))?;
        Ok(Self {
            socket,
            framing,
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
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + length);
        bytes.extend(u32::try_from(length)?.to_be_bytes());
        bytes.extend_from_slice(frame);
        bytes.resize(LENGTH_BYTES + length, 0);
        self.record.add(Direction::ToMachine, frame);
        let sent = match self.framing {
            Framing::Lengths => self.socket.write_all(&bytes),
            Framing::Datagrams => self.socket.write_all(&bytes[LENGTH_BYTES..]),
        };
        sent.context("the network card of the machine takes no frame")
    }

    /// Whether it takes a frame without anybody waiting: while a machine has no driver for it, it takes
    /// none, but for a few that wait.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn takes_a_frame(&self) -> Result<bool> {
        let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
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
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            bail!("a frame of {length} bytes comes, at most {FRAME_BYTES_MAX} are possible");
        }
        let frame = rest.get(..length).map(<[u8]>::to_vec);
        if frame.is_some() {
            self.used += LENGTH_BYTES + length;
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
        self.socket.set_read_timeout(Some(left))?;
        let begin = self.incoming.len();
        // A frame that comes whole is kept as if it had come after its length.
        let before = match self.framing {
            Framing::Lengths => begin,
            Framing::Datagrams => begin + LENGTH_BYTES,
        };
        self.incoming.resize(before + (1 << 16), 0);
        let read = self.socket.read(&mut self.incoming[before..]);
        match (&read, self.framing) {
            (Ok(length), Framing::Datagrams) => {
                self.incoming[begin..before].copy_from_slice(&(*length as u32).to_be_bytes());
                self.incoming.truncate(before + length);
            }
            (Ok(length), Framing::Lengths) => self.incoming.truncate(before + length),
            (Err(_), _) => self.incoming.truncate(begin),
        }
        match read {
            Ok(0) => bail!("the machine has closed the wire of a network card"),
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
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

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
    fn frames_that_come_whole_are_kept_apart() {
        let (other, socket) = UnixDatagram::pair().unwrap();
        let mut card = Card::of_packets(socket.into()).unwrap();
        assert_eq!(card.receive(soon()).unwrap(), None);
        for length in [60, 1514] {
            other.send(&vec![7; length]).unwrap();
        }
        assert_eq!(card.receive(soon()).unwrap(), Some(vec![7; 60]));
        assert_eq!(card.receive(soon()).unwrap(), Some(vec![7; 1514]));
        assert!(!card.has_buffered());
        card.send(&[1; 42]).unwrap();
        assert_eq!(other.recv(&mut [0; 100]).unwrap(), FRAME_BYTES_MIN);
        other.send(&[7; 1515]).unwrap();
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
