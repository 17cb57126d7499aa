//! Goes once more through the rules that a packet has met, and collects why each did what it did.

use alloc::vec;
use alloc::vec::Vec;

use super::{Condition, Found, Inexact, Together};
use crate::evaluate::compute::{Computer, Truth};
use crate::evaluate::journey::Stop;
use crate::evaluate::order::Placed;
use crate::evaluate::walk::{Came, comes_to_nat};
use crate::evaluate::{Changes, Decider, HookVerdict, Step, StepResult, View};
use crate::field::Field;
use crate::intervals::Interval;
use crate::packet::{CtState, Hook, Packet};
use crate::tables::{
    Attachment, ChainIndex, ChainType, Expression, Part, Rewrite, Rule, Scope, Table, TableFamily,
    Tables, Verdict,
};

/// Collects from one place on the packet's way.
pub(super) fn stop<'a>(
    tables: &'a Tables,
    packet: &Packet,
    stop: &Stop<'a>,
    found: &mut Found<'a>,
) -> Result<(), Inexact<'a>> {
    let placed = stop.place.chains(tables, packet);
    let evaluation = &stop.evaluation;
    let mut follower = Follower {
        tables,
        packet,
        hook: stop.place.hook(),
        steps: &evaluation.walk,
        trail: stop.trail(),
        found,
    };
    follower.surroundings(stop);
    let mut next = 0;
    for base in &placed {
        next = follower.base_chain(base, next)?;
        let drops = evaluation.fates.iter().any(|fate| match fate.by {
            _ if fate.verdict == HookVerdict::Accept => false,
            Decider::ChainPolicy(place) => place == base.place,
            Decider::Rule(_) => next == evaluation.walk.len(),
            Decider::NoChain | Decider::NotFollowed(_) => false,
        });
        if drops {
            // The chains that are left never see the packet.
            break;
        }
    }
    if evaluation.fates.len() == 1 {
        Ok(())
    } else {
        Err(Inexact::Way)
    }
}

struct Follower<'a, 's> {
    tables: &'a Tables,
    packet: &'s Packet,
    hook: Hook,
    steps: &'s [Step<'a>],
    /// How the packet came to each step.
    trail: &'s [Came],
    found: &'s mut Found<'a>,
}

impl<'a> Follower<'a, '_> {
    /// What decides which chains see a packet at all.
    fn surroundings(&mut self, stop: &Stop<'a>) {
        let mut of_one_family = false;
        for table in self.tables.tables.iter().filter(|table| !table.dormant) {
            let mut bases = table.chains.iter().filter_map(|chain| chain.base.as_ref());
            of_one_family |= matches!(table.family, TableFamily::Ip | TableFamily::Ip6)
                && bases.clone().any(|base| match base.attachment {
                    Attachment::Hook(hook) => hook == self.hook,
                    Attachment::Ingress(_) | Attachment::Egress(_) | Attachment::Unknown(_) => true,
                });
            if bases.any(|base| match base.attachment {
                Attachment::Ingress(_) => self.hook == Hook::Prerouting,
                Attachment::Egress(_) => self.hook == Hook::Postrouting,
                Attachment::Hook(_) | Attachment::Unknown(_) => false,
            }) {
                let name = match self.hook {
                    Hook::Prerouting => Field::Iifname,
                    _ => Field::Oifname,
                };
                self.pin(name, &stop.changed);
            }
        }
        if of_one_family {
            self.pin(Field::Nfproto, &stop.changed);
        }
    }

    /// The field is what it came as.
    fn pin(&mut self, field: Field, changes: &Changes) {
        // Neither the family nor a device's chains depend on a table.
        let Some(table) = self.tables.tables.first() else {
            return;
        };
        let view = self.view(0, changes);
        let told = Computer { table, view }.pins(&Expression::Field(field));
        self.found.all.extend(told);
    }

    fn view<'v>(&'v self, priority: i32, changes: &'v Changes) -> View<'v> {
        View {
            packet: self.packet,
            hook: self.hook,
            priority,
            changes,
        }
    }

    /// Collects from the steps of one base chain, the first of which is at `next`, if it has any.
    fn base_chain(&mut self, placed: &Placed<'a>, next: usize) -> Result<usize, Inexact<'a>> {
        if !placed.certain {
            return Err(Inexact::Way);
        }
        if placed.base.chain_type == ChainType::Nat {
            let here = self.trail.get(next).or(self.trail.last());
            let here = here.map_or_else(Changes::default, |came| came.changes.clone());
            self.nat(&here, placed.place.table)?;
        }
        let mut of_chain = self.steps[next..].iter().enumerate();
        let end = of_chain.find(|(at, step)| {
            let begins = *at == 0 || step.depth > 0 || step.rule.index > 0;
            !(begins && (step.depth > 0 || step.rule.place == placed.place))
        });
        let end = end.map_or(self.steps.len(), |(at, _)| next + at);
        self.rules(next, end, placed.base.runs_at())?;
        Ok(end)
    }

    /// Why a chain of type `nat` sees the packet or does not.
    fn nat(&mut self, here: &Changes, table: &'a Table) -> Result<(), Inexact<'a>> {
        let view = self.view(0, here);
        if comes_to_nat(&view) == Truth::Maybe {
            return Err(Inexact::Way);
        }
        let computer = Computer { table, view };
        let mut told: Together<'a> = Vec::new();
        if matches!(self.hook, Hook::Prerouting | Hook::Input) {
            if self.packet.iifname == "lo" {
                told.extend(computer.pins(&Expression::Field(Field::Iifname)));
                self.found.all.extend(told);
                return Ok(());
            }
            told.push(not_by_loopback());
        }
        if self.packet.ct_state == CtState::Related {
            told.extend(computer.pins(&Expression::Field(Field::L4proto)));
            told.extend(computer.pins(&Expression::Field(Field::Nfproto)));
        }
        let alike: &[CtState] = match self.packet.ct_state {
            CtState::New => &[CtState::New],
            CtState::Related => &[CtState::Related],
            CtState::Invalid | CtState::Established | CtState::Untracked => {
                &[CtState::Invalid, CtState::Established, CtState::Untracked]
            }
        };
        if here.get(Field::CtState).is_none() {
            let alike = alike.iter().map(|state| Interval::single(*state as u128));
            told.push(Condition::within(Field::CtState, alike.collect()));
        }
        self.found.all.extend(told);
        Ok(())
    }

    /// Collects from the steps `next..end`, all of which are of one base chain.
    fn rules(&mut self, next: usize, end: usize, priority: i32) -> Result<(), Inexact<'a>> {
        let mut at = next;
        while at < end {
            let step = &self.steps[at];
            let inner = self.steps[at + 1..end].iter();
            let inner = inner.take_while(|it| it.depth > step.depth).count();
            let after = at + 1 + inner;
            let table = step.rule.place.table;
            let rule = step.rule.rule();
            if !matters(table, rule) {
                at = after;
                continue;
            }
            let changes = self.trail[at].changes.clone();
            let told = self.told(step, priority, &changes)?;
            let comes_back = after < end
                && (self.steps[after].depth > 0 || self.steps[after].rule.index > 0)
                && self.trail[after].changes == changes;
            let jumped = inner > 0 && comes_back && is_plain_jump(rule);
            match told {
                // Who does not jump to where nothing happens, misses nothing.
                Told::Did(_) if jumped => {}
                Told::Did(told) => self.found.all.extend(told),
                Told::Failed(first, alternatives) => {
                    self.found.all.extend(first);
                    self.found.one_of.push(alternatives);
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Why a rule did what it did.
    fn told(
        &self,
        step: &Step<'a>,
        priority: i32,
        changes: &Changes,
    ) -> Result<Told<'a>, Inexact<'a>> {
        let rule = step.rule.rule();
        let table = step.rule.place.table;
        let view = self.view(priority, changes);
        let computer = Computer { table, view };
        let tests = rule
            .parts
            .iter()
            .take_while(|part| !has_effect(table, part));
        let mut alternatives = Vec::new();
        for part in tests {
            if let Part::Match(condition) = part
                && computer.holds(condition) == Truth::No
            {
                alternatives.extend(computer.fails_because(condition));
            }
        }
        if !alternatives.is_empty() {
            return Ok(Told::Failed(Vec::new(), alternatives));
        }
        match step.result {
            StepResult::MayMatch(part) => Err(Inexact::Rule(step.rule, part)),
            StepResult::Matched => Ok(Told::Did(did(&computer, &rule.parts))),
            StepResult::Failed(failed) => {
                let first = did(&computer, &rule.parts[..failed]);
                Ok(Told::Failed(first, failed_by(&computer, rule, failed)))
            }
        }
    }
}

/// Why a rule did what it did.
enum Told<'a> {
    /// It did what it says: all of this holds.
    Did(Together<'a>),
    /// The first of these hold, so that its first statements were done, and one of the others, so
    /// that the rest was not.
    Failed(Together<'a>, Vec<Together<'a>>),
}

/// Conditions under which parts go on, or do, as they did.
fn did<'a>(computer: &Computer<'a, '_>, parts: &'a [Part]) -> Together<'a> {
    let mut told = Vec::new();
    for part in parts {
        match part {
            Part::Match(condition) => told.extend(computer.holds_because(condition)),
            Part::VerdictMap { key, map } => {
                told.extend(computer.is_row(key, computer.row(key, map)));
            }
            Part::Assign { field, value } => {
                told.extend(computer.pins(value));
                told.extend(there(computer, *field));
            }
            Part::Notrack => told.extend(computer.pins(&Expression::Field(Field::CtState))),
            Part::Nat(nat) => {
                told.extend(computer.pins(&Expression::Field(Field::Nfproto)));
                told.extend(computer.pins(&Expression::Field(Field::L4proto)));
                for rewrite in [&nat.address, &nat.port].into_iter().flatten() {
                    if let Rewrite::Value { of, .. } = rewrite {
                        told.extend(computer.pins(of));
                    }
                }
            }
            Part::Verdict(_)
            | Part::Reject(_)
            | Part::Counter
            | Part::Note(_)
            | Part::Chance(_)
            | Part::Connections(_)
            | Part::Queue(_)
            | Part::Take(_)
            | Part::Opaque(_) => {}
        }
    }
    told
}

/// Why the part at `failed` ended its rule.
fn failed_by<'a>(computer: &Computer<'a, '_>, rule: &'a Rule, failed: usize) -> Vec<Together<'a>> {
    match &rule.parts[failed] {
        Part::Match(condition) => computer.fails_because(condition),
        Part::VerdictMap { key, map } => computer.is_missing(key, map),
        Part::Assign { field, value } => {
            let mut told = computer.pins(value);
            told.extend(there(computer, *field));
            vec![told]
        }
        Part::Nat(nat) => {
            let mut told = Vec::new();
            for rewrite in [&nat.address, &nat.port].into_iter().flatten() {
                if let Rewrite::Value { of, .. } = rewrite {
                    told.extend(computer.pins(of));
                }
            }
            vec![told]
        }
        Part::Verdict(_)
        | Part::Reject(_)
        | Part::Notrack
        | Part::Counter
        | Part::Note(_)
        | Part::Chance(_)
        | Part::Connections(_)
        | Part::Queue(_)
        | Part::Take(_)
        | Part::Opaque(_) => vec![Vec::new()],
    }
}

/// Conditions under which a field is there to be changed, or is not, as it is.
fn there<'a>(computer: &Computer<'a, '_>, field: Field) -> Together<'a> {
    let mut told = Vec::new();
    if field.is_of_connection() {
        told.extend(computer.pins(&Expression::Field(Field::CtState)));
    }
    if field.family().is_some() {
        told.extend(computer.pins(&Expression::Field(Field::Nfproto)));
    }
    if field.protocol().is_some() {
        told.extend(computer.pins(&Expression::Field(Field::L4proto)));
    }
    told
}

/// Anything but `lo`.
fn not_by_loopback<'a>() -> Condition<'a> {
    let lo = crate::field::interface::set(["lo"]);
    Condition::within(Field::Iifname, lo.complement(Field::Iifname.max()))
}

/// Whether a rule can do anything that matters to a packet.
fn matters(table: &Table, rule: &Rule) -> bool {
    rule.parts.iter().any(|part| has_effect(table, part))
}

/// Whether a part can do anything but go on or fail.
fn has_effect(table: &Table, part: &Part) -> bool {
    match part {
        Part::Match(_) | Part::Counter | Part::Note(_) | Part::Chance(_) => false,
        Part::Verdict(Verdict::Continue) => false,
        Part::Verdict(Verdict::Jump(target)) => !is_idle(table, *target, IDLE_DEPTH),
        Part::Opaque(opaque) => match opaque.scope {
            Scope::Test | Scope::Chance => false,
            Scope::Anything => true,
        },
        Part::Verdict(_)
        | Part::VerdictMap { .. }
        | Part::Reject(_)
        | Part::Assign { .. }
        | Part::Notrack
        | Part::Nat(_)
        | Part::Connections(_)
        | Part::Queue(_)
        | Part::Take(_) => true,
    }
}

/// Jumps into jumps that are looked through for something that matters.
const IDLE_DEPTH: u8 = 2;

/// Whether nothing in a chain matters to any packet: it only counts, or logs.
fn is_idle(table: &Table, chain: ChainIndex, depth: u8) -> bool {
    let Some(chain) = table.chain(chain) else {
        return false;
    };
    let mut parts = chain.rules.iter().flat_map(|rule| &rule.parts);
    parts.all(|part| match part {
        Part::Verdict(Verdict::Jump(target)) => depth > 0 && is_idle(table, *target, depth - 1),
        other => !has_effect(table, other),
    })
}

/// Whether all that a rule does is to jump.
fn is_plain_jump(rule: &Rule) -> bool {
    rule.parts.iter().all(|part| match part {
        Part::Match(_) | Part::Counter | Part::Note(_) => true,
        Part::Verdict(verdict) => matches!(verdict, Verdict::Jump(_)),
        _ => false,
    })
}
