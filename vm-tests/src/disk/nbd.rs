//! The disk's side of a wire to QEMU: the Network Block Device protocol (doc/proto.md of the project
//! of that name), the fixed newstyle handshake and what a disk with a write cache needs.
//!
//! One request at a time is done, and answered before the next one is read. So no write is in
//! flight when a flush is: it covers all that was answered, and nothing that comes later.

use std::io::{self, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::{Disk, SECTOR_BYTES};

const HELLO: &[u8; 8] = b"NBDMAGIC";
const OPTION: &[u8; 8] = b"IHAVEOPT";
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

/// Handshake flags: fixed newstyle, and no zeroes after an export is named.
const HANDSHAKE: u16 = 0b11;

/// Options that a client may negotiate.
mod option {
    pub(super) const EXPORT_NAME: u32 = 1;
    pub(super) const ABORT: u32 = 2;
    pub(super) const INFO: u32 = 6;
    pub(super) const GO: u32 = 7;
}

/// What a reply to an option is.
mod reply {
    pub(super) const ACK: u32 = 1;
    pub(super) const INFO: u32 = 3;
    pub(super) const UNSUPPORTED: u32 = 1 << 31 | 1;
}

/// What is told of the disk: that there are flags, that it wants to be flushed, and writes through.
const TRANSMISSION: u16 = 1 | 1 << 2 | 1 << 3;

/// What a client may ask of a disk.
mod command {
    pub(super) const READ: u16 = 0;
    pub(super) const WRITE: u16 = 1;
    pub(super) const DISCONNECT: u16 = 2;
    pub(super) const FLUSH: u16 = 3;
}

/// Of a write: it lasts when it is answered.
const THROUGH: u16 = 1;

/// Error numbers, those of Linux.
const INVALID: u32 = 22;
const NO_SPACE: u32 = 28;

/// Bytes that one request may move, and those of an option.
const BYTES_MAX: u32 = 32 << 20;
const OPTION_BYTES_MAX: u32 = 4096;

/// Serves until the machine is gone or wants no more.
///
/// # Errors
/// When it does not keep to the protocol, with which one could not go on.
pub(super) fn serve(disk: &Disk, wire: &UnixStream) -> io::Result<()> {
    let mut client = Client {
        incoming: BufReader::new(wire),
        wire,
    };
    let served = client.negotiate(disk).and_then(|agreed| match agreed {
        true => client.transmit(disk),
        false => Ok(()),
    });
    match served {
        // Its plug was pulled.
        Err(error) if gone(&error) => Ok(()),
        served => served,
    }
}

fn gone(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::UnexpectedEof,
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionReset,
    ];
    kinds.contains(&error.kind())
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// Whoever the disk is for.
struct Client<'a> {
    incoming: BufReader<&'a UnixStream>,
    wire: &'a UnixStream,
}

impl Client<'_> {
    /// The handshake; whether requests will come.
    fn negotiate(&mut self, disk: &Disk) -> io::Result<bool> {
        self.wire
            .write_all(&[&HELLO[..], OPTION, &HANDSHAKE.to_be_bytes()].concat())?;
        // The client's flags are a subset of ours, and none of them changes what is said here.
        self.take::<4>()?;
        loop {
            if &self.take()? != OPTION {
                return Err(broken("an option does not begin as one"));
            }
            let option = u32::from_be_bytes(self.take()?);
            let length = u32::from_be_bytes(self.take()?);
            if length > OPTION_BYTES_MAX {
                return Err(broken(format!("option {option} is {length} bytes long")));
            }
            // There is one disk, whatever it is called.
            self.take_bytes(length)?;
            match option {
                option::GO | option::INFO => {
                    self.describe(option, disk)?;
                    self.answer_option(option, reply::ACK, &[])?;
                    if option == option::GO {
                        return Ok(true);
                    }
                }
                option::ABORT => {
                    self.answer_option(option, reply::ACK, &[])?;
                    return Ok(false);
                }
                // It knows no reply but the beginning of another protocol.
                option::EXPORT_NAME => return Err(broken("the client is of before 2016")),
                _ => self.answer_option(option, reply::UNSUPPORTED, &[])?,
            }
        }
    }

    /// The size of the disk and of its sectors.
    fn describe(&mut self, option: u32, disk: &Disk) -> io::Result<()> {
        const EXPORT: u16 = 0;
        const BLOCK_SIZE: u16 = 3;
        let mut export = EXPORT.to_be_bytes().to_vec();
        export.extend(disk.bytes().to_be_bytes());
        export.extend(TRANSMISSION.to_be_bytes());
        self.answer_option(option, reply::INFO, &export)?;
        let mut sizes = BLOCK_SIZE.to_be_bytes().to_vec();
        for size in [SECTOR_BYTES as u32, SECTOR_BYTES as u32, BYTES_MAX] {
            sizes.extend(size.to_be_bytes());
        }
        self.answer_option(option, reply::INFO, &sizes)
    }

    fn answer_option(&mut self, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
        let mut bytes = OPTION_REPLY.to_be_bytes().to_vec();
        for number in [option, kind, data.len() as u32] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend_from_slice(data);
        self.wire.write_all(&bytes)
    }

    /// Does what is asked, until nothing is any more.
    fn transmit(&mut self, disk: &Disk) -> io::Result<()> {
        loop {
            if u32::from_be_bytes(self.take()?) != REQUEST {
                return Err(broken("a request does not begin as one"));
            }
            let flags = u16::from_be_bytes(self.take()?);
            let command = u16::from_be_bytes(self.take()?);
            let cookie: [u8; 8] = self.take()?;
            let offset = u64::from_be_bytes(self.take()?);
            let length = u32::from_be_bytes(self.take()?);
            let place = Place::of(offset, length);
            let done = match command {
                command::READ => place.and_then(|it| disk.read(it.from, it.count).ok_or(INVALID)),
                command::WRITE if length > BYTES_MAX => {
                    return Err(broken(format!("a write of {length} bytes")));
                }
                command::WRITE => {
                    let bytes = self.take_bytes(length)?;
                    let through = flags & THROUGH != 0;
                    let written = |it: Place| disk.write(it.from, &bytes, through);
                    place.and_then(|it| written(it).ok_or(NO_SPACE).map(|()| Vec::new()))
                }
                command::FLUSH => {
                    disk.flush();
                    Ok(Vec::new())
                }
                command::DISCONNECT => return Ok(()),
                _ => Err(INVALID),
            };
            let (error, data) = match done {
                Ok(data) => (0, data),
                Err(error) => (error, Vec::new()),
            };
            let mut bytes = REPLY.to_be_bytes().to_vec();
            bytes.extend(error.to_be_bytes());
            bytes.extend(cookie);
            bytes.extend(data);
            self.wire.write_all(&bytes)?;
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.incoming.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn take_bytes(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.incoming.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whole sectors.
struct Place {
    from: u64,
    count: u64,
}

impl Place {
    fn of(offset: u64, length: u32) -> Result<Self, u32> {
        let sector = SECTOR_BYTES as u64;
        let whole = offset.is_multiple_of(sector) && u64::from(length).is_multiple_of(sector);
        let place = Self {
            from: offset / sector,
            count: u64::from(length) / sector,
        };
        if whole && length <= BYTES_MAX {
            Ok(place)
        } else {
            Err(INVALID)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use super::*;

    const SECTOR: u32 = SECTOR_BYTES as u32;

    /// A client that does what the protocol says.
    struct Machine {
        wire: UnixStream,
        served: JoinHandle<io::Result<()>>,
    }

    impl Machine {
        fn attached(disk: &Disk) -> Self {
            let (wire, other) = UnixStream::pair().unwrap();
            let served = disk.serve(other);
            let mut machine = Self { wire, served };
            assert_eq!(machine.hear(18), b"NBDMAGICIHAVEOPT\0\x03");
            machine.say(&3_u32.to_be_bytes());
            machine
        }

        /// One whose handshake is over.
        fn ready(disk: &Disk) -> Self {
            let mut machine = Self::attached(disk);
            machine.option(option::GO, &[0; 6]);
            for length in [12, 14, 0] {
                assert_eq!(machine.option_reply(option::GO).1.len(), length);
            }
            machine
        }

        fn say(&mut self, bytes: &[u8]) {
            self.wire.write_all(bytes).unwrap();
        }

        fn hear(&mut self, count: usize) -> Vec<u8> {
            let mut bytes = vec![0; count];
            self.wire.read_exact(&mut bytes).unwrap();
            bytes
        }

        fn option(&mut self, option: u32, data: &[u8]) {
            let length = data.len() as u32;
            self.say(
                &[
                    OPTION,
                    &option.to_be_bytes()[..],
                    &length.to_be_bytes(),
                    data,
                ]
                .concat(),
            );
        }

        fn option_reply(&mut self, option: u32) -> (u32, Vec<u8>) {
            assert_eq!(self.hear(8), OPTION_REPLY.to_be_bytes());
            assert_eq!(self.hear(4), option.to_be_bytes());
            let number = |bytes: Vec<u8>| u32::from_be_bytes(bytes.try_into().unwrap());
            let (kind, length) = (number(self.hear(4)), number(self.hear(4)));
            (kind, self.hear(length as usize))
        }

        /// Asks, and hears the error and so many bytes.
        fn ask(
            &mut self,
            words: (u16, u16, u64, u32),
            data: &[u8],
            answer: usize,
        ) -> (u32, Vec<u8>) {
            let (flags, command, offset, length) = words;
            let mut bytes = REQUEST.to_be_bytes().to_vec();
            bytes.extend(flags.to_be_bytes());
            bytes.extend(command.to_be_bytes());
            bytes.extend(*b"a cookie");
            bytes.extend(offset.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend_from_slice(data);
            self.say(&bytes);
            assert_eq!(self.hear(4), REPLY.to_be_bytes());
            let error = u32::from_be_bytes(self.hear(4).try_into().unwrap());
            assert_eq!(self.hear(8), b"a cookie");
            (error, self.hear(answer))
        }
    }

    #[test]
    fn a_disk_tells_its_size_and_that_it_must_be_flushed() {
        let mut machine = Machine::attached(&Disk::blank(1 << 20));
        // What QEMU asks for first, and can do without.
        machine.option(8, &[]);
        assert_eq!(machine.option_reply(8).0, 0x8000_0001);
        machine.option(option::GO, b"\0\0\0\0\0\x01\0\x03");
        let size = b"\0\0\0\0\0\0\0\x10\0\0\0\x0d".to_vec();
        assert_eq!(machine.option_reply(option::GO), (3, size));
        let sectors = b"\0\x03\0\0\x10\0\0\0\x10\0\x02\0\0\0".to_vec();
        assert_eq!(machine.option_reply(option::GO), (3, sectors));
        assert_eq!(machine.option_reply(option::GO), (1, Vec::new()));
    }

    #[test]
    fn writes_are_read_and_last_from_the_flush_on_or_when_they_go_through() {
        let disk = Disk::blank(1 << 20);
        let lasting = |sector: u64| {
            let mut cuts = (0..50).map(|seed| disk.cut(seed).read(sector, 1).unwrap()[0]);
            cuts.all(|it| it != 0)
        };
        let mut machine = Machine::ready(&disk);
        let (one, two) = ([1; SECTOR_BYTES], [2; SECTOR_BYTES]);
        let done = (0, Vec::new());
        let write = (0, command::WRITE, 4096, SECTOR);
        assert_eq!(machine.ask(write, &one, 0), done);
        let both = [&one[..], &[0; SECTOR_BYTES]].concat();
        let read = (0, command::READ, 4096, 2 * SECTOR);
        assert_eq!(machine.ask(read, &[], both.len()), (0, both));
        assert!(!lasting(1));
        let through = (THROUGH, command::WRITE, 8192, SECTOR);
        assert_eq!(machine.ask(through, &two, 0), done);
        assert!(!lasting(1) && lasting(2));
        assert_eq!(machine.ask((0, command::FLUSH, 0, 0), &[], 0), done);
        assert!(lasting(1) && lasting(2));
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_the_rest_goes_on() {
        let mut machine = Machine::ready(&Disk::blank(8192));
        let sector = [1; SECTOR_BYTES];
        let mut check = |words, data: &[u8], error| {
            assert_eq!(
                machine.ask(words, data, 0),
                (error, Vec::new()),
                "{words:?}"
            );
        };
        check((0, command::READ, 8192, SECTOR), &[], INVALID);
        check((0, command::READ, 512, SECTOR), &[], INVALID);
        check((0, command::READ, 0, u32::MAX), &[], INVALID);
        check((0, command::WRITE, 8192, SECTOR), &sector, NO_SPACE);
        check((0, command::WRITE, u64::MAX, 1), &[1], INVALID);
        // To discard, which was not offered.
        check((0, 4, 0, SECTOR), &[], INVALID);
        check((0, command::WRITE, 0, SECTOR), &sector, 0);
    }

    #[test]
    fn whoever_goes_away_is_let_go_and_whoever_talks_nonsense_too() {
        let check = |said: &[u8], well: bool| {
            let mut machine = Machine::ready(&Disk::blank(8192));
            machine.say(said);
            drop(machine.wire);
            assert_eq!(machine.served.join().unwrap().is_ok(), well, "{said:?}");
        };
        check(b"", true);
        check(b"\x25\x60\x95\x13\0\0\0", true);
        check(
            b"\x25\x60\x95\x13\0\0\0\x02abcdefgh\0\0\0\0\0\0\0\0\0\0\0\0",
            true,
        );
        check(b"GET / HTTP/1.1", false);
        let mut machine = Machine::attached(&Disk::blank(8192));
        machine.option(option::ABORT, &[]);
        assert_eq!(machine.option_reply(option::ABORT).0, reply::ACK);
        assert!(machine.served.join().unwrap().is_ok());
        let mut machine = Machine::attached(&Disk::blank(8192));
        machine.option(option::EXPORT_NAME, b"a name");
        assert!(machine.served.join().unwrap().is_err());
    }
}
