//! The same words mean other packets where feeds, settings and the operator are others.

use std::path::Path;

use portreeve_model::draft::{Base, Chain, ChainType, Draft};
use portreeve_model::inputs::{Feed, Setting};
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::{ChainPolicy, Ruleset};
use portreeve_model::validate::validate;

use super::*;
use crate::inputs::config::read;

fn stated(keys: &str) -> StatedGoal {
    let text = format!("[[goal]]\nname = \"g\"\n{keys}");
    let config = read(&text, Path::new("/etc/p.toml")).unwrap();
    config.goals()[0].clone()
}

fn feeds() -> Feeds {
    let prefixes = ["198.51.100.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap());
    let cdn: AddressSet = prefixes.into_iter().collect();
    [("cdn".to_owned(), cdn)].into_iter().collect()
}

fn inputs() -> Inputs {
    let setting = |name: &str, texts: &[&str]| Setting {
        name: name.to_owned(),
        value: Value::Prefixes(texts.iter().map(|text| text.parse().unwrap()).collect()),
    };
    let cdn = Feed {
        name: "cdn".to_owned(),
        ip_prefixes: 1,
        ip6_prefixes: 1,
        digest: String::new(),
        age: None,
        elements: None,
    };
    Inputs {
        settings: vec![setting("office", &["192.0.2.0/24"]), setting("nobody", &[])],
        feeds: vec![cdn],
        ..Inputs::default()
    }
}

const OPERATOR: [&str; 2] = ["203.0.113.7", "::ffff:203.0.113.8"];

fn resolved(keys: &str, operator: &[&str]) -> Result<Goal, NotStated> {
    let operator: Vec<IpAddr> = operator.iter().map(|text| text.parse().unwrap()).collect();
    resolve(&stated(keys), &feeds(), &inputs(), &operator)
}

/// The least that is a rule set.
fn anything() -> Ruleset {
    let base = Base {
        chain_type: ChainType::Filter,
        hook: Hook::Input,
        priority: 0,
        policy: ChainPolicy::Drop,
    };
    let chain = Chain {
        name: "in".to_owned(),
        base: Some(base),
        rules: Vec::new(),
    };
    let draft = Draft {
        chains: vec![chain],
        ..Draft::default()
    };
    validate(&draft, &Feeds::default()).unwrap()
}

/// From which of these addresses a packet is one that the goal speaks of.
fn check(from: &str, expected: &[&str]) {
    let keys = format!("packets = \"tcp dport 22 ct new\"\nverdict = \"accept\"\n{from}");
    let goal = resolved(&keys, &OPERATOR).unwrap();
    let all = [
        "192.0.2.9",
        "198.51.100.9",
        "203.0.113.7",
        "203.0.113.8",
        "2001:db8::9",
        "2001:db9::9",
    ];
    let concerned = all.into_iter().filter(|from| {
        let to = if from.contains(':') {
            "[::1]"
        } else {
            "192.0.2.1"
        };
        let packet: Packet = format!("tcp {from} > {to}:22 new").parse().unwrap();
        goal.concerns(&packet, &anything())
    });
    assert_eq!(concerned.collect::<Vec<_>>(), expected, "{from}");
}

fn refused(keys: &str, operator: &[&str], expected: &str) {
    let found = resolved(keys, operator).unwrap_err().into_diagnostics();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, [expected]);
}

#[test]
fn packets_come_from_where_the_goal_says() {
    let everywhere = [
        "192.0.2.9",
        "198.51.100.9",
        "203.0.113.7",
        "203.0.113.8",
        "2001:db8::9",
        "2001:db9::9",
    ];
    check("", &everywhere);
    check("from = \"any\"", &everywhere);
    check("from = \"cdn\"", &["198.51.100.9", "2001:db8::9"]);
    check("from = \"office\"", &["192.0.2.9"]);
    check("from = \"2001:db8::/31\"", &["2001:db8::9", "2001:db9::9"]);
    check("from = \"192.0.2.9\"", &["192.0.2.9"]);
    check(
        "from = [\"office\", \"2001:db9::/32\"]",
        &["192.0.2.9", "2001:db9::9"],
    );
    let others = ["192.0.2.9", "203.0.113.7", "203.0.113.8", "2001:db9::9"];
    check("from = \"not cdn\"", &others);
    check("from = [\"any\", \"not cdn\"]", &others);
    check("from = [\"cdn\", \"not 2001:db8::/48\"]", &["198.51.100.9"]);
    check(
        "from = [\"not cdn\", \"not operator\"]",
        &["192.0.2.9", "2001:db9::9"],
    );
}

/// A socket of IPv6 shows an IPv4 address in the form that IPv6 has for it.
#[test]
fn the_operator_is_where_the_session_comes_from() {
    check("from = \"operator\"", &["203.0.113.7", "203.0.113.8"]);
    let keys = "packets = \"tcp dport 22\"\nverdict = \"accept\"\nfrom = \"operator\"";
    let unknown = resolved(keys, &[]).unwrap_err();
    assert!(matches!(unknown, NotStated::NoOperator(_)), "{unknown:?}");
    refused(
        keys,
        &[],
        "error[C016]: `/etc/p.toml` line 1, goal `g`: it speaks of the operator, and this session \
         comes from no address",
    );
}

#[test]
fn a_goal_says_what_its_verdict_says_at_its_hook() {
    let goal = |packets: &str, verdict: &str| {
        let keys = format!("packets = {packets}\nverdict = \"{verdict}\"");
        let goal = resolved(&keys, &[]).unwrap();
        (goal.name, goal.hook, goal.quantifier, goal.region.len())
    };
    let named = |hook, quantifier, clauses| ("g".to_owned(), hook, quantifier, clauses);
    assert_eq!(
        goal("\"tcp dport 22\"", "accept"),
        named(Hook::Input, Quantifier::AllAccepted, 1)
    );
    assert_eq!(
        goal("\"output tcp dport 25\"", "drop"),
        named(Hook::Output, Quantifier::NoneAccepted, 1)
    );
    assert_eq!(
        goal(
            "[\"forward iifname lo\", \"forward ct established\"]",
            "accept-exactly"
        ),
        named(Hook::Forward, Quantifier::ExactlyTheseAccepted, 2)
    );
}

#[test]
fn a_name_that_nothing_has_is_shown_with_those_that_there_are() {
    refused(
        "packets = \"tcp dport 22\"\nverdict = \"accept\"\nfrom = \"cnd\"",
        &[],
        "error[C014]: `/etc/p.toml` line 1, goal `g`: there is no feed or setting of prefixes \
         called `cnd`, allowed are `cdn`, `office`, `nobody`, `any`, `operator` and prefixes",
    );
}

/// Otherwise it would hold, whatever the rules are.
#[test]
fn a_goal_about_nobody_is_refused() {
    let nobody = "error[C015]: `/etc/p.toml` line 1, goal `g`: `from` leaves no address, so the \
                  goal is about no packet";
    for from in ["\"nobody\"", "[\"cdn\", \"not 0.0.0.0/0\", \"not ::/0\"]"] {
        let keys = format!("packets = \"tcp dport 22\"\nverdict = \"accept\"\nfrom = {from}");
        refused(&keys, &[], nobody);
    }
}
