//! Decision diagrams over atoms: what is true, or what happens, for every packet.
//!
//! A node asks for one variable and has an edge for each run of atoms that lead to the same place.
//! Nodes are made once for each content, so that two diagrams mean the same exactly when they are
//! the same node. Every operation is counted and stops at the budget: a diagram that grows without
//! bound is an answer that is not given, never a machine without memory.

use std::hash::Hasher as _;

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use thiserror::Error;

use super::outcome::{Outcome, Outcomes};
use super::partition::Atom;

/// A diagram, by its root.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Node(u32);

/// Set in the number of a node that asks nothing: the end of a way through a diagram.
const LEAF: u32 = 1 << 31;

impl Node {
    const fn leaf(at: usize) -> Self {
        Self(LEAF | at as u32)
    }

    const fn as_leaf(self) -> Option<usize> {
        if self.0 & LEAF == 0 {
            None
        } else {
            Some((self.0 & !LEAF) as usize)
        }
    }
}

/// Packets: a diagram that ends in true or false.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Region(pub(crate) Node);

/// What becomes of every packet: a diagram that ends in [`Outcomes`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Fates(pub(crate) Node);

/// What becomes of every packet under two rule sets: a diagram that ends in pairs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Pairs(pub(crate) Node);

/// The end of a way through a diagram.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Leaf {
    Truth(bool),
    Outcomes(Outcomes),
    Pair(Node, Node),
}

/// The packets that are none.
pub(crate) const NOTHING: Region = Region(Node::leaf(0));
/// Every packet.
pub(crate) const EVERYTHING: Region = Region(Node::leaf(1));

/// An edge: the atoms from `first` to before the next edge's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Edge {
    first: u32,
    to: Node,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    level: u16,
    edges: (u32, u32),
}

/// What a proof may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Edges that diagrams may have, all together: eight bytes each, and as much again to find
    /// them.
    pub edges: usize,
    /// Edges that may be looked at: some hundred million take a second.
    pub work: u64,
}

impl Budget {
    /// For a machine that has other things to do: about 100 MB, and a few seconds.
    pub const DEFAULT: Self = Self {
        edges: 4_000_000,
        work: 100_000_000,
    };
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the rules are too tangled: deciding them for every packet takes more than the budget")]
pub struct OverBudget;

/// What an operation gives, within the budget.
pub(crate) type Within<T> = Result<T, OverBudget>;

/// Two-sided operations that are remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    And,
    Or,
    Without,
    Union,
    Pair,
}

/// All diagrams.
#[derive(Debug)]
pub(crate) struct Store {
    nodes: Vec<Stored>,
    edges: Vec<Edge>,
    unique: HashTable<Node>,
    leaves: Vec<Leaf>,
    known_leaves: HashTable<Node>,
    done: Memo,
    budget: Budget,
}

impl Store {
    pub(crate) fn new(budget: Budget) -> Self {
        let mut store = Self {
            nodes: Vec::new(),
            edges: Vec::new(),
            unique: HashTable::new(),
            leaves: Vec::new(),
            known_leaves: HashTable::new(),
            done: Memo::default(),
            budget,
        };
        let nothing = store.leaf(Leaf::Truth(false));
        let everything = store.leaf(Leaf::Truth(true));
        debug_assert!((Region(nothing), Region(everything)) == (NOTHING, EVERYTHING));
        store
    }

    /// How many edges all diagrams have.
    pub(crate) fn size(&self) -> usize {
        self.edges.len()
    }

    // Leaves.

    fn leaf(&mut self, leaf: Leaf) -> Node {
        let hash = hash_of(&leaf);
        let leaves = &self.leaves;
        let of = |node: &Node| &leaves[node.as_leaf().expect("only leaves are here")];
        if let Some(known) = self.known_leaves.find(hash, |it| *of(it) == leaf) {
            return *known;
        }
        let node = Node::leaf(self.leaves.len());
        let rehash = |it: &Node| hash_of(of(it));
        self.known_leaves.insert_unique(hash, node, rehash);
        self.leaves.push(leaf);
        node
    }

    /// The same for every packet.
    pub(crate) fn always(&mut self, outcome: Outcome) -> Fates {
        self.outcomes(Outcomes::certain(outcome))
    }

    pub(crate) fn outcomes(&mut self, outcomes: Outcomes) -> Fates {
        Fates(self.leaf(Leaf::Outcomes(outcomes)))
    }

    /// What becomes of packets at the end of a way.
    pub(crate) fn outcomes_at(&self, node: Node) -> Option<&Outcomes> {
        match &self.leaves[node.as_leaf()?] {
            Leaf::Outcomes(outcomes) => Some(outcomes),
            Leaf::Truth(_) | Leaf::Pair(..) => None,
        }
    }

    /// What becomes of packets under the two rule sets at the end of a way.
    pub(crate) fn pair_at(&self, node: Node) -> Option<(&Outcomes, &Outcomes)> {
        match &self.leaves[node.as_leaf()?] {
            Leaf::Pair(a, b) => Some((self.outcomes_at(*a)?, self.outcomes_at(*b)?)),
            Leaf::Truth(_) | Leaf::Outcomes(_) => None,
        }
    }

    // Nodes.

    /// What a node asks, and where its runs of atoms lead; none at the end of a way.
    pub(crate) fn open(&self, node: Node) -> Option<(u16, impl Iterator<Item = (Atom, Node)>)> {
        if node.as_leaf().is_some() {
            return None;
        }
        let stored = self.nodes[node.0 as usize];
        let edges = self.edges(stored).iter();
        Some((stored.level, edges.map(|edge| (Atom(edge.first), edge.to))))
    }

    /// Where an atom of the variable that a node asks for leads.
    pub(crate) fn follow(&self, node: Node, atom: Atom) -> Node {
        if node.as_leaf().is_some() {
            return node;
        }
        let edges = self.edges(self.nodes[node.0 as usize]);
        edges[edges.partition_point(|edge| edge.first <= atom.0) - 1].to
    }

    /// Every end that ways from a node lead to, each once; `visited` is sorted.
    pub(crate) fn ends(&self, node: Node, visited: &mut Vec<Node>, found: &mut Vec<Node>) {
        let Err(at) = visited.binary_search(&node) else {
            return;
        };
        visited.insert(at, node);
        match self.open(node) {
            Some((_, edges)) => edges.for_each(|(_, to)| self.ends(to, visited, found)),
            None => found.push(node),
        }
    }

    fn edges(&self, stored: Stored) -> &[Edge] {
        &self.edges[stored.edges.0 as usize..stored.edges.1 as usize]
    }

    /// The variable that a node asks for; those at the end of a way ask for none.
    fn level(&self, node: Node) -> u16 {
        match node.as_leaf() {
            Some(_) => u16::MAX,
            None => self.nodes[node.0 as usize].level,
        }
    }

    /// The edges of a node as if it asked for `level`, which is not below the one it asks for.
    fn edges_at(&self, node: Node, level: u16) -> (usize, usize) {
        if self.level(node) == level {
            let (from, to) = self.nodes[node.0 as usize].edges;
            (from as usize, to as usize)
        } else {
            (0, 0)
        }
    }

    /// The node with these edges; none is needed where all lead to the same place.
    fn node(&mut self, level: u16, mut edges: Vec<Edge>) -> Within<Node> {
        edges.dedup_by(|next, kept| next.to == kept.to);
        if let [only] = edges.as_slice() {
            return Ok(only.to);
        }
        let hash = {
            let mut hasher = FxHasher::default();
            hasher.write_u16(level);
            for edge in &edges {
                hasher.write_u64(u64::from(edge.first) << 32 | u64::from(edge.to.0));
            }
            hasher.finish()
        };
        let same = |node: &Node| {
            let stored = self.nodes[node.0 as usize];
            stored.level == level && self.edges(stored) == edges
        };
        if let Some(known) = self.unique.find(hash, same) {
            return Ok(*known);
        }
        if self.edges.len() + edges.len() > self.budget.edges {
            return Err(OverBudget);
        }
        let node = Node(self.nodes.len() as u32);
        let from = self.edges.len() as u32;
        self.edges.extend_from_slice(&edges);
        self.nodes.push(Stored {
            level,
            edges: (from, self.edges.len() as u32),
        });
        let (nodes, all) = (&self.nodes, &self.edges);
        self.unique.insert_unique(hash, node, |it| {
            let stored = nodes[it.0 as usize];
            let mut hasher = FxHasher::default();
            hasher.write_u16(stored.level);
            for edge in &all[stored.edges.0 as usize..stored.edges.1 as usize] {
                hasher.write_u64(u64::from(edge.first) << 32 | u64::from(edge.to.0));
            }
            hasher.finish()
        });
        Ok(node)
    }

    /// The packets of which the variable's atom is `wanted`.
    pub(crate) fn atoms(
        &mut self,
        level: u16,
        count: u32,
        wanted: impl Fn(Atom) -> bool,
    ) -> Within<Region> {
        let mut edges: Vec<Edge> = Vec::new();
        for first in 0..count {
            let to = if wanted(Atom(first)) {
                EVERYTHING.0
            } else {
                NOTHING.0
            };
            if edges.last().is_none_or(|last| last.to != to) {
                edges.push(Edge { first, to });
            }
        }
        self.work(edges.len())?;
        Ok(Region(self.node(level, edges)?))
    }

    fn work(&mut self, edges: usize) -> Within<()> {
        let left = self.budget.work.checked_sub(edges as u64 + 1);
        self.budget.work = left.ok_or(OverBudget)?;
        Ok(())
    }

    // Operations.

    pub(crate) fn and(&mut self, a: Region, b: Region) -> Within<Region> {
        self.apply(Operation::And, a.0, b.0).map(Region)
    }

    pub(crate) fn or(&mut self, a: Region, b: Region) -> Within<Region> {
        self.apply(Operation::Or, a.0, b.0).map(Region)
    }

    /// The packets of `a` that are not in `b`.
    pub(crate) fn without(&mut self, a: Region, b: Region) -> Within<Region> {
        self.apply(Operation::Without, a.0, b.0).map(Region)
    }

    /// What becomes of packets that may go either way.
    pub(crate) fn union(&mut self, a: Fates, b: Fates) -> Within<Fates> {
        self.apply(Operation::Union, a.0, b.0).map(Fates)
    }

    /// Both.
    pub(crate) fn pair(&mut self, a: Fates, b: Fates) -> Within<Pairs> {
        self.apply(Operation::Pair, a.0, b.0).map(Pairs)
    }

    /// What two diagrams come to when nothing need be asked.
    fn simple(&mut self, operation: Operation, a: Node, b: Node) -> Option<Node> {
        let (none, all) = (NOTHING.0, EVERYTHING.0);
        match operation {
            Operation::And if a == none || b == all || a == b => Some(a),
            Operation::And if a == all || b == none => Some(b),
            Operation::Or if a == all || b == none || a == b => Some(a),
            Operation::Or if a == none || b == all => Some(b),
            Operation::Without if a == b || b == all || a == none => Some(none),
            Operation::Without if b == none => Some(a),
            Operation::Without if a == all && b.as_leaf().is_some() => Some(all),
            Operation::Union if a == b => Some(a),
            Operation::And | Operation::Or | Operation::Without => None,
            Operation::Union | Operation::Pair => {
                self.join(operation, a.as_leaf()?, b.as_leaf()?, (a, b))
            }
        }
    }

    /// What two ends come to.
    fn join(
        &mut self,
        operation: Operation,
        a: usize,
        b: usize,
        nodes: (Node, Node),
    ) -> Option<Node> {
        match operation {
            Operation::Union => match (&self.leaves[a], &self.leaves[b]) {
                (Leaf::Outcomes(a), Leaf::Outcomes(b)) => {
                    let both = a.union(b);
                    Some(self.outcomes(both).0)
                }
                _ => None,
            },
            Operation::Pair => Some(self.leaf(Leaf::Pair(nodes.0, nodes.1))),
            Operation::And | Operation::Or | Operation::Without => None,
        }
    }

    fn apply(&mut self, operation: Operation, a: Node, b: Node) -> Within<Node> {
        if let Some(simple) = self.simple(operation, a, b) {
            return Ok(simple);
        }
        let commutes = matches!(operation, Operation::And | Operation::Or | Operation::Union);
        let key = match (operation, commutes && b < a) {
            (_, false) => (operation as u32, a.0, b.0),
            (_, true) => (operation as u32, b.0, a.0),
        };
        if let Some(done) = self.done.get(key) {
            return Ok(done);
        }
        let level = self.level(a).min(self.level(b));
        let (ours, theirs) = (self.edges_at(a, level), self.edges_at(b, level));
        self.work(ours.1 - ours.0 + theirs.1 - theirs.0)?;
        let mut edges = Vec::with_capacity(4);
        let mut runs = Runs::new([(a, ours), (b, theirs)]);
        while let Some((first, [a, b])) = runs.next(&self.edges) {
            let to = self.apply(operation, a, b)?;
            edges.push(Edge { first, to });
        }
        let node = self.node(level, edges)?;
        self.done.put(key, node);
        Ok(node)
    }

    /// `then` where a packet is in the region, and `otherwise` elsewhere.
    pub(crate) fn choose(
        &mut self,
        within: Region,
        then: Fates,
        otherwise: Fates,
    ) -> Within<Fates> {
        self.select(within.0, then.0, otherwise.0).map(Fates)
    }

    fn select(&mut self, within: Node, then: Node, otherwise: Node) -> Within<Node> {
        if within == EVERYTHING.0 || then == otherwise {
            return Ok(then);
        }
        if within == NOTHING.0 {
            return Ok(otherwise);
        }
        let key = (SELECT + within.0, then.0, otherwise.0);
        if let Some(done) = self.done.get(key) {
            return Ok(done);
        }
        let three = [within, then, otherwise];
        let level = three.map(|it| self.level(it)).into_iter().min();
        let level = level.expect("there are three");
        let three = three.map(|it| (it, self.edges_at(it, level)));
        self.work(three.iter().map(|(_, (from, to))| to - from).sum())?;
        let mut edges = Vec::with_capacity(4);
        let mut runs = Runs::new(three);
        while let Some((first, [within, then, otherwise])) = runs.next(&self.edges) {
            let to = self.select(within, then, otherwise)?;
            edges.push(Edge { first, to });
        }
        let node = self.node(level, edges)?;
        self.done.put(key, node);
        Ok(node)
    }

    /// What becomes of packets whose `level` is at `atom`, whatever it is.
    pub(crate) fn fix(&mut self, fates: Node, level: u16, atom: Atom) -> Within<Node> {
        self.rebuild(fates, level, &mut Memo::default(), &mut |store, node| {
            Ok(store.follow(node, atom))
        })
    }

    /// What may become of packets of which nothing is known at `level`.
    pub(crate) fn forget(&mut self, fates: Fates, level: u16) -> Within<Fates> {
        let any = |store: &mut Self, node: Node| {
            let (from, to) = store.edges_at(node, level);
            let mut any = store.edges[from].to;
            for at in from + 1..to {
                any = store.apply(Operation::Union, any, store.edges[at].to)?;
            }
            Ok(any)
        };
        let mut any = any;
        self.rebuild(fates.0, level, &mut Memo::default(), &mut any)
            .map(Fates)
    }

    /// The packets that are in the region for some value at `level`.
    pub(crate) fn shadow(&mut self, region: Region, level: u16) -> Within<Region> {
        let mut any = |store: &mut Self, node: Node| {
            let (from, to) = store.edges_at(node, level);
            let mut any = store.edges[from].to;
            for at in from + 1..to {
                any = store.apply(Operation::Or, any, store.edges[at].to)?;
            }
            Ok(any)
        };
        self.rebuild(region.0, level, &mut Memo::default(), &mut any)
            .map(Region)
    }

    /// The diagram with every node that asks for `level` replaced.
    fn rebuild(
        &mut self,
        node: Node,
        level: u16,
        done: &mut Memo,
        replace: &mut impl FnMut(&mut Self, Node) -> Within<Node>,
    ) -> Within<Node> {
        let own = self.level(node);
        if own > level {
            return Ok(node);
        }
        if let Some(known) = done.get((0, node.0, 0)) {
            return Ok(known);
        }
        let built = if own == level {
            self.work(1)?;
            replace(self, node)?
        } else {
            let (from, to) = self.edges_at(node, own);
            self.work(to - from)?;
            let mut edges = Vec::with_capacity(to - from);
            for at in from..to {
                let Edge { first, to } = self.edges[at];
                let to = self.rebuild(to, level, done, replace)?;
                edges.push(Edge { first, to });
            }
            self.node(own, edges)?
        };
        done.put((0, node.0, 0), built);
        Ok(built)
    }

    /// The diagram with every end changed.
    pub(crate) fn map_outcomes(
        &mut self,
        fates: Fates,
        change: &impl Fn(&Outcomes) -> Outcomes,
    ) -> Within<Fates> {
        let mut done = Memo::default();
        let end = |store: &mut Self, node: Node| {
            let outcomes = store.outcomes_at(node).map(change);
            let outcomes = outcomes.expect("fates end in outcomes");
            store.outcomes(outcomes).0
        };
        self.with_ends(fates.0, &mut done, &end).map(Fates)
    }

    /// The packets of which what becomes of them is `wanted`.
    pub(crate) fn where_outcomes(
        &mut self,
        fates: Fates,
        wanted: &impl Fn(&Outcomes) -> bool,
    ) -> Within<Region> {
        let end = |store: &mut Self, node: Node| {
            let wanted = store.outcomes_at(node).is_some_and(wanted);
            if wanted { EVERYTHING.0 } else { NOTHING.0 }
        };
        self.with_ends(fates.0, &mut Memo::default(), &end)
            .map(Region)
    }

    /// The packets of which both sides of a pair are `wanted`.
    pub(crate) fn where_pairs(
        &mut self,
        pairs: Pairs,
        wanted: &impl Fn(&Outcomes, &Outcomes) -> bool,
    ) -> Within<Region> {
        let end = |store: &mut Self, node: Node| {
            let wanted = store.pair_at(node).is_some_and(|(a, b)| wanted(a, b));
            if wanted { EVERYTHING.0 } else { NOTHING.0 }
        };
        self.with_ends(pairs.0, &mut Memo::default(), &end)
            .map(Region)
    }

    fn with_ends(
        &mut self,
        node: Node,
        done: &mut Memo,
        end: &impl Fn(&mut Self, Node) -> Node,
    ) -> Within<Node> {
        if node.as_leaf().is_some() {
            return Ok(end(self, node));
        }
        if let Some(known) = done.get((0, node.0, 0)) {
            return Ok(known);
        }
        let Stored { level, edges } = self.nodes[node.0 as usize];
        let (from, to) = (edges.0 as usize, edges.1 as usize);
        self.work(to - from)?;
        let mut edges = Vec::with_capacity(to - from);
        for at in from..to {
            let Edge { first, to } = self.edges[at];
            let to = self.with_ends(to, done, end)?;
            edges.push(Edge { first, to });
        }
        let built = self.node(level, edges)?;
        done.put((0, node.0, 0), built);
        Ok(built)
    }
}

/// Numbers of operations on three diagrams begin here; those on two are below.
const SELECT: u32 = 16;

/// Walks over the edges of several nodes at once, run by run.
struct Runs<const N: usize> {
    /// For each node: itself, and which of its edges is next; no edges: it leads to itself.
    nodes: [(Node, (usize, usize)); N],
    first: Option<u32>,
}

impl<const N: usize> Runs<N> {
    fn new(nodes: [(Node, (usize, usize)); N]) -> Self {
        Self {
            nodes,
            first: Some(0),
        }
    }

    /// The first atom of the next run, and where each node leads for it.
    fn next(&mut self, edges: &[Edge]) -> Option<(u32, [Node; N])> {
        let first = self.first?;
        let mut next: Option<u32> = None;
        let to = self.nodes.each_mut().map(|(node, (at, end))| {
            if at == end {
                return *node;
            }
            // The edge whose run has `first`.
            if *at + 1 < *end && edges[*at + 1].first <= first {
                *at += 1;
            }
            if *at + 1 < *end {
                let begins = edges[*at + 1].first;
                next = Some(next.map_or(begins, |so_far| so_far.min(begins)));
            }
            edges[*at].to
        });
        self.first = next;
        Some((first, to))
    }
}

/// What was computed once.
#[derive(Debug, Default)]
struct Memo(HashTable<((u32, u32, u32), Node)>);

impl Memo {
    fn get(&self, key: (u32, u32, u32)) -> Option<Node> {
        let found = self.0.find(hash_of(&key), |(known, _)| *known == key);
        found.map(|(_, node)| *node)
    }

    fn put(&mut self, key: (u32, u32, u32), node: Node) {
        let rehash = |(key, _): &((u32, u32, u32), Node)| hash_of(key);
        self.0.insert_unique(hash_of(&key), (key, node), rehash);
    }
}

fn hash_of(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
