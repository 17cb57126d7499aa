//! A packet as the rules of one base chain see it.

use super::Changes;
use crate::field::{FibSource, Field};
use crate::limits::CONNTRACK_PRIORITY;
use crate::packet::{CtState, Hook, Loaded, Packet};

/// A packet at a place, with what earlier rules have changed of it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The packet as it came.
    pub packet: &'a Packet,
    /// The hook.
    pub hook: Hook,
    /// The priority of the base chain.
    pub priority: i32,
    /// What was changed.
    pub changes: &'a Changes,
}

impl View<'_> {
    /// What the kernel loads for `field` here.
    #[must_use]
    pub fn load(&self, field: Field) -> Loaded {
        if matches!(field, Field::CtState) {
            return self.ct_state();
        }
        if self.is_stale(field) {
            return Loaded::Unknown;
        }
        if field.is_of_connection() {
            match self.connection() {
                Some(true) => {}
                Some(false) => return Loaded::Absent,
                None => return Loaded::Unknown,
            }
        }
        match (
            self.packet.load_at(self.hook, field),
            self.changes.get(field),
        ) {
            // Changed or not: a packet of the other family or protocol has no such field.
            (Loaded::Absent, _) if !field.is_of_connection() => Loaded::Absent,
            (_, Some(changed)) => changed,
            (loaded, None) => loaded,
        }
    }

    /// Whether what is known of `field` was known of a packet with other addresses or another mark:
    /// the routing tables are asked anew each time.
    fn is_stale(&self, field: Field) -> bool {
        let Field::Fib(fib) = field else {
            return false;
        };
        let family = self.packet.addresses.family();
        let address = match fib.of {
            FibSource::Saddr => Field::Saddr(family),
            FibSource::Daddr => Field::Daddr(family),
        };
        let changed = |field| self.changes.get(field).is_some();
        changed(address) || fib.mark && changed(Field::Mark)
    }

    /// Whether the packet has a connection here, if that is known.
    #[must_use]
    pub fn connection(&self) -> Option<bool> {
        match self.ct_state() {
            Loaded::Value(state) => {
                Some(state != CtState::Invalid as u128 && state != CtState::Untracked as u128)
            }
            Loaded::Absent => Some(false),
            Loaded::Unknown => None,
        }
    }

    /// Whether conntrack has seen the packet before the rules here do, so that its word on it is
    /// what they see.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        match self.hook {
            Hook::Prerouting => self.priority > CONNTRACK_PRIORITY || self.packet.iifname == "lo",
            Hook::Output => self.priority > CONNTRACK_PRIORITY,
            Hook::Input | Hook::Forward | Hook::Postrouting => true,
        }
    }

    /// Conntrack's word on the packet here.
    ///
    /// Until conntrack has seen a packet that comes or is sent, the kernel calls it invalid
    /// (`nft_ct_get_eval` in `nft_ct.c`). One that comes by `lo` was seen when it was sent.
    fn ct_state(&self) -> Loaded {
        if let Some(changed) = self.changes.get(Field::CtState) {
            return changed;
        }
        let known = Loaded::Value(self.packet.ct_state as u128);
        let invalid = Loaded::Value(CtState::Invalid as u128);
        if self.is_tracked() || known == invalid {
            known
        } else if self.priority < CONNTRACK_PRIORITY && self.hook == Hook::Prerouting {
            invalid
        } else {
            // At conntrack's own priority either may be first; and an answer that the kernel
            // itself sends (a reset, an ICMP error) has its connection from the beginning.
            Loaded::Unknown
        }
    }
}
