//! The TCP sockets of our network namespace, as the kernel lists them, and the sockets that a process
//! holds, as /proc does.

mod listed;

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
}

/// The state of a TCP socket, as the kernel numbers it (`net/tcp_states.h`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Established = 1,
    Listening = 10,
}

/// Those that wait for connections, of both families.
///
/// # Errors
/// When the kernel does not list them.
pub(crate) fn listening() -> io::Result<Vec<Socket>> {
    of_state(State::Listening)
}

/// Those of connections, of both families.
///
/// # Errors
/// When the kernel does not list them.
pub(crate) fn established() -> io::Result<Vec<Socket>> {
    of_state(State::Established)
}

fn of_state(state: State) -> io::Result<Vec<Socket>> {
    // Some kernels have no sock_diag; /proc goes through the connections of all namespaces four
    // times, whichever sockets are asked for.
    listed::of_state(state).or_else(|_| in_proc(state).map_err(io::Error::other))
}

/// The same from /proc.
fn in_proc(state: State) -> ProcResult<Vec<Socket>> {
    let tcp = procfs::net::tcp()?;
    let tcp6 = match procfs::net::tcp6() {
        // The kernel was started without IPv6.
        Err(ProcError::NotFound(_)) => Vec::new(),
        sockets => sockets?,
    };
    let wanted = match state {
        State::Established => TcpState::Established,
        State::Listening => TcpState::Listen,
    };
    let all = tcp.into_iter().chain(tcp6);
    let of_state = all.filter(|entry| entry.state == wanted);
    let socket = |entry: TcpNetEntry| Socket {
        inode: entry.inode,
        local: plain(entry.local_address),
        remote: plain(entry.remote_address),
    };
    Ok(of_state.map(socket).collect())
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
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Losing this, the guard could look for sshd at other ports than it waits at.
    #[test]
    fn sock_diag_and_proc_list_the_same_sockets() {
        let bound = ["127.0.0.1:0", "[::1]:0", "[::]:0"].map(TcpListener::bind);
        for listener in bound.iter().flatten() {
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(("localhost", address.port()))
                .or_else(|_| TcpStream::connect(("::1", address.port())))
                .unwrap();
            let own = [address.port(), client.local_addr().unwrap().port()];
            for state in [State::Listening, State::Established] {
                let Ok(listed) = listed::of_state(state) else {
                    // A kernel without it.
                    return;
                };
                let of_own = |sockets: Vec<Socket>| {
                    let sockets = sockets.into_iter();
                    let mut own: Vec<Socket> = sockets
                        .filter(|it| own.contains(&it.local.port()))
                        .collect();
                    own.sort_by_key(|it| it.inode);
                    own
                };
                let listed = of_own(listed);
                assert_eq!(listed, of_own(in_proc(state).unwrap()));
                assert!(!listed.is_empty());
            }
        }
    }

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
