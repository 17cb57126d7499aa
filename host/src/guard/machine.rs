//! What else on the machine has a say about packets: base chains of others that see what ours see,
//! what they drop of it, and ports that others have published past our chains.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::{Family, address_bits};
use portreeve_model::evaluate::{ChainRef, Decider, HookVerdict, RuleRef, Stop, journey};
use portreeve_model::field::{Field, PortProtocol};
use portreeve_model::intervals::Intervals;
use portreeve_model::limits::JUMP_STACK;
use portreeve_model::packet::{Hook, Packet};
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::tables::{
    self, Attachment, Chain, ChainType, Expression, Match, Nat, NatKind, Operand, Part, Rewrite,
    Scope, Table, TableFamily, Tables,
};
use portreeve_nft::TABLE;
use portreeve_nft::is_ours;
use portreeve_verify::{Budget, Inquiry, OverBudget, Undone, Way};

use super::judge::{ChainName, Culprit, decides, leaves_open, translating};
use super::ordinary::{Asked, between, incoming, numbers, one};
use super::{Fact, Facts, Interface, candidate};

/// Translations that are told, at most: a cluster's node has thousands.
const PUBLISHED_MAX: usize = 256;

/// What else on a machine has a say about packets.
#[derive(Clone, Debug, Default)]
pub struct WholeMachine {
    /// Base chains of others at the hooks that ours see, and any others that drop what ours let in;
    /// in the order of the tables.
    pub chains: Vec<ForeignChain>,
    /// What others translate to another destination before it comes to our chains.
    pub published: Vec<Published>,
    /// Whether more is translated than is told.
    pub more_published: bool,
    /// The tables of iptables-legacy, which may drop anything.
    pub legacy: Vec<String>,
    /// What could not be read, and why: nothing is known of it.
    pub unread: Vec<String>,
}

/// A base chain of others.
#[derive(Clone, Debug)]
pub struct ForeignChain {
    /// The chain.
    pub name: ChainName,
    /// Its type.
    pub chain_type: ChainType,
    /// Where it sees packets: the hook, in nft's word.
    pub hook: String,
    /// Its place there: the lowest runs first.
    pub priority: i32,
    /// What happens to what no rule of it decides.
    pub policy: ChainPolicy,
    /// What it drops of what ours let in from elsewhere.
    pub undoes: Undoes,
}

/// What a chain drops of what ours let in.
#[derive(Clone, Debug)]
pub enum Undoes {
    /// Nothing of what machines live by: TCP, UDP and ICMP as they ought to be.
    Nothing,
    /// Some packets, such as this one.
    Some(Packet, Culprit),
    /// Perhaps some, such as this one: that depends on something that no packet says.
    Perhaps(Packet, Culprit),
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// A translation to another destination, in a chain that sees packets before ours do.
#[derive(Clone, Debug)]
pub struct Published {
    /// The chain that the rule is in.
    pub chain: ChainName,
    /// The number that the kernel gave the rule, if it is listed.
    pub handle: Option<u64>,
    /// What packets must be, in nft's words, jumps before it included.
    pub packets: String,
    /// The destination ports that it asks for, if it names some.
    pub ports: Option<(PortProtocol, Intervals)>,
    /// What becomes of the destination, in nft's words.
    pub to: String,
    /// Where that leads.
    pub leads: Leads,
}

/// Where a translated packet goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leads {
    /// Through the machine: past the hook forward, and never to our chains at input.
    Through,
    /// To the machine itself: our chains at input see it, with another port.
    Here,
    /// The rule does not say.
    Unknown,
}

/// What else on this machine has a say, when `ours` is in force beside the tables of others.
#[must_use]
pub fn survey(facts: &Facts, ours: &Ruleset) -> WholeMachine {
    let mut unread = Vec::new();
    let mut note = |what: &str, why: &String| unread.push(format!("{what}: {why}"));
    let legacy = facts.legacy.clone().unwrap_or_else(|why| {
        note("whether there are tables of iptables-legacy", &why);
        Vec::new()
    });
    let others = match &facts.others {
        Ok(others) => others,
        Err(why) => {
            note("the tables of others", why);
            return WholeMachine {
                legacy,
                unread,
                ..WholeMachine::default()
            };
        }
    };
    let strange = others.tables.iter().flat_map(|table| &table.unknown);
    let strange = strange.chain(&others.unknown);
    strange.for_each(|it| note("something that a listing says", it));
    let mut published = published(others, &facts.interfaces);
    let more_published = published.len() > PUBLISHED_MAX;
    published.truncate(PUBLISHED_MAX);
    WholeMachine {
        chains: chains(others, ours),
        published,
        more_published,
        legacy,
        unread,
    }
}

/// The base chains of others that have a say, with what they undo.
fn chains(others: &Tables, ours: &Ruleset) -> Vec<ForeignChain> {
    if base_chains(others).next().is_none() {
        return Vec::new();
    }
    let (mut undone, rest) = undone(others, ours);
    let bases = ours.chains().iter().filter_map(|chain| chain.base());
    let hooks: BTreeSet<Hook> = bases.map(|base| base.hook).collect();
    let mut found = Vec::new();
    for (table, chain) in base_chains(others) {
        let (Some(base), name) = (&chain.base, ChainName::of(&ChainRef { table, chain })) else {
            continue;
        };
        let (shares, hook) = match &base.attachment {
            Attachment::Hook(hook) => (hooks.contains(hook), hook.keyword().to_owned()),
            Attachment::Ingress(_) => (false, "ingress".to_owned()),
            Attachment::Egress(_) => (false, "egress".to_owned()),
            Attachment::Unknown(hook) => (true, hook.clone()),
        };
        let undoes = undone.remove(&name);
        if !shares && undoes.is_none() {
            continue;
        }
        found.push(ForeignChain {
            name,
            chain_type: base.chain_type,
            hook,
            priority: base.priority,
            policy: base.policy,
            undoes: undoes.unwrap_or_else(|| rest.clone()),
        });
    }
    found
}

/// The base chains of others that see routed packets.
fn base_chains(tables: &Tables) -> impl Iterator<Item = (&Table, &Chain)> {
    let seeing = tables.tables.iter().filter(|table| {
        let sees = !matches!(table.family, TableFamily::Arp | TableFamily::Bridge);
        sees && !table.dormant && !is_ours(table.family, &table.name)
    });
    let chains = seeing.flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
    chains.filter(|(_, chain)| chain.base.is_some())
}

/// What base chains of others drop of what ours let in, and what is to be said of the rest.
///
/// One chain after the other is found by what it drops, and then taken away, until nothing is
/// dropped any more.
fn undone(others: &Tables, ours: &Ruleset) -> (BTreeMap<ChainName, Undoes>, Undoes) {
    let alone = ours.tables(TABLE);
    let mut all = candidate(Some(others), ours);
    let mut found = BTreeMap::new();
    loop {
        let undone = match one_undone(&alone, &all) {
            Ok(Some(undone)) => undone,
            Ok(None) => return (found, Undoes::Nothing),
            Err(over) => return (found, Undoes::Unknown(over.to_string())),
        };
        let Some(name) = stopped_by(&all, &undone.packet) else {
            let why = format!("it is not clear what stops {}", undone.packet);
            return (found, Undoes::Unknown(why));
        };
        let Undone { packet, certain } = undone;
        let undoes = if certain {
            let culprit = decides(&all, &packet);
            Undoes::Some(packet, culprit)
        } else {
            let culprit = leaves_open(&all, &packet);
            Undoes::Perhaps(packet, culprit)
        };
        take_away(&mut all, &name);
        found.insert(name, undoes);
    }
}

/// A packet that ours let in, and all tables together do not.
fn one_undone(alone: &Tables, all: &Tables) -> Result<Option<Undone>, OverBudget> {
    let mut inquiry = Inquiry::new();
    let rules = (inquiry.rules(alone), inquiry.rules(all));
    let packets = inquiry.packets(&incoming(&Asked::by(all)));
    inquiry
        .prover(Budget::DEFAULT)
        .undone(rules, Way::In, packets)
}

/// The base chain of others that stops a packet, or may: the one that drops it, or the one that has
/// changed it so that ours drop it.
fn stopped_by(tables: &Tables, packet: &Packet) -> Option<ChainName> {
    let journey = journey(tables, packet);
    let mut ends = journey.ends.iter();
    // Where several may, only the last one lets nothing by.
    let drops = ends.rfind(|end| end.fate.verdict == HookVerdict::Drop)?;
    let stop = journey
        .stops
        .iter()
        .find(|stop| stop.place == drops.place)?;
    let dropping = match drops.fate.by {
        Decider::Rule(rule) => base_of(stop, &rule),
        Decider::ChainPolicy(place) => Some(ChainName::of(&place)),
        Decider::NotFollowed(_) => {
            let last = stop.evaluation.walk.last()?;
            base_of(stop, &last.rule)
        }
        Decider::NoChain => None,
    };
    let changing = || {
        let rule = translating(&journey)?;
        journey.stops.iter().find_map(|stop| base_of(stop, &rule))
    };
    let foreign = |name: &ChainName| name.is_foreign();
    dropping.filter(foreign).or_else(changing).filter(foreign)
}

/// The base chain from which a packet came to a rule.
fn base_of(stop: &Stop<'_>, rule: &RuleRef<'_>) -> Option<ChainName> {
    let walk = &stop.evaluation.walk;
    let at = walk.iter().rposition(|step| step.rule == *rule)?;
    let base = walk[..=at].iter().rfind(|step| step.depth == 0)?;
    Some(ChainName::of(&base.rule.place))
}

/// Attaches a base chain to no hook any more.
fn take_away(tables: &mut Tables, name: &ChainName) {
    let named = tables
        .tables
        .iter_mut()
        .filter(|table| table.family == name.family && table.name == name.table);
    let chains = named.flat_map(|table| &mut table.chains);
    for chain in chains.filter(|chain| chain.name == name.chain) {
        chain.base = None;
    }
}

/// What others translate before it comes to our chains: one more than is told, at most.
fn published(others: &Tables, interfaces: &Fact<Vec<Interface>>) -> Vec<Published> {
    let mut reader = Reader {
        interfaces,
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    for (table, chain) in base_chains(others) {
        let translates = chain.base.as_ref().is_some_and(|base| {
            base.chain_type == ChainType::Nat
                && base.attachment == Attachment::Hook(Hook::Prerouting)
        });
        if translates {
            reader.chain(table, chain, &[], 0);
        }
    }
    reader.found
}

/// Reads the rules of chains that translate.
struct Reader<'a> {
    interfaces: &'a Fact<Vec<Interface>>,
    /// Chains that were read, so that none is twice.
    seen: BTreeSet<ChainName>,
    found: Vec<Published>,
}

impl Reader<'_> {
    /// The rules of a chain, to which packets come that fulfil `before`.
    fn chain(&mut self, table: &Table, chain: &Chain, before: &[&Match], depth: u8) {
        let name = ChainName::of(&ChainRef { table, chain });
        if depth > JUMP_STACK || !self.seen.insert(name.clone()) {
            return;
        }
        for rule in &chain.rules {
            let mut conditions = before.to_vec();
            for part in &rule.parts {
                if self.found.len() > PUBLISHED_MAX {
                    return;
                }
                let (to, leads) = match part {
                    Part::Match(condition) => {
                        conditions.push(condition);
                        continue;
                    }
                    Part::Verdict(tables::Verdict::Jump(to) | tables::Verdict::Goto(to)) => {
                        if let Some(to) = table.chain(*to) {
                            self.chain(table, to, &conditions, depth + 1);
                        }
                        continue;
                    }
                    Part::Nat(nat) => match self.leads(nat) {
                        Some(leads) => (table.part_text(part), leads),
                        None => continue,
                    },
                    Part::Opaque(opaque) if opaque.scope == Scope::Anything => {
                        (table.part_text(part), Leads::Unknown)
                    }
                    _ => continue,
                };
                self.found.push(Published {
                    chain: name.clone(),
                    handle: rule.handle,
                    packets: texts(table, &conditions),
                    ports: conditions.iter().find_map(|it| ports(it)),
                    to,
                    leads,
                });
            }
        }
    }

    /// Where a translation leads; none where the destination stays.
    fn leads(&self, nat: &Nat) -> Option<Leads> {
        match nat.kind {
            NatKind::Snat | NatKind::Masquerade => None,
            NatKind::Redirect => Some(Leads::Here),
            NatKind::Dnat => Some(match (&nat.address, nat.family) {
                (None, _) => Leads::Here,
                (Some(Rewrite::OneOf(addresses)), Some(family)) => {
                    let is_own = self
                        .own(family)
                        .includes(&[*addresses].into_iter().collect());
                    if is_own { Leads::Here } else { Leads::Through }
                }
                (Some(Rewrite::OneOf(_) | Rewrite::Value { .. }), _) => Leads::Unknown,
            }),
        }
    }

    /// The machine's own addresses, as far as they are known.
    fn own(&self, family: Family) -> Intervals {
        let interfaces = self.interfaces.iter().flatten();
        let addresses = interfaces.flat_map(|it| &it.addresses);
        let of_family = addresses.filter(|it| Family::of(**it) == family);
        let own: Vec<u128> = of_family.map(|it| address_bits(*it)).collect();
        let loopback = match family {
            Family::Ip => between(0x7f00_0000, 0x7fff_ffff),
            Family::Ip6 => one(1),
        };
        numbers(&own).union(&loopback)
    }
}

/// Conditions in nft's words.
fn texts(table: &Table, conditions: &[&Match]) -> String {
    let text = |condition: &&Match| table.part_text(&Part::Match((*condition).clone()));
    let texts: Vec<String> = conditions.iter().map(text).collect();
    texts.join(" ")
}

/// The destination ports that a condition asks for.
fn ports(condition: &Match) -> Option<(PortProtocol, Intervals)> {
    match condition {
        Match {
            left: Expression::Field(Field::Dport(protocol)),
            negated: false,
            right: Operand::Numbers(numbers),
        } => Some((*protocol, numbers.clone())),
        _ => None,
    }
}
