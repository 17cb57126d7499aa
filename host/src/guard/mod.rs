//! Whether the operator can still get in, whatever the policy: what must be let through, decided
//! through all tables of the machine, and what else on the machine has a say.
//!
//! Pure: the facts come in as one value, and each that could not be had says why. Nothing here
//! changes a rule set; who is refused may still insist.

mod ends;
mod judge;
mod machine;
mod needs;
mod ordinary;

use std::net::{IpAddr, SocketAddr};

use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_nft::{TABLE, is_ours};

pub use self::judge::{ChainName, Culprit, Guarded, Judged, Judgement, Open, Scope, judge};
pub use self::machine::{ForeignChain, Leads, Published, Undoes, WholeMachine, survey};
pub use self::needs::{Kind, Need, Ports, PortsFrom, Wanted};
use crate::session::Connection;

/// What is known of a machine.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the operator is.
    pub operator: Operator,
    /// The sockets on which sshd waits for connections, sorted; none where it does not run.
    pub sshd: Fact<Vec<SocketAddr>>,
    /// The interfaces but `lo`, sorted by name.
    pub interfaces: Fact<Vec<Interface>>,
    /// Every table of the kernel but ours.
    pub others: Fact<Tables>,
    /// The tables of iptables-legacy, which nft does not list: `iptables: filter, nat`.
    pub legacy: Fact<Vec<String>>,
}

/// A fact, or why it could not be had.
pub type Fact<T> = Result<T, String>;

/// Where the operator is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operator {
    /// At the other end of one of these connections; of more than one nothing tells which.
    Remote(Vec<Connection>),
    /// At the end of a connection that the machine has with itself: a tunnel, or `ssh localhost`.
    Local(Connection),
    /// At the machine itself: no trace of a network.
    Console,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// An interface by which packets come from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number, if it is still there.
    pub index: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The tables that packets would meet if `ours` were in force: those of others, and ours.
#[must_use]
pub fn candidate(others: Option<&Tables>, ours: &Ruleset) -> Tables {
    let mut all = others.cloned().unwrap_or_default();
    all.tables
        .retain(|table| !is_ours(table.family, &table.name));
    all.tables.extend(ours.tables(TABLE).tables);
    all
}

#[cfg(test)]
mod tests;
