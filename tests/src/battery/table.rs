//! The table that people read.

use std::fmt::Write as _;

use crate::battery::trial::{TRIAL, Verdict};

/// One line for each case, and what was wrong below it.
#[must_use]
pub fn table(verdicts: &[Verdict]) -> String {
    let mut out = format!(
        "{:<20} {:>6} {:>13}  {:<14} {:<32} verdict\n",
        "case", "trial", "opened again", "boot rule set", "status"
    );
    for verdict in verdicts {
        let opened = verdict
            .opened_after
            .map_or_else(|| "never".to_owned(), |after| format!("{after:+} ms"));
        let judged = if verdict.faults.is_empty() {
            "good"
        } else {
            "BAD"
        };
        let (case, boot, status) = (&verdict.trouble, &verdict.boot, &verdict.status);
        let trial = TRIAL.as_secs();
        let _ = writeln!(
            out,
            "{case:<20} {trial:>4} s {opened:>13}  {boot:<14} {status:<32} {judged}"
        );
        for fault in &verdict.faults {
            let _ = writeln!(out, "    {fault}");
        }
    }
    let good = verdicts.iter().filter(|verdict| verdict.faults.is_empty());
    let _ = writeln!(out, "{} of {} good", good.count(), verdicts.len());
    out
}
