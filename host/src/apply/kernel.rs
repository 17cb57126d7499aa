//! The kernel's nf_tables by netlink: tells what stands in our table, and changes it in one batch.
//!
//! Nothing here waits longer than it says, and no message of the kernel is taken at its word
//! before it is known to be the answer to what was asked.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{ReceiveTimeout, SndBuf, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use portreeve_nft::netlink::{
    About, Answer, Batch, Connection, Element, Item, Malformed, Objects, Request, Says, answers,
};
use thiserror::Error;

/// How long the kernel may take for an answer. It gives it before it has returned from the
/// question, or at once when asked to go on with a list.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long the rule set may keep changing while it is read.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes received at once. The kernel sends no more than 32 KiB of a list at once.
const RECEIVED_BYTES_MAX: usize = 128 << 10;

/// The group of sockets that are told of changes: `NFNLGRP_NFTABLES`, 7, as a mask.
const CHANGES: u32 = 1 << 6;

/// The elements of a trial's set are the two protocols; without one of them the trial is over.
const TRIAL_ELEMENTS: usize = 2;

/// Why the kernel was not changed, or did not tell.
#[derive(Debug, Error)]
pub enum KernelError {
    /// It has no nf_tables, or none that this process can reach.
    #[error("the kernel's nf_tables cannot be reached; is its module loaded?")]
    Unreachable(#[source] Errno),
    /// Only who may change the firewall may look at it.
    #[error("the kernel lets only root see and change the firewall (CAP_NET_ADMIN)")]
    NotPermitted,
    /// It refused a batch, of which nothing is in force.
    #[error("the kernel refused {}", refused(about.as_ref()))]
    Refused {
        /// The first message that it refused, or none: the batch as a whole.
        about: Option<About>,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// It refused to tell something.
    #[error("the kernel did not tell what stands in table `inet portreeve`")]
    NotTold(#[source] Errno),
    /// The socket failed.
    #[error("the conversation with the kernel failed")]
    Broken(#[source] Errno),
    /// It said what it never says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It did not answer.
    #[error("the kernel did not answer within {} s", ANSWER_TIME_MAX.as_secs())]
    TimedOut,
    /// It never stood still.
    #[error(
        "somebody kept changing this machine's nf_tables for {} s, so it could not be read",
        SNAPSHOT_TIME_MAX.as_secs()
    )]
    Restless,
}

fn refused(about: Option<&About>) -> String {
    about.map_or_else(|| "the changes as a whole".to_owned(), About::to_string)
}

impl KernelError {
    /// Whether a batch was refused because the trial that it ends was over already.
    #[must_use]
    pub const fn is_lapse(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                about: Some(About::EndTrial(_)),
                errno: Errno::ENOENT,
            }
        )
    }

    /// Whether it is certain that the kernel was left as it was.
    #[must_use]
    pub const fn is_an_answer(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::NotPermitted
            | Self::Refused { .. }
            | Self::NotTold(_)
            | Self::Restless => true,
            Self::Broken(_) | Self::Malformed(_) | Self::TimedOut => false,
        }
    }
}

/// A conversation with nf_tables, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Kernel {
    socket: OwnedFd,
    /// The sequence number of the next message.
    next: u32,
    buffer: Vec<u8>,
}

/// How a question was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    /// To the end.
    Whole,
    /// To the end, but things changed in between.
    Interrupted,
    /// What was asked for is not there.
    NotThere,
}

impl Kernel {
    /// Opens it.
    ///
    /// # Errors
    /// When the kernel has no nf_tables, or does not let this process use it.
    pub fn open() -> Result<Self, KernelError> {
        let mut kernel = Self {
            socket: open_socket(0)?,
            next: 1,
            buffer: vec![0; RECEIVED_BYTES_MAX],
        };
        // A first question, so that nobody finds out later that none is answered.
        kernel.generation().map_err(|error| match error {
            KernelError::NotTold(errno) => KernelError::Unreachable(errno),
            other => other,
        })?;
        Ok(kernel)
    }

    /// What stands in our table, all of it at one moment.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn objects(&mut self) -> Result<Objects, KernelError> {
        let until = Instant::now() + SNAPSHOT_TIME_MAX;
        while Instant::now() < until {
            let before = self.generation()?;
            let objects = self.objects_once()?;
            if let Some(objects) = objects
                && self.generation()? == before
            {
                return Ok(objects);
            }
        }
        Err(KernelError::Restless)
    }

    /// Whether any table may stand beside ours, of whichever family.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn may_hold_others(&mut self) -> Result<bool, KernelError> {
        let mut others = false;
        let told = self.ask(Request::Tables, |item| others |= item == Item::OtherTable)?;
        Ok(others || told != Told::Whole)
    }

    /// What stands in our table; none when a list of it is not of one moment.
    fn objects_once(&mut self) -> Result<Option<Objects>, KernelError> {
        let mut objects = Objects::default();
        for request in [
            Request::Table,
            Request::Chains,
            Request::Rules,
            Request::Sets,
        ] {
            match self.ask(request, |item| objects.add(item))? {
                Told::Whole => {}
                Told::Interrupted => return Ok(None),
                Told::NotThere => return Ok(Some(Objects::default())),
            }
        }
        Ok(Some(objects))
    }

    /// The number that changes whenever something in nf_tables does.
    fn generation(&mut self) -> Result<u32, KernelError> {
        let mut generation = None;
        self.ask(Request::Generation, |item| {
            if let Item::Generation(number) = item {
                generation = Some(number);
            }
        })?;
        generation.ok_or(KernelError::Malformed(Malformed))
    }

    /// How long a trial's elements will still be there, or none: the trial is over.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn time_left(&mut self, set: &str) -> Result<Option<Duration>, KernelError> {
        let until = Instant::now() + SNAPSHOT_TIME_MAX;
        while Instant::now() < until {
            let mut elements: Vec<Element> = Vec::new();
            let told = self.ask(Request::Elements { set }, |item| {
                if let Item::Elements(some) = item {
                    elements.extend(some);
                }
            })?;
            if told != Told::Interrupted {
                let left = |element: &Element| element.left.unwrap_or(Duration::MAX);
                let all_left = elements.len() == TRIAL_ELEMENTS;
                return Ok(elements.iter().map(left).min().filter(|_| all_left));
            }
        }
        Err(KernelError::Restless)
    }

    /// Whether a set has the element with this key: its fields in network order, each filled up
    /// with zeros to a multiple of four bytes when there are several. A set that is not there has
    /// none.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn holds(&mut self, set: &str, key: &[u8]) -> Result<bool, KernelError> {
        let told = self.ask(Request::Element { set, key }, |_| {})?;
        Ok(told != Told::NotThere)
    }

    /// Changes our table: all of the batch, or nothing.
    ///
    /// # Errors
    /// When nothing was changed, or it is not known: see [`KernelError::is_an_answer`].
    pub fn commit(&mut self, batch: &Batch) -> Result<(), KernelError> {
        if batch.is_empty() {
            return Ok(());
        }
        // It begins and ends with a message of its own.
        let count = batch.len() + 2;
        let first = self.number(count);
        self.send(&batch.to_bytes(first))?;
        loop {
            let received = receive(&self.socket, &mut self.buffer)?;
            for answer in answers(received) {
                let Answer { sequence, says, .. } = answer?;
                let index = sequence.wrapping_sub(first) as usize;
                if index >= count {
                    // It answers what was asked before.
                    continue;
                }
                // Answers come in the order of the messages, those about the whole batch first,
                // and what is in force the kernel confirms only once. So the first one decides.
                match says {
                    Says::Done => return Ok(()),
                    Says::Failed(number) => {
                        let about = index.checked_sub(1).and_then(|index| batch.about(index));
                        return Err(refusal(about, Errno::from_raw(number)));
                    }
                    Says::Item(_) | Says::Nothing => {}
                }
            }
        }
    }

    /// Makes conntrack know an established connection, and whether it did not know it before.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn know(&mut self, connection: &Connection) -> Result<bool, KernelError> {
        let asked = self.number(1);
        self.begin(&connection.know(asked), asked)
    }

    /// Makes conntrack expect a connection because of another one, which it knows; and whether it
    /// did not know the first before.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn expect(
        &mut self,
        connection: &Connection,
        from: &Connection,
    ) -> Result<bool, KernelError> {
        let asked = self.number(1);
        self.begin(&connection.expect(from, asked), asked)
    }

    fn begin(&mut self, message: &[u8], asked: u32) -> Result<bool, KernelError> {
        match self.tell(message, asked)? {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(refusal(None, errno)),
        }
    }

    /// Makes conntrack forget a connection, and whether it knew it.
    ///
    /// # Errors
    /// When it keeps it.
    pub fn forget(&mut self, connection: &Connection) -> Result<bool, KernelError> {
        let asked = self.number(1);
        match self.tell(&connection.forget(asked), asked)? {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(refusal(None, errno)),
        }
    }

    /// Sends one message, and waits until the kernel has done what it says or refused it.
    fn tell(&mut self, message: &[u8], asked: u32) -> Result<Result<(), Errno>, KernelError> {
        self.send(message)?;
        loop {
            let received = receive(&self.socket, &mut self.buffer)?;
            for answer in answers(received) {
                let answer = answer?;
                match answer.says {
                    _ if answer.sequence != asked => {}
                    Says::Done => return Ok(Ok(())),
                    Says::Failed(number) => return Ok(Err(Errno::from_raw(number))),
                    Says::Item(_) | Says::Nothing => {}
                }
            }
        }
    }

    /// Asks, and hands on what the kernel tells.
    fn ask(
        &mut self,
        request: Request<'_>,
        mut tell: impl FnMut(Item),
    ) -> Result<Told, KernelError> {
        let asked = self.number(1);
        self.send(&request.to_bytes(asked))?;
        let mut told = Told::Whole;
        loop {
            let received = receive(&self.socket, &mut self.buffer)?;
            for answer in answers(received) {
                let answer = answer?;
                if answer.sequence != asked {
                    // It answers what was asked before.
                    continue;
                }
                if answer.is_interrupted {
                    told = Told::Interrupted;
                }
                match answer.says {
                    Says::Item(item) => tell(item),
                    Says::Nothing => {}
                    Says::Done => return Ok(told),
                    Says::Failed(number) => {
                        return match Errno::from_raw(number) {
                            Errno::ENOENT => Ok(Told::NotThere),
                            Errno::EINTR => Ok(Told::Interrupted),
                            Errno::EPERM => Err(KernelError::NotPermitted),
                            errno => Err(KernelError::NotTold(errno)),
                        };
                    }
                }
            }
        }
    }

    /// The first of `count` sequence numbers that no message has had.
    fn number(&mut self, count: usize) -> u32 {
        let first = self.next;
        let count = u32::try_from(count).expect("a batch is small");
        self.next = first.wrapping_add(count);
        first
    }

    fn send(&self, bytes: &[u8]) -> Result<(), KernelError> {
        let sent = match send(self.socket.as_raw_fd(), bytes, MsgFlags::empty()) {
            Err(Errno::EMSGSIZE) => {
                self.make_room(bytes.len())?;
                send(self.socket.as_raw_fd(), bytes, MsgFlags::empty())
            }
            sent => sent,
        };
        // What is sent is taken whole.
        sent.map(drop).map_err(broken)
    }

    /// Lets the socket send this much at once: root may, others up to a limit.
    fn make_room(&self, bytes: usize) -> Result<(), KernelError> {
        let bytes = 2 * bytes;
        setsockopt(&self.socket, SndBufForce, &bytes)
            .or_else(|_| setsockopt(&self.socket, SndBuf, &bytes))
            .map_err(KernelError::Broken)
    }
}

/// What tells when something in nf_tables has changed since it was made, or since it last told.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Begins to listen, in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel does not let us.
    pub fn listen() -> Result<Self, KernelError> {
        open_socket(CHANGES).map(Self)
    }

    /// Waits until something has changed, `true`, or the time is over, `false`. What has timed
    /// out has not changed, and what we change ourselves has.
    ///
    /// # Errors
    /// When the kernel cannot be listened to.
    pub fn wait(&self, within: Option<Duration>) -> Result<bool, KernelError> {
        let until = within.and_then(|within| Instant::now().checked_add(within));
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.map_or(PollTimeout::NONE, timeout);
            let mut socket = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut socket, timeout) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(KernelError::Broken(errno)),
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
                Ok(0) => {}
                Ok(_) => return self.forget().map(|()| true),
            }
        }
    }

    /// Takes everything that was told.
    fn forget(&self) -> Result<(), KernelError> {
        loop {
            match recv(self.0.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT) {
                // That more was told than there was room for is also a change.
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(KernelError::Broken(errno)),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// As poll takes it: whole milliseconds, rounded up so that it does not wake in vain, and no more
/// than a day, after which it is asked again.
fn timeout(left: Duration) -> PollTimeout {
    let day = Duration::from_secs(24 * 60 * 60);
    let left = left.min(day).as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(left).expect("a day has fewer than 2^31 milliseconds")
}

/// A socket that is in these groups.
fn open_socket(groups: u32) -> Result<OwnedFd, KernelError> {
    let unreachable = |errno| match errno {
        Errno::EPERM => KernelError::NotPermitted,
        errno => KernelError::Unreachable(errno),
    };
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )
    .map_err(unreachable)?;
    let seconds = i64::try_from(ANSWER_TIME_MAX.as_secs()).expect("it is a few seconds");
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(seconds)).map_err(unreachable)?;
    // The kernel chooses the socket's own address.
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(unreachable)?;
    Ok(socket)
}

/// Receives what the kernel says at once.
fn receive<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> Result<&'a [u8], KernelError> {
    loop {
        // With this flag, the length is told of what did not fit, too.
        match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
            Ok(length) => return Ok(buffer.get(..length).ok_or(Malformed)?),
            // There was no room for all of many refusals; the first one is there.
            Err(Errno::EINTR | Errno::ENOBUFS) => {}
            Err(Errno::EAGAIN) => return Err(KernelError::TimedOut),
            Err(errno) => return Err(broken(errno)),
        }
    }
}

const fn broken(errno: Errno) -> KernelError {
    match errno {
        Errno::EPERM => KernelError::NotPermitted,
        errno => KernelError::Broken(errno),
    }
}

fn refusal(about: Option<&About>, errno: Errno) -> KernelError {
    match errno {
        Errno::EPERM => KernelError::NotPermitted,
        errno => KernelError::Refused {
            about: about.cloned(),
            errno,
        },
    }
}
