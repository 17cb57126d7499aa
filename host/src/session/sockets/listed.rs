//! TCP sockets as the kernel's sock_diag lists them: of one state alone, so that who asks for those
//! that wait makes it go through no connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{Socket, State, plain};

/// Seconds that the kernel may take for an answer. It has begun it when it has taken the question.
const ANSWER_SECONDS_MAX: i64 = 10;

/// Bytes received at once. The kernel sends no more than 32 KiB of a list at once.
const RECEIVED_BYTES_MAX: usize = 32 << 10;

// The kernel's numbers: `linux/netlink.h`, `linux/sock_diag.h`, `linux/inet_diag.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// Bytes of netlink's header: length, type, flags, sequence number, sender.
const HEADER_BYTES: usize = 16;
/// Bytes of `struct inet_diag_req_v2`.
const QUESTION_BYTES: usize = 56;
/// Bytes of `struct inet_diag_msg`; attributes follow.
const ANSWER_BYTES: usize = 72;

/// The sockets of both families that are in this state.
pub(super) fn of_state(state: State) -> io::Result<Vec<Socket>> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(
        &kernel,
        ReceiveTimeout,
        &TimeVal::seconds(ANSWER_SECONDS_MAX),
    )?;
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        send(
            kernel.as_raw_fd(),
            &question(family, state),
            MsgFlags::empty(),
        )?;
        hear(&kernel, &mut found)?;
    }
    Ok(found)
}

fn question(family: u8, state: State) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + QUESTION_BYTES);
    bytes.extend(((HEADER_BYTES + QUESTION_BYTES) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // One question at a time: the number and the sender stay 0.
    bytes.extend([0; 8]);
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend((1_u32 << state as u32).to_ne_bytes());
    // From any address and port to any.
    bytes.resize(HEADER_BYTES + QUESTION_BYTES, 0);
    bytes
}

/// Takes what the kernel answers to one question.
fn hear(kernel: &OwnedFd, found: &mut Vec<Socket>) -> io::Result<()> {
    let mut buffer = vec![0; RECEIVED_BYTES_MAX];
    loop {
        // With this flag, the length is told of what did not fit, too.
        let length = match recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => continue,
            length => length?,
        };
        let mut received = buffer.get(..length).ok_or_else(garbled)?;
        while !received.is_empty() {
            let (kind, body, rest) = message(received).ok_or_else(garbled)?;
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return Err(refusal(body)),
                SOCK_DIAG_BY_FAMILY => found.push(socket_of(body).ok_or_else(garbled)?),
                _ => {}
            }
            received = rest;
        }
    }
}

/// The type and the body of the first message, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let kind = u16::from_ne_bytes([header[4], header[5]]);
    let rest = bytes.get(length.next_multiple_of(4)..);
    Some((
        kind,
        bytes.get(HEADER_BYTES..length)?,
        rest.unwrap_or_default(),
    ))
}

fn refusal(body: &[u8]) -> io::Error {
    match body.first_chunk() {
        Some(number) => io::Error::from_raw_os_error(i32::from_ne_bytes(*number).saturating_neg()),
        None => garbled(),
    }
}

fn garbled() -> io::Error {
    io::Error::other("an answer of the kernel is cut short or garbled")
}

/// A socket as `struct inet_diag_msg` has it: addresses and ports in the order of the network.
fn socket_of(body: &[u8]) -> Option<Socket> {
    let body = body.first_chunk::<ANSWER_BYTES>()?;
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes([body[port], body[port + 1]]);
        let address = &body[address..address + 16];
        let ip = match body[0] {
            AF_INET => IpAddr::from(Ipv4Addr::from(*address.first_chunk::<4>()?)),
            AF_INET6 => IpAddr::from(Ipv6Addr::from(*address.first_chunk::<16>()?)),
            _ => return None,
        };
        Some(plain(SocketAddr::new(ip, port)))
    };
    let inode = u32::from_ne_bytes([body[68], body[69], body[70], body[71]]);
    Some(Socket {
        inode: inode.into(),
        local: end(4, 8)?,
        remote: end(6, 24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_of_the_kernel_make_the_reader_panic() {
        for length in 0..=2 * ANSWER_BYTES {
            for byte in [0, 1, AF_INET, AF_INET6, 0xff] {
                let bytes = vec![byte; length];
                // That it ends is what is tested.
                let _ = (message(&bytes), socket_of(&bytes), refusal(&bytes));
            }
        }
    }
}
