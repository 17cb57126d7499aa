//! D1 to D5: which package may reach which.

use std::collections::BTreeSet;

use super::{Package, Violation};

const MODEL: &str = "portreeve-model";
const SDK: &str = "portreeve-sdk";
const HOST: &str = "portreeve";
const HARNESS: &str = "portreeve-vm-tests";
const TESTS: &str = "portreeve-tests";

/// Packages that know of the model and of nothing else of ours (D2).
const BESIDE_EACH_OTHER: [&str; 3] = ["portreeve-verify", "portreeve-nft", "portreeve-wire"];

/// What only these may bring in (D5).
const RESERVED: [(&str, &[&str]); 4] = [
    ("wasmtime", &[HOST]),
    ("clap", &[HOST, HARNESS]),
    ("tokio", &[HOST]),
    ("reqwest", &[HOST]),
];

pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let reached = reached(packages, package);
        let only = |rule, allowed: &[&str]| {
            let too_much = reached.iter().filter(|other| !allowed.contains(other));
            let message = |other| format!("reaches `{other}`");
            let violation = |other| violation(rule, package, message(other));
            too_much.map(violation).collect::<Vec<_>>()
        };
        if name == MODEL {
            found.extend(only("D1", &[]));
        }
        if BESIDE_EACH_OTHER.contains(&name) {
            found.extend(only("D2", &[MODEL]));
        }
        if name == SDK {
            found.extend(only("D3", &[MODEL]));
        }
        if package.folder.starts_with("policies/") {
            // What the sdk reaches comes along; the policy itself names the sdk and nothing else.
            found.extend(only("D3", &[SDK, MODEL]));
            if package.dependencies.iter().any(|name| name == MODEL) {
                found.push(violation("D3", package, format!("depends on `{MODEL}`")));
            }
        }
        if name != TESTS && reached.contains(HOST) {
            found.push(violation("D4", package, format!("depends on `{HOST}`")));
        }
        for dependency in &package.dependencies {
            let is_taken = |(it, by): &(&str, &[&str])| it == dependency && !by.contains(&name);
            if RESERVED.iter().any(is_taken) {
                found.push(violation(
                    "D5",
                    package,
                    format!("brings in `{dependency}`"),
                ));
            }
        }
    }
    found
}

/// The packages of the workspace that `from` needs, directly or through others.
fn reached<'a>(packages: &'a [Package], from: &'a Package) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(package) = waiting.pop() {
        let needed = packages
            .iter()
            .filter(|other| package.dependencies.contains(&other.name));
        for other in needed {
            if reached.insert(other.name.as_str()) {
                waiting.push(other);
            }
        }
    }
    reached
}

fn violation(rule: &'static str, package: &Package, message: String) -> Violation {
    Violation {
        rule,
        place: package.name.clone(),
        message,
    }
}
