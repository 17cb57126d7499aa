//! What one component comes to, judged in a process that judges nothing else: so the time and
//! the memory that are counted are its own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use portreeve::policy::{Cache, Policy};
use portreeve_model::inputs::Inputs;
use portreeve_model::validate::{Feeds, validate};
use serde::{Deserialize, Serialize};

/// What came of a component.
#[derive(Debug, Deserialize, Serialize)]
pub struct Judgement {
    /// Code and text of everything that is wrong with it.
    pub found: Vec<(String, String)>,
    /// How long `describe`, `decide` and the validation took together.
    pub seconds: f64,
    /// The most memory that the process has had.
    pub peak_bytes: u64,
}

impl Judgement {
    /// Judges the component in a file, which `cache` holds compiled if it can be compiled at all.
    #[must_use]
    pub fn of(component: &Path, cache: &Path) -> Self {
        let policy = Policy::load(component, &Cache::new(cache));
        let started = Instant::now();
        let drafted = policy.and_then(|policy| {
            policy.describe()?;
            policy.decide(&Inputs::default())
        });
        let found = match drafted {
            Ok(decision) => validate(&decision.draft, &Feeds::default())
                .err()
                .unwrap_or_default(),
            Err(error) => error.diagnostics(),
        };
        let seconds = started.elapsed().as_secs_f64();
        let found = found
            .iter()
            .map(|diagnostic| (diagnostic.code.to_owned(), diagnostic.to_string()))
            .collect();
        Self {
            found,
            seconds,
            peak_bytes: peak_bytes(),
        }
    }
}

/// The most memory that this process has had since it was started. What `getrusage` counts
/// begins with the parent's.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line
        .expect("Linux counts it")
        .trim()
        .trim_end_matches(" kB");
    kilobytes.parse::<u64>().expect("a number") << 10
}
