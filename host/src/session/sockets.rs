//! The TCP sockets of our network namespace, and the sockets that a process holds, as /proc lists
//! them.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::{ProcError, ProcResult};

/// A TCP socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Socket {
    pub(crate) inode: u64,
    /// An IPv4 address of a socket for both families is shown as what it is on the wire.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) is_listening: bool,
    pub(crate) is_established: bool,
}

/// All of them, of both families.
///
/// # Errors
/// When /proc cannot be read.
pub(crate) fn tcp() -> ProcResult<Vec<Socket>> {
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
pub(crate) fn plain(socket: SocketAddr) -> SocketAddr {
    SocketAddr::new(socket.ip().to_canonical(), socket.port())
}

/// The inodes of the sockets of any kind that the process holds whose directory in /proc this is.
///
/// # Errors
/// When one may not look, or the process is gone.
pub(crate) fn held_by(directory: &Path) -> io::Result<Vec<u64>> {
    let mut sockets = Vec::new();
    // Not by `procfs`: its list leaves out what it may not read.
    for descriptor in fs::read_dir(directory.join("fd"))? {
        match fs::read_link(descriptor?.path()) {
            Ok(target) => sockets.extend(inode(&target)),
            // Closed since the list was made.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// The inode in `socket:[4711]`.
fn inode(target: &Path) -> Option<u64> {
    let inside = target.to_str()?.strip_prefix("socket:[")?;
    inside.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_has_the_inode_of_a_socket() {
        let check = |target: &str, expected| assert_eq!(inode(Path::new(target)), expected);
        check("socket:[4711]", Some(4711));
        check("pipe:[4711]", None);
        check("/tmp/socket:[4711]", None);
        check("socket:[x]", None);
        check("socket:[4711] (deleted)", None);
    }
}
