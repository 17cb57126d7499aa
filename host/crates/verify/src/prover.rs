//! Rule sets and questions about them, over one space of packets.
//!
//! First everything that will be spoken of is said: rule sets, and the packets that goals are about.
//! Then the atoms are known, and questions are answered.

use std::collections::BTreeMap;

use portreeve_model::packet::Packet;
use portreeve_model::tables::{Match, Tables};

use crate::goals::possible_packets;
use crate::program::{ChainId, Condition, Program, read, read_condition};
use crate::space::{Budget, Fates, Outcomes, Region, Space, Survey, Within};
use crate::transfer::{Altered, Way, may_meet, region_of, transfer};
use crate::witness;

/// What will be asked about.
#[derive(Debug, Default)]
pub struct Inquiry<'a> {
    survey: Survey,
    rules: Vec<(&'a Tables, Program<'a>)>,
    packets: Vec<Vec<Vec<Condition>>>,
}

/// A rule set, by its place among those of an inquiry.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RulesId(usize);

/// Packets that a question is about, by their place among those of an inquiry.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PacketsId(usize);

impl<'a> Inquiry<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A rule set that will be spoken of.
    pub fn rules(&mut self, tables: &'a Tables) -> RulesId {
        let program = read(tables, &mut self.survey);
        self.rules.push((tables, program));
        RulesId(self.rules.len() - 1)
    }

    /// Packets that will be spoken of: those for which all conditions of some clause hold.
    pub fn packets(&mut self, clauses: &[Vec<Match>]) -> PacketsId {
        let survey = &mut self.survey;
        let clauses = clauses.iter().map(|clause| {
            let conditions = clause.iter();
            conditions.map(|it| read_condition(it, survey)).collect()
        });
        self.packets.push(clauses.collect());
        PacketsId(self.packets.len() - 1)
    }

    /// Whoever answers.
    #[must_use]
    pub fn prover(self, budget: Budget) -> Prover<'a> {
        Prover {
            space: self.survey.space(budget),
            rules: self.rules,
            packets: self.packets,
            ways: BTreeMap::new(),
            regions: BTreeMap::new(),
            possible: BTreeMap::new(),
        }
    }
}

/// Answers questions about rule sets.
#[derive(Debug)]
pub struct Prover<'a> {
    pub(crate) space: Space,
    rules: Vec<(&'a Tables, Program<'a>)>,
    packets: Vec<Vec<Vec<Condition>>>,
    // What was asked before.
    ways: BTreeMap<(RulesId, Way), Fates>,
    regions: BTreeMap<(PacketsId, Way), Region>,
    possible: BTreeMap<Way, Region>,
}

impl<'a> Prover<'a> {
    /// A rule set.
    #[must_use]
    pub fn tables(&self, of: RulesId) -> &'a Tables {
        self.rules[of.0].0
    }

    pub(crate) fn program(&self, of: RulesId) -> &Program<'a> {
        &self.rules[of.0].1
    }

    /// What a rule set with one rule altered does to every packet that goes a way.
    pub(crate) fn fates_altered(
        &mut self,
        of: RulesId,
        way: Way,
        altered: Altered,
    ) -> Within<Fates> {
        transfer(&mut self.space, &self.rules[of.0].1, way, Some(altered))
    }

    /// What a rule set does to every packet that goes a way.
    pub(crate) fn fates(&mut self, of: RulesId, way: Way) -> Within<Fates> {
        if let Some(known) = self.ways.get(&(of, way)) {
            return Ok(*known);
        }
        let fates = transfer(&mut self.space, &self.rules[of.0].1, way, None)?;
        self.ways.insert((of, way), fates);
        Ok(fates)
    }

    /// The packets that a question is about.
    pub(crate) fn region(&mut self, of: PacketsId, way: Way) -> Within<Region> {
        if let Some(known) = self.regions.get(&(of, way)) {
            return Ok(*known);
        }
        let region = region_of(&mut self.space, &self.packets[of.0], way)?;
        self.regions.insert((of, way), region);
        Ok(region)
    }

    /// The packets that there can be on a way.
    pub(crate) fn possible_packets(&mut self, way: Way) -> Within<Region> {
        if let Some(known) = self.possible.get(&way) {
            return Ok(*known);
        }
        let possible = possible_packets(&mut self.space, way)?;
        self.possible.insert(way, possible);
        Ok(possible)
    }

    /// The packets for which everything may hold that a rule asks, wherever it stands.
    pub(crate) fn region_of_rule(
        &mut self,
        of: RulesId,
        (chain, index): (ChainId, usize),
        way: Way,
    ) -> Within<Region> {
        let rule = &self.rules[of.0].1.tables[chain.table].chains[chain.chain.0][index];
        may_meet(&mut self.space, rule, way)
    }

    /// How many edges the diagrams have so far.
    #[must_use]
    pub fn size(&self) -> usize {
        self.space.store.size()
    }

    /// A packet that goes a way, with an atom of each variable as `choose` picks one of so many.
    pub fn random_packet(&self, way: Way, choose: &mut impl FnMut(u32) -> u32) -> Packet {
        witness::packet(&witness::random(&self.space, choose), way)
    }

    /// What becomes of one packet, read off the diagram: all that may, when the packet does not say
    /// everything that is asked of it.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn outcomes(&mut self, of: RulesId, way: Way, packet: &Packet) -> Within<Outcomes> {
        let fates = self.fates(of, way)?;
        Ok(self.space.of_packet(fates, packet))
    }
}
