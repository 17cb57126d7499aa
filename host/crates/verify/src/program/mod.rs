//! Rule sets as the prover reads them: every condition a test of variables, every set surveyed.
//!
//! Written from nft(8) and the kernel's sources, not from the evaluator: the two check each other.

mod condition;
mod lookup;
mod preimage;
mod value;

use std::sync::Arc;

use portreeve_model::address::Family;
use portreeve_model::field::{Field, icmp_protocol, interface};
use portreeve_model::intervals::Intervals;
use portreeve_model::ruleset::Reject;
use portreeve_model::tables::{
    self, ChainIndex, Data, Part, Scope, Table, TableFamily, Tables, Verdict,
};

pub(crate) use self::condition::{Condition, Holds, Load};
pub(crate) use self::lookup::{Lookup, Tree};
use self::value::assigned;
pub(crate) use self::value::{Translation, Value};
use crate::space::{Level, Survey, Test};

/// Every table, in the order in which they were registered.
#[derive(Clone, Debug)]
pub(crate) struct Program<'a> {
    pub(crate) tables: Vec<TableProgram<'a>>,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct TableProgram<'a> {
    pub(crate) table: &'a Table,
    /// For each chain, its rules; for each rule, its parts.
    pub(crate) chains: Vec<Vec<Vec<Step>>>,
    /// For each chain, the devices whose packets alone it sees, if it is attached to some.
    pub(crate) devices: Vec<Option<Test>>,
}

/// A part of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Goes on only if a condition holds.
    Test(Condition),
    /// Does what the element for a key says.
    VerdictMap {
        /// Which element it is.
        lookup: Lookup,
        /// For each datum of the lookup, its verdict; none when it is not known.
        verdicts: Vec<Option<Verdict>>,
    },
    /// Decides.
    Verdict(Verdict),
    /// Drops, and tells the sender.
    Reject(Reject),
    /// Gives a field a value.
    Assign {
        /// The field.
        field: Field,
        /// What must be there for that.
        load: Load,
        /// What it is given.
        value: Value,
    },
    /// Tells conntrack to leave the packet alone.
    Notrack,
    /// Translates addresses, and accepts.
    Translate(Translation),
    /// Changes nothing.
    Pass,
    /// Goes on, or fails.
    Chance,
    /// Goes on, or fails; drops packets of which it cannot tell the connection.
    Connections,
    /// Accepts, or drops.
    Queue,
    /// Drops, goes on, or fails.
    Take,
    /// May do anything.
    Anything,
}

/// Reads tables, and tells the survey every set that they speak of.
pub(crate) fn read<'a>(tables: &'a Tables, survey: &mut Survey) -> Program<'a> {
    let tables = tables.tables.iter();
    Program {
        tables: tables.map(|table| read_table(table, survey)).collect(),
    }
}

fn read_table<'a>(table: &'a Table, survey: &mut Survey) -> TableProgram<'a> {
    let mut reader = Reader { table, survey };
    let rule = |reader: &mut Reader<'_, '_>, rule: &tables::Rule| -> Vec<Step> {
        let parts = rule.parts.iter();
        parts.map(|part| reader.step(part)).collect()
    };
    let chains = table.chains.iter();
    let chains = chains.map(|chain| {
        let rules = chain.rules.iter();
        rules.map(|it| rule(&mut reader, it)).collect()
    });
    let chains = chains.collect();
    let devices = table.chains.iter();
    let devices = devices.map(|chain| reader.devices(chain)).collect();
    TableProgram {
        table,
        chains,
        devices,
    }
}

/// A condition that stands in no table: one of a goal. None when it names a set of a table.
pub(crate) fn read_condition(condition: &tables::Match, survey: &mut Survey) -> Condition {
    let nowhere = Table {
        family: TableFamily::Inet,
        name: String::new(),
        dormant: false,
        listed: false,
        sets: Vec::new(),
        chains: Vec::new(),
        unknown: Vec::new(),
    };
    let mut reader = Reader {
        table: &nowhere,
        survey,
    };
    reader.condition(condition)
}

/// Reads the rules of one table.
struct Reader<'a, 's> {
    table: &'a Table,
    survey: &'s mut Survey,
}

impl Reader<'_, '_> {
    fn step(&mut self, part: &Part) -> Step {
        match part {
            Part::Match(condition) => Step::Test(self.condition(condition)),
            Part::VerdictMap { key, map } => {
                let lookup = self.lookup(key, map);
                let verdict = |data: &Data| match data {
                    Data::Verdict(verdict) => Some(*verdict),
                    Data::None | Data::Value(_) | Data::Range(_) | Data::Unknown => None,
                };
                let verdicts = lookup.data.iter().map(verdict).collect();
                Step::VerdictMap { lookup, verdicts }
            }
            Part::Verdict(verdict) => Step::Verdict(*verdict),
            Part::Reject(reject) => Step::Reject(*reject),
            Part::Assign { field, value } => match assigned(*field) {
                Some(field) => Step::Assign {
                    field,
                    load: self.load(field),
                    value: self.value(Level::of(field), value),
                },
                None => Step::Anything,
            },
            Part::Notrack => Step::Notrack,
            Part::Nat(nat) => Step::Translate(self.translation(nat)),
            Part::Counter | Part::Note(_) => Step::Pass,
            Part::Chance(_) => Step::Chance,
            Part::Connections(_) => {
                for port in [Field::ThSport, Field::ThDport] {
                    // Whether there are ports decides whether there is anything to count.
                    let none = Arc::new(Intervals::EMPTY);
                    self.survey.test(Level::Field(port), &none);
                }
                Step::Connections
            }
            Part::Queue(_) => Step::Queue,
            Part::Take(_) => Step::Take,
            Part::Opaque(opaque) => match opaque.scope {
                Scope::Test | Scope::Chance => Step::Chance,
                Scope::Anything => Step::Anything,
            },
        }
    }

    /// The packets that a chain sees, when it sees those of some devices.
    fn devices(&mut self, chain: &tables::Chain) -> Option<Test> {
        let (names, level) = match &chain.base.as_ref()?.attachment {
            tables::Attachment::Ingress(names) => (names, Level::Field(Field::Iifname)),
            tables::Attachment::Egress(names) => (names, Level::Field(Field::Oifname)),
            tables::Attachment::Hook(_) | tables::Attachment::Unknown(_) => return None,
        };
        let patterns: Option<Vec<_>> = names.iter().map(|it| interface::pattern(it)).collect();
        // A listing that names no device does not say which.
        let patterns = patterns.filter(|it| !it.is_empty());
        let named: Intervals = patterns?.into_iter().collect();
        Some(self.survey.test(level, &Arc::new(named)))
    }

    /// What must be there for a field to be loaded, and where that is in doubt.
    fn load(&mut self, field: Field) -> Load {
        let mut needs = Vec::new();
        if let Some(family) = field.family() {
            let number = family.number().into();
            needs.push(self.survey.value(Level::Field(Field::Nfproto), number));
        }
        if let Some(protocol) = field.protocol() {
            let number = protocol.into();
            needs.push(self.survey.value(Level::Field(Field::L4proto), number));
        }
        Load {
            level: Level::of(field),
            field: Some(field),
            needs,
            doubt: self.doubt(field),
        }
    }

    /// The packets for which a listing may leave out what else the rule asks: nft 1.0.6 lists
    /// `icmpv6 type` alike whether the family is asked for or not, leaves `meta nfproto ipv4` out
    /// before `meta l4proto icmp`, and in tables of family `ip6` `ip6 nexthdr tcp` before a field of
    /// TCP (`host/docs/semantics.md`). Each entry is tests that hold together; the last fails.
    fn doubt(&mut self, field: Field) -> Vec<Doubt> {
        if !self.table.listed {
            return Vec::new();
        }
        let protocol_is = |survey: &mut Survey, number: u8| {
            survey.value(Level::Field(Field::L4proto), number.into())
        };
        match self.table.family {
            TableFamily::Ip => Vec::new(),
            TableFamily::Ip6 => {
                let Some(protocol) = field.protocol() else {
                    return Vec::new();
                };
                let next = Level::of(Field::NextHeader(Family::Ip6));
                [Doubt {
                    hold: vec![protocol_is(self.survey, protocol)],
                    fails: Some(self.survey.value(next, protocol.into())),
                }]
                .into()
            }
            TableFamily::Inet | TableFamily::Arp | TableFamily::Bridge | TableFamily::Netdev => {
                let of_icmp = field.family().map(icmp_protocol);
                let asks =
                    field == Field::L4proto || of_icmp.is_some() && of_icmp == field.protocol();
                let families = Family::BOTH.into_iter().filter(|_| asks);
                // Packets of one family that carry the ICMP of the other.
                let carrying = families.map(|family| {
                    let other = match family {
                        Family::Ip => Family::Ip6,
                        Family::Ip6 => Family::Ip,
                    };
                    let nfproto = Level::Field(Field::Nfproto);
                    let family = self.survey.value(nfproto, family.number().into());
                    let carried = icmp_protocol(other);
                    let concerns = field.protocol().is_none_or(|it| it == carried);
                    concerns.then(|| Doubt {
                        hold: vec![family, protocol_is(self.survey, carried)],
                        fails: None,
                    })
                });
                carrying.flatten().collect()
            }
        }
    }
}

/// Packets for which it is in doubt what a rule asks.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    /// Tests that hold of them.
    pub(crate) hold: Vec<Test>,
    /// A test that does not.
    pub(crate) fails: Option<Test>,
}

/// A chain of a table, by its place among them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ChainId {
    pub(crate) table: usize,
    pub(crate) chain: ChainIndex,
}
