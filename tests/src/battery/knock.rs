//! Knocks at a TCP port all the time, and tells when it opened and when it shut.
//!
//! Each knock is the first packet of a connection of its own, so no answer waits for the kernel's
//! retransmissions: what is told is what happened to a packet that was sent at that instant.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

/// From one knock to the next.
const EVERY: Duration = Duration::from_millis(20);

/// When no answer is to be expected any more: long after a round trip, and long before the kernel
/// would send the packet again.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

/// Whether a knock is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// The connection was accepted.
    Open,
    /// Nobody answered, or the connection was refused.
    Shut,
}

/// A door that has changed: between two knocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// The last knock that did not find it so yet; at first, the first that did.
    pub after: Instant,
    /// The first knock that found it so.
    pub by: Instant,
    /// How it was found.
    pub door: Door,
}

/// Somebody who knocks at one address until dropped.
#[derive(Debug)]
pub struct Knocker {
    address: SocketAddr,
    changes: Receiver<Change>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Knocker {
    /// Begins to knock.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let (sender, changes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = stop.clone();
            move || knock(address, &sender, &stop)
        });
        Self {
            address,
            changes,
            stop,
            thread: Some(thread),
        }
    }

    /// Waits until the door has changed to this, and says when.
    ///
    /// # Errors
    /// When it is not so within `limit`.
    pub fn wait(&self, door: Door, limit: Duration) -> io::Result<Change> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.changes.recv_timeout(left) {
                Ok(change) if change.door == door => return Ok(change),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let (address, limit) = (self.address, limit.as_secs_f32());
                    let text = format!("{address} was not {door:?} within {limit} s");
                    return Err(io::Error::other(text));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("the knocking has ended"));
                }
            }
        }
    }
}

impl Drop for Knocker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A packet that was sent.
struct Knock {
    sent: Instant,
    socket: Socket,
    found: Option<Door>,
}

fn knock(address: SocketAddr, changes: &Sender<Change>, stop: &AtomicBool) -> io::Result<()> {
    let mut knocks: VecDeque<Knock> = VecDeque::new();
    let mut last = None;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        knocks.push_back(Knock::send(address)?);
        // A knock that is late is not made up for.
        next = (next + EVERY).max(Instant::now());
        loop {
            let left = next.saturating_duration_since(Instant::now());
            listen(&mut knocks, left)?;
            // In the order in which they were sent, and none before those that were sent earlier.
            while let Some(door) = knocks.front().and_then(|knock| knock.found) {
                let sent = knocks.pop_front().expect("it is in front").sent;
                let (after, before) = last.replace((sent, door)).unzip();
                let change = Change {
                    after: after.unwrap_or(sent),
                    by: sent,
                    door,
                };
                if before != Some(door) && changes.send(change).is_err() {
                    return Ok(());
                }
            }
            if left.is_zero() {
                break;
            }
        }
    }
    Ok(())
}

/// Waits for answers, at most so long.
fn listen(knocks: &mut VecDeque<Knock>, limit: Duration) -> io::Result<()> {
    let waiting = knocks.iter_mut().filter(|knock| knock.found.is_none());
    let mut waiting: Vec<&mut Knock> = waiting.collect();
    let ready: Vec<bool> = {
        let sockets = waiting.iter().map(|knock| knock.socket.as_fd());
        let mut fds: Vec<_> = sockets
            .map(|socket| PollFd::new(socket, PollFlags::POLLOUT))
            .collect();
        // Rounded up: a loop that waits for 0.9 ms must not spin.
        let milliseconds = u16::try_from(limit.as_millis() + 1).unwrap_or(u16::MAX);
        poll(&mut fds, PollTimeout::from(milliseconds))?;
        fds.iter().map(|fd| fd.any() == Some(true)).collect()
    };
    for (knock, ready) in waiting.iter_mut().zip(ready) {
        if ready {
            let accepted = knock.socket.take_error()?.is_none();
            let accepted = accepted && knock.socket.peer_addr().is_ok();
            knock.found = Some(if accepted { Door::Open } else { Door::Shut });
        } else if knock.sent.elapsed() > ANSWERS_WITHIN {
            knock.found = Some(Door::Shut);
        }
    }
    Ok(())
}

impl Knock {
    fn send(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // It ends with a reset, and leaves no port behind that waits.
        socket.set_linger(Some(Duration::ZERO))?;
        let sent = Instant::now();
        // In progress, as it does not block; what came of it is asked later.
        drop(socket.connect(&address.into()));
        Ok(Self {
            sent,
            socket,
            found: None,
        })
    }
}
