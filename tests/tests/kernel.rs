//! What nft and the kernel make of what is sent to them, in a network namespace of our own.
//!
//! Where this machine allows no such namespace, each test says why it was skipped.

use portreeve_model::address::{AddressSet, Family};
use portreeve_model::draft::{self, SetNode, Test};
use portreeve_model::field::PortProtocol;
use portreeve_model::intervals::Interval;
use portreeve_model::names::{NFT_WORDS, Name, NameError};
use portreeve_model::packet::Hook;
use portreeve_model::ruleset::text::Elements;
use portreeve_model::ruleset::{ChainPolicy, Limit, Reject, Ruleset, TimeUnit};
use portreeve_model::validate::{Feeds, validate};
use portreeve_nft::{Cause, Refusal, TABLE, lift, lift_terse, lower};
use portreeve_tests::namespace::Namespace;
use portreeve_tests::random;

#[path = "kernel/every_word.rs"]
mod every_word;
#[path = "kernel/generations.rs"]
mod generations;
#[path = "kernel/switch.rs"]
mod switch;

/// The namespace for a test, or none, which is said.
fn namespace(test: &str) -> Option<Namespace> {
    match Namespace::new() {
        Ok(namespace) => Some(namespace),
        Err(why) => {
            eprintln!("skipped: {test}: {why}");
            None
        }
    }
}

fn apply(namespace: &Namespace, ruleset: &Ruleset) -> Result<String, String> {
    namespace.nft(&["-j", "-f", "-"], &lower(ruleset).to_json())
}

fn list(namespace: &Namespace, options: &[&str]) -> String {
    let arguments = [options, &["list", "table", "inet", TABLE]].concat();
    let listing = namespace.nft(&arguments, "");
    listing.expect("our table is there")
}

/// Losing this, `apply` would report drift right after it succeeded, or miss a real one.
#[test]
fn what_the_kernel_lists_lifts_to_what_was_sent() {
    let Some(namespace) = namespace("what_the_kernel_lists_lifts_to_what_was_sent") else {
        return;
    };
    for seed in 0..500 {
        let sent = random::ruleset(seed);
        apply(&namespace, &sent).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Names one time, numbers the other: nft offers both.
        let options: &[&str] = if seed % 2 == 0 {
            &["-j"]
        } else {
            &["-j", "-n"]
        };
        let listing = list(&namespace, options);
        let listed = lift(&listing).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_same(seed, &listed, &sent);
    }
}

fn assert_same(seed: u64, listed: &Ruleset, sent: &Ruleset) {
    if listed != sent {
        let texts = [listed, sent].map(|ruleset| ruleset.to_nft(TABLE, Elements::All));
        let differing = texts[0]
            .lines()
            .zip(texts[1].lines())
            .find(|(one, other)| one != other);
        panic!("seed {seed}: listed, then sent:\n{differing:#?}");
    }
}

/// Losing this, `plan --format nft` would print text that nft reads as something else.
#[test]
fn the_text_of_a_rule_set_loads_as_the_same_rule_set() {
    let Some(namespace) = namespace("the_text_of_a_rule_set_loads_as_the_same_rule_set") else {
        return;
    };
    let replace = format!("table inet {TABLE}\ndelete table inet {TABLE}\n");
    for seed in 0..100 {
        let sent = random::ruleset(seed);
        let text = replace.clone() + &sent.to_nft(TABLE, Elements::All);
        let loaded = namespace.nft(&["-f", "-"], &text);
        loaded.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_same(seed, &lift(&list(&namespace, &["-j"])).unwrap(), &sent);
    }
}

/// Losing this, the daemon could not watch a table with large sets: nft lists those in quadratic
/// time, unless it is asked to leave the elements out.
#[test]
fn a_terse_listing_says_everything_but_elements() {
    let Some(namespace) = namespace("a_terse_listing_says_everything_but_elements") else {
        return;
    };
    for seed in 0..50 {
        let sent = random::ruleset(seed);
        apply(&namespace, &sent).unwrap();
        let shape = lift_terse(&list(&namespace, &["-j", "-t"])).unwrap();
        assert!(shape.is_that_of(&sent), "seed {seed}");
        assert!(!shape.is_that_of(&random::ruleset(seed + 1)), "seed {seed}");
    }
}

/// Losing this, a rule that excludes a source port and a destination port would exclude only the
/// packets that have both: nft joins the two comparisons, and lists them as if it had not.
#[test]
fn what_a_rule_excludes_of_two_fields_is_not_joined() {
    let Some(namespace) = namespace("what_a_rule_excludes_of_two_fields_is_not_joined") else {
        return;
    };
    let excluded = |test| draft::Match {
        negated: true,
        test,
    };
    let matches = vec![
        excluded(Test::Sport(PortProtocol::Tcp, vec![1..=1])),
        excluded(Test::Dport(PortProtocol::Tcp, vec![2..=2])),
    ];
    let draft = with_rule(matches, vec![draft::Statement::Accept]);
    let sent = validate(&draft, &Feeds::default()).unwrap();
    apply(&namespace, &sent).unwrap();
    assert_same(0, &lift(&list(&namespace, &["-j"])).unwrap(), &sent);
    let program = ["--debug=netlink", "list", "table", "inet", TABLE];
    let program = namespace.nft(&program, "").unwrap();
    for load in ["2b @ transport header + 0", "2b @ transport header + 2"] {
        assert!(program.contains(load), "{program}");
    }
}

/// What each word of our JSON comes out as when nft 1.0.6 lists the rule as text. Losing this, an
/// operator swapped in the library we use would open what should be closed.
#[test]
fn nft_reads_each_word_as_it_is_meant() {
    let Some(namespace) = namespace("nft_reads_each_word_as_it_is_meant") else {
        return;
    };
    let ruleset = every_word::ruleset();
    apply(&namespace, &ruleset).unwrap();
    let table = ["-s", "list", "table", "inet", TABLE];
    let listed = namespace.nft(&table, "").unwrap();
    assert_eq!(listed, include_str!("kernel/every_word.nft"));
    assert_same(0, &lift(&list(&namespace, &["-j"])).unwrap(), &ruleset);
}

/// Losing this, a policy could name a chain so that the saved rule set does not load again, or
/// could not use a name that is harmless.
#[test]
fn nft_refuses_its_own_words_as_names_and_no_others() {
    let Some(namespace) = namespace("nft_refuses_its_own_words_as_names_and_no_others") else {
        return;
    };
    let takes = |word: &str| {
        let [chain, set] = [
            format!("table inet t {{ chain {word} {{ }}; }}"),
            format!("table inet t {{ set {word} {{ type ipv4_addr; }}; }}"),
        ];
        [chain, set].map(|text| namespace.nft(&["-c", "-f", "-"], &text).is_ok())
    };
    for word in NFT_WORDS {
        assert!(takes(word) != [true, true], "nft takes `{word}` as a name");
        assert_eq!(Name::new(word), Err(NameError::Reserved));
    }
    for word in [
        "input",
        "web",
        "cloudflare_v4",
        "ssh",
        "forward",
        "filter",
        "allow",
        "in",
    ] {
        assert_eq!(takes(word), [true, true], "nft refuses `{word}` as a name");
        assert!(Name::new(word).is_ok());
    }
}

/// Losing this, installing portreeve could cut off the containers or the VPN next to it.
#[test]
fn other_tables_are_left_alone() {
    let Some(namespace) = namespace("other_tables_are_left_alone") else {
        return;
    };
    let others = "table ip portreeve { chain c { counter comment \"same name, other family\"; }; }
        table inet filter { set s { type ipv4_addr; elements = { 192.0.2.1 }; };
        chain input { type filter hook input priority 0; policy drop; ip saddr @s accept; }; }";
    namespace.nft(&["-f", "-"], others).unwrap();
    let before = namespace.nft(&["list", "ruleset"], "").unwrap();
    apply(&namespace, &random::ruleset(1)).unwrap();
    apply(&namespace, &random::ruleset(2)).unwrap();
    namespace
        .nft(&["delete", "table", "inet", TABLE], "")
        .unwrap();
    assert_eq!(namespace.nft(&["list", "ruleset"], "").unwrap(), before);
}

/// Losing this, a refused change could leave the machine with half of it.
#[test]
fn a_refused_transaction_changes_nothing() {
    let Some(namespace) = namespace("a_refused_transaction_changes_nothing") else {
        return;
    };
    apply(&namespace, &random::ruleset(3)).unwrap();
    let before = list(&namespace, &["-j"]);
    // The last command fails in the kernel, when all others have been carried out.
    let jump = format!(
        r#",{{"add":{{"rule":{{"family":"inet","table":"{TABLE}","chain":"in_0","expr":[{{"jump":{{"target":"none"}}}}]}}}}}}]}}"#
    );
    let json = lower(&random::ruleset(4)).to_json();
    let json = json.strip_suffix("]}").unwrap().to_owned() + &jump;
    namespace.nft(&["-j", "-f", "-"], &json).unwrap_err();
    assert_eq!(list(&namespace, &["-j"]), before);
}

/// Losing this, an operator would read `Too many open files in system` and raise `ulimit`.
#[test]
fn what_nft_complains_about_is_understood() {
    let Some(namespace) = namespace("what_nft_complains_about_is_understood") else {
        return;
    };
    let transaction = lower(&every_word::ruleset());
    let json = transaction.to_json();
    let refused = |input: &str| {
        let stderr = namespace.nft(&["-j", "-f", "-"], input).unwrap_err();
        (Refusal::read(&stderr, &transaction), stderr)
    };
    let cases = [
        (
            "a set that is not there",
            "\"right\":\"@four\"",
            "\"right\":\"@five\"",
            Cause::NotThere,
        ),
        (
            "a chain that is not there",
            "\"target\":\"other\"",
            "\"target\":\"none\"",
            Cause::NotThere,
        ),
        (
            "a statement of a newer nft",
            "{\"counter\":null}",
            "{\"later\":null}",
            Cause::NotUnderstood,
        ),
        (
            "a set that is full",
            "\"flags\":[\"interval\"]",
            "\"flags\":[\"interval\"],\"size\":1",
            Cause::TooMany,
        ),
        (
            "no JSON",
            "{\"nftables\":[",
            "{nftables:[",
            Cause::NotUnderstood,
        ),
    ];
    for (what, from, to, cause) in cases {
        let (refusal, stderr) = refused(&json.replacen(from, to, 1));
        assert_eq!(refusal.cause, cause, "{what}: {stderr}");
    }
    let (refusal, stderr) = refused(&json.replacen("{\"counter\":null}", "{\"later\":null}", 1));
    let first_rule = "rule `1` in chain `pre`";
    assert_eq!(
        refusal.subject.map(|s| s.to_string()).as_deref(),
        Some(first_rule),
        "{stderr}"
    );
    assert!(
        namespace.nft(&["list", "tables"], "").unwrap().is_empty(),
        "something was left"
    );
}

/// Losing this, a missing privilege would look like a broken kernel.
#[test]
fn a_missing_privilege_is_understood() {
    let Some(namespace) = namespace("a_missing_privilege_is_understood") else {
        return;
    };
    if namespace.is_in_user_namespace() {
        eprintln!("skipped: a_missing_privilege_is_understood: only root can give up privileges");
        return;
    }
    let transaction = lower(&random::ruleset(1));
    let refused = namespace.nft_unprivileged(&["-j", "-f", "-"], &transaction.to_json());
    let refusal = Refusal::read(&refused.unwrap_err(), &transaction);
    assert_eq!(refusal.cause, Cause::NotPermitted, "{refusal}");
}

/// Losing this, a set that is too large for a container would be refused without a reason.
#[test]
fn a_set_too_large_for_a_user_namespace_is_understood() {
    let test = "a_set_too_large_for_a_user_namespace_is_understood";
    let namespace = match Namespace::in_user_namespace() {
        Ok(namespace) => namespace,
        Err(why) => return eprintln!("skipped: {test}: {why}"),
    };
    let transaction = lower(&with_elements(20_000));
    let refused = namespace.nft(&["-j", "-f", "-"], &transaction.to_json());
    let refusal = Refusal::read(&refused.unwrap_err(), &transaction);
    assert_eq!(refusal.cause, Cause::TooLargeForUserNamespace, "{refusal}");
}

/// A rule set with one set of so many addresses, no two of them adjacent.
fn with_elements(count: u32) -> Ruleset {
    let ip = (0..count)
        .map(|n| Interval::single(u128::from(0x0b00_0000 + 2 * n)))
        .collect();
    let feed = AddressSet {
        ip,
        ..AddressSet::default()
    };
    let mut draft = random::draft(1);
    draft.sets.push(draft::Set {
        name: "large".to_owned(),
        family: Family::Ip,
        expression: vec![SetNode::Feed("large".to_owned())],
    });
    let named = draft::Test::Saddr(Family::Ip, draft::AddressOperand::Set("large".to_owned()));
    let base = draft.chains.iter_mut().find(|chain| chain.base.is_some());
    base.expect("some chain sees packets")
        .rules
        .push(draft::Rule {
            label: "large".to_owned(),
            matches: vec![draft::Match {
                negated: false,
                test: named,
            }],
            statements: vec![draft::Statement::Accept],
        });
    validate(&draft, &Feeds::from_iter([("large".to_owned(), feed)])).expect("valid")
}

/// Losing this, `plan` would pass a limit that `apply` is refused for, or refuse one for nothing.
#[test]
fn the_largest_burst_is_the_largest_that_the_kernel_counts() {
    let Some(namespace) = namespace("the_largest_burst_is_the_largest_that_the_kernel_counts")
    else {
        return;
    };
    for (rate, unit, burst) in [
        (1, "week", 30_500),
        (1, "day", 213_503),
        (2, "week", 61_001),
    ] {
        let takes = |burst: u32| {
            let text = format!(
                "table inet t {{ chain c {{ limit rate {rate}/{unit} burst {burst} packets; }}; }}"
            );
            namespace.nft(&["-c", "-f", "-"], &text).is_ok()
        };
        assert!(takes(burst) && !takes(burst + 1), "{rate}/{unit} {burst}");
        let valid = |burst| validate(&with_limit(rate, unit, burst), &Feeds::default()).is_ok();
        assert!(valid(burst) && !valid(burst + 1), "{rate}/{unit} {burst}");
    }
}

fn with_limit(rate: u32, unit: &str, burst: u32) -> draft::Draft {
    let per = TimeUnit::ALL.into_iter().find(|per| per.keyword() == unit);
    let limit = Limit {
        rate,
        per: per.expect("a unit of time"),
        burst,
        over: false,
    };
    with_rule(Vec::new(), vec![draft::Statement::Limit(limit)])
}

/// One rule in a chain of input.
fn with_rule(matches: Vec<draft::Match>, statements: Vec<draft::Statement>) -> draft::Draft {
    let rule = draft::Rule {
        label: "rule".to_owned(),
        matches,
        statements,
    };
    let base = draft::Base {
        chain_type: draft::ChainType::Filter,
        hook: Hook::Input,
        priority: 0,
        policy: ChainPolicy::Drop,
    };
    draft::Draft {
        sets: Vec::new(),
        field_sets: Vec::new(),
        chains: vec![draft::Chain {
            name: "input".to_owned(),
            base: Some(base),
            rules: vec![rule],
        }],
    }
}

/// nft leaves `meta nfproto` out of some listings. Losing this, a rule for IPv4 would be listed
/// as one for both families, which is drift that nobody made.
#[test]
fn the_family_of_a_rule_is_listed() {
    let Some(namespace) = namespace("the_family_of_a_rule_is_listed") else {
        return;
    };
    let tcp = Test::L4proto(vec![6..=6]);
    let icmpv6 = Test::L4proto(vec![58..=58]);
    let port = Test::Dport(PortProtocol::Tcp, vec![22..=22]);
    let reset = draft::Statement::Reject(Reject::TcpReset);
    let cases = [
        (vec![Test::Nfproto(Family::Ip), tcp], reset.clone()),
        (vec![Test::Nfproto(Family::Ip6), port.clone()], reset),
        (
            vec![Test::Nfproto(Family::Ip6), icmpv6],
            draft::Statement::Accept,
        ),
        (
            vec![Test::Nfproto(Family::Ip), port],
            draft::Statement::Accept,
        ),
    ];
    for (tests, statement) in cases {
        let negated = false;
        let matches = tests.into_iter().map(|test| draft::Match { negated, test });
        let draft = with_rule(matches.collect(), vec![statement]);
        let sent = validate(&draft, &Feeds::default()).unwrap();
        apply(&namespace, &sent).unwrap();
        assert_same(0, &lift(&list(&namespace, &["-j"])).unwrap(), &sent);
    }
}
