//! The dependency rules hold in the real tree, and each is seen to fail when it is broken.

use std::path::Path;
use std::sync::LazyLock;

use portreeve_tests::architecture::{DOCUMENT, Package, Project, Source, Violation, check};

/// The repository as it is.
static TREE: LazyLock<Project> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().expect("the repository is there");
    Project::read(&root).expect("the repository can be read")
});

/// What is wrong with it already.
static KNOWN: LazyLock<Vec<Violation>> = LazyLock::new(|| check(&TREE));

#[test]
fn the_tree_keeps_every_rule() {
    let found: Vec<String> = KNOWN.iter().map(ToString::to_string).collect();
    assert_eq!(found, [""; 0], "\n{}", found.join("\n"));
}

/// Breaks the tree in one way; that and nothing else must be reported.
fn breaks(expected: &[&str], change: impl FnOnce(&mut Project)) {
    let mut broken = TREE.clone();
    change(&mut broken);
    let found: Vec<String> = check(&broken)
        .iter()
        .filter(|violation| !KNOWN.contains(violation))
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, expected);
}

fn depend(project: &mut Project, from: &str, to: &str) {
    let package = project.packages.iter_mut().find(|p| p.name == from);
    let package = package.expect("the package exists");
    package.dependencies.push(to.to_owned());
}

fn write(project: &mut Project, path: &str, text: &str) {
    project.sources.push(Source {
        path: path.to_owned(),
        text: text.to_owned(),
    });
}

fn replace(project: &mut Project, path: &str, old: &str, new: &str) {
    let source = project.sources.iter_mut().find(|s| s.path == path);
    let text = &mut source.expect("the file exists").text;
    assert!(text.contains(old), "{path} contains {old}");
    *text = text.replace(old, new);
}

fn document(old: &str, new: &str) -> impl FnOnce(&mut Project) {
    move |project| {
        assert!(project.document.contains(old), "the document says {old}");
        project.document = project.document.replace(old, new);
    }
}

#[test]
fn d1_the_model_reaches_no_package_of_ours() {
    let add = |project: &mut Project| {
        project.packages.push(Package {
            name: "portreeve-helper".to_owned(),
            folder: "host/crates/helper".to_owned(),
            dependencies: Vec::new(),
        });
        let model = project
            .packages
            .iter_mut()
            .find(|p| p.name == "portreeve-model");
        let model = model.expect("there is a model");
        model.dependencies.push("portreeve-helper".to_owned());
        // Nobody else is concerned: what may reach the model only would reach this as well.
        project
            .packages
            .retain(|p| matches!(p.name.as_str(), "portreeve-model" | "portreeve-helper"));
    };
    let mut broken = TREE.clone();
    add(&mut broken);
    let found: Vec<String> = check(&broken)
        .iter()
        .filter(|violation| violation.rule == "D1")
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["D1: portreeve-model: reaches `portreeve-helper`"]);
}

#[test]
fn d2_the_translation_knows_the_model_only() {
    breaks(
        &["D2: portreeve-nft: reaches `portreeve-build`"],
        |project| {
            depend(project, "portreeve-nft", "portreeve-build");
        },
    );
}

#[test]
fn d3_the_sdk_and_the_policies_know_no_more_than_they_need() {
    let expected = ["D3: strict-origin: reaches `portreeve-nft`"];
    breaks(&expected, |project| {
        depend(project, "strict-origin", "portreeve-nft")
    });
    let expected = ["D3: strict-origin: depends on `portreeve-model`"];
    breaks(&expected, |project| {
        depend(project, "strict-origin", "portreeve-model")
    });
}

#[test]
fn d4_nothing_but_the_tests_links_the_host() {
    let expected = ["D4: xtask: depends on `portreeve`"];
    breaks(&expected, |project| depend(project, "xtask", "portreeve"));
}

#[test]
fn d5_only_the_host_brings_in_an_engine() {
    let expected = ["D5: portreeve-model: brings in `wasmtime`"];
    breaks(&expected, |project| {
        depend(project, "portreeve-model", "wasmtime")
    });
    let expected = ["D5: xtask: brings in `clap`"];
    breaks(&expected, |project| depend(project, "xtask", "clap"));
}

#[test]
fn d6_pure_crates_do_not_touch_the_world() {
    let path = "host/crates/nft/src/new.rs";
    let expected = [
        "D6: host/crates/nft/src/new.rs:1: names `std::fs::File`",
        "D6: host/crates/nft/src/new.rs:2: names `std::net::UdpSocket`",
    ];
    breaks(&expected, |project| {
        write(
            project,
            path,
            "use std::{fs::File, io};\nfn f(s: std::net::UdpSocket) {}",
        );
    });
}

#[test]
fn d7_pure_crates_have_no_map_without_an_order() {
    let path = "host/crates/model/src/new.rs";
    let expected = ["D7: host/crates/model/src/new.rs:1: names `HashMap`"];
    breaks(&expected, |project| {
        write(project, path, "use std::collections::HashMap;")
    });
}

#[test]
fn d8_processes_start_in_one_file() {
    let path = "host/src/report/new.rs";
    let expected =
        ["D8: host/src/report/new.rs:1: starts processes; only `host/src/apply/nft.rs` may"];
    breaks(&expected, |project| {
        write(project, path, "use std::process::{Command, Stdio};");
    });
}

#[test]
fn d9_generated_bindings_are_private() {
    let expected = [
        "D9: host/src/policy/new.rs:1: makes the generated bindings public",
        "D9: host/src/policy/new.rs:2: generates bindings outside of a module `bindings`",
        "D9: sdk/src/new.rs:1: makes the generated bindings public",
    ];
    breaks(&expected, |project| {
        let text = "pub(crate) mod bindings;\nwasmtime::component::bindgen!({});";
        write(project, "host/src/policy/new.rs", text);
        write(project, "sdk/src/new.rs", "pub mod bindings;");
        write(
            project,
            "sdk/src/hidden.rs",
            "#[doc(hidden)]\npub mod bindings;",
        );
    });
}

#[test]
fn d10_modules_name_only_modules_to_their_left() {
    let expected = [
        "D10: host/src/inputs/new.rs:1: `inputs` names `command`, which stands to its right",
        "D10: host/src/inputs/new.rs:2: `inputs` names `apply`, which stands to its right",
        "D10: host/src/limits.rs:1: `limits` names `inputs`, which stands to its right",
        "D10: host/src/surprise.rs:1: module `surprise` has no place in the order of D10",
    ];
    breaks(&expected, |project| {
        let text = "use crate::{command::run, exit_code};\nuse super::super::apply::nft;";
        write(project, "host/src/inputs/new.rs", text);
        write(
            project,
            "host/src/limits.rs",
            "use crate::inputs::Collected;",
        );
        write(project, "host/src/surprise.rs", "");
    });
}

#[test]
fn d11_a_plan_or_a_rule_set_comes_only_from_its_stage() {
    let expected = [
        "D11: host/crates/nft/src/new.rs:1: calls `Ruleset::new`",
        "D11: host/src/apply/new.rs:1: makes a `Plan`",
    ];
    breaks(&expected, |project| {
        let call = "fn f() { portreeve_model::ruleset::Ruleset::new(a, b); }";
        write(project, "host/crates/nft/src/new.rs", call);
        write(
            project,
            "host/src/apply/new.rs",
            "fn f() { g(Plan { ruleset }) }",
        );
    });
    let mut broken = TREE.clone();
    let path = "host/crates/model/src/ruleset/mod.rs";
    replace(&mut broken, path, "pub(crate) fn new(", "pub fn new(");
    replace(
        &mut broken,
        path,
        "    sets: Vec<Set>,\n    field_sets",
        "    pub sets: Vec<Set>,\n    field_sets",
    );
    let messages: Vec<String> = check(&broken)
        .into_iter()
        .filter(|violation| violation.rule == "D11")
        .map(|violation| violation.message)
        .collect();
    assert_eq!(
        messages,
        [
            "`Ruleset` has a public field",
            "anyone may call `Ruleset::new`"
        ]
    );
}

/// The line of the document that holds `text`.
fn line(text: &str) -> usize {
    let before = TREE
        .document
        .split(text)
        .next()
        .expect("split gives one part");
    before.lines().count()
}

#[test]
fn d12_the_document_names_what_exists() {
    let at = |text, message: &str| format!("D12: {DOCUMENT}:{}: {message}", line(text) + 1);
    let gone = at("| `wit/` |", "`wot/` does not exist");
    breaks(&[&gone], document("| `wit/` |", "| `wot/` |"));
    let early = at("| `wit/` |", "`wit/` exists, and is marked ▸");
    breaks(&[&early], document("| `wit/` |", "| ▸ `wit/` |"));
    let unlisted = format!("D12: {DOCUMENT}:1: does not list the rule D8");
    breaks(&[&unlisted], document("| `D8` |", "| D8 |"));
}

#[test]
fn d12_an_invariant_ends_with_a_test() {
    let first = TREE.document.lines().find(|text| text.starts_with("- "));
    let first = first.expect("there is an invariant");
    let mut broken = TREE.clone();
    broken.document = broken
        .document
        .replace(first, "- All is well.\n- All is well: `as_nobody_tests`");
    let messages: Vec<String> = check(&broken)
        .into_iter()
        .filter(|violation| !KNOWN.contains(violation))
        .map(|violation| violation.message)
        .collect();
    assert_eq!(
        messages,
        [
            "does not end with the name of a test",
            "`as_nobody_tests` does not exist"
        ]
    );
}
