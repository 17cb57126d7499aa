//! A policy of the operator's own: a hostile one costs a message and nothing else, an honest one
//! is compiled once and applied.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use portreeve_nft::lift_installed;
use portreeve_tests::guests;
use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::{Run, Subject, namespace};

/// The program, with this guest as its policy.
fn with_guest(name: &str) -> Subject {
    let subject = Subject::new();
    let components = guests::build(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let component = subject.path("policy.wasm");
    fs::write(&component, &components[name]).expect("a temporary file can be written");
    subject.configure(&format!("policy = \"{}\"\n", component.display()));
    subject
}

fn apply(subject: &Subject, namespace: &Namespace) -> Run {
    subject.run_in(namespace, &["apply", "--no-trial"])
}

#[test]
fn a_hostile_policy_leaves_the_kernel_as_it_was() {
    let Some(namespace) = namespace() else { return };
    let table = "table inet portreeve { chain input { tcp dport 22 accept; }; }";
    namespace.nft(&["-f", "-"], table).unwrap();
    // With handles: a table that was replaced by its like would show.
    let ruleset = || namespace.nft(&["-a", "list", "ruleset"], "").unwrap();
    let before = ruleset();
    for (guest, code, says) in [
        ("endless_loop", 5, "error[W010]"),
        ("trap_in_decide", 5, "error[W020]"),
        ("jump_cycle", 3, "error[V011]"),
    ] {
        let subject = with_guest(guest);
        apply(&subject, &namespace).fails(code, &[says, "unchanged"]);
        assert_eq!(ruleset(), before, "{guest}");
        assert!(!subject.path("state").exists(), "{guest}");
    }
}

#[test]
fn an_honest_policy_is_compiled_once_and_applied() {
    let Some(namespace) = namespace() else { return };
    let subject = with_guest("honest");
    let first = apply(&subject, &namespace);
    first.succeeds(&["machine   confirmed"]);
    let kept = |subject: &Subject| -> Vec<_> {
        let entries = fs::read_dir(subject.path("cache")).unwrap();
        let mut kept: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let written = entry.metadata().unwrap().modified().unwrap();
                (entry.file_name().into_string().unwrap(), written)
            })
            .collect();
        kept.sort();
        kept
    };
    let compiled = kept(&subject);
    assert_eq!(compiled.len(), 1, "{compiled:?}");
    assert!(compiled[0].0.ends_with(".cwasm"), "{compiled:?}");

    let in_force = || {
        let list = ["-n", "-j", "list", "table", "inet", "portreeve"];
        let installed = lift_installed(&namespace.nft(&list, "").unwrap()).unwrap();
        installed.confirmed.expect("a generation is confirmed")
    };
    let (number, ruleset) = in_force();
    let second = apply(&subject, &namespace);
    second.succeeds(&["machine   confirmed"]);
    assert_eq!(kept(&subject), compiled, "it was compiled again");
    assert_eq!(in_force(), (number + 1, ruleset));
}

/// Losing this, a server could be applied to that lets its operator in when it is lucky.
#[test]
fn what_a_limit_decides_is_not_applied_when_a_goal_is_about_it() {
    let Some(namespace) = namespace() else { return };
    let subject = with_guest("limits");
    let policy = subject.path("policy.wasm");
    subject.configure(&format!(
        "policy = \"{}\"\n\n[[goal]]\nname = \"ssh gets in\"\n\
         packets = \"input tcp dport 22 ct new\"\nverdict = \"accept\"\n",
        policy.display()
    ));
    apply(&subject, &namespace).fails(
        4,
        &[
            "error[P002]: it cannot be decided",
            "goal `ssh gets in`",
            "by rule `ten times a minute` in chain inet portreeve input_all on `limit rate 10/minute",
            "machine   unchanged",
        ],
    );
    assert_eq!(namespace.nft(&["list", "tables"], ""), Ok(String::new()));
}

#[test]
fn machine_code_that_others_could_have_written_is_not_run() {
    let subject = with_guest("honest");
    let cache = subject.path("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, PermissionsExt::from_mode(0o777)).unwrap();
    let plan = || subject.run_again(&["plan"]);
    plan().succeeds(&["policy    hostile 1"]);
    let kept = fs::read_dir(&cache).unwrap().count();
    assert_eq!(kept, 0, "nothing is kept where others can change it");
}
