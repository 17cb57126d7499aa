//! Which base chains see packets at a place, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use portreeve_model::address::Family;
use portreeve_model::limits::CONNTRACK_PRIORITY;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{Attachment, ChainIndex, ChainType, TableFamily, Verdict};

use super::Place;
use crate::program::{ChainId, Program, Step};
use crate::space::Test;

/// A base chain in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) chain: ChainId,
    pub(super) chain_type: ChainType,
    pub(super) priority: i32,
    pub(super) policy: ChainPolicy,
    /// Whether it certainly is there: one at a hook that is not known may be.
    pub(super) certain: bool,
    /// The devices whose packets alone it sees.
    pub(super) devices: Option<Test>,
}

/// Where a base chain stands beside conntrack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stand {
    /// Its rules see packets first.
    Before,
    /// Either may be first.
    Beside,
    /// Conntrack has seen what its rules see.
    After,
}

/// How a chain of this priority stands beside conntrack at a place.
pub(super) const fn stand(place: Place, priority: i32) -> Stand {
    match place {
        Place::Ingress => Stand::Before,
        Place::Hook(Hook::Prerouting | Hook::Output) if priority < CONNTRACK_PRIORITY => {
            Stand::Before
        }
        Place::Hook(Hook::Prerouting | Hook::Output) if priority == CONNTRACK_PRIORITY => {
            Stand::Beside
        }
        Place::Hook(_) | Place::Egress => Stand::After,
    }
}

/// The base chains that see packets of a family at a place, in the order in which they run.
///
/// The lowest priority runs first, and of equal ones the chain that was registered last
/// (`nf_hook_entries_grow` in `netfilter/core.c`). Chains of type `nat` run where the kernel
/// translates, together; the kernel takes its place there when the first of them is registered
/// (`nf_nat_register_fn` in `nf_nat_core.c`).
pub(super) fn placed(program: &Program<'_>, place: Place, family: Family) -> Vec<Placed> {
    let mut all = Vec::new();
    let (mut registered, mut first_nat) = (0, None);
    for (table_at, table) in program.tables.iter().enumerate() {
        let of_devices =
            table.table.family == TableFamily::Netdev && !matches!(place, Place::Hook(_));
        if table.table.dormant || !(table.table.family.sees(family) || of_devices) {
            continue;
        }
        for (index, chain) in table.table.chains.iter().enumerate() {
            registered += 1;
            let Some(base) = &chain.base else { continue };
            if base.chain_type == ChainType::Nat && first_nat.is_none() {
                first_nat = Some(registered);
            }
            let Some(certain) = is_at(&base.attachment, place) else {
                continue;
            };
            let placed = Placed {
                chain: ChainId {
                    table: table_at,
                    chain: ChainIndex(index),
                },
                chain_type: base.chain_type,
                priority: base.priority,
                policy: base.policy,
                certain,
                devices: table.devices[index],
            };
            all.push((registered, placed));
        }
    }
    all.sort_by_key(|(registered, placed)| match (placed.chain_type, place) {
        (ChainType::Nat, Place::Hook(hook)) => {
            let among = (placed.priority, Reverse(*registered));
            (nat_priority(hook), Reverse(first_nat), among)
        }
        _ => (placed.priority, Reverse(Some(*registered)), (0, Reverse(0))),
    });
    all.into_iter().map(|(_, placed)| placed).collect()
}

/// The chains that packets may come to at a place: its base chains, and those that they lead to.
pub(crate) fn reached(program: &Program<'_>, place: Place) -> BTreeSet<ChainId> {
    let base = Family::BOTH
        .into_iter()
        .flat_map(|family| placed(program, place, family));
    let mut left: Vec<ChainId> = base.map(|it| it.chain).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = left.pop() {
        if reached.insert(id) {
            left.extend(leads_to(program, id));
        }
    }
    reached
}

/// The chains that the rules of a chain lead to.
fn leads_to(program: &Program<'_>, id: ChainId) -> Vec<ChainId> {
    let chains = &program.tables[id.table].chains;
    let of_table = |chain| ChainId { chain, ..id };
    let mut all = Vec::new();
    for step in chains.get(id.chain.0).into_iter().flatten().flatten() {
        let verdicts = match step {
            Step::Verdict(verdict) => vec![Some(*verdict)],
            Step::VerdictMap { verdicts, .. } => verdicts.clone(),
            _ => continue,
        };
        for verdict in verdicts {
            match verdict {
                Some(Verdict::Jump(to) | Verdict::Goto(to)) => all.push(of_table(to)),
                Some(Verdict::Accept | Verdict::Drop | Verdict::Continue | Verdict::Return) => {}
                // A verdict that is not known may lead anywhere.
                None => all.extend((0..chains.len()).map(ChainIndex).map(of_table)),
            }
        }
    }
    all
}

/// Whether a chain certainly sees packets at a place; none when it does not.
fn is_at(attachment: &Attachment, place: Place) -> Option<bool> {
    match (attachment, place) {
        (Attachment::Hook(at), Place::Hook(hook)) => (*at == hook).then_some(true),
        (Attachment::Unknown(_), Place::Hook(_)) => Some(false),
        // A listing that names no device does not say which.
        (Attachment::Ingress(devices), Place::Ingress)
        | (Attachment::Egress(devices), Place::Egress) => Some(!devices.is_empty()),
        (
            Attachment::Hook(_)
            | Attachment::Unknown(_)
            | Attachment::Ingress(_)
            | Attachment::Egress(_),
            _,
        ) => None,
    }
}

/// Where NAT is done at a hook (`enum nf_ip_hook_priorities` in `netfilter_ipv4.h`).
const fn nat_priority(hook: Hook) -> i32 {
    match hook {
        Hook::Prerouting | Hook::Output | Hook::Forward => -100,
        Hook::Input | Hook::Postrouting => 100,
    }
}
