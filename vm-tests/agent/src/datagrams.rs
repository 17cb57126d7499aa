//! What the machine serves over UDP: one thread for all ports.
//!
//! Because it is one, it can tell when everything that had arrived is answered: when it was asked
//! first, and then poll(2) finds no socket with anything in it. Nobody counts, peeks, or waits a
//! while.

use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter, Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::in6_pktinfo;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv6RecvPacketInfo, RcvBuf, RcvBufForce};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt,
};
use portreeve_vm_agent::Service;

use crate::services::reply;

/// What may wait in a socket: a burst of thousands of probes.
const QUEUE_BYTES: usize = 32 << 20;

const DATAGRAM_BYTES_MAX: usize = 65_536;

/// The thread that answers datagrams.
pub(crate) struct Datagrams {
    orders: Sender<Order>,
    wake: PipeWriter,
}

enum Order {
    Serve(UdpSocket, Service),
    /// Say so when everything that has arrived is answered.
    Settle(Sender<()>),
}

impl Default for Datagrams {
    fn default() -> Self {
        let (orders, ordered) = mpsc::channel();
        let (woken, wake) = io::pipe().expect("a machine has room for a pipe");
        thread::spawn(move || work(&ordered, &woken));
        Self { orders, wake }
    }
}

impl Datagrams {
    /// Serves on a port of every address, of both families; the number of the port, which the kernel
    /// chooses when it is 0.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub(crate) fn serve(&self, number: u16, service: Service) -> io::Result<u16> {
        // A socket of IPv6 that is bound to no address takes datagrams over IPv4, too.
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, number))?;
        let number = socket.local_addr()?.port();
        socket.set_nonblocking(true)?;
        setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        // Only root goes beyond the machine's limit; others test this with few datagrams.
        setsockopt(&socket, RcvBufForce, &QUEUE_BYTES)
            .or_else(|_| setsockopt(&socket, RcvBuf, &QUEUE_BYTES))?;
        self.order(Order::Serve(socket, service));
        Ok(number)
    }

    /// Waits until every datagram that has arrived is answered.
    pub(crate) fn settle(&self) {
        let (settled, settling) = mpsc::channel();
        self.order(Order::Settle(settled));
        settling.recv().expect("the thread lasts as long as this");
    }

    fn order(&self, order: Order) {
        let sent = self.orders.send(order);
        sent.expect("the thread lasts as long as this");
        let woken = (&self.wake).write_all(&[0]);
        woken.expect("the thread lasts as long as this");
    }
}

/// Answers datagrams, until nobody can give orders any more.
fn work(ordered: &Receiver<Order>, mut woken: &PipeReader) {
    let mut sockets: Vec<(UdpSocket, Service)> = Vec::new();
    let mut settling: Vec<Sender<()>> = Vec::new();
    loop {
        let timeout = if settling.is_empty() {
            PollTimeout::NONE
        } else {
            PollTimeout::ZERO
        };
        let (ordering, busy) = ready(woken, &sockets, timeout);
        if busy.is_empty() {
            for settled in settling.drain(..) {
                // Who does not listen any more need not know.
                let _ = settled.send(());
            }
        }
        for place in busy {
            let (socket, service) = &sockets[place];
            answer_all(socket, *service);
        }
        if ordering {
            if !matches!(woken.read(&mut [0]), Ok(1)) {
                return;
            }
            match ordered.recv() {
                Ok(Order::Serve(socket, service)) => sockets.push((socket, service)),
                Ok(Order::Settle(settled)) => settling.push(settled),
                Err(_) => return,
            }
        }
    }
}

/// Whether there is an order, and which sockets have something in them.
fn ready(
    woken: &PipeReader,
    sockets: &[(UdpSocket, Service)],
    timeout: PollTimeout,
) -> (bool, Vec<usize>) {
    let sockets = sockets.iter().map(|(socket, _)| socket.as_fd());
    let watched = [woken.as_fd()].into_iter().chain(sockets);
    let mut watched: Vec<_> = watched
        .map(|it| PollFd::new(it, PollFlags::POLLIN))
        .collect();
    match poll(&mut watched, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => panic!("sockets cannot be polled: {errno}"),
    }
    let any = |it: &PollFd<'_>| it.any().unwrap_or(false);
    let busy = (0..watched.len() - 1).filter(|place| any(&watched[place + 1]));
    (any(&watched[0]), busy.collect())
}

/// Answers everything that is in a socket.
fn answer_all(socket: &UdpSocket, service: Service) {
    let mut said = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match receive(socket, &mut said) {
            Ok((length, from, asked)) => {
                let reply = reply(service, &said[..length], (*from.ip()).into());
                // A firewall may refuse it, and then the harness hears nothing: as it should be.
                let _ = send(socket, &reply, from, asked);
            }
            Err(Errno::EAGAIN) => return,
            // What was wrong with an earlier one.
            Err(_) => {}
        }
    }
}

/// Takes a datagram: its length, who sent it, and to which address of this machine.
fn receive(socket: &UdpSocket, said: &mut [u8]) -> nix::Result<(usize, SocketAddrV6, in6_pktinfo)> {
    let mut parts = [IoSliceMut::new(said)];
    let mut space = cmsg_space!(in6_pktinfo);
    let flags = MsgFlags::empty();
    let received = recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let from = received.address.expect("datagrams are from somewhere");
    let asked = received.cmsgs()?.find_map(|it| match it {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
        _ => None,
    });
    let mut asked = asked.expect("the socket was told to say it");
    // Routes choose the interface; a link-local address names it itself.
    asked.ipi6_ifindex = 0;
    Ok((received.bytes, from.into(), asked))
}

fn send(
    socket: &UdpSocket,
    reply: &[u8],
    to: SocketAddrV6,
    from: in6_pktinfo,
) -> nix::Result<usize> {
    let parts = [IoSlice::new(reply)];
    let source = [ControlMessage::Ipv6PacketInfo(&from)];
    let to = SockaddrIn6::from(to);
    sendmsg(
        socket.as_raw_fd(),
        &parts,
        &source,
        MsgFlags::empty(),
        Some(&to),
    )
}
