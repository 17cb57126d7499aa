//! Who is calling, and over which connection.
//!
//! The way in is looked for where nobody can talk it up: in the sockets that our parent processes
//! hold. What the environment says is a hint that chooses among them, and never enough by itself.
//! Nothing here changes anything, and nothing here guesses: what cannot be read is an answer.

mod ancestors;
mod evidence;
pub(crate) mod sockets;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use nix::unistd::{Uid, User};
use portreeve_model::address::Family;
use portreeve_model::diagnostic::Quoted;

use self::ancestors::Ancestor;
pub use self::evidence::{Evidence, NoEvidence};
use self::sockets::plain;

/// The session in which this process runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    user: String,
    origin: Origin,
    named: Option<Connection>,
}

/// Where a session comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// One of our parents holds the connection.
    Remote {
        /// The connection.
        connection: Connection,
        /// Others that the same process holds, when nothing tells which of them all is ours.
        others: Vec<Connection>,
    },
    /// Over a connection that this machine has with itself: a tunnel, or `ssh localhost`.
    Local(Connection),
    /// It began over the network or in a terminal multiplexer, and no parent holds a connection:
    /// whoever looks at it now came in another way.
    Detached {
        /// Where it was begun from, as the environment has it.
        client: Option<IpAddr>,
    },
    /// No trace of a network.
    Console,
    /// It cannot be told, for this reason.
    Unreadable(String),
}

/// A TCP connection, seen from this machine as the one who was called.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Connection {
    client: SocketAddr,
    server: SocketAddr,
}

impl Session {
    /// The session of this process, as the kernel tells it now.
    #[must_use]
    pub fn of_this_process() -> Self {
        let sudo = std::env::var_os("SUDO_USER");
        let sudo = sudo.as_deref().map(|name| name.to_string_lossy());
        let ancestors = ancestors::read();
        Self {
            user: user(&own_name(), sudo.as_deref()),
            origin: Origin::of(&ancestors),
            named: ancestors.iter().flatten().find_map(|it| it.ssh),
        }
    }

    /// Where it comes from.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The connection that the environment names, its own or that of a process above: a hint, which
    /// shows nothing.
    #[must_use]
    pub const fn named(&self) -> Option<Connection> {
        self.named
    }

    /// Who is calling, for the record: `root (sudo by alice) from 192.0.2.7`. Safe to print.
    #[must_use]
    pub fn who(&self) -> String {
        let user = &self.user;
        match &self.origin {
            Origin::Remote { connection, .. } | Origin::Local(connection) => {
                format!("{user} from {}", connection.client.ip())
            }
            Origin::Detached {
                client: Some(client),
            } => format!("{user} in a session begun from {client}"),
            Origin::Detached { client: None } | Origin::Console | Origin::Unreadable(_) => {
                user.clone()
            }
        }
    }
}

impl Origin {
    /// What the processes above us, from the nearest on, tell about where we come from.
    fn of(ancestors: &[Result<Ancestor, String>]) -> Self {
        let readable = || ancestors.iter().flatten();
        let mut named = readable().filter_map(|ancestor| ancestor.ssh);
        let held = || readable().flat_map(|ancestor| ancestor.connections.iter().copied());
        // What the environment names and a parent holds is the session's, whatever else is open:
        // sudo may talk to a directory server, and sshd to a forwarded port. It is never younger
        // than what we came over, as no connection is older than the session that it is part of.
        let both = named.clone().find(|named| held().any(|it| it == *named));
        if let Some(connection) = both {
            let others = Vec::new();
            return if connection.is_local() {
                Self::Local(connection)
            } else {
                Self::Remote { connection, others }
            };
        }
        for ancestor in ancestors {
            let ancestor = match ancestor {
                Ok(ancestor) => ancestor,
                // This might be the process that holds it.
                Err(reason) => return Self::Unreadable(reason.clone()),
            };
            let connections = ancestor.connections.iter().copied();
            let mut remote = connections.filter(|it| !it.is_local());
            if let Some(connection) = remote.next() {
                let others = remote.collect();
                return Self::Remote { connection, others };
            }
        }
        let client = named.next().map(|connection| connection.client.ip());
        if client.is_some() || readable().any(|ancestor| ancestor.multiplexed) {
            return Self::Detached { client };
        }
        held().next().map_or(Self::Console, Self::Local)
    }
}

impl Connection {
    /// A connection between two sockets. An IPv4 connection of a socket that takes both families
    /// has mapped addresses in the kernel's tables; here it is what it is on the wire.
    #[must_use]
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            client: plain(client),
            server: plain(server),
        }
    }

    /// Who called.
    #[must_use]
    pub const fn client(&self) -> SocketAddr {
        self.client
    }

    /// What was called.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// The family, and the bytes of `saddr . sport . daddr . dport` as the kernel keeps them in a
    /// set: each field begins at a multiple of four bytes, and is in the order of the network.
    #[must_use]
    pub fn arrival_key(&self) -> (Family, Vec<u8>) {
        let mut key = Vec::with_capacity(40);
        let family = match (self.client.ip(), self.server.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Family::Ip,
            (IpAddr::V4(_) | IpAddr::V6(_), _) => Family::Ip6,
        };
        for socket in [self.client, self.server] {
            match (family, socket.ip()) {
                (Family::Ip, IpAddr::V4(address)) => key.extend(address.octets()),
                (Family::Ip6, IpAddr::V6(address)) => key.extend(address.octets()),
                (_, IpAddr::V4(address)) => key.extend(address.to_ipv6_mapped().octets()),
                (Family::Ip, IpAddr::V6(_)) => unreachable!("of IPv4 only when both ends are"),
            }
            key.extend(socket.port().to_be_bytes());
            key.extend([0; 2]);
        }
        (family, key)
    }

    /// Whether this machine talks to itself, which no rule for those outside says anything about.
    /// Who calls one of their own addresses calls from that address.
    fn is_local(&self) -> bool {
        self.client.ip().is_loopback() || self.client.ip() == self.server.ip()
    }
}

/// `192.0.2.7:50000 to 198.51.100.10:22`.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.client, self.server)
    }
}

/// The name of the user whose rights we have.
fn own_name() -> String {
    let uid = Uid::effective();
    // Who it nearly always is has one name everywhere; to look it up may mean asking a directory
    // server, in the middle of an emergency.
    if uid.is_root() {
        return "root".to_owned();
    }
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("user {uid}"),
    }
}

/// `root`, or `root (sudo by alice)`. Anybody who is root already can set what sudo sets.
fn user(name: &str, sudo: Option<&str>) -> String {
    match sudo {
        Some(sudo) if !sudo.is_empty() && sudo != name => {
            format!("{} (sudo by {})", shown(name), shown(sudo))
        }
        Some(_) | None => shown(name),
    }
}

/// A name as it is when it looks like one, else in quotes.
fn shown(name: &str) -> String {
    let usual = |character: char| character.is_ascii_alphanumeric() || " ._-@$".contains(character);
    if name.len() <= 32 && name.chars().all(usual) {
        name.to_owned()
    } else {
        Quoted(name).to_string()
    }
}

#[cfg(test)]
mod tests;
