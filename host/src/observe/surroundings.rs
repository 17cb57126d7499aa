//! What a machine has that rules must not forget: an operator, an sshd, interfaces, and tables of
//! others. A fact that cannot be had says why, and keeps nobody from the rest.

use portreeve_model::diagnostic::Said;

use super::{others, sshd};
use crate::guard::{Fact, Facts, Interface, Operator};
use crate::inputs::facts;
use crate::session::{Origin, Session};

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
pub fn operator(session: &Session) -> Operator {
    let named = || session.named().map(|it| Operator::Remote(vec![it]));
    match session.origin() {
        Origin::Remote { connection, others } => {
            Operator::Remote([&[*connection], others.as_slice()].concat())
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
