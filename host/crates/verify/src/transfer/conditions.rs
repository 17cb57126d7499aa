//! For which packets a condition holds, and for which it may.

use portreeve_model::field::Field;
use portreeve_model::packet::{CtState, Hook};

use super::{Transfer, View, Way};
use crate::program::{Condition, Holds, Load, Lookup, Tree};
use crate::space::{EVERYTHING, Fates, Level, NOTHING, Region, Test, Within};

/// Whether something holds, for every packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    /// The packets for which it does.
    pub(super) certain: Region,
    /// Those, and those for which it may.
    pub(super) possible: Region,
}

/// The packets that have what is needed, and those of which that is in doubt.
#[derive(Clone, Debug)]
struct Needed {
    there: Region,
    doubt: Region,
    /// The variables of which it is in doubt for some packets.
    doubted: Vec<Level>,
}

impl Transfer<'_, '_> {
    /// `then` where it holds, either where it may, and `otherwise` elsewhere.
    pub(super) fn where_it_holds(
        &mut self,
        truth: Truth,
        then: Fates,
        otherwise: Fates,
    ) -> Within<Fates> {
        let mut elsewhere = otherwise;
        if truth.possible != truth.certain {
            let either = self.space.store.union(then, otherwise)?;
            elsewhere = self.space.store.choose(truth.possible, either, otherwise)?;
        }
        self.space.store.choose(truth.certain, then, elsewhere)
    }

    /// The packets for which every condition certainly holds.
    pub(super) fn all_hold(&mut self, conditions: &[Condition], view: View) -> Within<Region> {
        let mut all = EVERYTHING;
        for condition in conditions {
            let truth = self.truth(condition, view)?;
            all = self.space.store.and(all, truth.certain)?;
        }
        Ok(all)
    }

    /// Where a condition holds.
    pub(super) fn truth(&mut self, condition: &Condition, view: View) -> Within<Truth> {
        let needed = self.needed(&condition.loads, view)?;
        let holds = match &condition.holds {
            Holds::Passes(test) => self.passing(*test, view)?,
            Holds::Finds(tree) => self.finding(tree, &|_| true, view)?,
            Holds::FindsOneOf(tree, marks) => {
                let certain =
                    self.finding(tree, &|found| found.iter().all(|it| marks[*it]), view)?;
                let possible =
                    self.finding(tree, &|found| found.iter().any(|it| marks[*it]), view)?;
                return self.of_needed(certain, possible, &needed);
            }
            Holds::Constantly(true) => EVERYTHING,
            Holds::Constantly(false) => NOTHING,
            Holds::Unknown => return self.of_needed(NOTHING, EVERYTHING, &needed),
        };
        let holds = if condition.negated {
            self.space.store.without(EVERYTHING, holds)?
        } else {
            holds
        };
        self.of_needed(holds, holds, &needed)
    }

    /// What holds of packets that have what is needed. Where what is asked of a variable is in
    /// doubt, it holds for certain only if it does for every value, and may if it does for some.
    fn of_needed(&mut self, certain: Region, possible: Region, of: &Needed) -> Within<Truth> {
        let (mut certain, mut possible) = (certain, possible);
        if of.doubt != NOTHING {
            let (mut fails, mut some) = (self.space.store.without(EVERYTHING, certain)?, possible);
            for level in &of.doubted {
                fails = self.space.for_some_value(fails, *level)?;
                some = self.space.for_some_value(some, *level)?;
            }
            let store = &mut self.space.store;
            let fails = store.and(fails, of.doubt)?;
            let some = store.and(some, of.doubt)?;
            certain = store.without(certain, fails)?;
            possible = store.or(possible, some)?;
        }
        Ok(Truth {
            certain: self.space.store.and(certain, of.there)?,
            possible: self.space.store.and(possible, of.there)?,
        })
    }

    /// Where everything is there that is loaded.
    pub(super) fn there(&mut self, loads: &[Load], view: View) -> Within<Truth> {
        let needed = self.needed(loads, view)?;
        self.of_needed(EVERYTHING, EVERYTHING, &needed)
    }

    fn needed(&mut self, loads: &[Load], view: View) -> Within<Needed> {
        let mut all = Needed {
            there: EVERYTHING,
            doubt: NOTHING,
            doubted: Vec::new(),
        };
        for load in loads {
            // What is in doubt may be asked of no field at all.
            let (has, doubt) = (self.having(load, view)?, self.doubted(load, view)?);
            let there = self.space.store.or(has, doubt)?;
            all.there = self.space.store.and(all.there, there)?;
            all.doubt = self.space.store.or(all.doubt, doubt)?;
            if doubt != NOTHING {
                let levels = self.space.levels().iter().copied();
                all.doubted.extend(levels.filter(|it| it.is_of(load.level)));
            }
        }
        Ok(all)
    }

    /// The packets that pass a test, as rules see them here.
    fn passing(&mut self, test: Test, view: View) -> Within<Region> {
        let level = match test.level {
            Level::Field(Field::CtState) => view.ct_state(),
            other => other,
        };
        self.space.passing(Test { level, ..test })
    }

    /// For each datum of a lookup, where it is found; none when that cannot be told.
    pub(super) fn found(&mut self, lookup: &Lookup, view: View) -> Within<Option<Vec<Truth>>> {
        let Some(tree) = &lookup.tree else {
            return Ok(None);
        };
        let needed = self.needed(&lookup.loads, view)?;
        let mut all = Vec::with_capacity(lookup.data.len());
        for datum in 0..lookup.data.len() {
            let certain = self.finding(tree, &|found| found == [datum], view)?;
            let possible = self.finding(tree, &|found| found.contains(&datum), view)?;
            all.push(self.of_needed(certain, possible, &needed)?);
        }
        Ok(Some(all))
    }

    /// The packets for which a lookup finds what is wanted.
    fn finding(
        &mut self,
        tree: &Tree,
        wanted: &impl Fn(&[usize]) -> bool,
        view: View,
    ) -> Within<Region> {
        match tree {
            Tree::Found(found) if !found.is_empty() && wanted(found) => Ok(EVERYTHING),
            Tree::Found(_) => Ok(NOTHING),
            Tree::Ask(tests) => {
                let mut all = NOTHING;
                for (test, tree) in tests {
                    let rest = self.finding(tree, wanted, view)?;
                    if rest == NOTHING {
                        continue;
                    }
                    let passing = self.passing(*test, view)?;
                    let both = self.space.store.and(passing, rest)?;
                    all = self.space.store.or(all, both)?;
                }
                Ok(all)
            }
        }
    }

    /// The packets that have what is loaded.
    fn having(&mut self, load: &Load, view: View) -> Within<Region> {
        let mut all = EVERYTHING;
        if self.is_known(load, view) {
            all = self.space.having(load.level)?;
        }
        for need in &load.needs {
            let passing = self.space.passing(*need)?;
            all = self.space.store.and(all, passing)?;
        }
        if load.field.is_some_and(Field::is_of_connection) {
            let connected = self.connected(view)?;
            all = self.space.store.and(all, connected)?;
        }
        Ok(all)
    }

    /// The packets of which it is in doubt what is asked of them.
    fn doubted(&mut self, load: &Load, view: View) -> Within<Region> {
        if !self.is_known(load, view) {
            return Ok(EVERYTHING);
        }
        let mut all = NOTHING;
        for doubt in &load.doubt {
            let mut region = EVERYTHING;
            for test in &doubt.hold {
                let passing = self.space.passing(*test)?;
                region = self.space.store.and(region, passing)?;
            }
            if let Some(test) = doubt.fails {
                let passing = self.space.passing(test)?;
                region = self.space.store.without(region, passing)?;
            }
            all = self.space.store.or(all, region)?;
        }
        Ok(all)
    }

    /// Whether what is loaded here is what the packet has: there may be no interface yet, or none
    /// any more, and a hop is taken between prerouting and forward.
    fn is_known(&self, load: &Load, view: View) -> bool {
        let Some(field) = load.field else {
            return true;
        };
        let before_hop = self.way == Way::Through && view.hook == Hook::Prerouting;
        field.is_known_at(view.hook) && !(before_hop && matches!(field, Field::HopLimit(_)))
    }

    /// The packets of which `ct count` can tell the connection: conntrack knows it, or they have
    /// ports to look for (`nf_ct_get_tuplepr` in `nf_conntrack_core.c`).
    pub(super) fn countable(&mut self, view: View) -> Within<Region> {
        let mut with_ports = self.with_ports()?;
        for port in [Field::ThSport, Field::ThDport] {
            let having = self.space.having(Level::Field(port))?;
            with_ports = self.space.store.and(with_ports, having)?;
        }
        let connected = self.connected(view)?;
        self.space.store.or(connected, with_ports)
    }

    /// The packets that have a connection, as rules see them here.
    pub(super) fn connected(&mut self, view: View) -> Within<Region> {
        let mut without = NOTHING;
        for state in [CtState::Invalid, CtState::Untracked] {
            let of_state = self.space.at_value(view.ct_state(), state as u128)?;
            without = self.space.store.or(without, of_state)?;
        }
        self.space.store.without(EVERYTHING, without)
    }
}

impl View {
    /// The variable that rules here ask for `ct state`.
    const fn ct_state(self) -> Level {
        if self.tracked {
            Level::Field(Field::CtState)
        } else {
            Level::EarlyCtState
        }
    }
}
