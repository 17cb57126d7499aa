//! Generations side by side in one table: what is staged and switched to is read back.

use std::collections::BTreeSet;

use portreeve::proofs::contradiction;
use portreeve_model::draft::{Draft, Element, SetNode};
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::{Feeds, validate};
use portreeve_nft::{
    Installed, LiftError, Transaction, layout, lift_installed, lift_installed_terse, read, replace,
    single_generation, stage,
};
use portreeve_tests::random;
use serde_json::{Value, json};

use super::switch::{called, document, goto, rule, switch, two_rulesets};

/// Generations 41 and 42, staged one after the other.
fn staged([one, other]: &[Ruleset; 2]) -> [Transaction; 2] {
    [
        stage(one, 41, &BTreeSet::new()),
        stage(other, 42, &called((41, one))),
    ]
}

/// A listing with generation 41 confirmed, 42 on trial, and these objects.
fn listing(rulesets: &[Ruleset; 2], more: &[Value]) -> String {
    let [one, other] = rulesets;
    let mut objects = switch(Some((41, one)), Some((42, other)));
    objects.extend_from_slice(more);
    document(&staged(rulesets).each_ref(), &objects)
}

/// Losing this, a kernel that lists other rules than it was sent would be found only by those who
/// wrote them.
#[test]
fn each_generation_of_a_listing_is_proved_not_to_contradict_its_rule_set() {
    let mut told_apart = 0;
    for seed in 0..100 {
        let rulesets = two_rulesets(seed);
        let listed = read(&listing(&rulesets, &[])).expect("it is JSON");
        let [one, other] = &rulesets;
        for (number, its, not_its) in [(41, one, other), (42, other, one)] {
            let generation = single_generation(listed.clone(), number);
            let found = contradiction(&generation, its);
            assert_eq!(found, None, "seed {seed}, generation {number}");
            told_apart += u32::from(contradiction(&generation, not_its).is_some());
        }
    }
    assert!(told_apart >= 150, "{told_apart} of 200");
}

/// Losing this, `status` could call a rule set changed that nobody touched, or overlook a change.
#[test]
fn what_is_staged_and_switched_to_is_read_back() {
    for seed in 0..500 {
        let rulesets = two_rulesets(seed);
        let found = lift_installed(&listing(&rulesets, &[]));
        let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let [one, other] = rulesets;
        let expected = Installed {
            confirmed: Some((41, one)),
            trial: Some((42, other)),
        };
        assert!(found == expected, "seed {seed}");
    }
}

/// Losing this, what was left of an earlier trial would be taken for a rule set in force.
#[test]
fn what_no_base_chain_leads_to_is_part_of_nothing() {
    let rulesets = two_rulesets(3);
    let [one, other] = &rulesets;
    let transactions = staged(&rulesets);
    let read = |objects: &[Value]| {
        let found = lift_installed(&document(&transactions.each_ref(), objects)).unwrap();
        let numbers = [found.confirmed, found.trial];
        numbers.map(|generation| generation.map(|(number, _)| number))
    };
    let (confirmed, candidate) = (Some((41, one)), Some((42, other)));
    assert_eq!(read(&[]), [None, None]);
    assert_eq!(read(&switch(confirmed, None)), [Some(41), None]);
    assert_eq!(read(&switch(None, candidate)), [None, Some(42)]);
    assert_eq!(read(&switch(candidate, None)), [Some(42), None]);
    let mut lapsed = switch(confirmed, candidate);
    let without_elements =
        |object: &mut Value| object.get_mut("set")?.as_object_mut()?.remove("elem");
    lapsed.iter_mut().find_map(without_elements).unwrap();
    assert_eq!(read(&lapsed), [Some(41), None]);
}

/// Losing this, large sets would be sent again with each change, seconds of work each time.
#[test]
fn a_set_that_is_there_is_not_sent_again() {
    for seed in 0..50 {
        let [ruleset, _] = two_rulesets(seed);
        let sets = |present: &BTreeSet<String>| {
            let transaction = stage(&ruleset, 1, present);
            let set = |subject: String| subject.starts_with("set `").then_some(subject);
            let subjects = transaction.commands().iter();
            let sets = subjects.filter_map(|command| set(command.subject().to_string()));
            sets.count()
        };
        let all = ruleset.sets().len() + ruleset.field_sets().len();
        assert_eq!(sets(&BTreeSet::new()), all);
        assert_eq!(sets(&called((1, &ruleset))), 0);
    }
}

/// Losing this, drift would be seen, and repaired, where there is none.
#[test]
fn the_same_generation_gives_the_same_bytes() {
    for seed in 0..100 {
        let transactions = [0; 5].map(|_| {
            let ruleset = random::ruleset(seed);
            stage(&ruleset, 7, &BTreeSet::new()).to_json()
        });
        assert!(
            transactions.windows(2).all(|pair| pair[0] == pair[1]),
            "seed {seed}"
        );
    }
}

/// Losing this, an operator would be told about `g41_web`, which her policy does not know.
#[test]
fn what_is_staged_is_told_in_the_words_of_the_policy() {
    let mut told: Vec<_> = (0..20)
        .flat_map(|seed| {
            let [ruleset, _] = two_rulesets(seed);
            // What is staged is part of it.
            let transaction = replace(&ruleset, 41);
            let subjects = transaction.commands().iter();
            let told: Vec<_> = subjects.map(|it| it.subject().to_string()).collect();
            told
        })
        .collect();
    told.sort();
    told.dedup();
    for expected in [
        "chain `in_0`",
        "chain policy of chain `in_0`",
        "set `set_0`",
    ] {
        assert!(
            told.iter().any(|it| it == expected),
            "{expected}: {told:#?}"
        );
    }
    assert!(!told.iter().any(|it| it.contains("41")), "{told:#?}");
}

/// Losing this, two generations of which only a feed differs would be taken for one another,
/// because a terse listing leaves the elements out.
#[test]
fn a_terse_listing_tells_sets_apart_by_their_names() {
    let seed = (0..).find(|seed| !two_rulesets(*seed)[0].sets().is_empty());
    let seed = seed.unwrap();
    let [ruleset, _] = two_rulesets(seed);
    let staged = stage(&ruleset, 1, &BTreeSet::new());
    let json = document(&[&staged], &switch(Some((1, &ruleset)), None));
    let mut terse: Value = serde_json::from_str(&json).unwrap();
    for object in terse["nftables"].as_array_mut().unwrap() {
        if let Some(set) = object.pointer_mut("/add/set") {
            set.as_object_mut().unwrap().remove("elem");
        }
    }
    let shape = lift_installed_terse(&terse.to_string()).unwrap();
    let (number, shape) = shape.confirmed.unwrap();
    assert_eq!(number, 1);
    assert!(shape.is_that_of(&ruleset));
    assert!(!shape.is_that_of(&with_one_address_more(seed)));
}

/// The same rule set but for its sets.
fn with_one_address_more(seed: u64) -> Ruleset {
    let Draft {
        mut sets,
        field_sets,
        chains,
    } = random::draft(seed);
    let [same, _] = two_rulesets(seed);
    sets.retain(|set| {
        same.sets()
            .iter()
            .any(|kept| kept.name().as_str() == set.name)
    });
    for set in &mut sets {
        let address = set.family.address(0x0102_0304);
        let one = Element::Range {
            first: address,
            last: address,
        };
        set.expression.push(SetNode::Elements(vec![one]));
        set.expression.push(SetNode::Union(vec![0, 1]));
    }
    let draft = Draft {
        sets,
        field_sets,
        chains,
    };
    validate(&draft, &Feeds::default()).expect("valid")
}

/// Losing this, somebody else's chain would decide over packets while `status` calls the table
/// unchanged.
#[test]
fn a_foreign_object_beside_generations_is_named() {
    let rows = [
        (
            "chain",
            json!({"name": "web"}),
            "the table has a chain named `web`",
        ),
        (
            "chain",
            json!({"name": "g041_web"}),
            "the table has a chain named `g041_web`",
        ),
        (
            "chain",
            json!({"name": "mine", "type": "filter", "hook": "input", "prio": 7}),
            "base chain `mine` in table inet portreeve is not one of portreeve's",
        ),
        (
            "set",
            json!({"name": "s", "type": "ipv4_addr"}),
            "the table has a set named `s`",
        ),
        (
            "set",
            json!({"name": "trial9", "type": "nf_proto", "flags": ["timeout"], "elem": ["ipv4"]}),
            "set `trial9` has the element `ipv4`",
        ),
        (
            "set",
            json!({"name": "trial9", "type": "ipv4_addr", "flags": ["timeout"]}),
            "set `trial9` has keys of type `\"ipv4_addr\"`",
        ),
        (
            "set",
            json!({"name": "arrivals9_ip6", "type": "ipv6_addr", "flags": ["timeout"]}),
            "set `arrivals9_ip6` has keys of type `\"ipv6_addr\"`",
        ),
    ];
    for (kind, attributes, expected) in rows {
        let mut object = json!({"family": "inet", "table": "portreeve"});
        let attributes = attributes.as_object().unwrap().clone();
        object.as_object_mut().unwrap().extend(attributes);
        check_foreign(&json!({ kind: object }), expected);
    }
}

/// Losing this, a rule that somebody else put between ours would go unnoticed.
#[test]
fn a_foreign_rule_beside_generations_is_named() {
    let [one, other] = two_rulesets(5);
    let chain = layout::chain(41, one.chains()[0].name());
    let trial = layout::entry_chain(42, other.chains()[0].name());
    let drop = [json!({"drop": null})];
    let dropped = "has the expressions `[{\"drop\":null}]`";
    let counted = "has the expressions `[{\"counter\":null}]`";
    check_foreign(&rule("arrivals", &drop), dropped);
    check_foreign(&rule("arrivals42", &drop), dropped);
    check_foreign(&rule(&trial, &[json!({"counter": null})]), counted);
    check_foreign(&rule(&trial, &drop), "leads astray while a trial runs");
    check_foreign(&rule(&chain, &drop), "has no comment");
    check_foreign(&rule("nowhere", &drop), "has a chain that is not listed");
    let mut jump = rule(&chain, &[goto("g42_regular_0")]);
    jump["rule"]["comment"] = json!("x");
    check_foreign(&jump, "has a jump to chain `g42_regular_0`");
}

fn check_foreign(object: &Value, expected: &str) {
    let found = lift_installed(&listing(&two_rulesets(5), std::slice::from_ref(object)));
    let found = found.expect_err("it is foreign").to_string();
    assert!(
        found.contains(expected),
        "{object}\n  {found}\n  {expected}"
    );
}

/// Losing this, `status` could not tell a missing table from one that filters nothing.
#[test]
fn a_missing_table_is_not_one_that_filters_nothing() {
    let nothing = lift_installed(r#"{"nftables":[]}"#);
    assert!(matches!(nothing, Err(LiftError::NoTable)));
    let empty = r#"{"nftables":[{"table":{"family":"inet","name":"portreeve"}}]}"#;
    let filters_nothing = Installed {
        confirmed: None,
        trial: None,
    };
    assert_eq!(lift_installed(empty).unwrap(), filters_nothing);
}

/// Losing this, a damaged listing could crash the daemon that reads it.
#[test]
fn no_damaged_listing_is_a_panic() {
    let json = listing(&two_rulesets(7), &[]);
    let mut random = random::Random::new(1);
    for _ in 0..2_000 {
        let mut bytes = json.clone().into_bytes();
        for _ in 0..=random.up_to(3) {
            let at = random.up_to(bytes.len());
            bytes[at] = random.pick(b"{}[]\",:0179-@aegt_ ");
        }
        if let Ok(damaged) = String::from_utf8(bytes) {
            drop(lift_installed(&damaged));
            drop(lift_installed_terse(&damaged));
        }
    }
}
