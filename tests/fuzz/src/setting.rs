//! Values of settings, in the file and on the command line.

use std::sync::LazyLock;

use portreeve::inputs::{Config, InputsError, collect};
use portreeve_model::description::Description;
use portreeve_model::inputs::Setting;
use portreeve_sdk::describe;

use super::in_memory::InMemory;
use super::law;

/// A policy with a setting of each kind.
static POLICY: LazyLock<Description> = LazyLock::new(|| {
    describe("fuzzed", "1", "Takes settings.")
        .boolean("on", true, "a boolean")
        .integer("rate", 10, -5..=1_000_000, "an integer")
        .port("port", 22, "a port")
        .ports("ports", 443, 0..=64, "ports")
        .choice("word", ["drop", "reject"], "a choice")
        .prefixes("from", [], 0..=64, "prefixes")
        .build()
});

/// Sets settings, a line for each, as `--set` and as a file has them: a value that is taken is
/// taken again as it is written.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut config = Config::default();
    for line in text.lines() {
        if let Err(error) = config.set(line) {
            law::diagnostics(&error.into_diagnostics());
        }
    }
    judge(&config);
    let file = InMemory::new(format!("[settings]\n{text}").as_bytes());
    if let Ok(config) = Config::load(Some(&file.path())) {
        judge(&config);
    }
}

fn judge(config: &Config) {
    match settings(config) {
        Ok(settings) => {
            let mut written = Config::default();
            for setting in &settings {
                let set = written.set(&setting.to_string());
                assert!(set.is_ok(), "{set:?}");
            }
            let again = settings_of(&written);
            assert_eq!(again, settings);
        }
        Err(error) => law::diagnostics(&error.into_diagnostics()),
    }
}

fn settings_of(config: &Config) -> Vec<Setting> {
    settings(config).expect("what was taken is taken again")
}

fn settings(config: &Config) -> Result<Vec<Setting>, InputsError> {
    collect(config, &POLICY).map(|collected| collected.inputs.settings)
}
