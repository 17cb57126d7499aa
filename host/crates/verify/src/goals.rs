//! Goals: what must become of packets, decided for all of them.

use portreeve_model::address::Family;
use portreeve_model::evaluate::{self, HookVerdict, evaluate, journey};
use portreeve_model::field::{Field, interface};
use portreeve_model::goal::Quantifier;
use portreeve_model::packet::Packet;
use portreeve_model::tables::Tables;

use crate::prover::{PacketsId, Prover, RulesId};
use crate::space::{
    Certainty, EVERYTHING, Fates, Level, NOTHING, Outcome, Outcomes, OverBudget, Region, Space,
    Within,
};
use crate::transfer::Way;
use crate::witness;

/// Something that must hold of a rule set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The rule set.
    pub rules: RulesId,
    /// The way that the packets go.
    pub way: Way,
    /// The packets that it is about.
    pub packets: PacketsId,
    /// What must become of them.
    pub quantifier: Quantifier,
}

/// Whether a claim holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It does, for every packet.
    Proved,
    /// It does not: here is a packet, and the evaluator says so too.
    Refuted(Refutation),
    /// It cannot be told.
    Undecided(Undecided),
}

/// A packet that breaks a claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refutation {
    /// The packet.
    pub packet: Packet,
    /// Whether it is let through.
    pub accepted: bool,
    /// Of a claim that both families fare alike, the packet of the other family that does not.
    pub other: Option<Packet>,
}

/// Why a claim cannot be decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Undecided {
    /// What becomes of this packet depends on something that no packet says: a limit, a set that
    /// changes, an expression that is not known. The evaluator tells which.
    Uncertain(Packet),
    /// The evaluator does not agree about this packet: a fault of portreeve, or a packet that cannot
    /// be.
    Unconfirmed(Packet),
    /// There is no packet that it is about, so that it would hold of any rule set.
    NoPacket,
    /// It takes more than the budget.
    OverBudget(OverBudget),
}

/// Witnesses that the evaluator is asked about before a claim is left undecided.
const WITNESSES_MAX: usize = 16;

impl Prover<'_> {
    /// Whether a claim holds.
    pub fn decide(&mut self, claim: Claim) -> Answer {
        match self.answer(claim) {
            Ok(answer) => answer,
            Err(over) => Answer::Undecided(Undecided::OverBudget(over)),
        }
    }

    fn answer(&mut self, claim: Claim) -> Within<Answer> {
        let fates = self.fates(claim.rules, claim.way)?;
        let concerned = self.region(claim.packets, claim.way)?;
        let possible = self.possible_packets(claim.way)?;
        let inside = self.space.store.and(possible, concerned)?;
        let outside = self.space.store.without(possible, concerned)?;
        if inside == NOTHING && claim.quantifier != Quantifier::ExactlyTheseAccepted {
            return Ok(Answer::Undecided(Undecided::NoPacket));
        }
        match claim.quantifier {
            Quantifier::AllAccepted => self.all_are(claim, fates, &[(inside, true)]),
            Quantifier::NoneAccepted => self.all_are(claim, fates, &[(inside, false)]),
            Quantifier::ExactlyTheseAccepted => {
                self.all_are(claim, fates, &[(inside, true), (outside, false)])
            }
            Quantifier::FamiliesAlike => self.families_are_alike(claim, fates, inside),
        }
    }

    /// Whether the packets of each region are accepted, or are not.
    fn all_are(&mut self, claim: Claim, fates: Fates, wanted: &[(Region, bool)]) -> Within<Answer> {
        let mut uncertain = None;
        for (region, accepted) in wanted {
            let broken = |outcomes: &Outcomes| is_wanted(outcomes, *accepted) == Certainty::Never;
            let broken = self.space.store.where_outcomes(fates, &broken)?;
            let broken = self.space.store.and(broken, *region)?;
            match self.confirmed(claim, broken, !accepted)? {
                None => {}
                Some(Ok(packet)) => {
                    return Ok(Answer::Refuted(Refutation {
                        packet,
                        accepted: !accepted,
                        other: None,
                    }));
                }
                Some(Err(packet)) => uncertain = Some(Undecided::Unconfirmed(packet)),
            }
            let open = |outcomes: &Outcomes| is_wanted(outcomes, *accepted) == Certainty::Maybe;
            let open = self.space.store.where_outcomes(fates, &open)?;
            let open = self.space.store.and(open, *region)?;
            if let (None, Some(packet)) = (&uncertain, self.witness(open, claim.way)) {
                uncertain = Some(Undecided::Uncertain(packet));
            }
        }
        Ok(uncertain.map_or(Answer::Proved, Answer::Undecided))
    }

    /// A packet of the region of which the evaluator says the same; one of which it does not, when
    /// there is no other.
    pub(crate) fn confirmed(
        &mut self,
        claim: Claim,
        region: Region,
        accepted: bool,
    ) -> Within<Option<Result<Packet, Packet>>> {
        let tables = self.tables(claim.rules);
        let mut left = region;
        let mut unconfirmed = None;
        for _ in 0..WITNESSES_MAX {
            let Some(valuation) = witness::ordinary(&self.space, left) else {
                break;
            };
            let packet = witness::packet(&valuation, claim.way);
            if by_evaluator(tables, claim.way, &packet) == Some(accepted) {
                return Ok(Some(Ok(packet)));
            }
            unconfirmed.get_or_insert(packet);
            let alike = witness::alike(&mut self.space, &valuation)?;
            left = self.space.store.without(left, alike)?;
        }
        Ok(unconfirmed.map(Err))
    }

    /// Whether of any two packets of the region, one of each family, that agree in everything else
    /// that both have, both are accepted or neither is.
    fn families_are_alike(&mut self, claim: Claim, fates: Fates, region: Region) -> Within<Answer> {
        let accepted = |outcomes: &Outcomes| is_wanted(outcomes, true) == Certainty::Always;
        let refused = |outcomes: &Outcomes| is_wanted(outcomes, false) == Certainty::Always;
        let accepted = self.space.store.where_outcomes(fates, &accepted)?;
        let refused = self.space.store.where_outcomes(fates, &refused)?;
        let certain = self.space.store.or(accepted, refused)?;
        let open = self.space.store.without(region, certain)?;
        let mut families = Vec::new();
        for family in Family::BOTH {
            let nfproto = Level::Field(Field::Nfproto);
            let of_family = self.space.at_value(nfproto, family.number().into())?;
            let of_family = self.space.store.and(of_family, region)?;
            let accepted = self.space.store.and(of_family, accepted)?;
            let refused = self.space.store.and(of_family, refused)?;
            families.push((accepted, refused));
        }
        let [(ip_accepted, ip_refused), (ip6_accepted, ip6_refused)] = families[..] else {
            unreachable!("there are two families");
        };
        for (here, there, accepted) in [
            (ip_accepted, ip6_refused, true),
            (ip_refused, ip6_accepted, false),
        ] {
            let both = self.common(here)?;
            let theirs = self.common(there)?;
            let both = self.space.store.and(both, theirs)?;
            let (ours, theirs) = (
                self.space.store.and(here, both)?,
                self.space.store.and(there, both)?,
            );
            let ours = witness::ordinary(&self.space, ours);
            let Some(ours) = ours else { continue };
            // The other packet agrees in everything that both have.
            let shared = ours.iter().filter(|(level, _)| is_common(**level));
            let shared = shared.map(|(level, value)| (*level, *value)).collect();
            let alike = witness::alike(&mut self.space, &shared)?;
            let theirs = self.space.store.and(theirs, alike)?;
            return Ok(Answer::Refuted(Refutation {
                packet: witness::packet(&ours, claim.way),
                accepted,
                other: self.witness(theirs, claim.way),
            }));
        }
        Ok(match self.witness(open, claim.way) {
            Some(packet) => Answer::Undecided(Undecided::Uncertain(packet)),
            None => Answer::Proved,
        })
    }

    /// A region without what only one family has.
    fn common(&mut self, region: Region) -> Within<Region> {
        let levels = self.space.levels().to_vec();
        let of_one = levels.into_iter().filter(|it| !is_common(*it));
        let mut of_one = of_one;
        of_one.try_fold(region, |region, level| {
            self.space.for_some_value(region, level)
        })
    }

    /// The most ordinary packet of a region.
    pub(crate) fn witness(&self, region: Region, way: Way) -> Option<Packet> {
        let valuation = witness::ordinary(&self.space, region)?;
        Some(witness::packet(&valuation, way))
    }
}

/// The packets that there can be: they have the interfaces that their hook knows, and interface
/// 1 is the loopback interface in every namespace (`LOOPBACK_IFINDEX` in `net/flow.h`).
pub(crate) fn possible_packets(space: &mut Space, way: Way) -> Within<Region> {
    let mut all = EVERYTHING;
    for level in space.levels().to_vec() {
        let of_interface = |field: Field| field.is_of_iif() || field.is_of_oif();
        let known = |field: Field| of_interface(field) && field.is_known_at(way.hook());
        if level.field().is_some_and(known) {
            let having = space.having(level)?;
            all = space.store.and(all, having)?;
        }
    }
    for (index, name) in [(Field::Iif, Field::Iifname), (Field::Oif, Field::Oifname)] {
        let asked = [index, name].map(|it| space.position(Level::Field(it)).is_some());
        if asked != [true, true] || !name.is_known_at(way.hook()) {
            continue;
        }
        let lo = interface::number("lo").expect("it is short");
        let first = space.at_value(Level::Field(index), 1)?;
        let named = space.at_value(Level::Field(name), lo)?;
        let store = &mut space.store;
        let (one, other) = (store.without(first, named)?, store.without(named, first)?);
        let impossible = store.or(one, other)?;
        all = store.without(all, impossible)?;
    }
    Ok(all)
}

/// Whether packets are accepted, or dropped, as is wanted. On a way, a packet that is led elsewhere
/// does not arrive; and it is not dropped.
fn is_wanted(outcomes: &Outcomes, accepted: bool) -> Certainty {
    if accepted {
        outcomes.are(Outcome::arrives)
    } else {
        outcomes.are(|outcome| outcome.verdict() == HookVerdict::Drop)
    }
}

/// Whether both families have the variable.
const fn is_common(level: Level) -> bool {
    match level {
        // The type of a frame says the family.
        Level::Field(field) => {
            field.family().is_none() && !matches!(field, Field::Nfproto | Field::EtherType)
        }
        Level::Slice(slice) => slice.field.family().is_none(),
        Level::EarlyCtState | Level::Unknown(_) => true,
    }
}

/// Whether the evaluator says that a packet arrives; none when it does not know.
fn by_evaluator(tables: &Tables, way: Way, packet: &Packet) -> Option<bool> {
    let (verdict, elsewhere) = match way {
        Way::At(_) => {
            let evaluation = evaluate(tables, packet);
            let verdict = match (evaluation.must_accept(), evaluation.must_drop()) {
                (true, _) => evaluate::Verdict::Accept,
                (_, true) => evaluate::Verdict::Drop,
                (false, false) => evaluate::Verdict::Undecided,
            };
            (verdict, evaluation.changes.leads_elsewhere())
        }
        Way::In | Way::Through | Way::Out => {
            let journey = journey(tables, packet);
            let stops = journey.stops.iter();
            let elsewhere = stops.map(|stop| stop.evaluation.changes.leads_elsewhere());
            (
                journey.verdict(),
                elsewhere.fold(false, |any, this| any | this),
            )
        }
    };
    match verdict {
        evaluate::Verdict::Accept => Some(!elsewhere),
        evaluate::Verdict::Drop | evaluate::Verdict::Reject(_) => Some(false),
        evaluate::Verdict::Undecided => None,
    }
}
