//! Which base chains see a packet at a hook, and in which order.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::ChainRef;
use crate::address::Family;
use crate::field::interface;
use crate::packet::Hook;
use crate::tables::{Attachment, Base, ChainType, TableFamily, Tables};

/// A base chain in its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed<'a> {
    /// The chain.
    pub place: ChainRef<'a>,
    /// What makes it a base chain.
    pub base: &'a Base,
    /// Whether it certainly is at the hook: one at a hook that is not known may be.
    pub certain: bool,
}

impl Base {
    /// Its place among everything that sees packets there. What a device receives, it sees before
    /// every hook, and what a device sends, after every hook.
    #[must_use]
    pub const fn runs_at(&self) -> i32 {
        match self.attachment {
            Attachment::Hook(_) | Attachment::Unknown(_) => self.priority,
            Attachment::Ingress(_) => i32::MIN,
            Attachment::Egress(_) => i32::MAX,
        }
    }
}

/// The priorities at which NAT is done (`enum nf_ip_hook_priorities` in `netfilter_ipv4.h`).
const NAT_DESTINATION: i32 = -100;
const NAT_SOURCE: i32 = 100;

/// The base chains that see packets of `family` at `hook`, in the order in which they run.
///
/// The lowest priority runs first, and of equal ones the chain that was registered last
/// (`nf_hook_entries_grow` in `netfilter/core.c`). All chains of type `nat` run together, where
/// the kernel translates, and their priorities count among themselves only; the kernel attaches
/// itself there when the first of them is registered (`nf_nat_register_fn` in `nf_nat_core.c`).
#[must_use]
pub fn base_chains<'a>(tables: &'a Tables, hook: Hook, family: Family) -> Vec<Placed<'a>> {
    let seeing = tables.tables.iter();
    let seeing = seeing.filter(|table| !table.dormant && table.family.sees(family));
    let chains = seeing.flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
    let (mut found, mut first_nat) = (Vec::new(), None);
    for (registered, (table, chain)) in chains.enumerate() {
        let Some(base) = &chain.base else { continue };
        if base.chain_type == ChainType::Nat {
            first_nat.get_or_insert(registered);
        }
        let certain = match &base.attachment {
            Attachment::Hook(at) if *at == hook => true,
            Attachment::Hook(_) | Attachment::Ingress(_) | Attachment::Egress(_) => continue,
            Attachment::Unknown(_) => false,
        };
        let place = ChainRef { table, chain };
        found.push((
            registered,
            Placed {
                place,
                base,
                certain,
            },
        ));
    }
    found.sort_by_key(|(registered, placed)| {
        let (priority, last) = (placed.base.priority, Reverse(*registered));
        match placed.base.chain_type {
            ChainType::Nat => (nat_priority(hook), Reverse(first_nat), priority, last),
            ChainType::Filter | ChainType::Route => (priority, Reverse(Some(*registered)), 0, last),
        }
    });
    found.into_iter().map(|(_, placed)| placed).collect()
}

/// The side of a device at which a chain sees packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// What it receives, before anything else.
    Ingress,
    /// What it sends, after everything else.
    Egress,
}

/// The base chains that see packets of `family` on one side of the device named `device`, in the
/// order in which they run.
#[must_use]
pub fn device_chains<'a>(
    tables: &'a Tables,
    (side, device): (Side, &str),
    family: Family,
) -> Vec<Placed<'a>> {
    let seeing = tables.tables.iter().filter(|table| !table.dormant);
    let seeing =
        seeing.filter(|table| table.family == TableFamily::Netdev || table.family.sees(family));
    let chains = seeing.flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
    let placed = chains.filter_map(|(table, chain)| {
        let base = chain.base.as_ref()?;
        let devices = match (&base.attachment, side) {
            (Attachment::Ingress(devices), Side::Ingress)
            | (Attachment::Egress(devices), Side::Egress) => devices,
            (
                Attachment::Ingress(_)
                | Attachment::Egress(_)
                | Attachment::Hook(_)
                | Attachment::Unknown(_),
                _,
            ) => return None,
        };
        let has = |pattern: &String| {
            let number = interface::number(device)?;
            let names = interface::pattern(pattern)?;
            Some(names.first() <= number && number <= names.last())
        };
        let sees = devices.iter().any(|pattern| has(pattern) == Some(true));
        let place = ChainRef { table, chain };
        // A listing that names no device does not say which.
        let certain = !devices.is_empty();
        (sees || !certain).then_some(Placed {
            place,
            base,
            certain,
        })
    });
    let mut found: Vec<Placed<'_>> = placed.collect();
    found.reverse();
    found.sort_by_key(|placed| placed.base.priority);
    found
}

/// Where NAT is done at a hook.
const fn nat_priority(hook: Hook) -> i32 {
    match hook {
        Hook::Prerouting | Hook::Output | Hook::Forward => NAT_DESTINATION,
        Hook::Input | Hook::Postrouting => NAT_SOURCE,
    }
}
