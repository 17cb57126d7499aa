//! Policies that misbehave on purpose: each ends in its own diagnostic, soon, in little memory,
//! and nothing but a message comes of it.
//!
//! Most guests are the examples of `tests/guests`; the others are made here from the honest one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use portreeve::policy::{Cache, Policy};
use portreeve_model::description::Description;
use portreeve_model::inputs::{Feed, Inputs, Setting};
use portreeve_tests::guests::{self, workspace};
use portreeve_tests::judgement::Judgement;

/// What each example comes to: codes, and a part of what the operator reads.
const EXAMPLES: &[(&str, &[&str], &str)] = &[
    (
        "abort_in_decide",
        &["W020"],
        "in `decide`, it panicked: no message was left",
    ),
    (
        "bad_default",
        &["W045"],
        "bits are set after the prefix length; the prefix is 192.0.2.0/24",
    ),
    (
        "bad_description",
        &[
            "W041", "W040", "W042", "W045", "W044", "W044", "W046", "W046", "W046",
        ],
        "there is no feed or setting of prefixes called `nowhere`",
    ),
    // Without the feed that it asks for.
    (
        "block_list",
        &["V008", "V008"],
        "the inputs hold no feed `blocked`",
    ),
    (
        "deep_expression",
        &["V017"],
        "33 levels in the expression, at most 32 fit",
    ),
    (
        "endless_loop",
        &["W010"],
        "in `decide`, it used up its 1000000000 units of fuel",
    ),
    (
        "gigabyte_string",
        &["W012"],
        "bytes of memory, at most 67108864 are given",
    ),
    ("honest", &[], ""),
    (
        "invalid_utf8",
        &["W023"],
        "its answer is malformed: `invalid utf-8 sequence",
    ),
    ("jump_cycle", &["V011"], "`ping` > `pong` > `ping`"),
    (
        "labels",
        &[
            "V003", "V003", "V003", "V003", "V003", "V003", "V003", "V003",
        ],
        "rule 6 (`a\\u{1b}]0;title\\u{7}`) in chain `input_all`",
    ),
    (
        "large_answer",
        &["W016"],
        "its answer takes more than 16777216 bytes",
    ),
    ("limits", &[], ""),
    ("log_flood", &["W017"], "it logged more than 10000 lines"),
    (
        "log_gigabytes",
        &["W017"],
        "it logged more than 10000 lines or 67108864 bytes",
    ),
    (
        "lying_length",
        &["W023"],
        "its answer is malformed: `string pointer/length out of bounds",
    ),
    (
        "memory_bomb",
        &["W012"],
        "bytes of memory, at most 67108864 are given",
    ),
    ("missing_set", &["V006"], "there is no set `nowhere`"),
    (
        "names",
        &["V008", "V001", "V001"],
        "chain `x { type filter hook input priority 0; }`",
    ),
    (
        "recursion",
        &["W021"],
        "it reached outside its memory, probably a stack overflow",
    ),
    ("refuses_inputs", &["W030"], "refused: \\u{1b}[2Jset ports"),
    (
        "refuses_unsupported",
        &["W031"],
        "refused: no interface named wg0",
    ),
    ("remembers", &[], ""),
    (
        "ten_million_rules",
        &["W012"],
        "bytes of memory, at most 67108864 are given",
    ),
    (
        "too_many_rules",
        &["V017"],
        "20000 rules, at most 10000 fit",
    ),
    (
        "too_many_settings",
        &["W043"],
        "1000 settings, at most 64 fit",
    ),
    (
        "trap_in_decide",
        &["W020"],
        "index out of bounds: the len is 0 but the index is 3",
    ),
    (
        "trap_in_describe",
        &["W020"],
        "it panicked: panicked at tests/guests/examples/trap_in_describe.rs:8:5: no \\u{1b}[2Jname",
    ),
    (
        "wide_expression",
        &["V017"],
        "100001 nodes in the expression, at most 1000 fit",
    ),
];

/// What is added to the honest guest, as text, and what it comes to then.
const ADDED: &[(&str, &[&str], &str)] = &[
    (
        r#"(core module $m (table $t 1 funcref)
             (func $f (loop (drop (table.grow $t (ref.null func) (i32.const 9999))) (br 0)))
             (start $f))
           (core instance (instantiate $m))"#,
        &["W013"],
        "it wanted a table of 109990 elements, at most 100000 are given",
    ),
    (
        r#"(core module $m (memory 2000)) (core instance (instantiate $m))"#,
        &["W012"],
        "bytes of memory, at most 67108864 are given",
    ),
    (
        r#"(core module $m (func $f (call $f)) (start $f)) (core instance (instantiate $m))"#,
        &["W015"],
        "its calls nest deeper than 524288 bytes of stack",
    ),
    (
        r#"(core module $m (func $f (drop (i32.div_u (i32.const 1) (i32.const 0)))) (start $f))
           (core instance (instantiate $m))"#,
        &["W022"],
        "it trapped: `integer divide by zero`",
    ),
    // One unit of fuel for a call that takes the host long.
    (
        r#"(core module $m (memory 1)
             (func $f (loop (drop (memory.grow (i32.const 0))) (br 0))) (start $f))
           (core instance (instantiate $m))"#,
        &["W011"],
        "in `describe`, it ran longer than 1.5 s",
    ),
    (
        r#"(import "wasi:cli/environment@0.2.0" (instance
             (export "get-arguments" (func (result (list string))))))"#,
        &["W006"],
        "it imports `wasi:cli/environment@0.2.0`",
    ),
    (
        r#"(import "portreeve:policy/shell@0.1.0" (instance (export "run" (func))))"#,
        &["W006"],
        "it imports `portreeve:policy/shell@0.1.0`",
    ),
    (r#"(import "run" (func))"#, &["W006"], "it imports `run`"),
];

/// Seconds that one evaluation may take.
const SECONDS: f64 = 2.0;

/// Bytes of memory that one process with one guest may have.
const PEAK_BYTES: u64 = 256 << 20;

/// How often an evaluation is repeated that took too long: whatever else this machine does can
/// make it slower, and never faster.
const REPEATED: usize = 2;

/// The components of the examples, built once.
static GUESTS: LazyLock<BTreeMap<String, Vec<u8>>> =
    LazyLock::new(|| guests::build(Path::new(env!("CARGO_TARGET_TMPDIR"))));

/// Everything that comes of a component, up to the rule set; within time and memory.
fn judge(name: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (component, cache) = (
        directory.path().join("guest"),
        directory.path().join("cache"),
    );
    fs::write(&component, bytes).expect("a temporary file can be written");
    // Compiled here, so that the other process only evaluates.
    let started = Instant::now();
    if let Ok(policy) = Policy::load(&component, &Cache::new(&cache)) {
        assert!(
            policy.uncached().is_none(),
            "{name}: {:?}",
            policy.uncached()
        );
    }
    let took = started.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "{name}: compiled for {took:?}"
    );

    let mut judgement = judge_elsewhere(&component, &cache);
    for _ in 0..REPEATED {
        if judgement.seconds >= SECONDS {
            judgement = judge_elsewhere(&component, &cache);
        }
    }
    let Judgement {
        found,
        seconds,
        peak_bytes,
    } = judgement;
    println!("{seconds:.3} s, {} MiB: {name}", peak_bytes >> 20);
    assert!(seconds < SECONDS, "{name}: evaluation took {seconds} s");
    assert!(
        peak_bytes < PEAK_BYTES,
        "{name}: took {peak_bytes} bytes of memory"
    );
    for (_, line) in &found {
        let plain = |character: char| !character.is_control() && character != '\u{202e}';
        assert!(line.chars().all(plain), "{line:?}");
    }
    found
}

/// Judges in a process of its own.
fn judge_elsewhere(component: &Path, cache: &Path) -> Judgement {
    let output = Command::new(env!("CARGO_BIN_EXE_judge"))
        .args([component, cache])
        .output()
        .expect("the judge starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).expect("the judge answers in JSON")
}

fn check(name: &str, bytes: &[u8], codes: &[&str], part: &str) {
    let (found_codes, text): (Vec<String>, Vec<String>) = judge(name, bytes).into_iter().unzip();
    assert_eq!(found_codes, codes, "{name}: {text:#?}");
    assert!(
        part.is_empty() || text.iter().any(|line| line.contains(part)),
        "{name}: {part:?} is not in {text:#?}"
    );
}

/// The honest guest with something added to it.
fn honest_with(addition: &str) -> Vec<u8> {
    let text = wasmprinter::print_bytes(&GUESTS["honest"]).expect("it is WebAssembly");
    let end = text.rfind(')').expect("the text form is in parentheses");
    let text = format!("{}{addition})", &text[..end]);
    wat::parse_str(text).expect("what is added is well-formed")
}

#[test]
fn no_guest_does_more_than_end_in_its_own_diagnostic() {
    for (name, codes, part) in EXAMPLES {
        check(name, &GUESTS[*name], codes, part);
    }
    for (addition, codes, part) in ADDED {
        check(addition, &honest_with(addition), codes, part);
    }
    let many = "(core module $m) ".to_owned() + &"(core instance (instantiate $m))".repeat(40);
    check(
        "instances",
        &honest_with(&many),
        &["W014"],
        "more than 32 instances",
    );
}

#[test]
fn what_is_not_a_policy_is_told_by_what_it_is_instead() {
    let honest = &GUESTS["honest"];
    let cut = &honest[..honest.len() / 2];
    let other_world = wat::parse_str("(component)").unwrap();
    let core = wat::parse_str("(module)").unwrap();
    let other_version: Vec<u8> = replaced(honest, b"policy/log@0.1.0", b"policy/log@9.1.0");

    check("text", b"(component)", &["W003"], "it is not WebAssembly");
    check("nothing", b"", &["W003"], "it is not WebAssembly");
    check(
        "machine code",
        b"\x7fELF\x02\x01\x01",
        &["W003"],
        "it is not WebAssembly",
    );
    check(
        "core module",
        &core,
        &["W004"],
        "it is a core module, not a component",
    );
    check(
        "cut",
        cut,
        &["W005"],
        "it is no valid component: `section range",
    );
    check("header", &honest[..8], &["W007"], "no export \\u{60}decide");
    check(
        "other world",
        &other_world,
        &["W007"],
        "no export \\u{60}decide",
    );
    check(
        "other version",
        &other_version,
        &["W007"],
        "portreeve:policy/log@9.1.0",
    );
}

#[test]
fn a_file_is_read_no_further_than_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large.wasm");
    // A file with a hole takes no space.
    fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    let code = |path: &Path| {
        let error = Policy::load(path, &Cache::off()).unwrap_err();
        error.diagnostics().remove(0).to_string()
    };
    let found = code(&large);
    assert!(
        found.contains("W002") && found.contains("1099511627776 bytes"),
        "{found}"
    );
    let found = code(Path::new("/dev/zero"));
    assert!(
        found.contains("W001") && found.contains("is not a regular file"),
        "{found}"
    );
    let found = code(&directory.path().join("missing.wasm"));
    assert!(
        found.contains("W001") && found.contains("does not exist"),
        "{found}"
    );
}

#[test]
fn every_guest_has_its_row() {
    let directory = workspace().join("tests/guests/examples");
    let files: BTreeSet<_> = fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            Some(path.file_stem()?.to_str()?.to_owned())
        })
        .collect();
    let rows: BTreeSet<_> = EXAMPLES
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    assert_eq!(files, rows);
    let built: BTreeSet<_> = GUESTS.keys().cloned().collect();
    assert_eq!(files, built);
}

#[test]
fn the_same_inputs_give_the_same_draft_and_take_the_same_steps() {
    let policy = Policy::from_bytes("guest", &GUESTS["remembers"], &Cache::off()).unwrap();
    let first = policy.decide(&Inputs::default()).unwrap();
    let second = policy.decide(&Inputs::default()).unwrap();
    assert_eq!(first.draft, second.draft);
    assert_eq!(first.fuel_used, second.fuel_used);
    assert_eq!(first.draft.chains[0].rules[0].label, "call 0");
}

#[test]
fn a_flood_leaves_its_first_lines_and_no_escapes() {
    let policy = Policy::from_bytes("guest", &GUESTS["log_flood"], &Cache::off()).unwrap();
    let error = policy.decide(&Inputs::default()).unwrap_err();
    assert_eq!(error.exit_code().number(), 5);
    assert_eq!(error.log().len(), 101);
    assert_eq!(error.log()[0].to_string(), "info: \\u{1b}[31mstill here");
}

#[test]
fn a_built_in_policy_is_what_its_component_compiles_to() {
    for name in Policy::builtin_names() {
        let carried = Policy::builtin(name).unwrap();
        let component = Policy::builtin_component(name).unwrap();
        let compiled = Policy::from_bytes(name, component, &Cache::off()).unwrap();
        assert_eq!(carried.digest(), compiled.digest());
        let description = carried.describe().unwrap();
        assert_eq!(description, compiled.describe().unwrap());
        assert_eq!(description.name, name);
        let inputs = defaults(&description);
        let (carried, compiled) = (carried.decide(&inputs), compiled.decide(&inputs));
        let (carried, compiled) = (carried.unwrap(), compiled.unwrap());
        assert_eq!(carried.draft, compiled.draft);
        assert_eq!(carried.fuel_used, compiled.fuel_used);
    }
}

/// Every setting at its default, and a summary of each feed.
fn defaults(description: &Description) -> Inputs {
    let settings = description.settings.iter().map(|setting| Setting {
        name: setting.name.clone(),
        value: setting.default.clone(),
    });
    let feeds = description.feeds.iter().map(|feed| Feed {
        name: feed.name.clone(),
        ip_prefixes: 15,
        ip6_prefixes: 7,
        digest: "0".repeat(64),
        age: None,
        elements: feed.needs_elements.then(Vec::new),
    });
    Inputs {
        settings: settings.collect(),
        feeds: feeds.collect(),
        interfaces: None,
        listeners: None,
    }
}

/// `bytes` with one text, which is there, replaced by another of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "it is not there");
    bytes
}
