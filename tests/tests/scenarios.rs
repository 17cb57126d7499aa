//! `portreeve test`, as a policy's author meets it: the same file on the model and on this machine's
//! kernel, what it says of a policy that does something else than the file, and how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portreeve_tests::guests;
use portreeve_tests::namespace::Namespace;
use portreeve_tests::program::{Run, portreeve};
use tempfile::TempDir;

const SCENARIO: &str = r#"
why = "strangers would reach the web server past its shield"
policy = "strict-origin"
[settings]
ssh-port = 2222
[machine]
eth0 = ["203.0.113.10/24", "2001:db8:10::10/64"]
serves = ["tcp/22", "tcp/443", "tcp/2222"]
[sources]
stranger = ["198.51.100.7", "2001:db8:bad::7"]
shield = { feed = "cloudflare", pick = ["first", "last"] }
[[expect]]
from = "*"
to = ["tcp/2222", "echo"]
verdict = "open"
[[expect]]
from = "*"
to = "tcp/22"
verdict = "dropped"
[[expect]]
from = "shield"
to = "tcp/443"
verdict = "open"
[[expect]]
from = "stranger"
to = "tcp/443"
verdict = "dropped"
"#;

/// Its folder, with this scenario in it, and maybe more.
struct Author {
    folder: TempDir,
}

impl Author {
    fn new(scenario: &str) -> Self {
        let author = Self {
            folder: tempfile::tempdir().expect("a temporary directory can be made"),
        };
        author.write("mine.toml", scenario);
        author
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), content).expect("a temporary file can be written");
    }

    fn test(&self, words: &[&str]) -> Run {
        let mut command = Command::new(portreeve());
        command.arg("test").args(words);
        // What is made on the way is no business of this machine's user.
        let cache = self.folder.path().join("cache");
        Run::of(
            command
                .current_dir(self.folder.path())
                .env("XDG_CACHE_HOME", cache),
        )
    }
}

#[track_caller]
fn ends(run: &Run, code: i32, parts: &[&str]) {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

/// The tiers on which a test can be run here.
fn tiers() -> Vec<&'static str> {
    let mut tiers = vec!["model"];
    match Namespace::new() {
        Ok(_) => tiers.push("netns"),
        Err(why) => eprintln!("skipped: on netns: {why}"),
    }
    tiers
}

#[test]
fn a_file_fares_alike_on_the_model_and_on_a_kernel() {
    let author = Author::new(SCENARIO);
    for tier in tiers() {
        let run = author.test(&["--on", tier, "mine.toml"]);
        ends(
            &run,
            0,
            &["ok ", tier, "mine", "1 good, 0 failed", "0 wrongly open"],
        );
    }
}

/// Losing this, a policy that lets strangers in would be released: its test had not failed.
#[test]
fn what_a_policy_does_and_the_file_does_not_want_is_told() {
    let shielded = "from = \"stranger\"\nto = \"tcp/443\"\nverdict = \"dropped\"";
    let author = Author::new(
        &SCENARIO
            .replace("[settings]", "[settings]\nports = [443, 22]")
            .replace(shielded, &shielded.replace("dropped", "open")),
    );
    for tier in tiers() {
        let run = author.test(&["--on", tier, "mine.toml"]);
        ends(
            &run,
            4,
            &[
                "FAILED",
                "wrongly open: tcp/22 from 103.21.244.0 (`shield`) is open, not dropped",
                "2 wrongly closed",
            ],
        );
    }
}

#[test]
fn a_policy_of_ones_own_is_tested_as_a_built_in_one_is() {
    let components = guests::build(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let scenario = r#"
        why = "an example"
        policy = "./mine.wasm"
        [machine]
        eth0 = ["203.0.113.10/24"]
        serves = ["tcp/22", "tcp/80"]
        [sources]
        anybody = ["198.51.100.7"]
        [[expect]]
        from = "*"
        to = ["tcp/22", "tcp/80", "echo"]
        verdict = "open"
    "#;
    let author = Author::new(scenario);
    author.write("mine.wasm", &components["honest"]);
    for tier in tiers() {
        ends(&author.test(&["--on", tier, "mine.toml"]), 0, &["1 good"]);
    }
    author.write("mine.wasm", &components["trap_in_decide"]);
    for tier in tiers() {
        let run = author.test(&["--on", tier, "mine.toml"]);
        ends(&run, 10, &["BROKEN", "error[W020]"]);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_everything_that_is_wrong() {
    let author = Author::new(&SCENARIO.replace("to = \"tcp/22\"", "to = \"tcp/23\""));
    author.write(
        "policy.toml",
        SCENARIO.replace("strict-origin", "gone.wasm"),
    );
    let run = author.test(&["mine.toml", "policy.toml"]);
    ends(
        &run,
        3,
        &[
            "mine.toml: `tcp/23` is nothing that the machine offers",
            "policy.toml: policy `gone.wasm`: there is no file",
        ],
    );
    ends(
        &author.test(&["theirs.toml"]),
        3,
        &["`./theirs.toml` is no file"],
    );
}

#[test]
fn what_cannot_be_tried_where_it_was_asked_is_no_success() {
    let rules = "[machine]\nothers = \"table inet them {}\"";
    let author = Author::new(&SCENARIO.replace("[machine]", rules));
    let run = author.test(&["--on", "model", "mine.toml"]);
    ends(
        &run,
        10,
        &["skipped", "--on netns shows it", "and it is required"],
    );
}

#[test]
fn without_the_harness_it_says_where_that_is_looked_for() {
    let author = Author::new(SCENARIO);
    let alone: PathBuf = author.folder.path().join("portreeve");
    fs::copy(portreeve(), &alone).expect("the program can be copied");
    let mut command = Command::new(&alone);
    command.args(["test", "mine.toml"]).env("PATH", "");
    let run = Run::of(command.current_dir(author.folder.path()));
    run.fails(
        10,
        &[
            "error[A021]",
            "portreeve-harness is neither in",
            "unchanged",
        ],
    );
}
