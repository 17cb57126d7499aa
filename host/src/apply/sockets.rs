//! The TCP sockets of our network namespace, as /proc lists them.

use std::net::SocketAddr;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::{ProcError, ProcResult};

/// A TCP socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Socket {
    pub(super) inode: u64,
    /// An IPv4 address of a socket for both families is shown as what it is on the wire.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) is_listening: bool,
    pub(super) is_established: bool,
}

/// All of them, of both families.
///
/// # Errors
/// When /proc cannot be read.
pub(super) fn tcp() -> ProcResult<Vec<Socket>> {
    let tcp = procfs::net::tcp()?;
    let tcp6 = match procfs::net::tcp6() {
        // The kernel was started without IPv6.
        Err(ProcError::NotFound(_)) => Vec::new(),
        sockets => sockets?,
    };
    Ok(tcp.into_iter().chain(tcp6).map(socket).collect())
}

fn socket(entry: TcpNetEntry) -> Socket {
    Socket {
        inode: entry.inode,
        local: plain(entry.local_address),
        remote: plain(entry.remote_address),
        is_listening: entry.state == TcpState::Listen,
        is_established: entry.state == TcpState::Established,
    }
}

/// Without scope and flow, which are no part of what rules and conntrack see.
pub(super) fn plain(socket: SocketAddr) -> SocketAddr {
    SocketAddr::new(socket.ip().to_canonical(), socket.port())
}
