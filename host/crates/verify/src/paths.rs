//! Packets that between them go every path of a diagram: to be tried on a real kernel, which shares
//! no code with the diagram at all.

use std::collections::BTreeSet;
use std::hash::{Hash as _, Hasher as _};

use hashbrown::HashTable;
use portreeve_model::address::Family;
use portreeve_model::field::Field;
use portreeve_model::packet::Packet;
use rustc_hash::FxHasher;

use crate::prover::{Prover, RulesId};
use crate::space::{Atom, Level, NOTHING, Node, Outcomes, Space, Within};
use crate::transfer::Way;
use crate::witness::{self, Valuation};

/// A way through a diagram: each variable that is asked, and the atoms, from the first to before the
/// second, with which packets go on as they do.
type Path = Vec<(u16, (u32, u32))>;

impl Prover<'_> {
    /// Packets that go every path of what a rule set does, and what the diagram says becomes of them.
    ///
    /// First one packet for each path, the most ordinary; then, as what leads to the same end need
    /// not be the same rule, one for each further atom of each variable along it. At most `most`:
    /// where there are that many, there may be more.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn paths(
        &mut self,
        rules: RulesId,
        way: Way,
        most: usize,
    ) -> Within<Vec<(Packet, Outcomes)>> {
        let fates = self.fates(rules, way)?;
        let possible = self.possible_packets(way)?;
        let mut walk = Walk {
            space: &self.space,
            most,
            paths: Vec::new(),
        };
        walk.follow([fates.0, possible.0], &mut Path::new());
        let paths = walk.paths;
        let ordinary = paths.iter().map(|path| (path, None));
        let mut found = Found::default();
        for (path, other) in ordinary.chain(paths.iter().flat_map(others)) {
            if found.packets.len() == most {
                break;
            }
            let valuation = valuation(&self.space, path, other);
            found.add(witness::packet(&valuation, way));
        }
        let packets = found.packets.into_iter().map(|packet| {
            let outcomes = self.space.of_packet(fates, &packet);
            (packet, outcomes)
        });
        Ok(packets.collect())
    }
}

/// Packets, each once.
#[derive(Default)]
struct Found {
    packets: Vec<Packet>,
    places: HashTable<usize>,
}

impl Found {
    fn add(&mut self, packet: Packet) {
        let (packets, hash) = (&self.packets, hash_of(&packet));
        if self
            .places
            .find(hash, |at| packets[*at] == packet)
            .is_none()
        {
            let rehash = |at: &usize| hash_of(&packets[*at]);
            self.places.insert_unique(hash, packets.len(), rehash);
            self.packets.push(packet);
        }
    }
}

fn hash_of(packet: &Packet) -> u64 {
    let mut hasher = FxHasher::default();
    packet.hash(&mut hasher);
    hasher.finish()
}

/// Walks through a diagram, and one of the packets that there can be beside it.
struct Walk<'a> {
    space: &'a Space,
    most: usize,
    paths: Vec<Path>,
}

impl Walk<'_> {
    fn follow(&mut self, [fates, possible]: [Node; 2], path: &mut Path) {
        if possible == NOTHING.0 || self.paths.len() == self.most {
            return;
        }
        let store = &self.space.store;
        let asks = |node| store.open(node).map(|(level, _)| level);
        let Some(level) = [fates, possible].into_iter().filter_map(asks).min() else {
            self.paths.push(path.clone());
            return;
        };
        let mut firsts = BTreeSet::new();
        for (asked, edges) in [fates, possible]
            .into_iter()
            .filter_map(|it| store.open(it))
        {
            if asked == level {
                firsts.extend(edges.map(|(first, _)| first.0));
            }
        }
        let asking = [fates, possible].map(|it| asks(it) == Some(level));
        let firsts: Vec<u32> = firsts.into_iter().collect();
        let ends = firsts.iter().skip(1).copied();
        let ends = ends.chain([self.space.partition(level).len()]);
        for (first, end) in firsts.iter().copied().zip(ends) {
            let to = |node, asks| {
                if asks {
                    store.follow(node, Atom(first))
                } else {
                    node
                }
            };
            let to = [to(fates, asking[0]), to(possible, asking[1])];
            path.push((level, (first, end)));
            self.follow(to, path);
            path.pop();
        }
    }
}

/// Every atom along a path, with the place of its variable in it.
fn others(path: &Path) -> impl Iterator<Item = (&Path, Option<(u16, Atom)>)> {
    path.iter().flat_map(move |(level, (first, end))| {
        (*first..*end).map(move |atom| (path, Some((*level, Atom(atom)))))
    })
}

/// The most ordinary values along a path, of one variable those of `other`. What no packet can say
/// is left out.
fn valuation(space: &Space, path: &Path, other: Option<(u16, Atom)>) -> Valuation {
    let mut valuation = Valuation::new();
    for (at, (first, end)) in path {
        let level = space.levels()[usize::from(*at)];
        let leads = |atom: Atom| match other {
            Some((of, wanted)) if of == *at => atom == wanted,
            _ => (*first..*end).contains(&atom.0),
        };
        match level {
            Level::Field(_) | Level::Slice(_) => {
                let (value, _) = witness::most_ordinary(space, *at, level, &leads);
                valuation.insert(level, value);
            }
            Level::EarlyCtState | Level::Unknown(_) => {}
        }
    }
    cut_off(&mut valuation);
    valuation
}

/// Of a packet that ends before a field, also leaves out what would come after it, unless that is
/// asked as well.
fn cut_off(valuation: &mut Valuation) {
    for header in headers() {
        let is_missing = |field: &Field| valuation.get(&Level::Field(*field)) == Some(&None);
        let Some(first) = header.iter().position(is_missing) else {
            continue;
        };
        for field in &header[first..] {
            valuation.entry(Level::Field(*field)).or_insert(None);
        }
    }
}

/// The fields of each transport header that rules ask for, in order.
fn headers() -> [Vec<Field>; 3] {
    let icmp = |family| {
        vec![
            Field::IcmpType(family),
            Field::IcmpCode(family),
            Field::IcmpId(family),
            Field::IcmpSequence(family),
        ]
    };
    [
        vec![Field::ThSport, Field::ThDport, Field::TcpFlags],
        icmp(Family::Ip),
        icmp(Family::Ip6),
    ]
}
