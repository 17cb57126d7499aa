//! Packets in nft's words: as named sets where some say the same, as values where not.

use std::collections::BTreeMap;
use std::fmt;

use portreeve_model::address::{Family, Prefix};
use portreeve_model::diagnostic::Said;
use portreeve_model::field::{Field, Kind, PortProtocol, icmp_protocol};
use portreeve_model::intervals::{Interval, Intervals};

use crate::space::{Atom, Level, NOTHING, Node, Region, SetId, Space};

/// Packets of which some variables have certain values, and the others any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Class {
    /// What is said of them, in the order of nft's words.
    pub extents: Vec<Extent>,
}

/// The values of one variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extent {
    /// The field that has them, or the text of what is not known.
    pub field: Subject,
    /// In nft's words, without the field: `@office`, `!= { 22, 443 }`.
    pub words: String,
    /// The values.
    pub values: Intervals,
    /// Whether packets without the field are meant as well.
    pub or_absent: bool,
}

/// What has values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A field.
    Field(Field),
    /// These bits of a field.
    Bits(Field, u128),
    /// Something that is not known, as the listing says it.
    Unknown(String),
}

/// Values that are written out, at most.
const SHOWN: usize = 5;

/// Values that are written out rather than a named set that says the same.
const FEW: usize = 2;

/// Named sets of a variable that are put together in twos, at most.
const NAMED: usize = 12;

/// The classes of a region, at most so many; and whether there are more.
pub(crate) fn classes(space: &Space, region: Region, most: usize) -> (Vec<Class>, bool) {
    let mut classes = Vec::new();
    let whole = collect(space, region.0, &mut Vec::new(), &mut classes, most);
    (classes, !whole)
}

/// Adds the class of each way from a node to everything, with what was said on the way to the node;
/// whether there was room for all.
fn collect(
    space: &Space,
    node: Node,
    so_far: &mut Vec<Extent>,
    classes: &mut Vec<Class>,
    most: usize,
) -> bool {
    if node == NOTHING.0 {
        return true;
    }
    let Some((level, edges)) = space.store.open(node) else {
        if classes.len() == most {
            return false;
        }
        let extents = so_far.clone();
        classes.push(Class { extents }.in_words_of_its_protocol());
        return true;
    };
    let edges: Vec<(Atom, Node)> = edges.collect();
    let ends = edges.iter().skip(1).map(|(first, _)| first.0);
    let ends = ends.chain([space.partition(level).len()]);
    let mut by_target: BTreeMap<Node, Vec<Atom>> = BTreeMap::new();
    let mut targets = Vec::new();
    for ((first, to), end) in edges.iter().zip(ends) {
        let atoms = by_target.entry(*to).or_default();
        if atoms.is_empty() {
            targets.push(*to);
        }
        atoms.extend((first.0..end).map(Atom));
    }
    targets.into_iter().filter(|to| *to != NOTHING.0).all(|to| {
        let atoms = by_target.remove(&to).unwrap_or_default();
        let before = so_far.len();
        so_far.extend(says_something(space, level, &atoms).then(|| extent(space, level, &atoms)));
        let whole = collect(space, to, so_far, classes, most);
        so_far.truncate(before);
        whole
    })
}

/// Whether not every packet has one of the values: that it has an interface goes without saying, that
/// it has a header does not.
fn says_something(space: &Space, level: u16, atoms: &[Atom]) -> bool {
    let goes_without_saying = match space.levels()[usize::from(level)] {
        Level::Field(field) => field.is_of_iif() || field.is_of_oif(),
        Level::Slice(_) | Level::EarlyCtState | Level::Unknown(_) => false,
    };
    let partition = space.partition(level);
    let absent = partition.absent();
    let values = atoms.iter().filter(|it| Some(**it) != absent).count();
    let all = partition.len() - u32::from(absent.is_some());
    !(goes_without_saying && values as u32 == all)
}

/// The values of some atoms of a variable.
pub(crate) fn extent(space: &Space, level: u16, atoms: &[Atom]) -> Extent {
    let partition = space.partition(level);
    let values = partition.intervals(|atom| atoms.binary_search(&atom).is_ok());
    let field = match space.levels()[usize::from(level)] {
        Level::Field(field) => Subject::Field(field),
        Level::Slice(slice) => Subject::Bits(slice.field, slice.mask),
        Level::EarlyCtState => Subject::Field(Field::CtState),
        Level::Unknown(number) => Subject::Unknown(space.unknown_text(number).to_owned()),
    };
    let or_absent = partition.absent().is_some_and(|it| atoms.contains(&it));
    let valued: Vec<Atom> = atoms
        .iter()
        .copied()
        .filter(|it| Some(*it) != partition.absent())
        .collect();
    Extent {
        words: words(space, level, &valued, &values, field.kind()),
        field,
        values,
        or_absent,
    }
}

/// The shortest way to say some atoms of a variable.
fn words(space: &Space, level: u16, atoms: &[Atom], values: &Intervals, kind: Kind) -> String {
    // Which way is shorter is known without writing out more than is shown.
    let count = |values| pieces(kind, values).take(SHOWN + 1).count();
    let listed = |values| listed(kind, &texts(kind, values, SHOWN));
    let these = count(values);
    if these == 1 {
        return listed(values);
    }
    let others = values_beside(space, level, values);
    let those = count(&others);
    // Types of messages have names, and those that are none of a few have not.
    let shorter = !matches!(kind, Kind::IcmpType(_)) && 0 < those && those < these;
    if shorter && those <= FEW {
        return format!("!= {}", listed(&others));
    }
    if these <= FEW {
        return listed(values);
    }
    if let Some(words) = by_sets(space, level, atoms) {
        return words;
    }
    if shorter && those <= SHOWN {
        return format!("!= {}", listed(&others));
    }
    if these <= SHOWN {
        return listed(values);
    }
    let more = pieces(kind, values).count() - SHOWN;
    let shown = texts(kind, values, SHOWN).join(", ");
    format!("{{ {shown}, … {more} more }}")
}

fn values_beside(space: &Space, level: u16, values: &Intervals) -> Intervals {
    let domain = space.levels()[usize::from(level)].domain();
    domain.difference(values)
}

/// The first so many of the values as nft writes them, addresses as the fewest prefixes.
fn texts(kind: Kind, values: &Intervals, most: usize) -> Vec<String> {
    let pieces = pieces(kind, values).take(most);
    pieces.map(|piece| kind.interval(piece)).collect()
}

/// What is written out one by one of some values.
fn pieces(kind: Kind, values: &Intervals) -> Box<dyn Iterator<Item = Interval> + '_> {
    match kind {
        Kind::Address(family) => {
            let intervals = values.iter();
            let prefixes = intervals.flat_map(move |it| Prefix::covering(family, *it));
            Box::new(prefixes.map(|prefix| prefix.interval()))
        }
        _ => Box::new(kind.pieces(values)),
    }
}

/// Values as the right side of a match.
fn listed(kind: Kind, texts: &[String]) -> String {
    match texts {
        [only] => only.clone(),
        // States are bits to nft: a list without braces asks for any of them.
        states if kind == Kind::CtState => states.join(","),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

/// What some atoms are in named sets: one, or two put together.
fn by_sets(space: &Space, level: u16, atoms: &[Atom]) -> Option<String> {
    let partition = space.partition(level);
    let all = || {
        (0..partition.len())
            .map(Atom)
            .filter(|it| Some(*it) != partition.absent())
    };
    let is =
        |wanted: &dyn Fn(Atom) -> bool| all().filter(|it| wanted(*it)).eq(atoms.iter().copied());
    let named: Vec<(SetId, &str)> = space.named_sets(level).take(NAMED).collect();
    let has = |set: SetId| move |atom: Atom| partition.is_in(atom, set);
    for (set, name) in &named {
        let name = Said(name);
        if is(&has(*set)) {
            return Some(format!("@{name}"));
        }
        if is(&|atom| !has(*set)(atom)) {
            return Some(format!("!= @{name}"));
        }
    }
    for (at, (one, name)) in named.iter().enumerate() {
        for (other, other_name) in &named[at + 1..] {
            let (a, b) = (has(*one), has(*other));
            let (name, other_name) = (Said(name), Said(other_name));
            if is(&|atom| a(atom) || b(atom)) {
                return Some(format!("{{ @{name}, @{other_name} }}"));
            }
            if is(&|atom| a(atom) && b(atom)) {
                return Some(format!("@{name} and @{other_name}"));
            }
            if is(&|atom| a(atom) && !b(atom)) {
                return Some(format!("@{name} != @{other_name}"));
            }
            if is(&|atom| b(atom) && !a(atom)) {
                return Some(format!("@{other_name} != @{name}"));
            }
            if is(&|atom| !a(atom) && !b(atom)) {
                return Some(format!("!= {{ @{name}, @{other_name} }}"));
            }
        }
    }
    None
}

impl Subject {
    fn kind(&self) -> Kind {
        match self {
            Self::Field(field) => field.kind(),
            Self::Bits(..) => Kind::Bits,
            Self::Unknown(_) => Kind::Number,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => write!(f, "{field}"),
            Self::Bits(field, mask) => write!(f, "{field} & {mask:#x}"),
            Self::Unknown(text) => write!(f, "{}", Said(text)),
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.values.is_empty() {
            return write!(f, "{} absent", self.field);
        }
        write!(f, "{} {}", self.field, self.words)
    }
}

impl fmt::Display for Class {
    /// What is said of the packets; `every packet` when nothing is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.extents.is_empty() {
            return f.write_str("every packet");
        }
        let texts: Vec<String> = self.extents.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl Class {
    /// The values of a field, when something is said of it.
    #[must_use]
    pub fn values(&self, field: Field) -> Option<&Intervals> {
        let mut extents = self.extents.iter();
        let found = extents.find(|it| it.field == Subject::Field(field))?;
        Some(&found.values)
    }

    /// How many source addresses the packets have, when they are of certain ones.
    #[must_use]
    pub fn addresses(&self) -> Option<u128> {
        let mut families = Family::BOTH.into_iter();
        families.find_map(|family| Some(self.values(Field::Saddr(family))?.count()))
    }

    /// With the ports of the protocol, and without what other words say already.
    fn in_words_of_its_protocol(mut self) -> Self {
        let only = |values: Option<&Intervals>| values.and_then(Intervals::single);
        let protocol = only(self.values(Field::L4proto));
        let with_ports = PortProtocol::ALL.into_iter();
        let mut with_ports = with_ports.filter(|it| Some(it.number().into()) == protocol);
        if let Some(protocol) = with_ports.next() {
            for extent in &mut self.extents {
                extent.field = match extent.field {
                    Subject::Field(Field::ThDport) => Subject::Field(Field::Dport(protocol)),
                    Subject::Field(Field::ThSport) => Subject::Field(Field::Sport(protocol)),
                    ref other => other.clone(),
                };
            }
        }
        let said: Vec<Field> = self
            .extents
            .iter()
            .filter_map(Extent::present_field)
            .collect();
        let says_protocol = said.iter().any(|it| it.protocol().is_some());
        let says_family = said.iter().any(|it| it.family().is_some());
        let of_family = only(self.values(Field::Nfproto));
        // `icmp` is ICMP in IPv4, and nothing else is.
        let icmp = Family::BOTH.into_iter().find(|family| {
            Some(family.number().into()) == of_family
                && Some(icmp_protocol(*family).into()) == protocol
        });
        self.extents.retain(|extent| match extent.field {
            Subject::Field(Field::L4proto) => !says_protocol,
            Subject::Field(Field::Nfproto) => !says_family && icmp.is_none(),
            _ => true,
        });
        self
    }
}

impl Extent {
    /// The values as nft writes them, addresses as the fewest prefixes.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        texts(self.field.kind(), &self.values, usize::MAX)
    }

    /// Its field, when packets certainly have it.
    fn present_field(&self) -> Option<Field> {
        match self.field {
            Subject::Field(field) if !self.or_absent => Some(field),
            _ => None,
        }
    }
}
