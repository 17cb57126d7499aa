//! What is in force: applied, on trial, taken back, and changed by others.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::Run;

use super::{fresh, has_no_table};

/// Longer than any test takes.
const LONG: &str = "--confirm-within=1h";

/// What nft lists of our table.
fn listed(namespace: &Namespace) -> String {
    let list = ["list", "table", "inet", "portreeve"];
    namespace.nft(&list, "").unwrap_or_default()
}

/// The name in the kernel of the set with Cloudflare's IPv4 ranges.
fn set(namespace: &Namespace) -> String {
    let listed = listed(namespace);
    let mut words = listed.split_whitespace();
    let name = words.find(|word| word.starts_with("cloudflare_v4_"));
    name.expect("strict-origin has this set").to_owned()
}

/// Losing this, an operator who knows no option could lock himself out.
#[test]
fn apply_is_a_trial_unless_it_is_told_otherwise() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    let answer = run(&["apply", "--no-wait", "--format", "json"]).json();
    let token = answer["token"].as_str().unwrap();
    assert_eq!(token.len(), "7K3M-Q0XW".len());
    assert_eq!(answer["record"]["number"], 1);
    assert_eq!(answer["otherwise"], serde_json::Value::Null);
    let machine = &answer["machine"];
    assert_eq!(machine["state"], "on-trial");
    assert_eq!(machine["in_force"], 1);
    assert_eq!(machine["confirmed"], serde_json::Value::Null);
    let left = machine["lapses_in_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&left), "{left} ms");

    run(&["status"]).succeeds(&[
        "on trial  generation 1 since",
        "settings  ssh-port=22",
        "the kernel holds what was applied",
        "machine   on trial, lapses in ",
    ]);
    // Who logs in reads of it, and finds no token there.
    let motd = fs::read_to_string(subject.path("motd/portreeve")).unwrap();
    assert!(motd.contains("generation 1 is on trial until"), "{motd}");
    assert!(!motd.contains(token), "{motd}");

    // Nobody is at the console who has not said so, and then the token must be the right one.
    let wrong: String = token.chars().rev().collect();
    run(&["confirm", &wrong, "--from-console"])
        .fails(2, &["error[A014]", "the token is not that", "on trial"]);
    let back = run(&["rollback"]);
    back.succeeds(&[
        "generation 1",
        "machine   rolled back: portreeve filters nothing",
    ]);
    has_no_table(&namespace);
    assert!(!subject.path("motd/portreeve").exists());
    // The token is that of a trial which is over, and says how.
    run(&["confirm", token]).fails(
        7,
        &["error[A012]", "generation 1 is over", "was rolled back"],
    );
}

/// Losing this, who waits for the end of a trial would not learn how it ended.
#[test]
fn a_trial_that_nobody_confirms_ends_apply_with_the_state_that_it_leaves() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    let human = run(&["apply", "--confirm-within", "1s"]);
    human.fails(
        7,
        &[
            "error[A011]: generation 1 was not confirmed in time",
            "rolled back: portreeve filters nothing, as before the first apply",
        ],
    );
    for part in [
        "open a NEW connection",
        "portreeve confirm ",
        "on trial, lapses in 1 s",
    ] {
        assert!(human.stdout.contains(part), "{}", human.stdout);
    }
    has_no_table(&namespace);
    run(&["status"]).succeeds(&["ended     generation 1 lapsed", "machine   open"]);

    run(&["apply", "--no-trial"]).succeeds(&["machine   confirmed: generation 2 is in force"]);
    let second = run(&["apply", "--confirm-within", "1s", "--format", "json"]);
    assert_eq!(second.code, Some(7), "{}", second.stderr);
    let [begin, end] = second.all_json().try_into().expect("two answers");
    assert_eq!(begin["otherwise"], 2);
    assert_eq!(begin["machine"]["in_force"], 3);
    assert_eq!(begin["machine"]["confirmed"], 2);
    assert_eq!(end["errors"][0]["code"], "A011");
    assert_eq!(end["exit_code"], 7);
    assert_eq!(end["machine"]["state"], "rolled-back");
    assert_eq!(end["machine"]["in_force"], 2);
    assert_eq!(end["machine"]["words"], "rolled back to generation 2");
}

/// Losing this, an `apply` that waits would call a rollback a lapse, or wait for ever.
#[test]
fn who_waits_is_told_when_somebody_else_ends_the_trial() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let mut command = subject.with(namespace.command(&subject.program), &["apply", LONG]);
    command.stdin(Stdio::null());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut apply = command.spawn().unwrap();
    let mut answer = BufReader::new(apply.stdout.take().unwrap()).lines();
    let begun = answer.find(|line| line.as_ref().unwrap().starts_with("machine "));
    assert!(begun.unwrap().unwrap().contains("on trial"));
    subject.run_in(&namespace, &["rollback"]).succeeds(&[]);
    let mut stderr = String::new();
    apply
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    let code = apply.wait().unwrap().code();
    let run = Run {
        code,
        stderr,
        ..Run::default()
    };
    run.fails(
        7,
        &[
            "error[A012]: generation 1 was rolled back",
            "filters nothing",
        ],
    );
}

#[test]
fn apply_then_status_then_drift_then_rollback() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let bystander = ["add", "table", "inet", "bystander"];
    namespace.nft(&bystander, "").unwrap();
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["status"]).succeeds(&["machine   open", "nothing is confirmed"]);

    run(&["apply", "--no-trial"]).succeeds(&["machine   confirmed: generation 1 is in force"]);
    let as_applied = || {
        run(&["status"]).succeeds(&[
            "confirmed generation 1 since",
            "settings  ssh-port=22",
            "the kernel holds what was applied",
            "machine   confirmed: generation 1 is in force",
        ]);
    };
    as_applied();
    let element = [
        "add",
        "element",
        "inet",
        "portreeve",
        &set(&namespace),
        "{ 192.0.2.0/24 }",
    ];
    namespace.nft(&element, "").unwrap();
    let drifted = run(&["status"]);
    assert_eq!(drifted.code, Some(8), "{}", drifted.stderr);
    let said = drifted.stdout;
    assert!(
        said.contains("drift: the kernel holds another rule set"),
        "{said}"
    );
    assert!(said.contains("`portreeve rollback` puts"), "{said}");
    run(&["rollback"]).succeeds(&["machine   rolled back to generation 1"]);
    as_applied();
    assert!(!listed(&namespace).contains("192.0.2.0"));

    let delete = ["delete", "table", "inet", "portreeve"];
    namespace.nft(&delete, "").unwrap();
    assert_eq!(run(&["status"]).code, Some(8));
    run(&["rollback"]).succeeds(&["machine   rolled back to generation 1"]);
    as_applied();
    namespace.nft(&delete, "").unwrap();
    let tables = namespace.nft(&["list", "tables"], "").unwrap();
    assert_eq!(
        tables, "table inet bystander\n",
        "other tables are never touched"
    );
}

/// Losing this, a trial on a machine that lost its rules would lapse into no rules at all.
#[test]
fn apply_waits_until_what_was_confirmed_is_back() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["apply", "--no-trial"]).succeeds(&[]);
    let delete = ["delete", "table", "inet", "portreeve"];
    namespace.nft(&delete, "").unwrap();
    run(&["apply", "--no-wait"]).fails(
        8,
        &[
            "error[A015]: generation 1 is confirmed, and the kernel does not hold it",
            "`portreeve rollback` puts the confirmed rule set in force again",
            "machine   not installed: generation 1 is confirmed",
        ],
    );
    has_no_table(&namespace);
    run(&["rollback"]).succeeds(&["machine   rolled back to generation 1"]);
    let short = ["apply", "--confirm-within", "1s"];
    run(&short).fails(7, &["machine   rolled back to generation 1"]);

    // Somebody's own rule in our base chain is no better: nobody knows what packets meet.
    let rule = ["add", "rule", "inet", "portreeve", "input", "accept"];
    namespace.nft(&rule, "").unwrap();
    run(&["apply", "--no-wait"]).fails(8, &["error[A015]", "machine   drifted"]);
    run(&["rollback"]).succeeds(&["machine   rolled back to generation 1"]);
    run(&["status"]).succeeds(&["the kernel holds what was applied"]);
}

#[test]
fn a_rule_that_portreeve_could_not_have_written_is_seen_in_its_table() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["apply", "--no-trial"]).succeeds(&[]);
    let rule = [
        "add",
        "rule",
        "inet",
        "portreeve",
        "g1_input",
        "meta",
        "skuid",
        "0",
        "accept",
    ];
    namespace.nft(&rule, "").unwrap();
    let status = run(&["status"]);
    assert_eq!(status.code, Some(8), "{}", status.stderr);
    let drift = "drift: the table inet portreeve holds something that portreeve did not write";
    assert!(status.stdout.contains(drift), "{}", status.stdout);
    assert!(status.stdout.contains("g1_input"), "{}", status.stdout);
    // A trial would lapse into what nobody has confirmed.
    run(&["apply", LONG]).fails(8, &["error[A010]", "g1_input", "generation 1"]);
    run(&["apply", "--no-trial"]).succeeds(&[]);
    run(&["status"]).succeeds(&["the kernel holds what was applied"]);
    let listed = listed(&namespace);
    assert!(!listed.contains("skuid"), "{listed}");
}

/// Losing this, nobody could see what happened to a machine while he was away.
#[test]
fn history_tells_what_became_of_each_generation() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["history"]).succeeds(&["nothing was ever applied here"]);
    run(&["apply", "--no-trial", "--set", "ssh-port=2222"]).succeeds(&[]);
    run(&["apply", "--no-wait", LONG]).succeeds(&[]);
    run(&["apply", "--no-wait", LONG]).succeeds(&["then generation 1 again"]);
    run(&["rollback"]).succeeds(&["machine   rolled back to generation 1"]);
    run(&["apply", "--no-wait", LONG]).succeeds(&[]);

    let history = run(&["history"]);
    let words: Vec<_> = history.stdout.lines().map(str::trim_start).collect();
    let expected = [
        ("4 ", "not confirmed yet"),
        ("3 ", "was rolled back"),
        ("2 ", "was replaced by another"),
        ("1 ", "confirmed, without a trial"),
    ];
    assert_eq!(words.len(), expected.len(), "{}", history.stdout);
    for (line, (number, fate)) in words.iter().zip(expected) {
        assert!(line.starts_with(number), "{line}");
        assert!(
            line.contains(fate) && line.contains("strict-origin 0.1.0"),
            "{line}"
        );
        assert!(line.contains("by "), "{line}");
    }
    let json = run(&["history", "--format", "json"]).json();
    let entries = json["history"].as_array().unwrap();
    let fates: Vec<_> = entries
        .iter()
        .map(|entry| entry["fate"].as_str().unwrap())
        .collect();
    assert_eq!(
        fates,
        ["unconfirmed", "rolled-back", "replaced", "confirmed"]
    );
    assert_eq!(
        entries[3]["record"]["source"]["settings"][0],
        "ssh-port=2222"
    );
    assert_eq!(entries[3]["record"]["confirmed"]["by"], "without-trial");
    // So that reading a file of the state directory does not confirm a trial.
    assert!(!json.to_string().contains("\"token\":"));
    // Whoever watches the trial would do so for its hour.
    run(&["rollback"]).succeeds(&[]);
}

/// Losing this, an operator who confirmed a mistake could only make another.
#[test]
fn rollback_goes_to_any_generation_that_was_confirmed() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    let ports = |namespace: &Namespace| listed(namespace).contains("tcp dport 2222 accept");
    run(&["apply", "--no-trial", "--set", "ssh-port=2222"]).succeeds(&[]);
    run(&["apply", "--no-trial"]).succeeds(&["generation 2 is in force"]);
    run(&["apply", "--no-wait", LONG]).succeeds(&[]);
    assert!(!ports(&namespace));
    // A trial ends with it. What comes has a number of its own, as what was between is not undone.
    let back = run(&["rollback", "1", "--format", "json"]).json();
    assert_eq!(back["in_force"], 4);
    assert_eq!(back["ended"], 3);
    assert_eq!(back["machine"]["state"], "rolled-back");
    assert_eq!(back["machine"]["confirmed"], 4);
    assert!(ports(&namespace));
    run(&["status"]).succeeds(&["confirmed generation 4", "settings  ssh-port=2222"]);
    run(&["history"]).succeeds(&["confirmed, generation 1 again"]);

    // What was never confirmed is nothing to go back to, nor is what never was.
    for number in ["3", "5", "0"] {
        run(&["rollback", number]).fails(
            2,
            &[
                &format!("error[A018]: generation {number} is not among the confirmed ones"),
                "portreeve history",
                "machine   confirmed: generation 4 is in force",
            ],
        );
    }
}

/// Losing this, the disk of a machine that is changed each day would fill.
#[test]
fn twenty_generations_are_kept_and_the_numbers_go_on() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let run = |arguments: &[&str]| subject.run_in(&namespace, arguments);
    run(&["apply", "--no-trial"]).succeeds(&[]);
    for newest in 1..=21 {
        run(&["rollback", &newest.to_string()]).succeeds(&[]);
    }
    let history = run(&["history", "--format", "json"]).json();
    let entries = history["history"].as_array().unwrap().iter();
    let numbers: Vec<_> = entries
        .map(|entry| entry["record"]["number"].as_u64())
        .collect();
    assert_eq!(numbers, (3..=22).rev().map(Some).collect::<Vec<_>>());
    run(&["rollback", "2"]).fails(2, &["error[A018]"]);
    run(&["rollback", "3"]).succeeds(&["generation 23"]);
    // Nor does the kernel keep what no packet meets.
    assert!(!listed(&namespace).contains("g22_"));
}

/// Losing this, a new user would be told of a rollback that undid something.
#[test]
fn rollback_on_a_fresh_machine_says_that_there_is_nothing_to_undo() {
    let Some((namespace, subject)) = fresh() else {
        return;
    };
    let rollback = subject.run_in(&namespace, &["rollback"]);
    rollback.succeeds(&["nothing was on trial, and nothing was ever confirmed"]);
    let confirm = ["confirm", "7K3M-Q0XW", "--from-console"];
    let confirm = subject.run_in(&namespace, &confirm);
    confirm.fails(
        2,
        &["error[A013]: no rule set is on trial", "machine   open"],
    );
    has_no_table(&namespace);
}
