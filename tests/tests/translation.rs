//! What is sent to nft means what the rule set says: lifting undoes lowering.

use portreeve::proofs::contradiction;
use portreeve_nft::{LiftError, lift, lift_terse, lower, read};
use portreeve_tests::random;

// The kernel tests say the same to nft that is only read here.
#[path = "translation/generations.rs"]
mod generations;
#[path = "kernel/switch.rs"]
mod switch;

/// Losing this, a plan could be refused as a translation bug, or a wrong one let through.
#[test]
fn lifting_undoes_lowering() {
    for seed in 0..500 {
        let ruleset = random::ruleset(seed);
        let json = lower(&ruleset).to_json();
        assert_eq!(lift(&json).unwrap(), ruleset, "seed {seed}: {json}");
        assert!(lift_terse(&json).unwrap().is_that_of(&ruleset));
    }
}

/// Losing this, no machine with nft 0.9.8 could have a rule set that rejects: that version lists the
/// kind that an inet table's rule has anyway as no kind at all.
#[test]
fn a_reject_without_a_kind_is_port_unreachable() {
    let mut rejecting = 0;
    for seed in 0..200 {
        let ruleset = random::ruleset(seed);
        let json = lower(&ruleset).to_json();
        let usual = r#"{"reject":{"expr":"port-unreachable","type":"icmpx"}}"#;
        let listed = json.replace(usual, r#"{"reject":null}"#);
        rejecting += usize::from(listed != json);
        assert_eq!(lift(&listed).unwrap(), ruleset, "seed {seed}: {listed}");
    }
    assert!(rejecting > 5, "{rejecting} of 200");
}

/// Losing this, one fault made twice, in writing and in reading back, would not be seen: those who
/// read the rules of others must find that what is sent does to every packet what is meant.
#[test]
fn what_is_sent_is_proved_to_do_what_is_meant() {
    let sent = |seed| read(&lower(&random::ruleset(seed)).to_json()).expect("it is JSON");
    let mut told_apart = 0;
    for seed in 0..300 {
        let ruleset = random::ruleset(seed);
        assert_eq!(contradiction(&sent(seed), &ruleset), None, "seed {seed}");
        told_apart += u32::from(contradiction(&sent(seed + 1), &ruleset).is_some());
    }
    assert!(told_apart >= 250, "{told_apart} of 300");
}

/// Losing this, drift would be seen, and repaired, where there is none.
#[test]
fn the_same_rule_set_gives_the_same_bytes() {
    for seed in 0..100 {
        let transactions = [0; 5].map(|_| lower(&random::ruleset(seed)).to_json());
        assert!(
            transactions.windows(2).all(|pair| pair[0] == pair[1]),
            "seed {seed}"
        );
    }
}

/// Losing this, two different rule sets would be taken for the same.
#[test]
fn different_rule_sets_have_different_shapes() {
    let rulesets: Vec<_> = (0..60).map(random::ruleset).collect();
    for (index, one) in rulesets.iter().enumerate() {
        let shape = lift_terse(&lower(one).to_json()).unwrap();
        for (other_index, other) in rulesets.iter().enumerate() {
            assert_eq!(
                shape.is_that_of(other),
                index == other_index,
                "{index} {other_index}"
            );
        }
    }
}

/// Losing this, somebody else's change to our table would go unnoticed, or crash the daemon.
#[test]
fn what_portreeve_never_says_is_named() {
    let rows: &[(&str, &str)] = &[
        (
            r#"{"table":{"family":"inet","name":"portreeve","flags":"dormant"}}"#,
            "the table has the attribute `flags`, which portreeve never puts there",
        ),
        (
            r#"{"table":{"family":"ip","name":"filter"}}"#,
            "the listing has the table `ip filter`, which portreeve never puts there",
        ),
        (
            r#"{"map":{"family":"inet","table":"portreeve","name":"m"}}"#,
            "the listing has the object `map`, which portreeve never puts there",
        ),
        (
            r#"{"set":{"family":"inet","table":"portreeve","name":"s","type":"ipv4_addr","flags":["interval"],"timeout":60}}"#,
            "set `s` has the attribute `timeout`, which portreeve never puts there",
        ),
        (
            r#"{"set":{"family":"inet","table":"portreeve","name":"s","type":"ipv4_addr","flags":["interval"],"elem":["::1"]}}"#,
            "set `s` has an element of the other family, which portreeve never puts there",
        ),
        (
            r#"{"chain":{"family":"inet","table":"portreeve","name":"c","type":"later","hook":"output","prio":0}}"#,
            "chain `c` has the type `later`, which portreeve never puts there",
        ),
        (
            r#"{"chain":{"family":"inet","table":"portreeve","name":"c","hook":"output"}}"#,
            "chain `c` has only half of what makes a base chain, which portreeve never puts there",
        ),
    ];
    for (object, expected) in rows {
        let json = format!(r#"{{"nftables":[{object}]}}"#);
        let found = lift(&json).unwrap_err().to_string();
        assert_eq!(found, *expected);
    }
}

/// Losing this, a rule that an administrator put into our table by hand would be skipped, and
/// `status` would call the table unchanged.
#[test]
fn a_foreign_rule_is_named_with_its_handle() {
    let rows: &[(&str, &str)] = &[
        (r#"{"xt":null}"#, "the statement `{\"xt\":null}`"),
        (r#"{"counter":"named"}"#, "the counter `\"named\"`"),
        (
            r#"{"limit":{"rate":1,"per":"second","rate_unit":"mbytes"}}"#,
            "the expression `{\"per\":\"second\",\"rate\":1,\"rate_unit\":\"mbytes\"}`",
        ),
        (
            r#"{"reject":{"type":"icmp","expr":"frag-needed"}}"#,
            "the statement `{\"reject\":{\"expr\":\"frag-needed\",\"type\":\"icmp\"}}`",
        ),
        (
            r#"{"match":{"op":"<","left":{"meta":{"key":"l4proto"}},"right":6}}"#,
            "the operator `<` on meta l4proto",
        ),
        (
            r#"{"match":{"op":"==","left":{"meta":{"key":"cpu"}},"right":6}}"#,
            "a match on `{\"meta\":{\"key\":\"cpu\"}}`",
        ),
        (
            r#"{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":"no-such-protocol"}}"#,
            "the value of meta l4proto `\"no-such-protocol\"`",
        ),
        (
            r#"{"match":{"op":"==","left":{"ct":{"key":"state"}},"right":["new","related"]}}"#,
            "a comparison of ct state with `[\"new\",\"related\"]`",
        ),
        (
            r#"{"log":{"snaplen":3}}"#,
            "the expression `{\"snaplen\":3}`",
        ),
        (r#"["accept"]"#, "the expression `[\"accept\"]`"),
    ];
    for (part, expected) in rows {
        let json = format!(
            r#"{{"nftables":[{{"table":{{"family":"inet","name":"portreeve"}}}},
            {{"chain":{{"family":"inet","table":"portreeve","name":"c"}}}},
            {{"rule":{{"family":"inet","table":"portreeve","chain":"c","handle":7,"comment":"x","expr":[{part}]}}}}]}}"#
        );
        let found = lift(&json).unwrap_err().to_string();
        let suffix = ", which portreeve never puts there";
        assert_eq!(
            found,
            format!("rule `x` (handle 7) in chain `c` has {expected}{suffix}")
        );
    }
}

/// Losing this, `status` could not tell a missing table from a broken listing.
#[test]
fn a_missing_table_is_not_an_empty_one() {
    let json = r#"{"nftables":[{"metainfo":{"version":"1.0.6"}}]}"#;
    assert!(matches!(lift(json), Err(LiftError::NoTable)));
    for broken in [
        "",
        "{",
        "[]",
        "{\"nftables\":{}}",
        "{\"nftables\":[7]}",
        "{\"nftables\":[{}]}",
    ] {
        assert!(
            matches!(lift(broken), Err(LiftError::NotAListing(_))),
            "{broken}"
        );
    }
}

/// Losing this, a damaged listing could crash the daemon that reads it.
#[test]
fn no_damaged_listing_is_a_panic() {
    let json = lower(&random::ruleset(7)).to_json();
    let mut random = random::Random::new(1);
    for _ in 0..5_000 {
        let mut bytes = json.clone().into_bytes();
        for _ in 0..=random.up_to(3) {
            let at = random.up_to(bytes.len());
            bytes[at] = random.pick(b"{}[]\",:0179-@aerx ");
        }
        if let Ok(damaged) = String::from_utf8(bytes) {
            drop(lift(&damaged));
        }
    }
}
