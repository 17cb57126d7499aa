//! Generations side by side in the kernel's table: staged, on trial, lapsed, confirmed.

use std::collections::BTreeSet;

use portreeve_model::address::Family;
use portreeve_model::draft::{Base, Chain, ChainType, Draft, Rule, Statement};
use portreeve_model::limits::JUMP_DEPTH_MAX;
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::{Feeds, validate};
use portreeve_nft::layout::{self, Number};
use portreeve_nft::{
    Cause, Installed, Refusal, TABLE, lift_installed, lift_installed_terse, stage,
};
use portreeve_tests::namespace::Namespace;
use serde_json::{Value, json};

use super::switch::{Generation, called, document, rule, switch, two_rulesets};
use super::{assert_same, list, namespace};

/// Puts a generation into the table as `apply` does: what is there already is not sent.
fn put(namespace: &Namespace, generation: Generation<'_>) {
    put_beside(namespace, &sets(namespace), generation);
}

fn put_beside(
    namespace: &Namespace,
    present: &BTreeSet<String>,
    (number, ruleset): Generation<'_>,
) {
    let transaction = stage(ruleset, number, present);
    let staged = namespace.nft(&["-j", "-f", "-"], &transaction.to_json());
    staged.unwrap_or_else(|error| panic!("generation {number}: {error}"));
}

fn turn(namespace: &Namespace, confirmed: Option<Generation<'_>>, trial: Option<Generation<'_>>) {
    try_to(namespace, &switch(confirmed, trial)).expect("what it leads to is staged");
}

fn try_to(namespace: &Namespace, objects: &[Value]) -> Result<String, String> {
    namespace.nft(&["-j", "-f", "-"], &document(&[], objects))
}

/// The names of the sets in the table.
fn sets(namespace: &Namespace) -> BTreeSet<String> {
    let listing = namespace.nft(&["-j", "-t", "list", "sets"], "");
    let listing: Value = serde_json::from_str(&listing.expect("listed")).expect("JSON");
    let objects = listing["nftables"].as_array().expect("a list").iter();
    let name = |object: &Value| object["set"]["name"].as_str().map(str::to_owned);
    objects.filter_map(name).collect()
}

fn assert_installed(
    seed: u64,
    found: &Installed,
    confirmed: Option<Generation<'_>>,
    trial: Option<Generation<'_>>,
) {
    for (found, expected) in [(&found.confirmed, confirmed), (&found.trial, trial)] {
        match (found, expected) {
            (None, None) => {}
            (Some((number, found)), Some((expected_number, expected))) => {
                assert_eq!(*number, expected_number, "seed {seed}");
                assert_same(seed, found, expected);
            }
            _ => panic!("seed {seed}: {:?}", found.as_ref().map(|found| found.0)),
        }
    }
}

/// Losing this, `apply` would report drift right after it succeeded, or miss a real one: in force,
/// on trial, and after a trial that nobody confirmed.
#[test]
fn what_is_staged_and_switched_to_is_listed_as_it_was_sent() {
    let Some(namespace) = namespace("what_is_staged_and_switched_to_is_listed_as_it_was_sent")
    else {
        return;
    };
    for seed in 0..500 {
        let [one, other] = two_rulesets(seed);
        let (confirmed, candidate) = ((41, &one), (42, &other));
        let present = called(confirmed);
        put_beside(&namespace, &BTreeSet::new(), confirmed);
        put_beside(&namespace, &present, candidate);
        turn(&namespace, Some(confirmed), Some(candidate));
        // Names one time, numbers the other: nft offers both.
        let options: &[&str] = if seed % 2 == 0 {
            &["-j"]
        } else {
            &["-j", "-n"]
        };
        let installed = lift_installed(&list(&namespace, options));
        let installed = installed.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_installed(seed, &installed, Some(confirmed), Some(candidate));
        if seed % 10 == 0 {
            lapses(&namespace, seed, confirmed, candidate);
        }
        namespace.nft(&["flush", "ruleset"], "").unwrap();
    }
}

/// What the kernel does by itself when the elements time out.
fn lapses(namespace: &Namespace, seed: u64, confirmed: Generation<'_>, candidate: Generation<'_>) {
    let shape = lift_installed_terse(&list(namespace, &["-j", "-t"])).expect("ours");
    for (shape, generation) in [(shape.confirmed, confirmed), (shape.trial, candidate)] {
        let (number, shape) = shape.expect("both are there");
        assert_eq!(number, generation.0);
        assert!(shape.is_that_of(generation.1), "seed {seed}");
    }
    let set = layout::trial_set(candidate.0);
    namespace
        .nft(&["flush", "set", "inet", TABLE, &set], "")
        .expect("the set is there");
    let installed = lift_installed(&list(namespace, &["-j"])).expect("ours");
    assert_installed(seed, &installed, Some(confirmed), None);
}

/// Losing this, the packets that arrive while a large set is sent would meet half of it.
#[test]
fn what_is_only_staged_is_met_by_no_packet() {
    let Some(namespace) = namespace("what_is_only_staged_is_met_by_no_packet") else {
        return;
    };
    let [one, other] = two_rulesets(1);
    put(&namespace, (1, &one));
    put(&namespace, (2, &other));
    let listing = list(&namespace, &["-j"]);
    assert!(!listing.contains("\"hook\""), "{listing}");
    let installed = lift_installed(&listing).unwrap();
    assert_installed(1, &installed, None, None);
    turn(&namespace, None, Some((2, &other)));
    let installed = lift_installed(&list(&namespace, &["-j"])).unwrap();
    assert_installed(1, &installed, None, Some((2, &other)));
}

/// Losing this, a generation whose number is in use would be written into the one in force.
#[test]
fn a_number_in_use_is_refused() {
    let Some(namespace) = namespace("a_number_in_use_is_refused") else {
        return;
    };
    let [one, other] = two_rulesets(2);
    put(&namespace, (7, &one));
    turn(&namespace, Some((7, &one)), None);
    let before = list(&namespace, &["-j"]);
    let transaction = stage(&other, 7, &BTreeSet::new());
    let refused = namespace.nft(&["-j", "-f", "-"], &transaction.to_json());
    let refusal = Refusal::read(&refused.unwrap_err(), &transaction);
    assert_eq!(refusal.cause, Cause::Conflict);
    assert_eq!(list(&namespace, &["-j"]), before);
}

/// Losing this, `plan` would pass a rule set that the kernel then refuses to put on trial.
#[test]
fn the_deepest_jumps_fit_into_a_trial() {
    let Some(namespace) = namespace("the_deepest_jumps_fit_into_a_trial") else {
        return;
    };
    let deepest = validate(&ladder(JUMP_DEPTH_MAX), &Feeds::default()).unwrap();
    validate(&ladder(JUMP_DEPTH_MAX + 1), &Feeds::default()).unwrap_err();
    put(&namespace, (1, &deepest));
    put(&namespace, (2, &deepest));
    turn(&namespace, Some((1, &deepest)), Some((2, &deepest)));
    let installed = lift_installed(&list(&namespace, &["-j"])).unwrap();
    assert_installed(0, &installed, Some((1, &deepest)), Some((2, &deepest)));
    // One jump more is one too many.
    let last = |number: Number| format!("g{number}_c{JUMP_DEPTH_MAX}");
    let further = json!({"chain": {"family": "inet", "table": TABLE, "name": "further"}});
    let jump = |chain: &str| rule(chain, &[json!({"jump": {"target": "further"}})]);
    try_to(&namespace, &[further, jump(&last(2))]).unwrap_err();
}

/// Chains that jump one to the next.
fn ladder(rungs: usize) -> Draft {
    let chain = |at: usize| {
        let next = (at < rungs).then(|| Statement::Jump(format!("c{}", at + 1)));
        let rule = |statement| Rule {
            label: "on".to_owned(),
            matches: Vec::new(),
            statements: vec![statement],
        };
        Chain {
            name: format!("c{at}"),
            base: (at == 0).then_some(Base {
                chain_type: ChainType::Filter,
                hook: Hook::Input,
                priority: 0,
                policy: ChainPolicy::Drop,
            }),
            rules: next.map(rule).into_iter().collect(),
        }
    };
    Draft {
        sets: Vec::new(),
        field_sets: Vec::new(),
        chains: (0..=rungs).map(chain).collect(),
    }
}

/// Losing this, a policy with long names could be planned and checked, but not applied.
#[test]
fn the_longest_names_fit() {
    let Some(namespace) = namespace("the_longest_names_fit") else {
        return;
    };
    let long = "n23456789_123456789_123456789_1";
    let mut draft = super::with_rule(
        vec![portreeve_model::draft::Match {
            negated: false,
            test: portreeve_model::draft::Test::Saddr(
                Family::Ip,
                portreeve_model::draft::AddressOperand::Set(long.to_owned()),
            ),
        }],
        vec![Statement::Accept],
    );
    long.clone_into(&mut draft.chains[0].name);
    let element = "192.0.2.0/24".parse::<portreeve_model::address::Prefix>();
    draft.sets.push(portreeve_model::draft::Set {
        name: long.to_owned(),
        family: Family::Ip,
        expression: vec![portreeve_model::draft::SetNode::Elements(vec![
            element.unwrap().into(),
        ])],
    });
    let ruleset: Ruleset = validate(&draft, &Feeds::default()).unwrap();
    let last = Number::MAX;
    put(&namespace, (last, &ruleset));
    turn(&namespace, None, Some((last, &ruleset)));
    let installed = lift_installed(&list(&namespace, &["-j"])).unwrap();
    assert_installed(0, &installed, None, Some((last, &ruleset)));
}
