//! A policy as bytes: compiled, linked, instantiated and asked what it is.

use portreeve::policy::{Cache, Policy, PolicyError};

use super::law;

/// Loads a component and has it describe itself, twice: the same bytes say the same.
pub fn target(data: &[u8]) {
    let policy = match Policy::from_bytes("fuzzed", data, &Cache::off()) {
        Ok(policy) => policy,
        Err(error) => return failed(&error),
    };
    match (policy.describe(), policy.describe()) {
        (Ok(once), Ok(again)) => assert_eq!(once, again),
        (Err(error), Err(again)) => {
            failed(&error);
            failed(&again);
        }
        (once, again) => panic!("{once:?} and {again:?}"),
    }
}

fn failed(error: &PolicyError) {
    law::diagnostics(&error.diagnostics());
    error.log().iter().for_each(law::printable);
}
