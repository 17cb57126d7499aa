//! Case files of policies.

use std::sync::LazyLock;

use portreeve_model::description::Description;
use portreeve_sdk::describe;
use portreeve_sdk::testing::{CaseError, CaseFile, Expected};

use super::law;

/// A policy with a setting of each kind, and a feed.
static POLICY: LazyLock<Description> = LazyLock::new(|| {
    describe("fuzzed", "1", "Takes everything.")
        .boolean("on", true, "a boolean")
        .integer("rate", 10, 1..=100, "an integer")
        .port("port", 22, "a port")
        .ports("ports", 443, 0..=9, "ports")
        .choice("word", ["drop", "reject"], "a choice")
        .prefixes("from", [], 0..=9, "prefixes")
        .feed("cdn", "who may come in")
        .build()
});

/// Reads a case file: a comment at its end changes nothing, and its packets are written as they
/// are read.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A case file may name others, and nothing is read here but what is given.
    if text.contains("files") {
        return;
    }
    match read(text) {
        Ok(file) => {
            let again = read(&format!("{text}\n# the end")).expect("a comment says nothing");
            assert_eq!(again.expected, file.expected);
            assert_eq!(again.inputs, file.inputs);
            if let Expected::Packets(cases) = file.expected {
                for case in cases {
                    assert_eq!(case.packet.to_string().parse(), Ok(case.packet));
                }
            }
        }
        Err(error) => law::printable(&error),
    }
}

fn read(text: &str) -> Result<CaseFile, CaseError> {
    CaseFile::parse("fuzzed.toml", text, &POLICY)
}
