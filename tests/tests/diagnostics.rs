//! Every code that a user can meet is explained, and none is explained that nobody can meet.
//!
//! Looks at texts only: the sources of `host/`, and `host/docs/diagnostics.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Codes whose triggering case is a unit test next to what finds the mistake. The others come
/// from guests and kernels, which the tests beside this one set up.
const UNIT_TESTED: [char; 5] = ['V', 'C', 'S', 'F', 'L'];

/// Codes that no test brings about, and why.
const NOT_BROUGHT_ABOUT: [(&str, &str); 10] = [
    (
        "A004",
        "the kernel must take one rule set and list another, or nft say that it took it",
    ),
    ("A005", "nft must work, and fail a moment later"),
    (
        "A006",
        "the translation must be wrong, which `translation.rs` looks for",
    ),
    (
        "A007",
        "nft is looked for in fixed places; `trial.rs` takes it from there during a trial",
    ),
    (
        "A016",
        "the system must refuse this process a signal handler, a process or random bytes",
    ),
    ("A020", "the system must refuse this process a namespace"),
    (
        "P003",
        "prover and evaluator must differ, which `agreement.rs` of the prover looks for",
    ),
    (
        "P004",
        "it takes rules made for it, which `proofs.rs` gives the prover itself",
    ),
    (
        "P005",
        "a kernel must do something else than is proved; `probe.rs` makes it say so by a lie",
    ),
    ("W024", "the system must refuse this process a thread"),
];

type Codes = BTreeSet<String>;

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a readable file of the sources")
}

/// Every Rust file below `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of the sources") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The program and the tests of a file: tests have files of their own, or come last.
fn parts<'a>(path: &Path, text: &'a str) -> (&'a str, &'a str) {
    // Where the project itself lies does not matter: that may be below some `tests` as well.
    let inside = path.strip_prefix(host()).unwrap_or(path);
    let of_tests = inside.components().any(|part| {
        let part = part.as_os_str();
        part == "tests" || part == "tests.rs"
    });
    if of_tests {
        return ("", text);
    }
    text.split_once("#[cfg(test)]\nmod tests {")
        .unwrap_or((text, ""))
}

/// Whether `text` is a letter and three digits.
fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 4 && bytes[0].is_ascii_uppercase() && bytes[1..].iter().all(u8::is_ascii_digit)
}

/// The codes that stand in `text` between `before` and `after`.
fn codes(text: &str, before: &str, after: &str) -> Codes {
    text.match_indices(before)
        .filter_map(|(at, before)| text[at + before.len()..].split_at_checked(4))
        .filter(|(code, rest)| is_code(code) && rest.starts_with(after))
        .map(|(code, _)| code.to_owned())
        .collect()
}

/// The codes that the program says, and those that its tests bring about.
fn said_and_tested() -> (Codes, Codes) {
    let (mut said, mut tested) = (Codes::new(), Codes::new());
    for path in sources(&host()) {
        let text = read(&path);
        let (program, tests) = parts(&path, &text);
        said.extend(codes(program, "\"", "\""));
        tested.extend(codes(tests, "\"", "\""));
        tested.extend(codes(tests, "error[", "]"));
    }
    (said, tested)
}

fn explained() -> Codes {
    let text = read(&host().join("docs/diagnostics.md"));
    codes(&text, "\n### ", ": ")
}

#[test]
fn every_code_has_a_section_and_every_section_a_code() {
    let (said, _) = said_and_tested();
    let explained = explained();
    let unexplained: Vec<_> = said.difference(&explained).collect();
    let unsaid: Vec<_> = explained.difference(&said).collect();
    assert!(
        unexplained.is_empty(),
        "no section in docs/diagnostics.md: {unexplained:?}"
    );
    assert!(
        unsaid.is_empty(),
        "explained, but no source says it: {unsaid:?}"
    );
}

#[test]
fn every_code_of_a_pure_stage_has_a_triggering_case() {
    let (said, tested) = said_and_tested();
    let untested: Vec<_> = said
        .difference(&tested)
        .filter(|code| code.starts_with(UNIT_TESTED))
        .collect();
    assert!(
        untested.is_empty(),
        "no unit test brings about {untested:?}"
    );
    for letter in UNIT_TESTED {
        assert!(
            said.iter().any(|code| code.starts_with(letter)),
            "no code {letter} was found"
        );
    }
}

#[test]
fn every_other_code_is_brought_about_by_a_whole_program_or_is_listed() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut brought_about = Codes::new();
    for path in sources(&tests) {
        // Not this file: it names codes and brings none about.
        if path.file_name() != Some("diagnostics.rs".as_ref()) {
            let text = read(&path);
            brought_about.extend(codes(&text, "\"", "\""));
            brought_about.extend(codes(&text, "error[", "]"));
        }
    }
    let (said, _) = said_and_tested();
    let untested: Vec<_> = said
        .difference(&brought_about)
        .filter(|code| !code.starts_with(UNIT_TESTED))
        .map(String::as_str)
        .collect();
    assert_eq!(untested, NOT_BROUGHT_ABOUT.map(|(code, _)| code));
}

/// The example of each section is a message with the section's own code.
#[test]
fn every_section_shows_its_own_code_and_says_what_to_do() {
    let text = read(&host().join("docs/diagnostics.md"));
    for section in text.split("\n### ").skip(1) {
        let (code, rest) = section.split_at(4);
        assert!(
            rest.contains(&format!("\nerror[{code}]: ")),
            "{code} has no example"
        );
        assert!(
            rest.contains("\n**Do:** "),
            "{code} does not say what to do"
        );
    }
}

/// The checker itself: what it would miss, nobody would see.
#[test]
fn codes_are_found_where_they_count() {
    let found = |text: &str| codes(text, "\"", "\"").into_iter().collect::<Vec<_>>();
    assert_eq!(found("say(\"V001\", \"W123\")"), ["V001", "W123"]);
    assert_eq!(
        found("\"v001\" \"V01\" \"V0011\" 'V001' \"VV01\" \"é"),
        Vec::<String>::new()
    );
    assert_eq!(codes("error[C004]: x", "error[", "]").len(), 1);
    let file = "a\n#[cfg(test)]\nmod tests {\nb";
    assert_eq!(parts(Path::new("src/a.rs"), file), ("a\n", "\nb"));
    assert_eq!(parts(Path::new("src/a/tests.rs"), file), ("", file));
    assert_eq!(parts(Path::new("src/tests/a.rs"), file), ("", file));
    let separate = "a\n#[cfg(test)]\nmod tests;\n";
    assert_eq!(parts(Path::new("src/a.rs"), separate), (separate, ""));
}
