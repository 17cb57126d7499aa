//! Who reaches what: services beside classes of sources, both families side by side.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::Family;
use portreeve_model::field::{Field, PROTOCOL_TCP, PROTOCOL_UDP, icmp_protocol, interface};
use portreeve_model::packet::CtState;

use crate::change::Fate;
use crate::describe::{Extent, extent};
use crate::prover::{Prover, RulesId};
use crate::space::{Atom, Fates, Level, Node, Within};
use crate::transfer::Way;

/// Who reaches what, over a way into the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exposure {
    /// The classes of sources, of both families.
    pub sources: Vec<Source>,
    /// The services that someone may reach.
    pub services: Vec<Service>,
}

/// Sources of one family that fare alike.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The family.
    pub family: Family,
    /// The addresses; none when they are all there are.
    pub addresses: Option<Extent>,
}

/// What packets ask for that begin a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// The protocol.
    pub protocol: Protocol,
    /// Its ports, or types of message; none where a protocol has none.
    pub of: Option<Extent>,
    /// For each class of sources, whether it gets through; none where the service is not of its
    /// family.
    pub reach: Vec<Option<Reach>>,
}

/// What the rows of an exposure are about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// The ICMP of each family.
    Icmp(Family),
    /// Any other protocol.
    Other,
}

/// Whether sources get through to a service.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reach {
    /// They do.
    Open,
    /// Some packets do, by something else than source and service: an interface, a port of theirs.
    Partly,
    /// That depends on something that no packet says.
    Maybe,
    /// They are led elsewhere.
    Elsewhere,
    /// They do not.
    Closed,
}

/// Classes of sources that are told, at most; the others are put together.
const SOURCES_MAX: usize = 8;

impl Prover<'_> {
    /// Who reaches what: of packets that begin a conversation and come from outside.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn exposure(&mut self, rules: RulesId, way: Way) -> Within<Exposure> {
        let mut families = Vec::new();
        for family in Family::BOTH {
            let fates = self.fates(rules, way)?;
            let fates = self.of_beginnings(fates, family)?;
            let sources = self.sources(fates, family)?;
            families.push(OfFamily {
                family,
                fates,
                sources,
            });
        }
        let mut services = Vec::new();
        for (protocol, number) in [(Protocol::Tcp, PROTOCOL_TCP), (Protocol::Udp, PROTOCOL_UDP)] {
            let row = (protocol, Level::Field(Field::ThDport));
            services.extend(self.services(&families, row, Some(number))?);
        }
        for family in Family::BOTH {
            let of = Level::Field(Field::IcmpType(family));
            let row = (Protocol::Icmp(family), of);
            services.extend(self.services(&families, row, Some(icmp_protocol(family)))?);
        }
        let row = (Protocol::Other, Level::Field(Field::L4proto));
        services.extend(self.services(&families, row, None)?);
        let sources = families.into_iter().flat_map(|of| {
            let sources = of.sources.into_iter();
            sources.map(move |(addresses, _)| Source {
                family: of.family,
                addresses,
            })
        });
        Ok(Exposure {
            sources: sources.collect(),
            services,
        })
    }

    /// What becomes of packets of a family that begin a conversation and come from outside.
    fn of_beginnings(&mut self, fates: Fates, family: Family) -> Within<Fates> {
        let given = [
            (Field::Nfproto, family.number().into()),
            (Field::CtState, CtState::New as u128),
            (Field::TcpFlags, SYN),
        ];
        given.into_iter().try_fold(fates, |fates, (field, value)| {
            self.space.given(fates, Level::Field(field), value)
        })
    }

    /// The names of interfaces by which packets come from outside.
    fn outside(&self) -> Vec<Atom> {
        let Some(at) = self.space.position(Level::Field(Field::Iifname)) else {
            return Vec::new();
        };
        let partition = self.space.partition(at);
        let lo = interface::number("lo").and_then(|lo| partition.atom_of(lo));
        let atoms = (0..partition.len()).map(Atom);
        atoms
            .filter(|atom| Some(*atom) != lo && Some(*atom) != partition.absent())
            .collect()
    }

    /// The sources of a family, by how they fare whatever they ask for.
    fn sources(
        &mut self,
        fates: Fates,
        family: Family,
    ) -> Within<Vec<(Option<Extent>, Vec<Atom>)>> {
        let Some(at) = self.space.position(Level::Field(Field::Saddr(family))) else {
            return Ok(Vec::from([(None, Vec::new())]));
        };
        let mut groups = self.groups(&[fates.0], at)?;
        if groups.len() > SOURCES_MAX {
            let mut rest = groups.split_off(SOURCES_MAX - 1).concat();
            rest.sort();
            groups.push(rest);
        }
        let everybody = groups.len() == 1;
        let named = |atoms: Vec<Atom>| {
            let addresses = (!everybody).then(|| extent(&self.space, at, &atoms));
            (addresses, atoms)
        };
        Ok(groups.into_iter().map(named).collect())
    }

    /// The services of a protocol that someone reaches.
    fn services(
        &mut self,
        families: &[OfFamily],
        (protocol, level): (Protocol, Level),
        number: Option<u8>,
    ) -> Within<Vec<Service>> {
        let mut of_families = Vec::new();
        for of in families {
            let has = match protocol {
                Protocol::Icmp(family) => family == of.family,
                Protocol::Tcp | Protocol::Udp | Protocol::Other => true,
            };
            let l4proto = Level::Field(Field::L4proto);
            of_families.push(match (has, number) {
                (false, _) => None,
                (true, Some(number)) => Some(self.space.given(of.fates, l4proto, number.into())?),
                (true, None) => Some(of.fates),
            });
        }
        let roots: Vec<Node> = of_families.iter().flatten().map(|fates| fates.0).collect();
        let rows = match self.space.position(level) {
            Some(at) => self.groups(&roots, at)?,
            None => Vec::from([Vec::new()]),
        };
        let mut services = Vec::new();
        for atoms in rows {
            if protocol == Protocol::Other && self.has_a_row(level, &atoms) {
                continue;
            }
            let mut reach = Vec::new();
            for (of, fates) in families.iter().zip(&of_families) {
                for (_, sources) in &of.sources {
                    reach.push(match fates {
                        None => None,
                        Some(fates) => Some(self.reach(*fates, (level, &atoms), (of, sources))?),
                    });
                }
            }
            if reach
                .iter()
                .all(|it| matches!(it, None | Some(Reach::Closed)))
            {
                continue;
            }
            let at = self.space.position(level).filter(|_| !atoms.is_empty());
            services.push(Service {
                protocol,
                of: at.map(|at| extent(&self.space, at, &atoms)),
                reach,
            });
        }
        Ok(services)
    }

    /// Whether a protocol is told by ports or types, in rows of its own.
    fn has_a_row(&self, l4proto: Level, atoms: &[Atom]) -> bool {
        let Some(at) = self.space.position(l4proto) else {
            return false;
        };
        let own = [PROTOCOL_TCP, PROTOCOL_UDP].into_iter();
        let mut own = own.chain(Family::BOTH.map(icmp_protocol));
        own.any(|number| {
            let atom = self.space.partition(at).atom_of(number.into());
            atom.is_some_and(|atom| atoms == [atom])
        })
    }

    /// Whether sources get through to a service.
    fn reach(
        &mut self,
        fates: Fates,
        (level, atoms): (Level, &[Atom]),
        (of, sources): (&OfFamily, &[Atom]),
    ) -> Within<Reach> {
        let mut seen = BTreeSet::new();
        let saddr = Level::Field(Field::Saddr(of.family));
        // The atoms of a row lead to the same place.
        let service = self.at(fates.0, level, atoms.first().copied())?;
        let sources = sources.iter().copied().map(Some);
        let nobody = [None];
        let sources = sources.chain(nobody.into_iter().filter(|_| of.sources.len() == 1));
        let interfaces = self.outside();
        for source in sources {
            let here = self.at(service, saddr, source)?;
            for interface in &interfaces {
                let here = self.at(here, Level::Field(Field::Iifname), Some(*interface))?;
                let mut ends = Vec::new();
                self.space.store.ends(here, &mut Vec::new(), &mut ends);
                let outcomes = ends.into_iter();
                let outcomes = outcomes.filter_map(|end| self.space.store.outcomes_at(end));
                seen.extend(outcomes.map(Fate::of));
            }
        }
        let may_pass = seen.iter().filter(|fate| fate.may_pass()).count();
        Ok(match seen.iter().next() {
            _ if may_pass == 0 => Reach::Closed,
            _ if seen.contains(&Fate::Uncertain) => Reach::Maybe,
            Some(Fate::Accept) if seen.len() == 1 => Reach::Open,
            Some(Fate::Elsewhere) if seen.len() == 1 => Reach::Elsewhere,
            _ => Reach::Partly,
        })
    }

    /// Where an atom of a variable leads.
    fn at(&mut self, node: Node, level: Level, atom: Option<Atom>) -> Within<Node> {
        match (self.space.position(level), atom) {
            (Some(at), Some(atom)) => self.space.store.fix(node, at, atom),
            (None, _) | (_, None) => Ok(node),
        }
    }

    /// The atoms of a variable that a packet can have, by where they lead in every diagram.
    fn groups(&mut self, roots: &[Node], at: u16) -> Within<Vec<Vec<Atom>>> {
        let partition = self.space.partition(at);
        let absent = partition.absent();
        let atoms = (0..partition.len()).map(Atom);
        let atoms: Vec<Atom> = atoms.filter(|atom| Some(*atom) != absent).collect();
        let mut by_ends: BTreeMap<Vec<Node>, Vec<Atom>> = BTreeMap::new();
        for atom in atoms {
            let ends: Within<Vec<Node>> = roots
                .iter()
                .map(|root| self.space.store.fix(*root, at, atom))
                .collect();
            by_ends.entry(ends?).or_default().push(atom);
        }
        let mut groups: Vec<Vec<Atom>> = by_ends.into_values().collect();
        groups.sort();
        Ok(groups)
    }
}

/// The packets of one family.
struct OfFamily {
    family: Family,
    fates: Fates,
    /// Its sources; none where all fare alike.
    sources: Vec<(Option<Extent>, Vec<Atom>)>,
}

/// SYN alone, in `tcp flags`.
const SYN: u128 = 2;
