//! The policies that the binary carries do in WebAssembly what their case files say, to the draft
//! the same as when they are compiled for this machine.

use std::collections::BTreeSet;

use portreeve::policy::{self, Policy, PolicyError};
use portreeve_model::draft::Draft;
use portreeve_sdk::Refusal;
use portreeve_sdk::testing::{CaseFile, judge};
use portreeve_tests::guests::workspace;
use strict_origin::StrictOrigin;
use tunnel_origin::TunnelOrigin;

/// What the component says: a draft or a refusal, and nothing else.
fn decide(policy: &Policy, file: &CaseFile) -> Result<Draft, Refusal> {
    match policy.decide(&file.inputs) {
        Ok(decision) => Ok(decision.draft),
        Err(PolicyError::Refused { refusal, .. }) => Err(match refusal {
            policy::Refusal::Inputs(message) => Refusal::Inputs(message),
            policy::Refusal::Unsupported(message) => Refusal::Unsupported(message),
        }),
        Err(error) => panic!("{}: {error}", file.path.display()),
    }
}

fn check<P: portreeve_sdk::Policy>(name: &str) {
    let carried = Policy::builtin(name).expect("the binary carries it");
    assert_eq!(
        carried.describe().expect("it describes itself"),
        P::describe(),
        "{name}"
    );
    let cases = workspace().join("policies").join(name).join("cases");
    let files =
        CaseFile::read_dir(&cases, &P::describe()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!files.is_empty(), "{name} has cases");
    for file in &files {
        let decided = decide(&carried, file);
        let failures = judge(file, &decided);
        assert!(failures.is_empty(), "{}", failures[0]);
        assert_eq!(decided, P::decide(&file.inputs), "{}", file.path.display());
    }
}

#[test]
fn strict_origin_does_what_its_cases_say() {
    check::<StrictOrigin>("strict-origin");
}

#[test]
fn tunnel_origin_does_what_its_cases_say() {
    check::<TunnelOrigin>("tunnel-origin");
}

#[test]
fn every_policy_that_the_binary_carries_is_judged_here() {
    let carried: BTreeSet<_> = Policy::builtin_names().collect();
    assert_eq!(carried, BTreeSet::from(["strict-origin", "tunnel-origin"]));
}
