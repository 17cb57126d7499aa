//! Reads from /proc what the processes above us hold: their TCP connections, and what their
//! environment says of where they come from.
//!
//! A process that cannot be looked into is told apart from one that holds nothing: it might be
//! the one that matters.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::Connection;
use super::sockets::{self, Socket};

/// Processes above us that are looked at. Ours: a login, sudo and nested scripts make ten.
const ANCESTORS_MAX: usize = 256;

/// How often we begin again when one of them ends while we look: there is one less then.
const ATTEMPTS: usize = 16;

/// Variables by which tmux, screen and zellij tell what runs in them.
const MULTIPLEXERS: [&str; 3] = ["TMUX", "STY", "ZELLIJ"];

/// A process above us, or we ourselves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ancestor {
    /// The connections that it holds, in our network namespace.
    pub(super) connections: Vec<Connection>,
    /// The connection that its environment names as the one it was called over. Untrusted.
    pub(super) ssh: Option<Connection>,
    /// Whether its environment says that it runs in a terminal multiplexer.
    pub(super) multiplexed: bool,
}

/// We ourselves, our parent, its parent, and so on to the first; for a process that cannot be
/// looked into, why not.
pub(super) fn read() -> Vec<Result<Ancestor, String>> {
    let mut line = line();
    for _ in 1..ATTEMPTS {
        let found = look_into(&line);
        let after = self::line();
        // Whoever is above us now was so all the time, and no other process had its number.
        if after == line {
            return found;
        }
        line = after;
    }
    vec![Err("the processes above it keep changing".to_owned())]
}

fn look_into(line: &[Result<i32, String>]) -> Vec<Result<Ancestor, String>> {
    let look = |process: &Result<i32, String>| {
        let directory = PathBuf::from(format!("/proc/{}", process.as_ref()?));
        let holder = look(&directory);
        holder.map_err(|error| format!("{}: {error}", directory.display()))
    };
    let holders: Vec<_> = line.iter().map(look).collect();
    // The kernel goes through all sockets of the machine for this: not for nothing.
    let hold_sockets = holders
        .iter()
        .flatten()
        .any(|holder| !holder.sockets.is_empty());
    let established = if hold_sockets {
        established()
    } else {
        Ok(BTreeMap::new())
    };
    match established {
        Ok(established) => {
            let ancestor = |holder: Result<Holder, String>| Ok(holder?.ancestor(&established));
            holders.into_iter().map(ancestor).collect()
        }
        Err(error) => vec![Err(error.to_string())],
    }
}

/// The numbers of the processes from us to the first, or as far as they can be followed.
fn line() -> Vec<Result<i32, String>> {
    let mut line = Vec::new();
    let mut process = std::process::id().cast_signed();
    while line.len() < ANCESTORS_MAX {
        line.push(Ok(process));
        match Process::new(process).and_then(|process| process.stat()) {
            // The first has no parent, and one that entered a container has none inside.
            Ok(stat) if stat.ppid == 0 => return line,
            Ok(stat) => process = stat.ppid,
            Err(error) => {
                line.push(Err(error.to_string()));
                return line;
            }
        }
    }
    line.push(Err(format!(
        "more than {ANCESTORS_MAX} processes lead to it"
    )));
    line
}

/// A process, and the sockets of any kind that it holds.
struct Holder {
    /// Their inodes.
    sockets: Vec<u64>,
    environment: Vec<u8>,
}

impl Holder {
    fn ancestor(&self, established: &BTreeMap<u64, Connection>) -> Ancestor {
        let held = self
            .sockets
            .iter()
            .filter_map(|inode| established.get(inode));
        let mut connections: Vec<_> = held.copied().collect();
        connections.sort_unstable();
        connections.dedup();
        Ancestor {
            connections,
            ..Ancestor::of(&self.environment)
        }
    }
}

/// What the process whose directory in /proc this is holds, and its environment.
fn look(directory: &Path) -> io::Result<Holder> {
    let sockets = sockets::held_by(directory)?;
    let environment = fs::read(directory.join("environ"))?;
    Ok(Holder {
        sockets,
        environment,
    })
}

/// The established TCP connections of our network namespace, by the inode of their socket.
fn established() -> io::Result<BTreeMap<u64, Connection>> {
    let established = sockets::established()?;
    let entry = |socket: &Socket| (socket.inode, Connection::new(socket.remote, socket.local));
    Ok(established.iter().map(entry).collect())
}

impl Ancestor {
    /// What an environment says: `KEY=VALUE`, each with a zero byte behind it.
    fn of(environment: &[u8]) -> Self {
        let value = |name: &str| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        let ssh = value("SSH_CONNECTION").and_then(|value| std::str::from_utf8(value).ok());
        Self {
            connections: Vec::new(),
            ssh: ssh.and_then(ssh_connection),
            multiplexed: MULTIPLEXERS.iter().any(|name| value(name).is_some()),
        }
    }
}

/// `192.0.2.7 50000 198.51.100.10 22`, as sshd sets it.
fn ssh_connection(text: &str) -> Option<Connection> {
    let mut words = text.split(' ');
    let mut socket = || {
        // A link-local address has its interface behind it: fe80::1%eth0.
        let address = words.next()?.split('%').next()?;
        let port = words.next()?.parse().ok()?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port))
    };
    let (client, server) = (socket()?, socket()?);
    words
        .next()
        .is_none()
        .then(|| Connection::new(client, server))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Both ends of a connection over loopback are ours, so both must be found in this process.
    #[test]
    fn the_connection_that_a_process_holds_is_found_in_proc() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                // A machine without IPv6.
                continue;
            };
            let calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (called, client) = listener.accept().unwrap();
            let server = called.local_addr().unwrap();
            let connection = Connection::new(client, server);
            // The kernel shows a process its own, whoever runs the tests.
            let own = read().swap_remove(0).unwrap().connections;
            assert!(own.contains(&connection), "{own:?}");
            assert!(own.contains(&Connection::new(server, client)), "{own:?}");
            drop(calling);
        }
    }

    #[test]
    fn what_sshd_says_of_a_session_is_read_and_nothing_like_it() {
        let check = |text: &str, expected: Option<&str>| {
            let read = ssh_connection(text).map(|connection| connection.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check(
            "192.0.2.7 50000 198.51.100.10 22",
            Some("192.0.2.7:50000 to 198.51.100.10:22"),
        );
        check(
            "2001:db8::7 50000 2001:db8::10 22",
            Some("[2001:db8::7]:50000 to [2001:db8::10]:22"),
        );
        check(
            "fe80::7%eth0 50000 fe80::10%eth0 22",
            Some("[fe80::7]:50000 to [fe80::10]:22"),
        );
        check(
            "::ffff:192.0.2.7 50000 ::ffff:198.51.100.10 22",
            Some("192.0.2.7:50000 to 198.51.100.10:22"),
        );
        for text in [
            "",
            "192.0.2.7",
            "192.0.2.7 50000 198.51.100.10",
            "192.0.2.7 50000 198.51.100.10 22 1",
            "192.0.2.7 65536 198.51.100.10 22",
            "host 1 host 2",
            "192.0.2.7  50000 198.51.100.10 22",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_line_leads_from_us_to_the_first_process() {
        let line = line();
        assert_eq!(line[0], Ok(std::process::id().cast_signed()));
        let parent = std::os::unix::process::parent_id().cast_signed();
        assert_eq!(line[1], Ok(parent));
        assert_eq!(read().len(), line.len());
    }

    /// What may not be read must not look like a process that holds nothing.
    #[test]
    fn a_process_that_is_gone_or_hidden_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let look = || look(directory.path()).map(|holder| holder.ancestor(&BTreeMap::new()));
        assert!(look().is_err(), "no descriptors");
        fs::create_dir(directory.path().join("fd")).unwrap();
        assert!(look().is_err(), "no environment");
        fs::write(directory.path().join("environ"), "STY=1\0").unwrap();
        assert!(look().unwrap().multiplexed);
        fs::write(directory.path().join("fd/0"), "no link").unwrap();
        assert!(look().is_err(), "a descriptor that cannot be followed");
    }

    #[test]
    fn an_environment_tells_of_ssh_and_of_multiplexers() {
        let check = |environment: &str, ssh: bool, multiplexed: bool| {
            let ancestor = Ancestor::of(environment.as_bytes());
            let found = (ancestor.ssh.is_some(), ancestor.multiplexed);
            assert_eq!(found, (ssh, multiplexed), "{environment}");
        };
        check("", false, false);
        check(
            "A=1\0SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22\0",
            true,
            false,
        );
        check("SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22", true, false);
        check("NO_SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22\0", false, false);
        check("SSH_CONNECTION=\u{1b}[2J\0", false, false);
        check("TMUX=/tmp/tmux-0/default,1,0\0", false, true);
        check("TERM=screen\0STY=4711.pts-0.host\0", false, true);
        check("TMUX_TMPDIR=/tmp\0", false, false);
    }
}
