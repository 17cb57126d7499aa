//! What went over a wire, for whoever has to find out why.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// Frames that are kept, at most; of more, the last ones.
const FRAMES_MAX: usize = 100_000;

/// Which way a frame went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// To the machine under test.
    ToMachine,
    /// From it.
    FromMachine,
}

/// The frames of one wire.
#[derive(Debug, Default)]
pub struct Record {
    frames: std::collections::VecDeque<(SystemTime, Direction, Vec<u8>)>,
}

impl Record {
    /// Keeps a frame.
    pub fn add(&mut self, direction: Direction, frame: &[u8]) {
        if self.frames.len() == FRAMES_MAX {
            self.frames.pop_front();
        }
        let now = SystemTime::now();
        self.frames.push_back((now, direction, frame.to_vec()));
    }

    /// Writes them as tcpdump and Wireshark read them: pcapng (draft-ietf-opsawg-pcapng), with the
    /// direction of each frame.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        // Section header: byte order, version 1.0, length not known.
        let section = [
            &0x1a2b_3c4d_u32.to_le_bytes()[..],
            &[1, 0, 0, 0],
            &[0xff; 8],
        ];
        block(to, 0x0a0d_0d0a, &section.concat())?;
        // Interface: Ethernet (`LINKTYPE_ETHERNET`), no limit.
        block(to, 1, &[1, 0, 0, 0, 0, 0, 0, 0])?;
        for (time, direction, frame) in &self.frames {
            block(to, 6, &enhanced_packet(*time, *direction, frame))?;
        }
        Ok(())
    }
}

/// An enhanced packet block: interface, time in microseconds, lengths, frame, and the option
/// `epb_flags` with the direction.
fn enhanced_packet(time: SystemTime, direction: Direction, frame: &[u8]) -> Vec<u8> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.unwrap_or(Duration::ZERO).as_micros() as u64;
    let length = frame.len() as u32;
    let mut body = Vec::with_capacity(frame.len() + 40);
    for word in [0, (micros >> 32) as u32, micros as u32, length, length] {
        body.extend(word.to_le_bytes());
    }
    body.extend_from_slice(frame);
    body.resize(body.len().next_multiple_of(4), 0);
    let flags: u8 = match direction {
        Direction::FromMachine => 1,
        Direction::ToMachine => 2,
    };
    body.extend([2, 0, 4, 0, flags, 0, 0, 0]);
    body.extend([0; 4]);
    body
}

fn block(to: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = (12 + body.len()) as u32;
    to.write_all(&kind.to_le_bytes())?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(body)?;
    to.write_all(&length.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_says_its_length_twice() {
        let mut record = Record::default();
        record.add(Direction::ToMachine, &[1; 61]);
        record.add(Direction::FromMachine, &[2; 60]);
        let mut bytes = Vec::new();
        record.write(&mut bytes).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut kinds) = (0, Vec::new());
        while at < bytes.len() {
            let length = word(at + 4) as usize;
            assert_eq!(word(at + length - 4) as usize, length);
            assert_eq!(length % 4, 0);
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6]);
    }
}
