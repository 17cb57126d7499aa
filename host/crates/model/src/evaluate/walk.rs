//! The way of a packet through the base chains of a hook, rule by rule and part by part.

use alloc::vec::Vec;

use super::changes::Ways;
use super::compute::{Absent, Computer, Found, Truth};
use super::order::Placed;
use super::{
    ChainRef, Changes, Decider, Evaluation, Fate, HookVerdict, RuleRef, Step, StepResult, View,
};
use crate::field::{Field, icmp_protocol};
use crate::limits::{JUMP_STACK, WALK_MAX};
use crate::packet::{CtState, Hook, Loaded, Packet, Transport};
use crate::ruleset::{ChainPolicy, Reject};
use crate::tables::{ChainIndex, ChainType, Data, Expression, Lookup, Part, Rule, Scope, Verdict};

/// Steps that room is made for beforehand, at most.
const ROOM: usize = 128;

/// What the chains `placed` do to `packet` at `hook`, as `changes` have left it. `trail` is told in
/// what state the packet came to each rule.
pub(super) fn through<'a>(
    placed: Vec<Placed<'a>>,
    packet: &Packet,
    (hook, changes): (Hook, Changes),
    trail: Option<&mut Vec<Came>>,
) -> Evaluation<'a> {
    let rules = placed.iter().map(|it| it.place.chain.rules.len());
    let mut walker = Walker {
        packet,
        hook,
        priority: 0,
        fates: Vec::new(),
        // Most packets meet some of the rules of the base chains, and few others.
        walk: Vec::with_capacity(rules.sum::<usize>().min(ROOM)),
        trail,
        drops: 0,
        decisions: 0,
    };
    let mut here = changes;
    let mut accepted_by = Vec::from([Decider::NoChain]);
    // Whether an earlier chain has translated the packet: the kernel does it once in a hook.
    let mut translated = Truth::No;
    for placed in placed {
        let sees = walker.sees(&placed, &here, translated);
        if sees == Truth::No {
            continue;
        }
        // An earlier chain may have dropped it.
        let certain = sees == Truth::Yes && walker.drops == 0;
        let exits = walker.base_chain(&placed, &here, certain);
        translated = match (exits.translated(translated), sees) {
            (Truth::Yes, Truth::Maybe) => Truth::Maybe,
            (translated, _) => translated,
        };
        let mut ways = exits.accepted;
        if sees == Truth::Maybe {
            ways.add(&here);
            accepted_by.extend(exits.accepts);
        } else if accepted_by == [Decider::NoChain]
            || exits.accepts.is_empty()
            || !exits.accepts.iter().all(is_indifferent)
        {
            accepted_by = exits.accepts;
        }
        match ways.0 {
            Some(changes) => here = changes,
            None => break,
        }
    }
    // Whoever let the packet through the last base chain has accepted it.
    for by in accepted_by {
        walker.ends(HookVerdict::Accept, None, by);
    }
    Evaluation {
        fates: walker.fates,
        walk: walker.walk,
        changes: here,
    }
}

/// How a packet came to a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Came {
    /// What was changed of it.
    pub(super) changes: Changes,
    /// The priority of the base chain that it came from.
    pub(super) priority: i32,
}

/// Goes through rules with a packet.
pub(super) struct Walker<'a, 'p> {
    pub(super) packet: &'p Packet,
    hook: Hook,
    /// Of the base chain that the packet is in.
    priority: i32,
    /// The final fates found so far.
    fates: Vec<Fate<'a>>,
    walk: Vec<Step<'a>>,
    trail: Option<&'p mut Vec<Came>>,
    /// How often the packet may have been dropped so far.
    drops: usize,
    /// How often it may have left a chain so far, so that it does not come to the next rule.
    decisions: usize,
}

/// How a packet can come out of a chain.
#[derive(Default)]
pub(super) struct Exits<'a> {
    /// Accepted, by each of these.
    accepts: Vec<Decider<'a>>,
    /// In what state it is accepted.
    accepted: Ways,
    /// In what state it is not decided, and the caller goes on.
    undecided: Ways,
    /// Whether some rule translates the packet and so accepts it.
    translates: bool,
    /// Whether some rule accepts it as it is.
    passes: bool,
}

impl<'a> Exits<'a> {
    fn accept(&mut self, by: Decider<'a>, changes: &Changes) {
        self.is_accepted_by(by);
        self.accepted.add(changes);
        self.passes = true;
    }

    /// A chain that is jumped into again and again accepts by the same rules each time.
    fn is_accepted_by(&mut self, by: Decider<'a>) {
        if !self.accepts.contains(&by) {
            self.accepts.push(by);
        }
    }

    /// What a chain that was jumped into did, but for its own undecided packets.
    fn take(&mut self, inner: Self) -> Ways {
        for by in inner.accepts {
            self.is_accepted_by(by);
        }
        self.accepted.add_all(&inner.accepted);
        self.translates |= inner.translates;
        self.passes |= inner.passes;
        inner.undecided
    }

    /// Whether the packet has been translated, when it had been `before` or not.
    fn translated(&self, before: Truth) -> Truth {
        match (self.translates, self.passes) {
            (false, _) => before,
            (true, false) => Truth::Yes,
            (true, true) => Truth::Maybe,
        }
    }
}

/// A rule that a packet is in.
pub(super) struct At<'a, 'c> {
    rule: RuleRef<'a>,
    depth: u8,
    /// Whether the packet certainly is here.
    certain: bool,
    /// What earlier rules and parts have changed.
    pub(super) here: Changes,
    /// Where it is added what comes out of the chain.
    exits: &'c mut Exits<'a>,
    /// In what state the packet goes on with the next rule.
    next: Ways,
}

impl At<'_, '_> {
    /// The packet may go on with the next rule as it is here.
    pub(super) fn may_go_on(&mut self) {
        self.next.add(&self.here);
    }

    /// The packet goes on with the next rule as it is here, and is no longer here.
    fn goes_on(&mut self) {
        self.next.put(core::mem::take(&mut self.here));
    }
}

/// What a part does with a packet that comes to it.
pub(super) enum Went {
    /// Goes on with the next part.
    On,
    /// Fails, and ends the rule.
    Failed,
    /// May have failed, and may go on.
    Maybe,
    /// Has decided: no more parts are done.
    Ended,
    /// May have decided, and may have failed, but does not go on.
    MayHaveEnded,
}

impl<'a> Walker<'a, '_> {
    /// Whether a base chain sees the packet at all.
    fn sees(&self, placed: &Placed<'_>, here: &Changes, translated: Truth) -> Truth {
        let view = View {
            packet: self.packet,
            hook: self.hook,
            priority: 0,
            changes: here,
        };
        let of_type = match placed.base.chain_type {
            ChainType::Filter | ChainType::Route => Truth::Yes,
            ChainType::Nat => match (comes_to_nat(&view), translated) {
                (Truth::No, _) | (_, Truth::Yes) => Truth::No,
                (Truth::Yes, Truth::No) => Truth::Yes,
                _ => Truth::Maybe,
            },
        };
        match of_type {
            Truth::Yes if !placed.certain => Truth::Maybe,
            of_type => of_type,
        }
    }

    /// How the packet comes out of a base chain: accepted, if at all.
    fn base_chain(&mut self, placed: &Placed<'a>, here: &Changes, certain: bool) -> Exits<'a> {
        self.priority = placed.base.runs_at();
        let mut exits = self.chain(placed.place, here.clone(), 0, certain);
        if let Some(changes) = exits.undecided.0.take() {
            let by = Decider::ChainPolicy(placed.place);
            match placed.base.policy {
                ChainPolicy::Accept => exits.accept(by, &changes),
                ChainPolicy::Drop => self.ends(HookVerdict::Drop, None, by),
            }
        }
        exits
    }

    fn chain(
        &mut self,
        place: ChainRef<'a>,
        mut here: Changes,
        depth: u8,
        mut certain: bool,
    ) -> Exits<'a> {
        let mut exits = Exits::default();
        if depth > JUMP_STACK {
            self.anything(Decider::NotFollowed(place), &here, &mut exits);
            exits.undecided.add(&here);
            return exits;
        }
        // Copied whole for each rule, and then changed in its place: what was just written piece by
        // piece would have to be waited for.
        let blank = Step {
            rule: RuleRef { place, index: 0 },
            depth,
            certain,
            result: StepResult::Matched,
            surely: 0,
            maybe: 0,
        };
        for (index, rule) in place.chain.rules.iter().enumerate() {
            if self.walk.len() >= WALK_MAX {
                self.anything(Decider::NotFollowed(place), &here, &mut exits);
                break;
            }
            let mut at = At {
                rule: RuleRef { place, index },
                depth,
                certain,
                here,
                exits: &mut exits,
                next: Ways::default(),
            };
            let before = self.decisions;
            self.rule(rule, &blank, &mut at);
            match at.next.0 {
                Some(changes) => here = changes,
                None => return exits,
            }
            certain &= self.decisions == before;
        }
        exits.undecided.add(&here);
        exits
    }

    /// Goes through a rule; `blank` is a step in its chain.
    fn rule(&mut self, rule: &'a Rule, blank: &Step<'a>, at: &mut At<'a, '_>) {
        let step = self.walk.len();
        if let Some(trail) = &mut self.trail {
            trail.push(Came {
                changes: at.here.clone(),
                priority: self.priority,
            });
        }
        self.walk.push(*blank);
        let seen = &mut self.walk[step];
        seen.rule.index = at.rule.index;
        seen.certain = at.certain;
        seen.surely = rule.parts.len();
        seen.maybe = rule.parts.len();
        let mut sure = true;
        for (index, part) in rule.parts.iter().enumerate() {
            let before = at.certain;
            at.certain &= sure;
            let went = self.part(part, at);
            at.certain = before;
            let failed = matches!(went, Went::Failed);
            let doubtful = matches!(went, Went::Maybe | Went::MayHaveEnded);
            let seen = &mut self.walk[step];
            if sure && (failed || doubtful) {
                seen.surely = index;
                seen.result = if failed {
                    StepResult::Failed(index)
                } else {
                    StepResult::MayMatch(index)
                };
            }
            sure &= !doubtful;
            match went {
                Went::On => {}
                Went::Maybe => at.next.add(&at.here),
                Went::Failed => {
                    seen.maybe = index;
                    at.goes_on();
                    return;
                }
                Went::Ended => {
                    seen.maybe = index + 1;
                    seen.surely = seen.surely.min(index + 1);
                    return;
                }
                Went::MayHaveEnded => {
                    seen.maybe = index + 1;
                    at.goes_on();
                    return;
                }
            }
        }
        at.goes_on();
    }

    fn part(&mut self, part: &'a Part, at: &mut At<'a, '_>) -> Went {
        match part {
            Part::Match(condition) => match self.computer(at).holds(condition) {
                Truth::Yes => Went::On,
                Truth::No => Went::Failed,
                Truth::Maybe => Went::Maybe,
            },
            Part::VerdictMap { key, map } => self.verdict_map(key, map, at),
            Part::Verdict(verdict) => self.verdict(*verdict, at),
            Part::Reject(reject) => {
                self.ends(HookVerdict::Drop, Some(*reject), Decider::Rule(at.rule));
                Went::Ended
            }
            Part::Assign { field, value } => self.assign(*field, value, at),
            Part::Notrack => {
                self.notrack(at);
                Went::On
            }
            Part::Nat(nat) => self.nat(nat, at),
            Part::Counter | Part::Note(_) => Went::On,
            Part::Chance(_) => Went::Maybe,
            Part::Connections(_) => {
                if !is_countable(&self.computer(at).view) {
                    self.ends(HookVerdict::Drop, None, Decider::Rule(at.rule));
                }
                Went::Maybe
            }
            Part::Queue(_) => {
                self.accepts(at);
                self.ends(HookVerdict::Drop, None, Decider::Rule(at.rule));
                Went::Ended
            }
            Part::Take(_) => {
                self.ends(HookVerdict::Drop, None, Decider::Rule(at.rule));
                Went::Maybe
            }
            Part::Opaque(opaque) => match opaque.scope {
                Scope::Test | Scope::Chance => Went::Maybe,
                Scope::Anything => {
                    self.some_verdict(at);
                    let mut changed = at.here.clone();
                    changed.havoc();
                    at.here.merge(&changed);
                    Went::Maybe
                }
            },
        }
    }

    pub(super) fn computer<'v>(&'v self, at: &'v At<'a, '_>) -> Computer<'a, 'v> {
        Computer {
            table: at.rule.place.table,
            view: View {
                packet: self.packet,
                hook: self.hook,
                priority: self.priority,
                changes: &at.here,
            },
        }
    }

    fn verdict_map(&mut self, key: &'a Expression, map: &'a Lookup, at: &mut At<'a, '_>) -> Went {
        match self.computer(at).look_up(key, map) {
            Err(Absent) | Ok(Found::Nothing) => Went::Failed,
            Ok(Found::This(Data::Verdict(verdict))) => self.verdict(*verdict, at),
            Ok(Found::Perhaps(several)) => {
                let before = at.certain;
                at.certain = false;
                let went = self.one_of(&several, at);
                at.certain = before;
                went
            }
            Ok(
                Found::This(Data::None | Data::Value(_) | Data::Range(_) | Data::Unknown)
                | Found::Anything,
            ) => {
                self.some_verdict(at);
                Went::Maybe
            }
        }
    }

    /// One of several verdicts, or none.
    fn one_of(&mut self, several: &[&'a Data], at: &mut At<'a, '_>) -> Went {
        let mut done: Vec<&Data> = Vec::new();
        let mut goes_on = false;
        for data in several {
            // Many elements lead to few chains, and once through each is enough.
            if done.contains(data) {
                continue;
            }
            done.push(data);
            goes_on |= match data {
                Data::Verdict(verdict) => matches!(self.verdict(*verdict, at), Went::On),
                Data::None | Data::Value(_) | Data::Range(_) | Data::Unknown => {
                    self.some_verdict(at);
                    true
                }
            };
        }
        if goes_on {
            Went::Maybe
        } else {
            Went::MayHaveEnded
        }
    }

    /// A verdict that is not known: it may end the packet's way, or lead it through any chain and
    /// back.
    fn some_verdict(&mut self, at: &mut At<'a, '_>) {
        let by = Decider::Rule(at.rule);
        self.anything(by, &at.here, at.exits);
        let mut changed = at.here.clone();
        changed.havoc();
        at.exits.undecided.add(&changed);
        at.next.add(&changed);
    }

    fn verdict(&mut self, verdict: Verdict, at: &mut At<'a, '_>) -> Went {
        match verdict {
            Verdict::Accept => self.accepts(at),
            Verdict::Drop => self.ends(HookVerdict::Drop, None, Decider::Rule(at.rule)),
            // The rest of the rule is done, too: to `nft_do_chain` it is no verdict at all.
            Verdict::Continue => return Went::On,
            Verdict::Return => {
                self.decisions += 1;
                at.exits.undecided.add(&at.here);
            }
            Verdict::Jump(target) => {
                let undecided = self.enters(target, at);
                at.next.add_all(&undecided);
            }
            Verdict::Goto(target) => {
                let undecided = self.enters(target, at);
                self.decisions += 1;
                at.exits.undecided.add_all(&undecided);
            }
        }
        Went::Ended
    }

    /// Goes through another chain; in what state the packet comes back undecided.
    fn enters(&mut self, target: ChainIndex, at: &mut At<'a, '_>) -> Ways {
        let table = at.rule.place.table;
        let Some(chain) = table.chain(target) else {
            self.anything(Decider::NotFollowed(at.rule.place), &at.here, at.exits);
            return Ways(Some(at.here.clone()));
        };
        let place = ChainRef { table, chain };
        let (decisions, drops) = (self.decisions, self.drops);
        let inner = self.chain(place, at.here.clone(), at.depth + 1, at.certain);
        // However it left the other chain: it came back.
        if inner.accepts.is_empty() && self.drops == drops {
            self.decisions = decisions;
        }
        at.exits.take(inner)
    }

    /// Accepts the packet with other addresses.
    pub(super) fn translates(&mut self, at: &mut At<'a, '_>, changed: &Changes) -> Went {
        self.decisions += 1;
        at.exits.is_accepted_by(Decider::Rule(at.rule));
        at.exits.accepted.add(changed);
        at.exits.translates = true;
        Went::Ended
    }

    fn accepts(&mut self, at: &mut At<'a, '_>) {
        self.decisions += 1;
        at.exits.accept(Decider::Rule(at.rule), &at.here);
    }

    /// The packet may be accepted or dropped.
    fn anything(&mut self, by: Decider<'a>, here: &Changes, exits: &mut Exits<'a>) {
        let mut changed = here.clone();
        changed.havoc();
        self.decisions += 1;
        exits.accept(by, &changed);
        exits.translates = true;
        self.ends(HookVerdict::Drop, None, by);
    }

    fn ends(&mut self, verdict: HookVerdict, reject: Option<Reject>, by: Decider<'a>) {
        self.decisions += 1;
        self.drops += usize::from(verdict == HookVerdict::Drop);
        let fate = Fate {
            verdict,
            reject,
            by,
        };
        if !self.fates.contains(&fate) {
            self.fates.push(fate);
        }
    }
}

/// Whether a packet comes to the chains of type `nat`.
///
/// Only what begins a connection does; an error about one is translated as the connection is
/// (`nf_nat_inet_fn`, `nf_nat_ipv4_fn` in `nf_nat_core.c`). What comes by `lo` began its connection
/// when it was sent, and was translated or not there and then.
pub(super) fn comes_to_nat(view: &View<'_>) -> Truth {
    let packet = view.packet;
    if matches!(view.hook, Hook::Prerouting | Hook::Input) && packet.iifname == "lo" {
        return Truth::No;
    }
    let is_icmp = packet.protocol() == icmp_protocol(packet.addresses.family());
    match view.load(Field::CtState) {
        Loaded::Value(state) if state == CtState::New as u128 => Truth::Yes,
        Loaded::Value(state) if state == CtState::Related as u128 && !is_icmp => Truth::Maybe,
        Loaded::Value(_) | Loaded::Absent => Truth::No,
        Loaded::Unknown => Truth::Maybe,
    }
}

/// Whether `ct count` can certainly tell the connection of a packet: conntrack knows it, or the
/// packet has ports. Of GRE, later fragments and what is cut short it cannot
/// (`nft_connlimit_do_eval`, `nf_ct_get_tuplepr`).
fn is_countable(view: &View<'_>) -> bool {
    let has = |field| matches!(view.load(field), Loaded::Value(_));
    let has_ports = match view.packet.transport {
        Transport::Ports { protocol, .. } => {
            has(Field::Sport(protocol)) && has(Field::Dport(protocol))
        }
        Transport::Icmp { .. } | Transport::Fragment(_) | Transport::Other(_) => false,
    };
    view.connection() == Some(true) || has_ports
}

/// Whether nothing decided but the chain policy of a chain of type `nat`: who translates nothing
/// has no say.
pub(super) fn is_indifferent(by: &Decider<'_>) -> bool {
    match by {
        Decider::ChainPolicy(ChainRef { chain, .. }) => {
            let base = chain.base.as_ref();
            base.is_some_and(|base| base.chain_type == ChainType::Nat)
        }
        Decider::NoChain => true,
        Decider::Rule(_) | Decider::NotFollowed(_) => false,
    }
}
