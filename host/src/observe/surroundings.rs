//! What a machine has that rules must not forget: an operator, an sshd, interfaces, and tables of
//! others. A fact that cannot be had says why, and keeps nobody from the rest.

use std::collections::BTreeSet;

use portreeve_model::diagnostic::Said;

use super::{others, sshd};
use crate::guard::{Fact, Facts, Interface, Operator};
use crate::inputs::facts;
use crate::session::{Connection, Origin, Session, sockets};

/// Where the kernel names the tables of iptables-legacy, which nft does not list.
const LEGACY: [(&str, &str); 2] = [
    ("iptables", "/proc/net/ip_tables_names"),
    ("ip6tables", "/proc/net/ip6_tables_names"),
];

/// The facts of this machine, for whoever runs in `session`.
#[must_use]
pub fn read(session: &Session) -> Facts {
    Facts {
        operator: operator(session),
        sshd: sshd::listening(),
        interfaces: interfaces(),
        others: others::read(),
        legacy: legacy(),
    }
}

/// Where the operator is. Unlike for a confirmation, a hint is enough: whoever makes one up locks
/// out nobody but themselves.
#[must_use]
pub fn operator(session: &Session) -> Operator {
    let named = || session.named().map(|it| Operator::Remote(vec![it]));
    match session.origin() {
        Origin::Remote { connection, others } => {
            let held = [&[*connection], others.as_slice()].concat();
            match called(&held, &listening_ports()) {
                called if !called.is_empty() => Operator::Remote(called),
                _ => named().unwrap_or_else(|| {
                    let client = connection.client();
                    let why = format!("what runs this has itself called {client}, and nobody it");
                    Operator::Unknown(why)
                }),
            }
        }
        Origin::Local(connection) => Operator::Local(*connection),
        Origin::Console => Operator::Console,
        // Where it was begun from is where it is most likely looked at from.
        Origin::Detached { .. } => named().unwrap_or_else(|| {
            let why = "this is a session of tmux, screen or the like";
            Operator::Unknown(why.to_owned())
        }),
        Origin::Unreadable(why) => named().unwrap_or_else(|| Operator::Unknown(why.clone())),
    }
}

/// The connections over which somebody called this machine. An agent that is told what to do has
/// called out itself, from a port at which nobody waits, and by such a port nobody gets in.
fn called(held: &[Connection], listening: &Fact<BTreeSet<u16>>) -> Vec<Connection> {
    let is_called = |it: &&Connection| match listening {
        Ok(ports) => ports.contains(&it.server().port()),
        Err(_) => true,
    };
    held.iter().filter(is_called).copied().collect()
}

/// The TCP ports of this machine at which somebody waits for connections.
fn listening_ports() -> Fact<BTreeSet<u16>> {
    let listening = sockets::listening().map_err(|error| error.to_string())?;
    Ok(listening.iter().map(|it| it.local.port()).collect())
}

/// The interfaces but `lo`, with their numbers.
fn interfaces() -> Fact<Vec<Interface>> {
    let all = facts::interfaces().map_err(|error| error.to_string())?;
    let outside = all.into_iter().filter(|it| it.name != "lo");
    let interface = |it: portreeve_model::inputs::Interface| Interface {
        index: nix::net::if_::if_nametoindex(it.name.as_str()).ok(),
        name: it.name,
        addresses: it
            .addresses
            .into_iter()
            .map(|(address, _)| address)
            .collect(),
    };
    Ok(outside.map(interface).collect())
}

/// The tables of iptables-legacy that this machine has: `iptables: filter, nat`.
///
/// # Errors
/// When one may not look, which it takes root for.
pub fn legacy() -> Fact<Vec<String>> {
    let mut found = Vec::new();
    for (program, path) in LEGACY {
        let names = match std::fs::read_to_string(path) {
            Ok(names) => names,
            // The kernel has no such tables, or cannot have them.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{path}: {error}")),
        };
        let names: Vec<String> = names
            .split_whitespace()
            .map(|name| Said(name).to_string())
            .collect();
        if !names.is_empty() {
            found.push(format!("{program}: {}", names.join(", ")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losing this, whoever is told what to do by an agent could apply nothing without
    /// `--allow-lockout`: no policy lets new connections in to the port that the agent called from.
    #[test]
    fn what_this_machine_began_itself_is_no_way_in() {
        let connection = |client: &str, server: &str| {
            Connection::new(client.parse().unwrap(), server.parse().unwrap())
        };
        let ssh = connection("192.0.2.7:50000", "198.51.100.10:22");
        let agent = connection("192.0.2.1:4505", "198.51.100.10:51234");
        let listening = Ok([22, 443].into());
        assert_eq!(called(&[agent, ssh], &listening), [ssh]);
        assert_eq!(called(&[agent], &listening), []);
        // Where nothing can be seen, each of them may be the way in.
        let hidden = Err("hidden".to_owned());
        assert_eq!(called(&[agent, ssh], &hidden), [agent, ssh]);
    }
}
