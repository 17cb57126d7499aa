//! Conversations that began before connection tracking ran.
//!
//! The first rule set that asks for `ct state` is what makes the kernel track connections at all.
//! One that is under way then is new to it, and whoever speaks first counts as who opened it: a
//! server that sends to us the next word of a connection that *we* opened would be a stranger.
//! So the kernel is told of all established connections, before any packet meets the rules.

use std::collections::BTreeSet;

use portreeve_nft::netlink::Connection;

use super::kernel::{Kernel, KernelError};
use crate::session::sockets::{self, Socket};

/// Tells conntrack of the TCP connections of this network namespace, and how many it did not know.
/// What cannot be read is left out: conntrack picks such a connection up by itself, and only who
/// is silent until the other side speaks can be hurt.
///
/// # Errors
/// When the kernel does not take them.
pub(super) fn adopt_conversations(kernel: &mut Kernel) -> Result<usize, KernelError> {
    let (Ok(listening), Ok(established)) = (sockets::listening(), sockets::established()) else {
        return Ok(0);
    };
    let listening: BTreeSet<u16> = listening.iter().map(|it| it.local.port()).collect();
    let mut adopted = 0;
    for Socket { local, remote, .. } in &established {
        // Who listens is who was called.
        let (client, server) = if listening.contains(&local.port()) {
            (*remote, *local)
        } else {
            (*local, *remote)
        };
        adopted += usize::from(kernel.know(&Connection::tcp(client, server))?);
    }
    Ok(adopted)
}
