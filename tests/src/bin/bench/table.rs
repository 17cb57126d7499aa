//! The figures, each beside its bar.

use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) bar: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn new(
        what: impl Into<String>,
        measured: f64,
        bar: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            what: what.into(),
            measured,
            bar,
            unit,
        }
    }
}

pub(crate) fn table(figures: &[Figure]) -> String {
    let mut out = format!("{:<66} {:>10} {:>10}\n", "what", "measured", "bar");
    for figure in figures {
        let Figure {
            what,
            measured,
            bar,
            unit,
        } = figure;
        let met = if measured <= bar { "met" } else { "MISSED" };
        let _ = writeln!(
            out,
            "{what:<66} {measured:>8.2} {unit:<2} ≤ {bar:>6} {unit:<2} {met}"
        );
    }
    out
}
