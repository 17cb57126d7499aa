//! A machine that starts: what is loaded, and what when the disk has lost something.
//!
//! A restart is another namespace, whose kernel knows nothing, with the same state directory.

use std::fs::{self, OpenOptions};
use std::io::Write;

use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::{Subject, namespace};

use super::{fresh, has_no_table};

/// The machine before and after a restart.
fn two_starts() -> Option<(Namespace, Namespace, Subject)> {
    let (before, subject) = fresh()?;
    Some((before, namespace()?, subject))
}

/// What a disk that fails could do to a generation.
fn damage(subject: &Subject, generation: &str) {
    let path = subject.path("state/generations").join(generation);
    let mut file = OpenOptions::new().append(true).open(path);
    let file = file.as_mut().expect("it was applied");
    file.write_all(b" ")
        .expect("a temporary file can be written");
}

fn listed(namespace: &Namespace) -> String {
    let list = ["list", "table", "inet", "portreeve"];
    namespace.nft(&list, "").expect("the table is there")
}

/// Losing this, the first boot of a machine would fail, or close it before anybody chose to.
#[test]
fn where_nothing_was_confirmed_nothing_is_loaded() {
    let Some((before, after, subject)) = two_starts() else {
        return;
    };
    let boot = |namespace: &Namespace| {
        subject.run_in(namespace, &["boot"]).succeeds(&[
            "booted    nothing: no generation was ever confirmed here",
            "machine   open: portreeve filters nothing",
        ]);
        has_no_table(namespace);
    };
    boot(&before);
    assert!(!subject.path("state").exists(), "a boot makes nothing");
    // A rule set on trial when the power goes was never confirmed.
    let trial = ["apply", "--no-wait", "--confirm-within=1h"];
    subject.run_in(&before, &trial).succeeds(&["on trial"]);
    boot(&after);
    let history = subject.run_in(&after, &["history"]);
    history.succeeds(&["ended by a restart"]);
    subject.run_in(&before, &["rollback"]).succeeds(&[]);
}

/// Losing this, a machine would start with rules that nobody confirmed, or with none.
#[test]
fn what_was_confirmed_last_is_loaded_with_nothing_but_the_disk() {
    let Some((before, after, subject)) = two_starts() else {
        return;
    };
    let apply = ["apply", "--no-trial", "--set", "ssh-port=2222"];
    subject.run_in(&before, &apply).succeeds(&[]);
    let trial = ["apply", "--no-wait", "--confirm-within=1h"];
    subject.run_in(&before, &trial).succeeds(&[]);

    // No configuration that could be read, no policy in the cache.
    subject.configure("this is not TOML");
    let _ = fs::remove_dir_all(subject.path("cache"));
    subject.run_in(&after, &["boot"]).succeeds(&[
        "booted    generation 1",
        "settings  ssh-port=2222",
        "machine   confirmed: generation 1 is in force",
    ]);
    assert!(listed(&after).contains("tcp dport 2222 accept"));
    // Once more does no harm: a unit may be restarted.
    let again = subject.run_in(&after, &["boot", "--format", "json"]).json();
    assert_eq!(again["record"]["number"], 1);
    assert_eq!(again["damaged"], serde_json::json!([]));
    assert_eq!(again["machine"]["state"], "confirmed");
    subject.configure("");
    subject
        .run_in(&after, &["status"])
        .succeeds(&["the kernel holds what was applied"]);
    subject.run_in(&before, &["rollback"]).succeeds(&[]);
}

/// Losing this, one bad sector would leave a machine without a firewall.
#[test]
fn a_damaged_generation_is_passed_over_and_named() {
    let Some((before, after, subject)) = two_starts() else {
        return;
    };
    let apply = |port: &str| {
        let apply = ["apply", "--no-trial", "--set", port];
        subject.run_in(&before, &apply).succeeds(&[]);
    };
    apply("ssh-port=2222");
    apply("ssh-port=2200");
    damage(&subject, "2");
    // What the kernel holds already is not undone for it.
    subject
        .run_in(&before, &["status"])
        .succeeds(&["machine   confirmed: generation 2"]);
    let boot = subject.run_in(&after, &["boot"]);
    boot.succeeds(&[
        "generations/2 is damaged: its SHA-256 is",
        "booted    generation 1, the newest that can be read",
        "machine   confirmed: generation 1 is in force",
    ]);
    assert!(listed(&after).contains("tcp dport 2222 accept"));

    // It cannot be gone back to, and the next one does not bear its number.
    let back = subject.run_in(&after, &["rollback", "2"]);
    back.fails(
        1,
        &[
            "error[A003]",
            "generations/2 is damaged",
            "generation 1 is in force",
        ],
    );
    let apply = subject.run_in(&after, &["apply", "--no-trial"]);
    apply.succeeds(&["generation 3 is in force"]);
}

/// Losing this, a machine that lost its disk would stand open, or its operator outside.
#[test]
fn where_all_are_damaged_a_safe_rule_set_keeps_ssh_open_where_it_was() {
    let Some((before, after, subject)) = two_starts() else {
        return;
    };
    for ports in ["ports=443", "ports=8443"] {
        let apply = [
            "apply",
            "--no-trial",
            "--set",
            "ssh-port=2222",
            "--set",
            ports,
        ];
        subject.run_in(&before, &apply).succeeds(&[]);
    }
    let whole = fs::read_to_string(subject.path("state/generations/1")).unwrap();
    for (count, damaged) in [
        "",
        "{\"nftables\": []}",
        &whole[..whole.len() / 2],
        &whole[..40],
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(subject.path("state/generations/1"), damaged).unwrap();
        fs::write(subject.path("state/generations/2"), damaged).unwrap();
        let boot = subject.run_in(&after, &["boot"]);
        boot.succeeds(&[
            "generations/2 is damaged",
            "generations/1 is damaged",
            "the safe rule set that portreeve carries, as no generation can be read",
            "machine   confirmed",
        ]);
        let listed = listed(&after);
        assert!(listed.contains("policy drop"), "{count}: {listed}");
        assert!(
            listed.contains("tcp dport 2222 accept"),
            "{count}: {listed}"
        );
        assert!(!listed.contains("443"), "{count}: {listed}");
        let delete = ["delete", "table", "inet", "portreeve"];
        after.nft(&delete, "").unwrap();
    }
    let boot = subject.run_in(&after, &["boot", "--format", "json"]).json();
    assert_eq!(boot["damaged"].as_array().map(Vec::len), Some(2));
    assert_eq!(boot["record"], serde_json::Value::Null);
    assert_eq!(boot["machine"]["in_force"], 0);
    // Whoever logs in is told, and the way out is an apply as always.
    let motd = fs::read_to_string(subject.path("motd/portreeve")).unwrap();
    assert!(motd.contains("A built-in safe one is in force"), "{motd}");
    subject
        .run_in(&after, &["status"])
        .succeeds(&["the kernel holds what was applied"]);
    let apply = subject.run_in(&after, &["apply", "--no-trial"]);
    apply.succeeds(&["generation 3 is in force"]);
}
