//! Two connections that are open before the rules come: one that the prober opened, over IPv4, and
//! one that the machine opened, over IPv6.
//!
//! The prober's end is made of frames. A message is one byte that the machine has had already,
//! as in a keep-alive (RFC 9293, 3.8.4): its kernel acknowledges that at once, whoever else wants
//! to run, so each message has a verdict of its own.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use socket2::{Domain, Socket, Type};

use super::cable::Cable;
use super::classes::{Class, MACHINE_V4, MACHINE_V6};
use super::frames::{self, Received, Segment};
use crate::namespace::tool;

/// A port that no policy lets in.
const PORT: u16 = 50_000;

/// Both conversations.
#[derive(Debug)]
pub(super) struct Conversations {
    /// Holds the machine's ends, as a daemon would. Nobody reads from them: that could delay an
    /// answer. And no command that is run here descends from it: one that descends from whoever
    /// holds a connection takes itself for one that was given over this connection.
    holder: Child,
    /// A message of each, the way the prober says it again and again.
    messages: [Segment; 2],
}

impl Conversations {
    /// Opens both, from this side and from that.
    pub(super) fn open(cable: &mut Cable) -> io::Result<Self> {
        let (from_prober, first) = opened_by_prober(cable)?;
        let (from_machine, second) = opened_by_machine(cable)?;
        let holder = Command::new(tool("sleep")?)
            .arg("infinity")
            .stdin(OwnedFd::from(from_prober))
            .stdout(OwnedFd::from(from_machine))
            .spawn()?;
        Ok(Self {
            holder,
            messages: [first, second],
        })
    }

    /// The next message.
    pub(super) fn message(&self, class: Class) -> Segment {
        self.messages[usize::from(class.ipv6)]
    }

    /// The conversation in which a segment from the machine answers a message.
    pub(super) fn answered(&self, segment: &Segment) -> Option<usize> {
        self.messages.iter().position(|message| {
            (segment.from, segment.to) == (message.to, message.from)
                && segment.flags == frames::ACK
                && segment.ack == message.next_seq()
        })
    }
}

impl Drop for Conversations {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn opened_by_prober(cable: &mut Cable) -> io::Result<(Socket, Segment)> {
    let listener = TcpListener::bind((MACHINE_V4, PORT))?;
    let syn = Segment {
        from: SocketAddr::new(IpAddr::from([198, 51, 100, 7]), PORT),
        to: SocketAddr::new(MACHINE_V4.into(), PORT),
        seq: FIRST_SEQ,
        ack: 0,
        flags: frames::SYN,
        data: 0,
    };
    cable.send(&syn.frame())?;
    let answer = expect(cable, frames::SYN | frames::ACK)?;
    let ack = Segment {
        seq: syn.next_seq(),
        ack: answer.next_seq(),
        flags: frames::ACK,
        ..syn
    };
    cable.send(&ack.frame())?;
    let (socket, _) = listener.accept()?;
    Ok((socket.into(), message(ack)))
}

fn opened_by_machine(cable: &mut Cable) -> io::Result<(Socket, Segment)> {
    let prober = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 7);
    let socket = Socket::new(Domain::IPV6, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SocketAddr::new(MACHINE_V6.into(), PORT).into())?;
    // In progress: the prober has yet to answer.
    let _ = socket.connect(&SocketAddr::new(prober.into(), PORT).into());
    let syn = expect(cable, frames::SYN)?;
    let answer = Segment {
        from: syn.to,
        to: syn.from,
        seq: FIRST_SEQ,
        ack: syn.next_seq(),
        flags: frames::SYN | frames::ACK,
        data: 0,
    };
    cable.send(&answer.frame())?;
    expect(cable, frames::ACK)?;
    let stream = TcpStream::from(socket);
    stream.peer_addr()?;
    let ack = Segment {
        seq: answer.next_seq(),
        flags: frames::ACK,
        ..answer
    };
    Ok((stream.into(), message(ack)))
}

const FIRST_SEQ: u32 = 0x0100_0000;

/// One byte that the other side has acknowledged before.
const fn message(ack: Segment) -> Segment {
    Segment {
        seq: ack.seq - 1,
        data: 1,
        ..ack
    }
}

/// The next segment, which must have these flags.
fn expect(cable: &mut Cable, flags: u8) -> io::Result<Segment> {
    while let Some(arrival) = cable.receive()? {
        match arrival.received {
            Received::Segment(segment) if segment.flags == flags => return Ok(segment),
            Received::Segment(segment) => {
                return Err(io::Error::other(format!("no conversation: {segment:?}")));
            }
            Received::Barrier | Received::Other => {}
        }
    }
    Err(io::Error::other("no conversation: the machine is silent"))
}
