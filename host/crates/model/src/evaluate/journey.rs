//! The way of a packet through the whole machine: every hook that it passes, and how it ends.
//!
//! A packet names one hook: `input` when it is for this machine, `forward` when it passes through,
//! `output` when this machine sends it. The hooks before and after that one see it too, as earlier
//! rules have left it. What the packet does not pass, or what is taken for granted, is said.

use alloc::vec::Vec;

use super::compute::{Computer, Truth};
use super::order::{Placed, Side, base_chains, device_chains};
use super::walk::Came;
use super::{Changes, Evaluation, Fate, HookVerdict, Step, View, walk};
use crate::address::address_bits;
use crate::field::Field;
use crate::packet::{CtState, Hook, Loaded, Packet};
use crate::ruleset::Reject;
use crate::tables::{
    Attachment, Chain, ChainType, Expression, Match, NatKind, Part, Rule, Table, TableFamily,
    Tables,
};

/// Where rules see a packet on its way.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// At the device that it comes in by.
    Ingress,
    /// At a hook.
    Hook(Hook),
    /// At the device that it goes out by.
    Egress,
}

impl Place {
    /// nft's word.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Hook(hook) => hook.keyword(),
            Self::Egress => "egress",
        }
    }

    /// The hook as which fields are loaded here.
    pub(super) const fn hook(self) -> Hook {
        match self {
            Self::Ingress => Hook::Prerouting,
            Self::Hook(hook) => hook,
            Self::Egress => Hook::Postrouting,
        }
    }

    /// The chains that see `packet` here.
    pub(super) fn chains<'a>(self, tables: &'a Tables, packet: &Packet) -> Vec<Placed<'a>> {
        let family = packet.addresses.family();
        match self {
            Self::Ingress => device_chains(tables, (Side::Ingress, &packet.iifname), family),
            Self::Hook(hook) => base_chains(tables, hook, family),
            Self::Egress => device_chains(tables, (Side::Egress, &packet.oifname), family),
        }
    }
}

/// A place on a packet's way, and what happens there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stop<'a> {
    /// The place.
    pub place: Place,
    /// Whether the packet certainly comes here: nothing before may drop it or lead it elsewhere.
    pub certain: bool,
    /// What earlier places have changed of it.
    pub changed: Changes,
    /// What happens to it here.
    pub evaluation: Evaluation<'a>,
    /// How it came to each step of the walk.
    trail: Vec<Came>,
}

impl Stop<'_> {
    /// What the rule of a step of the walk saw of `packet`.
    #[must_use]
    pub fn view<'v>(&'v self, packet: &'v Packet, step: usize) -> Option<View<'v>> {
        let came = self.trail.get(step)?;
        Some(View {
            packet,
            hook: self.place.hook(),
            priority: came.priority,
            changes: &came.changes,
        })
    }

    /// Whether the rule of a step failed by one of its conditions alone, though it asks for more:
    /// what somebody who wonders about a packet may have meant.
    #[must_use]
    pub fn is_near_miss(&self, packet: &Packet, step: usize) -> bool {
        let (Some(view), Some(step)) = (self.view(packet, step), self.evaluation.walk.get(step))
        else {
            return false;
        };
        let table = step.rule.place.table;
        let computer = Computer { table, view };
        let (mut met, mut missed) = (0, 0);
        for part in &step.rule.rule().parts {
            let Part::Match(condition) = part else {
                continue;
            };
            let fields = condition.left.fields();
            if fields.into_iter().any(|it| view.load(it) == Loaded::Absent) {
                return false;
            }
            match computer.holds(condition) {
                Truth::No => missed += 1,
                Truth::Yes | Truth::Maybe => met += usize::from(tells_apart(condition)),
            }
        }
        missed == 1 && met > 0
    }

    /// How the packet came to each step of the walk.
    pub(super) fn trail(&self) -> &[Came] {
        &self.trail
    }
}

/// Whether a condition is about more than what most packets have.
fn tells_apart(condition: &Match) -> bool {
    !matches!(
        condition.left,
        Expression::Field(Field::Nfproto | Field::L4proto | Field::CtState | Field::Protocol)
    )
}

/// One possible end of a packet's way through the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End<'a> {
    /// Where it is dropped, or where it was accepted last.
    pub place: Place,
    /// What becomes of it there, and by what.
    pub fate: Fate<'a>,
}

/// A packet's way through the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Journey<'a> {
    /// The places that it comes to, or may come to, in order.
    pub stops: Vec<Stop<'a>>,
    /// Every end that is possible; at least one.
    pub ends: Vec<End<'a>>,
    /// What is there, but not on its way.
    pub aside: Vec<Aside<'a>>,
    /// What is taken for granted, or not known.
    pub caveats: Vec<Caveat<'a>>,
}

/// What a packet's way leads past.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aside<'a> {
    /// A table that is switched off.
    Dormant(&'a Table),
    /// A table that sees no routed packets: of the family `bridge` or `arp`.
    OtherFamily(&'a Table),
    /// A base chain of a device that the packet does not pass.
    OtherDevice(&'a Table, &'a Chain),
    /// A base chain at a hook that is not known: it is looked at as if it may be on the way.
    UnknownHook(&'a Table, &'a Chain),
}

/// What is taken for granted, or not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caveat<'a> {
    /// The connection is taken not to be translated; rules that translate are there.
    NotTranslated,
    /// The interface is taken to have an address of the packet's family, which `redirect` and
    /// `masquerade` put in; without one they drop the packet.
    HasAddress,
    /// The connection is taken not to be in a flowtable, past `forward` and `postrouting`.
    NotOffloaded,
    /// A destination that was changed may lead to this machine or through it; both are looked at.
    TwoWays,
    /// Something in a listing, or in a table, that is not known.
    Unknown(Option<&'a Table>, &'a str),
}

/// What becomes of a packet in the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is dropped, and the sender is not told, or told something in some cases.
    Drop,
    /// It is dropped, and the sender is told this.
    Reject(Reject),
    /// It may pass, and it may be dropped.
    Undecided,
}

impl Journey<'_> {
    /// What becomes of the packet, whatever is not certain.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let all = |wanted: &dyn Fn(&Fate<'_>) -> bool| self.ends.iter().all(|it| wanted(&it.fate));
        let first = self.ends.first().and_then(|end| end.fate.reject);
        match first {
            Some(kind) if all(&|fate| fate.reject == Some(kind)) => Verdict::Reject(kind),
            _ if all(&|fate| fate.verdict == HookVerdict::Accept) => Verdict::Accept,
            _ if all(&|fate| fate.verdict == HookVerdict::Drop) => Verdict::Drop,
            _ => Verdict::Undecided,
        }
    }

    /// Whether it is certain where the packet ends and what decides.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.ends.len() == 1
    }
}

/// The way of `packet` through the machine that has `tables`.
#[must_use]
pub fn journey<'a>(tables: &'a Tables, packet: &Packet) -> Journey<'a> {
    let mut traveller = Traveller {
        tables,
        packet,
        stops: Vec::new(),
        ends: Vec::new(),
        forks: false,
    };
    traveller.goes();
    let Traveller {
        stops, ends, forks, ..
    } = traveller;
    let mut caveats = caveats(tables, packet, &stops);
    if forks {
        caveats.insert(0, Caveat::TwoWays);
    }
    Journey {
        stops,
        ends,
        aside: aside(tables, packet),
        caveats,
    }
}

struct Traveller<'a, 'p> {
    tables: &'a Tables,
    packet: &'p Packet,
    stops: Vec<Stop<'a>>,
    ends: Vec<End<'a>>,
    /// Whether it may have gone two ways.
    forks: bool,
}

/// A packet between two places.
#[derive(Clone)]
struct Here<'a> {
    changed: Changes,
    certain: bool,
    /// Who accepted it last, and where.
    accepted: Vec<End<'a>>,
}

impl<'a> Traveller<'a, '_> {
    fn goes(&mut self) {
        let start = Here {
            changed: Changes::default(),
            certain: true,
            accepted: Vec::new(),
        };
        match self.packet.hook {
            Hook::Input | Hook::Forward => {
                let here = self.passes(Place::Ingress, start);
                let here = here.and_then(|here| self.passes(Place::Hook(Hook::Prerouting), here));
                if let Some(here) = here {
                    self.is_routed(here);
                }
            }
            Hook::Prerouting => {
                let here = self.passes(Place::Ingress, start);
                let here = here.and_then(|here| self.passes(Place::Hook(Hook::Prerouting), here));
                self.arrives(here);
            }
            Hook::Output => {
                let mut here = self.passes(Place::Hook(Hook::Output), start);
                if let Some(here) = &mut here {
                    self.is_routed_again(&mut here.changed);
                }
                self.leaves(here);
            }
            Hook::Postrouting => self.leaves(Some(start)),
        }
    }

    /// The routing decision after prerouting.
    fn is_routed(&mut self, here: Here<'a>) {
        let (to_input, to_forward) = self.destinations(&here.changed);
        let both = to_input && to_forward;
        self.forks = both;
        let here = Here {
            certain: here.certain && !both,
            ..here
        };
        if to_input {
            let through = self.passes(Place::Hook(Hook::Input), here.clone());
            self.arrives(through);
        }
        if to_forward {
            let mut here = here;
            self.takes_a_hop(&mut here.changed);
            let through = self.passes(Place::Hook(Hook::Forward), here);
            self.leaves(through);
        }
    }

    /// What is forwarded has one hop less (`ip_forward` in `ip_forward.c`), also where a rule has
    /// said how many. The packet itself says how many it has at its own hook.
    fn takes_a_hop(&self, changed: &mut Changes) {
        let field = Field::HopLimit(self.packet.addresses.family());
        if let Some(Loaded::Value(hops)) = changed.get(field) {
            changed.set(field, Loaded::Value(hops.saturating_sub(1)));
        }
    }

    /// What is sent is routed again when NAT has changed its destination, or a chain of type
    /// `route` what a route depends on (`nf_nat_ipv4_local_fn`, `nf_route_table_hook4`).
    fn is_routed_again(&self, changed: &mut Changes) {
        let family = self.packet.addresses.family();
        let depends = [Field::Saddr(family), Field::Mark, Field::Dscp(family)];
        let has_route_chain = || {
            let placed = Place::Hook(Hook::Output).chains(self.tables, self.packet);
            placed
                .iter()
                .any(|it| it.base.chain_type == ChainType::Route)
        };
        let is_changed = |field| changed.get(field).is_some();
        let again = is_changed(Field::Daddr(family))
            || depends.into_iter().any(is_changed) && has_route_chain();
        if again {
            for field in [Field::Oif, Field::Oifname, Field::Oifgroup, Field::Oiftype] {
                changed.set(field, Loaded::Unknown);
            }
        }
    }

    /// Whether the packet may be for this machine, and whether it may be for another.
    fn destinations(&self, changed: &Changes) -> (bool, bool) {
        let as_said = (
            self.packet.hook == Hook::Input,
            self.packet.hook == Hook::Forward,
        );
        let daddr = self.packet.addresses.daddr();
        let field = Field::Daddr(self.packet.addresses.family());
        match changed.get(field) {
            None => as_said,
            Some(Loaded::Value(same)) if same == address_bits(daddr) => as_said,
            Some(_) if self.is_redirected() => (true, false),
            // Who says `forward` knows that it leads there.
            Some(_) if self.packet.hook == Hook::Forward => as_said,
            Some(_) => (true, true),
        }
    }

    /// Whether whatever changed the destination has put this machine there.
    fn is_redirected(&self) -> bool {
        let steps = self.stops.iter().flat_map(|stop| &stop.evaluation.walk);
        let done = steps.flat_map(|step| {
            let parts = &step.rule.rule().parts;
            &parts[..step.maybe.min(parts.len())]
        });
        let mut changing = done.filter_map(|part| match part {
            Part::Nat(nat) => Some(nat.kind == NatKind::Redirect),
            Part::Assign { field, .. } => (!matches!(field, Field::Daddr(_))).then_some(true),
            Part::Opaque(_) => Some(false),
            _ => None,
        });
        changing.all(|this_machine| this_machine)
    }

    /// The places after output and forward.
    fn leaves(&mut self, here: Option<Here<'a>>) {
        let here = here.and_then(|here| self.passes(Place::Hook(Hook::Postrouting), here));
        let here = here.and_then(|here| self.passes(Place::Egress, here));
        self.arrives(here);
    }

    /// What comes this far has passed.
    fn arrives(&mut self, here: Option<Here<'a>>) {
        for end in here.into_iter().flat_map(|here| here.accepted) {
            if !self.ends.contains(&end) {
                self.ends.push(end);
            }
        }
    }

    /// Goes through one place; none when no packet comes out of it.
    fn passes(&mut self, place: Place, here: Here<'a>) -> Option<Here<'a>> {
        let placed = place.chains(self.tables, self.packet);
        let device = matches!(place, Place::Ingress | Place::Egress);
        if device && placed.is_empty() {
            return Some(here);
        }
        let at = (place.hook(), here.changed.clone());
        let mut trail = Vec::new();
        let evaluation = walk::through(placed, self.packet, at, Some(&mut trail));
        let end = |fate: &Fate<'a>| End { place, fate: *fate };
        let (mut accepted, mut dropped) = (Vec::new(), false);
        for fate in &evaluation.fates {
            match fate.verdict {
                HookVerdict::Accept => accepted.push(end(fate)),
                HookVerdict::Drop => {
                    dropped = true;
                    self.ends.push(end(fate));
                }
            }
        }
        // A place without a chain has not decided anything.
        let nobody = accepted
            .iter()
            .all(|end| walk::is_indifferent(&end.fate.by));
        let passes = !accepted.is_empty();
        if nobody && !here.accepted.is_empty() {
            accepted = here.accepted;
        }
        let out = Here {
            changed: evaluation.changes.clone(),
            certain: here.certain && !dropped,
            accepted,
        };
        self.stops.push(Stop {
            place,
            certain: here.certain,
            changed: here.changed,
            evaluation,
            trail,
        });
        passes.then_some(out)
    }
}

/// What `packet` does not pass.
fn aside<'a>(tables: &'a Tables, packet: &Packet) -> Vec<Aside<'a>> {
    let mut found = Vec::new();
    for table in &tables.tables {
        let has_base = table.chains.iter().any(|chain| chain.base.is_some());
        match table.family {
            _ if !has_base => {}
            _ if table.dormant => found.push(Aside::Dormant(table)),
            TableFamily::Bridge | TableFamily::Arp => found.push(Aside::OtherFamily(table)),
            TableFamily::Ip | TableFamily::Ip6 | TableFamily::Inet | TableFamily::Netdev => {
                let chains = table.chains.iter();
                found.extend(chains.filter_map(|chain| chain_aside(table, chain, tables, packet)));
            }
        }
    }
    found
}

fn chain_aside<'a>(
    table: &'a Table,
    chain: &'a Chain,
    tables: &'a Tables,
    packet: &Packet,
) -> Option<Aside<'a>> {
    let place = match chain.base.as_ref()?.attachment {
        Attachment::Hook(_) => return None,
        Attachment::Unknown(_) => return Some(Aside::UnknownHook(table, chain)),
        Attachment::Ingress(_) => Place::Ingress,
        Attachment::Egress(_) => Place::Egress,
    };
    let passed = match (place, packet.hook) {
        (Place::Ingress, Hook::Prerouting | Hook::Input | Hook::Forward)
        | (Place::Egress, Hook::Forward | Hook::Output | Hook::Postrouting) => {
            let placed = place.chains(tables, packet);
            placed.iter().any(|it| core::ptr::eq(it.place.chain, chain))
        }
        _ => false,
    };
    (!passed).then_some(Aside::OtherDevice(table, chain))
}

/// Whether a packet may have come to a part that puts in the address of an interface.
fn takes_address(step: &Step<'_>) -> bool {
    let mut came_to = step.rule.rule().parts.iter().take(step.maybe);
    let takes = |part: &Part| match part {
        Part::Nat(nat) => matches!(nat.kind, NatKind::Redirect | NatKind::Masquerade),
        _ => false,
    };
    came_to.any(takes)
}

fn caveats<'a>(tables: &'a Tables, packet: &Packet, stops: &[Stop<'_>]) -> Vec<Caveat<'a>> {
    let mut found = Vec::new();
    let seeing = || {
        let family = packet.addresses.family();
        let seeing = tables.tables.iter().filter(|table| !table.dormant);
        let seeing = seeing.filter(move |table| table.family.sees(family));
        seeing.flat_map(|table| &table.chains)
    };
    let goes_on = matches!(packet.ct_state, CtState::Established | CtState::Related);
    let is_nat = |chain: &Chain| match &chain.base {
        Some(base) => base.chain_type == ChainType::Nat,
        None => false,
    };
    if goes_on && seeing().any(is_nat) {
        found.push(Caveat::NotTranslated);
    }
    let mut steps = stops.iter().flat_map(|stop| &stop.evaluation.walk);
    if steps.any(takes_address) {
        found.push(Caveat::HasAddress);
    }
    let forwarded = stops
        .iter()
        .any(|it| it.place == Place::Hook(Hook::Forward));
    let offloads = |rule: &Rule| rule.parts.iter().any(is_offload);
    if forwarded
        && packet.ct_state == CtState::Established
        && seeing().any(|chain| chain.rules.iter().any(offloads))
    {
        found.push(Caveat::NotOffloaded);
    }
    found.extend(tables.unknown.iter().map(|it| Caveat::Unknown(None, it)));
    for table in &tables.tables {
        let of_table = table.unknown.iter();
        found.extend(of_table.map(|it| Caveat::Unknown(Some(table), it)));
    }
    found
}

/// `flow add @flowtable`
fn is_offload(part: &Part) -> bool {
    match part {
        Part::Chance(text) => text.starts_with("flow "),
        _ => false,
    }
}
