//! From rules to what becomes of every packet.
//!
//! A way is read from its end to its beginning: what a rule does is what its statements do, or what
//! the rules after it do, wherever its conditions hold or not. So a jump is the diagram of the other
//! chain with the rest of this one after it, and an assignment is a value put in for a variable in
//! everything that comes later.

mod conditions;
mod effects;
mod order;

use std::collections::BTreeMap;

use portreeve_model::address::Family;
use portreeve_model::field::{Field, icmp_protocol};
use portreeve_model::limits::JUMP_STACK;
use portreeve_model::packet::{CtState, Hook};
use portreeve_model::ruleset::ChainPolicy;
use portreeve_model::tables::{ChainType, Verdict};

pub(crate) use self::order::reached;
use self::order::{Placed, Stand, placed};
use crate::program::{ChainId, Condition, Load, Program, Step};
use crate::space::{Changed, EVERYTHING, Fates, Level, NOTHING, Outcome, Region, Space, Within};

/// The way of packets through a machine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Way {
    /// Past the chains of one hook alone.
    At(Hook),
    /// From a device to this machine: ingress, prerouting, input.
    In,
    /// Through this machine: ingress, prerouting, forward, postrouting, egress.
    Through,
    /// From this machine to a device: output, postrouting, egress.
    Out,
}

impl Way {
    /// Where packets are seen on it, in order.
    #[must_use]
    pub const fn places(self) -> &'static [Place] {
        const fn at(hook: Hook) -> Place {
            Place::Hook(hook)
        }
        match self {
            Self::At(Hook::Prerouting) => &const { [at(Hook::Prerouting)] },
            Self::At(Hook::Input) => &const { [at(Hook::Input)] },
            Self::At(Hook::Forward) => &const { [at(Hook::Forward)] },
            Self::At(Hook::Output) => &const { [at(Hook::Output)] },
            Self::At(Hook::Postrouting) => &const { [at(Hook::Postrouting)] },
            Self::In => &const { [Place::Ingress, at(Hook::Prerouting), at(Hook::Input)] },
            Self::Through => {
                &const {
                    [
                        Place::Ingress,
                        at(Hook::Prerouting),
                        at(Hook::Forward),
                        at(Hook::Postrouting),
                        Place::Egress,
                    ]
                }
            }
            Self::Out => &const { [at(Hook::Output), at(Hook::Postrouting), Place::Egress] },
        }
    }

    /// The hook that a packet names that goes this way.
    #[must_use]
    pub const fn hook(self) -> Hook {
        match self {
            Self::At(hook) => hook,
            Self::In => Hook::Input,
            Self::Through => Hook::Forward,
            Self::Out => Hook::Output,
        }
    }
}

/// Where rules see packets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// At the device that they come in by.
    Ingress,
    /// At a hook.
    Hook(Hook),
    /// At the device that they go out by.
    Egress,
}

impl Place {
    /// The hook as which fields are loaded there.
    const fn hook(self) -> Hook {
        match self {
            Self::Ingress => Hook::Prerouting,
            Self::Hook(hook) => hook,
            Self::Egress => Hook::Postrouting,
        }
    }
}

/// What becomes of every packet that goes a way, with one rule altered if that is asked.
pub(crate) fn transfer(
    space: &mut Space,
    program: &Program<'_>,
    way: Way,
    altered: Option<Altered>,
) -> Within<Fates> {
    let mut after = space.store.always(Outcome::Accept(Changed::default()));
    let mut transfer = Transfer::new(space, program, way);
    transfer.altered = altered;
    for place in way.places().iter().rev() {
        after = transfer.place(*place, after)?;
    }
    Ok(after)
}

/// The packets for which all conditions of some clause certainly hold, where they are last seen on
/// a way.
pub(crate) fn region_of(space: &mut Space, clauses: &[Vec<Condition>], way: Way) -> Within<Region> {
    let program = Program { tables: Vec::new() };
    let mut transfer = Transfer::new(space, &program, way);
    let view = View {
        hook: way.hook(),
        tracked: true,
    };
    let mut all = NOTHING;
    for clause in clauses {
        let region = transfer.all_hold(clause, view)?;
        all = transfer.space.store.or(all, region)?;
    }
    Ok(all)
}

/// The packets for which everything may hold that a rule asks, where they are last seen on a way.
pub(crate) fn may_meet(space: &mut Space, rule: &[Step], way: Way) -> Within<Region> {
    let program = Program { tables: Vec::new() };
    let mut transfer = Transfer::new(space, &program, way);
    let view = View {
        hook: way.hook(),
        tracked: true,
    };
    let mut all = EVERYTHING;
    for step in rule {
        let truth = match step {
            Step::Test(condition) => transfer.truth(condition, view)?,
            Step::VerdictMap { lookup, .. } => transfer.there(&lookup.loads, view)?,
            _ => continue,
        };
        all = transfer.space.store.and(all, truth.possible)?;
    }
    Ok(all)
}

/// A rule that does something else than it says, to see what difference that makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Altered {
    pub(crate) chain: ChainId,
    pub(crate) index: usize,
    pub(crate) does: Does,
}

/// What an altered rule does, where what it asks holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// Nothing.
    Nothing,
    /// Drops.
    Drop,
    /// Accepts.
    Accept,
}

/// What the prover knows of one packet's way at a place.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct View {
    pub(crate) hook: Hook,
    /// Whether conntrack has seen packets before the rules here do.
    pub(crate) tracked: bool,
}

/// What comes after a chain.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct After {
    /// Of packets that it does not decide.
    undecided: Fates,
    /// Of those that it accepts.
    accepted: Fates,
    /// Of those that it translates.
    translated: Fates,
}

pub(crate) struct Transfer<'a, 's> {
    pub(crate) space: &'s mut Space,
    program: &'s Program<'a>,
    way: Way,
    altered: Option<Altered>,
    /// What becomes of packets that come to a chain, by what comes after it.
    known: BTreeMap<(ChainId, View, After), Fates>,
}

impl<'a, 's> Transfer<'a, 's> {
    const fn new(space: &'s mut Space, program: &'s Program<'a>, way: Way) -> Self {
        Self {
            space,
            program,
            way,
            altered: None,
            known: BTreeMap::new(),
        }
    }
}

impl Transfer<'_, '_> {
    /// What becomes of packets that come to a place, when `after` becomes of those that pass it.
    fn place(&mut self, place: Place, after: Fates) -> Within<Fates> {
        let orders = Family::BOTH.map(|family| placed(self.program, place, family));
        let before = if orders[0] == orders[1] {
            self.chains(&orders[0], place, after)?
        } else {
            let [ip, ip6] = [&orders[0], &orders[1]];
            let (ip, ip6) = (
                self.chains(ip, place, after)?,
                self.chains(ip6, place, after)?,
            );
            let is_ip = self
                .space
                .at_value(Level::Field(Field::Nfproto), Family::Ip.number().into())?;
            self.space.store.choose(is_ip, ip, ip6)?
        };
        let before = self.enters(place.hook(), before)?;
        // What is not known of a packet may be something else at the next place.
        let levels: Vec<Level> = self.space.levels().to_vec();
        let several = self.way.places().len() > 1;
        let mut unknown = levels
            .into_iter()
            .filter(|it| several && matches!(it, Level::Unknown(_)));
        unknown.try_fold(before, |fates, level| self.space.forgetting(fates, level))
    }

    /// Base chains, in the order in which they run.
    fn chains(&mut self, chains: &[Placed], place: Place, after: Fates) -> Within<Fates> {
        let mut after = after;
        let mut groups = chains;
        while let Some((last, before)) = groups.split_last() {
            if last.chain_type == ChainType::Nat {
                let is_nat = |it: &Placed| it.chain_type == ChainType::Nat;
                let first = groups
                    .iter()
                    .rposition(|it| !is_nat(it))
                    .map_or(0, |at| at + 1);
                after = self.nat_chains(&groups[first..], place, after)?;
                groups = &groups[..first];
            } else {
                after = self.base_chain(last, place, (after, after))?;
                groups = before;
            }
        }
        Ok(after)
    }

    /// All chains of type `nat`: they see what begins a connection, until one translates it.
    fn nat_chains(&mut self, chains: &[Placed], place: Place, after: Fates) -> Within<Fates> {
        let mut through = after;
        for chain in chains.iter().rev() {
            through = self.base_chain(chain, place, (through, after))?;
        }
        let [certainly, perhaps] = self.come_to_nat(place.hook())?;
        let either = self.space.store.union(through, after)?;
        let otherwise = self.space.store.choose(perhaps, either, after)?;
        self.space.store.choose(certainly, through, otherwise)
    }

    /// The packets that come to chains of type `nat`, and those that may.
    ///
    /// Only what begins a connection does; an error about one is translated as the connection is
    /// (`nf_nat_inet_fn`, `nf_nat_ipv4_fn` in `nf_nat_core.c`). What comes by `lo` began its
    /// connection when it was sent.
    fn come_to_nat(&mut self, hook: Hook) -> Within<[Region; 2]> {
        let ct_state = Level::Field(Field::CtState);
        let new = self.space.at_value(ct_state, CtState::New as u128)?;
        let related = self.space.at_value(ct_state, CtState::Related as u128)?;
        let mut icmp = NOTHING;
        for family in Family::BOTH {
            let number = family.number().into();
            let of_family = self.space.at_value(Level::Field(Field::Nfproto), number)?;
            let carried = u128::from(icmp_protocol(family));
            let protocol = self.space.at_value(Level::Field(Field::L4proto), carried)?;
            let both = self.space.store.and(of_family, protocol)?;
            icmp = self.space.store.or(icmp, both)?;
        }
        let other = self.space.store.without(related, icmp)?;
        if !matches!(hook, Hook::Prerouting | Hook::Input) {
            return Ok([new, other]);
        }
        let loopback = self.by_loopback()?;
        let new = self.space.store.without(new, loopback)?;
        let other = self.space.store.without(other, loopback)?;
        Ok([new, other])
    }

    /// What becomes of packets at a base chain, and after it of those accepted or translated.
    fn base_chain(
        &mut self,
        placed: &Placed,
        place: Place,
        (accepted, translated): (Fates, Fates),
    ) -> Within<Fates> {
        let undecided = match placed.policy {
            ChainPolicy::Accept => accepted,
            ChainPolicy::Drop => self.space.store.always(Outcome::Drop),
        };
        let after = After {
            undecided,
            accepted,
            translated,
        };
        let stand = order::stand(place, placed.priority);
        let view = View {
            hook: place.hook(),
            tracked: stand == Stand::After,
        };
        let mut through = self.chain(placed.chain, view, after, 0)?;
        if stand == Stand::Beside {
            through = self.beside_conntrack(through, place.hook())?;
        }
        let through = match placed.devices {
            Some(named) => {
                let named = self.space.passing(named)?;
                self.space.store.choose(named, through, accepted)?
            }
            None => through,
        };
        if placed.certain {
            Ok(through)
        } else {
            self.space.store.union(through, accepted)
        }
    }

    /// What becomes of packets that come to a chain.
    fn chain(&mut self, id: ChainId, view: View, after: After, depth: u8) -> Within<Fates> {
        let program = self.program;
        let rules = program.tables[id.table].chains.get(id.chain.0);
        let (Some(rules), true) = (rules, depth <= JUMP_STACK) else {
            return self.anything(after, after.undecided);
        };
        let key = (id, view, after);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mut next = after.undecided;
        let mut alike = Alike::default();
        for (index, rule) in rules.iter().enumerate().rev() {
            let altered = self
                .altered
                .filter(|it| (it.chain, it.index) == (id, index));
            if let (None, Some((region, does))) = (altered, self.only_decides(rule, view, after)?) {
                if alike.does != Some(does) {
                    next = self.one_of(&mut alike, next)?;
                    alike.does = Some(does);
                }
                alike.regions.push(region);
                continue;
            }
            next = self.one_of(&mut alike, next)?;
            let at = At {
                table: id.table,
                view,
                after,
                next,
                depth,
            };
            next = match altered {
                Some(altered) => self.altered_rule(rule, altered.does, at)?,
                None => self.rule(rule, at)?,
            };
        }
        next = self.one_of(&mut alike, next)?;
        self.known.insert(key, next);
        Ok(next)
    }

    /// What becomes of packets that come to neighbouring rules which do the same. Their conditions
    /// are put together in twos, and not one after the other: of a thousand rules none meets all
    /// that the others ask.
    fn one_of(&mut self, alike: &mut Alike, next: Fates) -> Within<Fates> {
        let Some(does) = alike.does.take() else {
            return Ok(next);
        };
        let mut regions = std::mem::take(&mut alike.regions);
        while regions.len() > 1 {
            let mut half = Vec::with_capacity(regions.len().div_ceil(2));
            for pair in regions.chunks(2) {
                half.push(match *pair {
                    [one, other] => self.space.store.or(one, other)?,
                    [only] => only,
                    _ => unreachable!("chunks of two"),
                });
            }
            regions = half;
        }
        self.space
            .store
            .choose(regions.pop().unwrap_or(NOTHING), does, next)
    }

    /// The packets that a rule decides and what becomes of them, if all that it does is to decide,
    /// and it is certain for which packets.
    fn only_decides(
        &mut self,
        rule: &[Step],
        view: View,
        after: After,
    ) -> Within<Option<(Region, Fates)>> {
        let Some((last, before)) = rule.split_last() else {
            return Ok(None);
        };
        let does = match last {
            Step::Verdict(Verdict::Accept) => after.accepted,
            Step::Verdict(Verdict::Drop) => self.space.store.always(Outcome::Drop),
            Step::Reject(reject) => self.space.store.always(Outcome::Reject(*reject)),
            _ => return Ok(None),
        };
        let mut region = EVERYTHING;
        for step in before {
            match step {
                Step::Test(condition) => {
                    let truth = self.truth(condition, view)?;
                    if truth.certain != truth.possible {
                        return Ok(None);
                    }
                    region = self.space.store.and(region, truth.certain)?;
                }
                Step::Pass => {}
                _ => return Ok(None),
            }
        }
        Ok(Some((region, does)))
    }

    /// What becomes of packets that come to a rule.
    fn rule(&mut self, rule: &[Step], at: At) -> Within<Fates> {
        let mut now = at.next;
        for step in rule.iter().rev() {
            now = self.step(step, now, at)?;
        }
        Ok(now)
    }

    /// What becomes of packets that come to a rule which does something else than it says.
    fn altered_rule(&mut self, rule: &[Step], does: Does, at: At) -> Within<Fates> {
        let mut now = match does {
            Does::Nothing => return Ok(at.next),
            Does::Drop => self.space.store.always(Outcome::Drop),
            Does::Accept => at.after.accepted,
        };
        for step in rule.iter().rev() {
            match step {
                Step::Test(condition) => {
                    let truth = self.truth(condition, at.view)?;
                    now = self.where_it_holds(truth, now, at.next)?;
                }
                Step::VerdictMap { lookup, .. } => {
                    let there = self.there(&lookup.loads, at.view)?;
                    now = self.where_it_holds(there, now, at.next)?;
                }
                _ => {}
            }
        }
        Ok(now)
    }

    /// What becomes of packets that come to a part of a rule, when `on` becomes of those that go on
    /// with the next part.
    fn step(&mut self, step: &Step, on: Fates, at: At) -> Within<Fates> {
        match step {
            Step::Test(condition) => {
                let truth = self.truth(condition, at.view)?;
                self.where_it_holds(truth, on, at.next)
            }
            Step::VerdictMap { lookup, verdicts } => {
                let found = self.found(lookup, at.view)?;
                let Some(found) = found else {
                    return self.unknown_verdict(&lookup.loads, on, at);
                };
                let mut now = at.next;
                for (verdict, truth) in verdicts.iter().zip(found) {
                    let does = match verdict {
                        Some(verdict) => self.verdict(*verdict, on, at)?,
                        None => self.some_verdict(on, at)?,
                    };
                    now = self.where_it_holds(truth, does, now)?;
                }
                Ok(now)
            }
            Step::Verdict(verdict) => self.verdict(*verdict, on, at),
            Step::Reject(reject) => Ok(self.space.store.always(Outcome::Reject(*reject))),
            Step::Assign { field, load, value } => self.assign((*field, load, value), on, at),
            Step::Notrack => self.notrack(on, at.view),
            Step::Translate(translation) => self.translate(translation, on, at),
            Step::Pass => Ok(on),
            Step::Chance => self.space.store.union(on, at.next),
            Step::Connections => {
                let either = self.space.store.union(on, at.next)?;
                let drop = self.space.store.always(Outcome::Drop);
                let any = self.space.store.union(either, drop)?;
                let countable = self.countable(at.view)?;
                self.space.store.choose(countable, either, any)
            }
            Step::Queue => {
                let drop = self.space.store.always(Outcome::Drop);
                self.space.store.union(at.after.accepted, drop)
            }
            Step::Take => {
                let drop = self.space.store.always(Outcome::Drop);
                let either = self.space.store.union(on, at.next)?;
                self.space.store.union(drop, either)
            }
            Step::Anything => {
                let on = self.some_verdict(on, at)?;
                self.space.store.union(on, at.next)
            }
        }
    }

    fn verdict(&mut self, verdict: Verdict, on: Fates, at: At) -> Within<Fates> {
        let chain = |chain| ChainId {
            table: at.table,
            chain,
        };
        match verdict {
            Verdict::Accept => Ok(at.after.accepted),
            Verdict::Drop => Ok(self.space.store.always(Outcome::Drop)),
            // The rest of the rule is done: to `nft_do_chain` it is no verdict at all.
            Verdict::Continue => Ok(on),
            Verdict::Return => Ok(at.after.undecided),
            Verdict::Jump(to) => {
                let after = After {
                    undecided: at.next,
                    ..at.after
                };
                self.chain(chain(to), at.view, after, at.depth + 1)
            }
            Verdict::Goto(to) => self.chain(chain(to), at.view, at.after, at.depth + 1),
        }
    }

    /// A verdict that is not known, of an element that may be there.
    fn unknown_verdict(&mut self, loads: &[Load], on: Fates, at: At) -> Within<Fates> {
        let there = self.there(loads, at.view)?;
        let does = self.some_verdict(on, at)?;
        let does = self.space.store.union(does, at.next)?;
        self.where_it_holds(there, does, at.next)
    }

    /// A verdict that is not known: it may end the packet's way, or lead it anywhere and back.
    fn some_verdict(&mut self, on: Fates, at: At) -> Within<Fates> {
        let next = self.space.store.union(on, at.next)?;
        let next = self.space.store.union(next, at.after.undecided)?;
        self.anything(at.after, next)
    }

    /// Drops packets, accepts them, or goes on, changed or not.
    fn anything(&mut self, after: After, next: Fates) -> Within<Fates> {
        let drop = self.space.store.always(Outcome::Drop);
        let passes = self.space.store.union(after.accepted, after.translated)?;
        let goes_on = self.space.store.union(passes, next)?;
        let changed = self.havoc(goes_on)?;
        let goes_on = self.space.store.union(goes_on, changed)?;
        self.space.store.union(drop, goes_on)
    }
}

/// Neighbouring rules that do the same to the packets that they are about.
#[derive(Debug, Default)]
struct Alike {
    does: Option<Fates>,
    regions: Vec<Region>,
}

/// A rule that packets come to.
#[derive(Clone, Copy, Debug)]
struct At {
    table: usize,
    view: View,
    after: After,
    /// What becomes of packets that go on with the next rule.
    next: Fates,
    depth: u8,
}

impl Transfer<'_, '_> {
    /// The packets that come in by the loopback interface.
    fn by_loopback(&mut self) -> Within<Region> {
        let lo = portreeve_model::field::interface::number("lo").expect("it is short");
        self.space.at_value(Level::Field(Field::Iifname), lo)
    }

    /// Before conntrack has seen packets, the kernel calls them invalid (`nft_ct_get_eval` in
    /// `nft_ct.c`); those that come by `lo` it saw when they were sent, and among those that are
    /// sent, an answer that the kernel itself sends has its connection from the beginning.
    fn enters(&mut self, hook: Hook, fates: Fates) -> Within<Fates> {
        match hook {
            Hook::Prerouting => {
                let invalid = CtState::Invalid as u128;
                let invalid = self.space.given(fates, Level::EarlyCtState, invalid)?;
                self.but_by_loopback(fates, invalid)
            }
            Hook::Output => self.doubting(fates),
            Hook::Input | Hook::Forward | Hook::Postrouting => Ok(fates),
        }
    }

    /// What may become of packets at a chain that conntrack may have come before, unless a rule has
    /// told it to leave them alone.
    fn beside_conntrack(&mut self, fates: Fates, hook: Hook) -> Within<Fates> {
        let untracked = CtState::Untracked as u128;
        let mut certain = self.space.at_value(Level::EarlyCtState, untracked)?;
        if hook == Hook::Prerouting {
            let loopback = self.by_loopback()?;
            certain = self.space.store.or(certain, loopback)?;
        }
        let doubting = self.doubting(fates)?;
        self.space.store.choose(certain, fates, doubting)
    }

    /// `elsewhere`, but where packets come by `lo` early rules see what late rules do.
    fn but_by_loopback(&mut self, fates: Fates, elsewhere: Fates) -> Within<Fates> {
        let mut all = fates;
        for state in CtState::ALL {
            let state = state as u128;
            let given = self.space.given(fates, Level::EarlyCtState, state)?;
            let of_state = self.space.at_value(Level::Field(Field::CtState), state)?;
            all = self.space.store.choose(of_state, given, all)?;
        }
        let loopback = self.by_loopback()?;
        self.space.store.choose(loopback, all, elsewhere)
    }

    /// What may become of packets when it is not known what early rules see; an invalid packet has
    /// no connection whoever asks.
    fn doubting(&mut self, fates: Fates) -> Within<Fates> {
        let invalid = CtState::Invalid as u128;
        let certain = self.space.given(fates, Level::EarlyCtState, invalid)?;
        let any = self.space.forgetting(fates, Level::EarlyCtState)?;
        let is_invalid = self.space.at_value(Level::Field(Field::CtState), invalid)?;
        self.space.store.choose(is_invalid, certain, any)
    }
}
