//! Which generation packets meet: read from the kernel's table, and changed in one batch.
//!
//! The base chains of `inet portreeve` are the switch; [`crate::layout`] shows how they look.
//! Everything here is decided from what the kernel listed a moment before, and the generation that
//! a batch leads to must have been staged ([`crate::stage`]): otherwise the kernel refuses all of
//! it. The entry chains, and the record of arrivals of a trial, come with the batch: they are few
//! and small whatever the generation holds.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::Family;
use portreeve_model::diagnostic::Quoted;
use portreeve_model::draft::{Base, ChainType};
use portreeve_model::names::Name;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use thiserror::Error;

use crate::layout::{self, ARRIVALS, ARRIVALS_PRIORITY, Number};
use crate::netlink::{BaseChain, Batch, Chain, Lead, Meaning, Objects, Rule};

/// A generation, as far as the switch knows it: its number, and where packets enter it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Side {
    /// Its number.
    pub number: Number,
    /// Its base chains.
    pub entries: Vec<Entry>,
}

/// Where packets enter a generation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The chain, by its own name.
    pub chain: Name,
    /// The hook and priority, and the chain policy.
    pub base: Base,
}

impl Side {
    /// The side of `ruleset` as generation `number`.
    #[must_use]
    pub fn of(number: Number, ruleset: &Ruleset) -> Self {
        let entry = |chain: &portreeve_model::ruleset::Chain| {
            chain.base().map(|base| Entry {
                chain: chain.name().clone(),
                base,
            })
        };
        let entries = ruleset.chains().iter().filter_map(entry).collect();
        Self { number, entries }
    }
}

/// Which generations packets meet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// The confirmed one; without one, nothing is filtered.
    pub confirmed: Option<Side>,
    /// The one that packets meet instead while its trial runs. It may have lapsed already.
    pub trial: Option<Side>,
}

/// Why the base chains are no switch of ours.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{place} in table inet portreeve {what}")]
pub struct Strange {
    place: String,
    what: &'static str,
}

impl Standing {
    /// What the base chains of the table say.
    ///
    /// # Errors
    /// When somebody else has written to them: then nothing is known of what packets meet.
    pub fn read(objects: &Objects) -> Result<Self, Strange> {
        let mut standing = Self::default();
        let base_chains = objects.chains.iter();
        for (chain, base) in base_chains.filter_map(|chain| Some((chain, chain.base.as_ref()?))) {
            let strange = |what| Strange {
                place: format!("base chain {}", Quoted(&chain.name)),
                what,
            };
            let rules = Rules::of(objects, &chain.name);
            let leads = rules.leads().ok_or_else(|| strange("has a foreign rule"))?;
            if chain.name == ARRIVALS {
                continue;
            }
            let place = place_of(base).filter(|place| chain.name == layout::base_chain(*place));
            if place.is_none() {
                return Err(strange("is not one of portreeve's"));
            }
            standing
                .read_leads(objects, base, &leads)
                .map_err(strange)?;
        }
        for side in [&mut standing.confirmed, &mut standing.trial]
            .into_iter()
            .flatten()
        {
            side.entries
                .sort_by_key(|entry| (entry.base.hook, entry.base.priority, entry.base.chain_type));
        }
        Ok(standing)
    }

    /// The rules of one base chain: perhaps one for the trial, then perhaps one for good.
    fn read_leads(
        &mut self,
        objects: &Objects,
        base: &BaseChain,
        leads: &[(Option<&str>, &Lead)],
    ) -> Result<(), &'static str> {
        let (on_trial, for_good) = match leads {
            [] => (None, None),
            [(Some(set), lead)] => (Some((*set, *lead)), None),
            [(None, lead)] => (None, Some(*lead)),
            [(Some(set), first), (None, second)] => (Some((*set, *first)), Some(*second)),
            _ => return Err("has more rules than portreeve puts there"),
        };
        if let Some((set, lead)) = on_trial {
            let number = layout::parse_trial_set(set).ok_or("asks a foreign set")?;
            let entry = match lead {
                Lead::Accept => None,
                lead => Some(entry(objects, base, lead).filter(|(of, _)| *of == number)),
            };
            let entry = entry.map(|entry| entry.ok_or("leads astray while a trial runs"));
            let entry = entry.transpose()?.map(|(_, entry)| entry);
            enter(&mut self.trial, number, entry)?;
        }
        let Some(lead) = for_good else {
            return match base.policy {
                ChainPolicy::Accept => Ok(()),
                ChainPolicy::Drop => Err("drops what it leads nowhere"),
            };
        };
        let (number, entry) = entry(objects, base, lead).ok_or("leads astray")?;
        if entry.base.policy != base.policy {
            return Err("has another chain policy than what it leads to");
        }
        enter(&mut self.confirmed, number, Some(entry))
    }
}

/// The generation that a rule of a base chain leads to, and where packets enter it.
fn entry(objects: &Objects, base: &BaseChain, lead: &Lead) -> Option<(Number, Entry)> {
    let Lead::Goto(entry_chain) = lead else {
        return None;
    };
    let (number, chain) = layout::parse_entry_chain(entry_chain)?;
    let into = layout::chain(number, &chain);
    let policy = match Rules::of(objects, entry_chain).leads()?.as_slice() {
        [(None, Lead::Jump(first)), (None, Lead::Accept)] if *first == into => ChainPolicy::Accept,
        [(None, Lead::Jump(first)), (None, Lead::Drop)] if *first == into => ChainPolicy::Drop,
        _ => return None,
    };
    let base = Base {
        policy,
        ..place_of(base)?
    };
    Some((number, Entry { chain, base }))
}

/// A base chain of the kernel's as one of a rule set.
fn place_of(base: &BaseChain) -> Option<Base> {
    let mut types = ChainType::ALL.into_iter();
    let chain_type = types.find(|it| it.keyword() == base.chain_type)?;
    Some(Base {
        chain_type,
        hook: base.hook,
        priority: base.priority,
        policy: base.policy,
    })
}

/// Notes that packets enter generation `number` by `entry`.
fn enter(
    side: &mut Option<Side>,
    number: Number,
    entry: Option<Entry>,
) -> Result<(), &'static str> {
    let side = side.get_or_insert(Side {
        number,
        entries: Vec::new(),
    });
    if side.number != number {
        return Err("leads to another generation than the other base chains");
    }
    side.entries.extend(entry);
    Ok(())
}

/// The rules of one chain, first to last.
struct Rules<'a>(Vec<&'a Rule>);

impl<'a> Rules<'a> {
    fn of(objects: &'a Objects, chain: &str) -> Self {
        Self(
            objects
                .rules
                .iter()
                .filter(|rule| rule.chain == chain)
                .collect(),
        )
    }

    /// Where they lead, when they do nothing but lead somewhere.
    fn leads(&self) -> Option<Vec<(Option<&'a str>, &'a Lead)>> {
        let lead = |rule: &&'a Rule| match &rule.meaning {
            Meaning::Lead {
                only_while,
                verdict,
            } => Some((only_while.as_deref(), verdict)),
            Meaning::Other => None,
        };
        self.0.iter().map(lead).collect()
    }
}

/// Leads packets to `candidate` for as long as `within`, and then to `confirmed` again.
#[must_use]
pub fn put_on_trial(
    objects: &Objects,
    confirmed: Option<&Side>,
    candidate: &Side,
    within: Duration,
) -> Batch {
    let mut batch = Batch::new();
    batch.add_trial(&layout::trial_set(candidate.number), within);
    record_arrivals(&mut batch, candidate.number, within);
    lead(&mut batch, objects, confirmed, Some(candidate));
    batch
}

/// Makes the chain and the sets that remember who opened a TCP connection during the trial.
fn record_arrivals(batch: &mut Batch, number: Number, within: Duration) {
    let sets = Family::BOTH.map(|family| (family, layout::arrivals_set(number, family)));
    let chain = layout::arrivals_chain(number);
    for (family, set) in &sets {
        batch.add_record(set, *family, within);
    }
    batch.add_chain(&chain, None);
    for (family, set) in &sets {
        batch.add_arrival_rule(&chain, *family, set);
    }
}

/// Leads packets to `candidate` for good, if its trial still runs; otherwise the kernel refuses.
#[must_use]
pub fn confirm(objects: &Objects, candidate: &Side) -> Batch {
    let mut batch = Batch::new();
    // The kernel drops the elements when the trial lapses, and nothing that is not there can be
    // deleted: with this command it refuses the whole batch.
    batch.delete_trial_elements(&layout::trial_set(candidate.number));
    lead(&mut batch, objects, Some(candidate), None);
    batch
}

/// Leads packets to `side` for good, whatever the base chains say now.
#[must_use]
pub fn lead_to(objects: &Objects, side: &Side) -> Batch {
    let mut batch = Batch::new();
    lead(&mut batch, objects, Some(side), None);
    batch
}

/// Filters nothing any more: deletes the table, if it is there.
#[must_use]
pub fn lead_nowhere(objects: &Objects) -> Batch {
    let mut batch = Batch::new();
    if objects.table {
        batch.delete_table();
    }
    batch
}

/// A base chain as it shall be.
struct Wanted {
    base: BaseChain,
    leads: Vec<(Option<String>, Lead)>,
}

/// Rewrites the base chains, and makes the entry chains that they lead to.
fn lead(batch: &mut Batch, objects: &Objects, confirmed: Option<&Side>, trial: Option<&Side>) {
    for side in [confirmed, trial].into_iter().flatten() {
        for entry in &side.entries {
            add_entry(batch, objects, side.number, entry);
        }
    }
    let wanted = wanted(confirmed, trial);
    for (chain, base) in objects
        .chains
        .iter()
        .filter_map(|chain| Some((chain, chain.base.as_ref()?)))
    {
        batch.flush_chain(&chain.name);
        let stays = wanted.get(&chain.name).is_some_and(|wanted| {
            let place = |base: &BaseChain| (base.hook, base.priority, base.chain_type.clone());
            place(&wanted.base) == place(base)
        });
        if !stays {
            batch.delete_chain(&chain.name);
        }
    }
    for (name, chain) in &wanted {
        // Of a base chain that is there already, this sets the chain policy.
        batch.add_chain(name, Some(chain.base.clone()));
        for (only_while, verdict) in &chain.leads {
            batch.add_rule(name, only_while.as_deref(), verdict);
        }
    }
}

/// Makes the chain by which packets enter generation `number`, unless it is there.
fn add_entry(batch: &mut Batch, objects: &Objects, number: Number, wanted: &Entry) {
    let name = layout::entry_chain(number, &wanted.chain);
    let there = entry(objects, &base_chain(wanted.base), &Lead::Goto(name.clone()));
    if there.is_some_and(|(_, entry)| entry == *wanted) {
        return;
    }
    // What else a chain of this name says is not ours.
    if objects.chains.iter().any(|chain| chain.name == name) {
        batch.flush_chain(&name);
    }
    batch.add_chain(&name, None);
    let policy = match wanted.base.policy {
        ChainPolicy::Accept => Lead::Accept,
        ChainPolicy::Drop => Lead::Drop,
    };
    let jump = Lead::Jump(layout::chain(number, &wanted.chain));
    batch.add_rule(&name, None, &jump);
    batch.add_rule(&name, None, &policy);
}

/// The base chains that lead to `trial` while it runs, and to `confirmed` otherwise.
fn wanted(confirmed: Option<&Side>, trial: Option<&Side>) -> BTreeMap<String, Wanted> {
    let entries = |side: Option<&Side>| -> BTreeMap<(Hook, i32, ChainType), Entry> {
        let entries = side.map(|side| side.entries.clone()).unwrap_or_default();
        let place = |entry: Entry| {
            let Base {
                hook,
                priority,
                chain_type,
                ..
            } = entry.base;
            ((hook, priority, chain_type), entry)
        };
        entries.into_iter().map(place).collect()
    };
    let (for_good, on_trial) = (entries(confirmed), entries(trial));
    let places: BTreeSet<_> = for_good.keys().chain(on_trial.keys()).copied().collect();
    let mut wanted = BTreeMap::new();
    for place in places {
        let entry = for_good.get(&place);
        let mut leads = Vec::new();
        if let Some(side) = trial {
            let there = on_trial.get(&place);
            let lead = there.map_or(Lead::Accept, |entry| {
                Lead::Goto(layout::entry_chain(side.number, &entry.chain))
            });
            leads.push((Some(layout::trial_set(side.number)), lead));
        }
        if let (Some(side), Some(entry)) = (confirmed, entry) {
            leads.push((
                None,
                Lead::Goto(layout::entry_chain(side.number, &entry.chain)),
            ));
        }
        // Without a confirmed generation, or a chain of its own here, everything passes.
        let policy = entry.map_or(ChainPolicy::Accept, |entry| entry.base.policy);
        let (hook, priority, chain_type) = place;
        let place = Base {
            chain_type,
            hook,
            priority,
            policy,
        };
        let base = base_chain(place);
        wanted.insert(layout::base_chain(place), Wanted { base, leads });
    }
    if let Some(Side { number, .. }) = trial {
        let base = base_chain(Base {
            chain_type: ChainType::Filter,
            hook: Hook::Input,
            priority: ARRIVALS_PRIORITY,
            policy: ChainPolicy::Accept,
        });
        let lead = Lead::Goto(layout::arrivals_chain(*number));
        let leads = vec![(Some(layout::trial_set(*number)), lead)];
        wanted.insert(ARRIVALS.to_owned(), Wanted { base, leads });
    }
    wanted
}

fn base_chain(base: Base) -> BaseChain {
    BaseChain {
        hook: base.hook,
        priority: base.priority,
        policy: base.policy,
        chain_type: base.chain_type.keyword().to_owned(),
    }
}

/// What of generation `number`, which has been staged, the kernel does not hold: its chains with
/// as many rules each, and its sets. None when all of it is there.
#[must_use]
pub fn missing(objects: &Objects, number: Number, ruleset: &Ruleset) -> Option<String> {
    let chains: BTreeSet<&str> = objects.chains.iter().map(|c| c.name.as_str()).collect();
    let sets: BTreeSet<&str> = objects.sets.iter().map(|set| set.name.as_str()).collect();
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for rule in &objects.rules {
        *rules.entry(&rule.chain).or_default() += 1;
        if layout::parse_chain(&rule.chain).is_some_and(|(of, _)| of == number) {
            named.extend(rule.sets.iter().map(String::as_str));
        }
    }
    for chain in ruleset.chains() {
        let name = layout::chain(number, chain.name());
        let (found, sent) = (
            rules.get(name.as_str()).copied().unwrap_or(0),
            chain.rules().len(),
        );
        if !chains.contains(name.as_str()) {
            return Some(format!("chain `{name}`"));
        }
        if found != sent {
            return Some(format!("chain `{name}` has {found} rules of {sent}"));
        }
    }
    let is_ours = |name: &&&str| {
        layout::parse_set(name).is_some() || layout::parse_dynamic_set(name).is_some()
    };
    let set = named
        .iter()
        .filter(is_ours)
        .find(|name| !sets.contains(**name));
    set.map(|name| format!("set `{name}`"))
}

/// Deletes whatever no base chain leads to: what a trial, a lapse or a crash has left.
#[must_use]
pub fn sweep(objects: &Objects) -> Batch {
    let is_base = |chain: &&Chain| chain.base.is_some();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut ahead: Vec<&str> = objects
        .chains
        .iter()
        .filter(is_base)
        .map(|chain| chain.name.as_str())
        .collect();
    let mut sets: BTreeSet<&str> = BTreeSet::new();
    while let Some(chain) = ahead.pop() {
        if !reached.insert(chain) {
            continue;
        }
        // A generation stays as a whole: where its verdict maps lead is not listed with its rules.
        if let Some((number, _)) = layout::parse_chain(chain) {
            let of_same =
                |name: &&str| layout::parse_chain(name).is_some_and(|(other, _)| other == number);
            ahead.extend(
                objects
                    .chains
                    .iter()
                    .map(|it| it.name.as_str())
                    .filter(of_same),
            );
        }
        for rule in Rules::of(objects, chain).0 {
            ahead.extend(rule.chains.iter().map(String::as_str));
            sets.extend(rule.sets.iter().map(String::as_str));
        }
    }
    let mut batch = Batch::new();
    let left = |chain: &&Chain| !reached.contains(chain.name.as_str());
    // All of them are emptied first: one that another still leads to cannot be deleted.
    for chain in objects.chains.iter().filter(left) {
        batch.flush_chain(&chain.name);
    }
    for chain in objects.chains.iter().filter(left) {
        batch.delete_chain(&chain.name);
    }
    for set in objects
        .sets
        .iter()
        .filter(|set| !sets.contains(set.name.as_str()))
    {
        batch.delete_set(&set.name);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{About, Set};

    fn rule(chain: &str, only_while: Option<&str>, verdict: Lead) -> Rule {
        let chains = match &verdict {
            Lead::Accept | Lead::Drop => Vec::new(),
            Lead::Jump(chain) | Lead::Goto(chain) => vec![chain.clone()],
        };
        Rule {
            chain: chain.to_owned(),
            handle: 0,
            sets: only_while.map(str::to_owned).into_iter().collect(),
            meaning: Meaning::Lead {
                only_while: only_while.map(str::to_owned),
                verdict,
            },
            chains,
        }
    }

    fn foreign(chain: &str) -> Rule {
        Rule {
            meaning: Meaning::Other,
            ..rule(chain, None, Lead::Accept)
        }
    }

    fn base(hook: Hook, priority: i32, policy: ChainPolicy) -> Base {
        Base {
            chain_type: ChainType::Filter,
            hook,
            priority,
            policy,
        }
    }

    fn chain(name: &str, base: Option<Base>) -> Chain {
        Chain {
            name: name.to_owned(),
            base: base.map(base_chain),
        }
    }

    fn to(name: &str) -> Lead {
        Lead::Goto(name.to_owned())
    }

    /// Generation 41 is confirmed and filters input; 42 is on trial and filters output.
    fn on_trial() -> Objects {
        let (input, output) = (
            base(Hook::Input, 0, ChainPolicy::Drop),
            base(Hook::Output, 0, ChainPolicy::Accept),
        );
        Objects {
            table: true,
            chains: vec![
                chain("input", Some(input)),
                chain("output", Some(output)),
                chain("g41_in", None),
                chain("g42_out", None),
                chain("e42_out", None),
                chain("e41_in", None),
                chain("g40_in", None),
            ],
            rules: vec![
                rule("input", Some("trial42"), Lead::Accept),
                rule("input", None, to("e41_in")),
                rule("output", Some("trial42"), to("e42_out")),
                rule("e42_out", None, Lead::Jump("g42_out".to_owned())),
                rule("e42_out", None, Lead::Drop),
                foreign("g41_in"),
                rule("e41_in", None, Lead::Jump("g41_in".to_owned())),
                rule("e41_in", None, Lead::Drop),
            ],
            sets: ["trial42", "trial40"]
                .map(|name| Set {
                    name: name.to_owned(),
                })
                .into(),
        }
    }

    fn entry(chain: &str, base: Base) -> Entry {
        Entry {
            chain: Name::new(chain).expect("is a name"),
            base,
        }
    }

    #[test]
    fn both_sides_are_read_with_their_own_chain_policies() {
        let standing = Standing::read(&on_trial()).expect("is a switch of ours");
        let confirmed = entry("in", base(Hook::Input, 0, ChainPolicy::Drop));
        let trial = entry("out", base(Hook::Output, 0, ChainPolicy::Drop));
        let side = |number, entry| {
            let entries = vec![entry];
            Some(Side { number, entries })
        };
        assert_eq!(standing.confirmed, side(41, confirmed));
        assert_eq!(standing.trial, side(42, trial));
    }

    #[test]
    fn whatever_else_stands_in_a_base_chain_is_refused() {
        type Change = fn(&mut Objects);
        let cases: [(Change, &str); 8] = [
            (|o| o.rules.push(foreign("input")), "has a foreign rule"),
            (
                |o| o.rules.push(rule("input", None, Lead::Accept)),
                "has more rules than portreeve puts there",
            ),
            (
                |o| o.rules[1] = rule("input", None, Lead::Accept),
                "leads astray",
            ),
            (
                |o| {
                    o.rules.remove(1);
                },
                "drops what it leads nowhere",
            ),
            (
                |o| o.rules[4] = foreign("e42_out"),
                "leads astray while a trial runs",
            ),
            (
                |o| o.rules[0] = rule("input", Some("trial43"), Lead::Accept),
                "leads to another generation than the other base chains",
            ),
            (
                |o| o.rules[7] = rule("e41_in", None, Lead::Accept),
                "has another chain policy than what it leads to",
            ),
            (
                |o| o.chains[0].name = "input_5".to_owned(),
                "is not one of portreeve's",
            ),
        ];
        for (change, expected) in cases {
            let mut objects = on_trial();
            change(&mut objects);
            let strange = Standing::read(&objects).expect_err(expected);
            assert!(strange.to_string().ends_with(expected), "{strange}");
        }
    }

    #[test]
    fn sweeping_leaves_what_packets_can_still_meet() {
        let batch = sweep(&on_trial());
        let about: Vec<_> = (0..batch.len())
            .filter_map(|at| batch.about(at).cloned())
            .collect();
        let expected = [
            About::FlushChain("g40_in".to_owned()),
            About::DeleteChain("g40_in".to_owned()),
            About::DeleteSet("trial40".to_owned()),
        ];
        assert_eq!(about, expected);
    }

    /// Losing this, a switch would lead to chains that are not there, or write to the ones that
    /// packets meet.
    #[test]
    fn the_switch_makes_the_entry_chains_that_are_not_there() {
        let objects = on_trial();
        let standing = Standing::read(&objects).expect("is a switch of ours");
        let candidate = standing.trial.expect("42 is on trial");
        let made = |objects: &Objects| {
            let batch = lead_to(objects, &candidate);
            let about = (0..batch.len()).filter_map(|at| batch.about(at));
            let about = about.map(About::to_string);
            about.filter(|it| it.contains("`e4")).collect::<Vec<_>>()
        };
        assert!(made(&objects).is_empty());

        let mut without = objects.clone();
        without.chains.retain(|chain| chain.name != "e42_out");
        without.rules.retain(|rule| rule.chain != "e42_out");
        let added = [
            "to add chain `e42_out`",
            "to add a rule to chain `e42_out`",
            "to add a rule to chain `e42_out`",
        ];
        assert_eq!(made(&without), added);

        let mut strange = objects;
        strange.rules[4] = foreign("e42_out");
        let rewritten = [&["to empty chain `e42_out`"], &added[..]].concat();
        assert_eq!(made(&strange), rewritten);
    }

    #[test]
    fn a_confirmation_stands_or_falls_with_its_trial() {
        let objects = on_trial();
        let standing = Standing::read(&objects).expect("is a switch of ours");
        let candidate = standing.trial.expect("42 is on trial");
        let batch = confirm(&objects, &candidate);
        let first = batch.about(0);
        assert_eq!(first, Some(&About::EndTrial("trial42".to_owned())));
    }
}
