//! The base chains that lead packets to staged generations, what these lead to, and the record of
//! arrivals, as the layout of the table says, in nft's JSON. What portreeve itself sends goes past nft; this is the second opinion.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::address::Family;
use portreeve_model::draft::Draft;
use portreeve_model::draft::{AddressOperand, Base, ChainType, Test};
use portreeve_model::names::Name;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};
use portreeve_nft::layout::{self, Number};
use portreeve_nft::{TABLE, Transaction};
use portreeve_tests::random;
use serde_json::{Value, json};

/// A generation: its number and what it says.
pub(crate) type Generation<'a> = (Number, &'a Ruleset);

/// The base chains and the entry chains, and for a trial its set with the elements and its record
/// of arrivals.
pub(crate) fn switch(
    confirmed: Option<Generation<'_>>,
    trial: Option<Generation<'_>>,
) -> Vec<Value> {
    let (for_good, on_trial) = (entries(confirmed), entries(trial));
    let mut objects = Vec::new();
    for (number, ruleset) in [confirmed, trial].into_iter().flatten() {
        for (chain, base) in entries(Some((number, ruleset))).into_values() {
            objects.extend(entry_chain(number, &chain, base.policy));
        }
    }
    if let Some((number, _)) = trial {
        objects.extend(record_of_arrivals(number));
        let element = |family| json!({"elem": {"val": family, "timeout": 60}});
        let elements = ["ipv4", "ipv6"].map(element);
        objects.push(json!({"set": {"family": "inet", "table": TABLE,
            "name": layout::trial_set(number), "type": "nf_proto", "flags": ["timeout"],
            "elem": elements}}));
        let name = layout::ARRIVALS;
        let base = Base {
            chain_type: ChainType::Filter,
            hook: Hook::Input,
            priority: layout::ARRIVALS_PRIORITY,
            policy: ChainPolicy::Accept,
        };
        objects.push(base_chain(name, base));
        objects.push(rule(
            name,
            &[during(number), goto(&layout::arrivals_chain(number))],
        ));
    }
    let places: BTreeSet<_> = for_good.keys().chain(on_trial.keys()).copied().collect();
    for place in places {
        let entry = for_good.get(&place);
        let (hook, priority, chain_type) = place;
        let base = Base {
            chain_type,
            hook,
            priority,
            policy: entry.map_or(ChainPolicy::Accept, |(_, base)| base.policy),
        };
        let name = layout::base_chain(base);
        objects.push(base_chain(&name, base));
        if let Some((number, _)) = trial {
            let there = on_trial.get(&place);
            let lead = there.map_or(json!({"accept": null}), |(chain, _)| {
                goto(&layout::entry_chain(number, chain))
            });
            objects.push(rule(&name, &[during(number), lead]));
        }
        if let (Some((number, _)), Some((chain, _))) = (confirmed, entry) {
            objects.push(rule(&name, &[goto(&layout::entry_chain(number, chain))]));
        }
    }
    objects
}

/// The chain by which packets enter a generation.
fn entry_chain(number: Number, chain: &Name, policy: ChainPolicy) -> [Value; 3] {
    let name = layout::entry_chain(number, chain);
    let jump = json!({"jump": {"target": layout::chain(number, chain)}});
    let policy = match policy {
        ChainPolicy::Accept => json!({"accept": null}),
        ChainPolicy::Drop => json!({"drop": null}),
    };
    [
        json!({"chain": {"family": "inet", "table": TABLE, "name": name}}),
        rule(&name, &[jump]),
        rule(&name, &[policy]),
    ]
}

/// The chain and the sets that remember who opened a TCP connection during the trial.
fn record_of_arrivals(number: Number) -> Vec<Value> {
    let chain = layout::arrivals_chain(number);
    let mut objects = vec![json!({"chain": {"family": "inet", "table": TABLE, "name": chain}})];
    for family in Family::BOTH {
        let (set, ip) = (layout::arrivals_set(number, family), family.keyword());
        let address = format!("{}_addr", family.nfproto());
        let kind = [&address, "inet_service", &address, "inet_service"];
        objects.push(
            json!({"set": {"family": "inet", "table": TABLE, "name": set, "type": kind,
            "flags": ["timeout"], "size": 65_535, "timeout": 60}}),
        );
        let field = |protocol, field| json!({"payload": {"protocol": protocol, "field": field}});
        let key = [
            field(ip, "saddr"),
            field("tcp", "sport"),
            field(ip, "daddr"),
            field("tcp", "dport"),
        ];
        let flags = json!({"&": [field("tcp", "flags"), ["fin", "syn", "rst", "ack"]]});
        let interface = json!({"meta": {"key": "iifname"}});
        let parts = [
            json!({"match": {"op": "!=", "left": interface, "right": "lo"}}),
            json!({"match": {"op": "==", "left": flags, "right": "syn"}}),
            json!({"set": {"op": "add", "elem": {"concat": key}, "set": format!("@{set}")}}),
        ];
        objects.push(rule(&chain, &parts));
    }
    objects
}

/// What nft reads: the commands of transactions, then objects to add.
pub(crate) fn document(staged: &[&Transaction], objects: &[Value]) -> String {
    let commands = staged.iter().flat_map(|transaction| transaction.commands());
    let commands = commands.map(|command| command.json().to_owned());
    let added = objects
        .iter()
        .map(|object| json!({"add": object}).to_string());
    let all: Vec<_> = commands.chain(added).collect();
    format!("{{\"nftables\":[{}]}}", all.join(","))
}

/// Two random rule sets which have sets in common.
pub(crate) fn two_rulesets(seed: u64) -> [Ruleset; 2] {
    let (one, mut other) = (random::draft(seed), random::draft(seed + 10_000));
    for set in &mut other.sets {
        let mut same = one.sets.iter();
        let same = same.find(|same| same.name == set.name && same.family == set.family);
        if let Some(same) = same {
            set.expression.clone_from(&same.expression);
        }
    }
    [one, other].map(|draft| {
        let draft = without_idle_sets(draft);
        validate(&draft, &Feeds::default()).unwrap_or_else(|found| panic!("{seed}: {found:#?}"))
    })
}

/// A set that no rule names is never in the kernel.
fn without_idle_sets(mut draft: Draft) -> Draft {
    let rules = draft.chains.iter().flat_map(|chain| &chain.rules);
    let tests = rules.flat_map(|rule| &rule.matches).map(|it| &it.test);
    let named: BTreeSet<String> = tests
        .filter_map(|test| match test {
            Test::Saddr(_, AddressOperand::Set(name))
            | Test::Daddr(_, AddressOperand::Set(name)) => Some(name.clone()),
            _ => None,
        })
        .collect();
    draft.sets.retain(|set| named.contains(&set.name));
    draft
}

/// What the sets of a generation are called in the table.
pub(crate) fn called((number, ruleset): Generation<'_>) -> BTreeSet<String> {
    let field_sets = ruleset.field_sets().iter();
    let field_sets = field_sets.map(|set| layout::field_set(number, set));
    ruleset
        .sets()
        .iter()
        .map(layout::set)
        .chain(field_sets)
        .collect()
}

type Entries = BTreeMap<(Hook, i32, ChainType), (Name, Base)>;

fn entries(generation: Option<Generation<'_>>) -> Entries {
    let chains = generation.map(|(_, ruleset)| ruleset.chains());
    let entry = |chain: &portreeve_model::ruleset::Chain| {
        let base = chain.base()?;
        Some((
            (base.hook, base.priority, base.chain_type),
            (chain.name().clone(), base),
        ))
    };
    chains.into_iter().flatten().filter_map(entry).collect()
}

fn base_chain(name: &str, base: Base) -> Value {
    json!({"chain": {"family": "inet", "table": TABLE, "name": name,
        "type": base.chain_type.keyword(), "hook": base.hook.keyword(), "prio": base.priority,
        "policy": base.policy.keyword()}})
}

pub(crate) fn rule(chain: &str, parts: &[Value]) -> Value {
    json!({"rule": {"family": "inet", "table": TABLE, "chain": chain, "expr": parts}})
}

fn during(number: Number) -> Value {
    let set = format!("@{}", layout::trial_set(number));
    json!({"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": set}})
}

pub(crate) fn goto(chain: &str) -> Value {
    json!({"goto": {"target": chain}})
}
