//! What a run found: a line for each scenario as it ends, a table at the end, and files for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::compare::Difference;
use crate::matrix::{Ending, Finished};
use crate::run::{Began, Failure, Findings};

/// Failures that are written out for one scenario.
const SHOWN: usize = 8;

/// One scenario, in a line, with what was wrong below it.
#[must_use]
pub fn line(finished: &Finished) -> String {
    let seconds = finished.took.as_secs_f64();
    let word = match &finished.ending {
        Ending::Found(_) if finished.is_good() => "ok     ",
        Ending::Found(_) => "FAILED ",
        Ending::Broken(_) => "BROKEN ",
        Ending::Skipped(_) => "skipped",
    };
    let (pair, scenario) = (&finished.pair, &finished.scenario);
    let mut text = format!("{word} {pair:<18} {scenario:<28} {seconds:>6.2} s");
    match &finished.ending {
        Ending::Found(found) => {
            let _ = write!(text, "  {:>6} probes", found.probes);
            let Began { old, new, answered } = found.cuts;
            if old + new > 0 {
                let _ = write!(
                    text,
                    "; {} power cuts, {answered} after the answer: {old} old, {new} new",
                    old + new
                );
            }
            for told in &found.told {
                let _ = write!(text, "\n        {told}");
            }
            if !found.not_shown.is_empty() {
                let steps = found.not_shown.join(", ");
                let _ = write!(text, "\n        not shown here: step {steps}");
            }
            let all = found.failures.iter().map(|it| ("", it));
            let all = all.chain(found.differences.iter().map(|it| ("model: ", it)));
            let all: Vec<String> = all.map(|(whose, it)| format!("{whose}{it}")).collect();
            for failure in all.iter().take(SHOWN) {
                let _ = write!(text, "\n        {failure}");
            }
            if all.len() > SHOWN {
                let _ = write!(text, "\n        … and {} more", all.len() - SHOWN);
            }
        }
        Ending::Broken(error) => {
            let _ = write!(text, "\n        {error:#}");
        }
        Ending::Skipped(why) => {
            let _ = write!(text, "\n        {why}");
        }
    }
    text
}

/// How everything ended, in numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// Scenarios that ran and were good.
    pub good: usize,
    /// Scenarios that ran and were not.
    pub failed: usize,
    /// Scenarios of which nothing was found out.
    pub broken: usize,
    /// Scenarios that did not run.
    pub skipped: usize,
    /// Attempts.
    pub probes: usize,
    /// Attempts that came in and must not, by the file or by the model.
    pub wrongly_open: usize,
    /// Attempts that did not come in and must.
    pub wrongly_closed: usize,
    /// Attempts of which the model leaves open what comes of them.
    pub undecided: usize,
    /// Steps that could not be shown where the scenario ran.
    pub not_shown: usize,
}

impl Sum {
    /// Of all that finished.
    #[must_use]
    pub fn of(all: &[Finished]) -> Self {
        let mut sum = Self::default();
        for finished in all {
            match &finished.ending {
                Ending::Found(found) => {
                    if finished.is_good() {
                        sum.good += 1;
                    } else {
                        sum.failed += 1;
                    }
                    sum.probes += found.probes;
                    sum.undecided += found.undecided;
                    sum.not_shown += found.not_shown.len();
                    for failure in found.failures.iter().chain(&found.differences) {
                        match failure {
                            Failure::Probe { difference, .. } => match difference {
                                Difference::WronglyOpen => sum.wrongly_open += 1,
                                Difference::WronglyClosed => sum.wrongly_closed += 1,
                                Difference::OtherRefusal => {}
                            },
                            Failure::Undecided { .. } | Failure::Other(_) => {}
                        }
                    }
                }
                Ending::Broken(_) => sum.broken += 1,
                Ending::Skipped(_) => sum.skipped += 1,
            }
        }
        sum
    }

    /// In words.
    #[must_use]
    pub fn text(&self, took: Duration) -> String {
        let Self {
            good,
            failed,
            broken,
            skipped,
            probes,
            wrongly_open,
            wrongly_closed,
            undecided,
            not_shown,
        } = self;
        format!(
            "{good} good, {failed} failed, {broken} broken, {skipped} skipped, in {:.1} s\n\
             {probes} probes: {wrongly_open} wrongly open, {wrongly_closed} wrongly closed, \
             {undecided} that the model leaves open; {not_shown} steps not shown",
            took.as_secs_f64()
        )
    }
}

/// One scenario as a JSON value.
#[must_use]
pub fn value(finished: &Finished) -> Value {
    let nothing = Findings::default();
    let (ending, found, said): (_, _, Vec<String>) = match &finished.ending {
        Ending::Found(found) => {
            let all = found.failures.iter().chain(&found.differences);
            let word = if finished.is_good() { "good" } else { "failed" };
            (word, found, all.map(ToString::to_string).collect())
        }
        Ending::Broken(error) => ("broken", &nothing, vec![format!("{error:#}")]),
        Ending::Skipped(why) => ("skipped", &nothing, vec![why.clone()]),
    };
    json!({
        "pair": finished.pair,
        "scenario": finished.scenario,
        "ending": ending,
        "seconds": finished.took.as_secs_f64(),
        "seconds_beginning": found.beginning.as_secs_f64(),
        "probes": found.probes,
        "seconds_probing": found.probing.as_secs_f64(),
        "undecided": found.undecided,
        "not_shown": found.not_shown,
        "said": said,
    })
}

/// Everything as JUnit has it, for programs that collect test results.
#[must_use]
pub fn junit(all: &[Finished]) -> String {
    let sum = Sum::of(all);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuite name=\"vm\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        all.len(),
        sum.failed,
        sum.broken,
        sum.skipped
    );
    for finished in all {
        let (pair, scenario) = (escaped(&finished.pair), escaped(&finished.scenario));
        let seconds = finished.took.as_secs_f64();
        let _ = write!(
            text,
            "  <testcase classname=\"{pair}\" name=\"{scenario}\" time=\"{seconds:.3}\">"
        );
        let element = match &finished.ending {
            Ending::Found(_) if finished.is_good() => None,
            Ending::Found(_) => Some("failure"),
            Ending::Broken(_) => Some("error"),
            Ending::Skipped(_) => Some("skipped"),
        };
        if let Some(element) = element {
            let said = escaped(&line(finished));
            let _ = write!(text, "<{element}>{said}</{element}>");
        }
        text += "</testcase>\n";
    }
    text + "</testsuite>\n"
}

/// Text that XML cannot take for anything else. Of control characters it knows the line break only.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\n' => escaped.push('\n'),
            it if it.is_control() => escaped.push('\u{fffd}'),
            it => escaped.push(it),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(ending: Ending) -> Finished {
        Finished {
            pair: "6.1/1.0.6".to_owned(),
            scenario: "a<b".to_owned(),
            ending,
            took: Duration::from_millis(1_500),
        }
    }

    #[test]
    fn what_is_broken_or_skipped_is_never_counted_as_good() {
        let found = |failures: Vec<Failure>| {
            Ending::Found(Findings {
                probes: 10,
                failures,
                ..Findings::default()
            })
        };
        let all = [
            finished(found(Vec::new())),
            finished(found(vec![Failure::Other("no".to_owned())])),
            finished(Ending::Broken(anyhow::anyhow!("hung"))),
            finished(Ending::Skipped("no QEMU".to_owned())),
        ];
        let sum = Sum::of(&all);
        let counts = (sum.good, sum.failed, sum.broken, sum.skipped, sum.probes);
        assert_eq!(counts, (1, 1, 1, 1, 20));
        let junit = junit(&all);
        for expected in [
            "tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\"",
            "name=\"a&lt;b\" time=\"1.500\"></testcase>",
            "<error>BROKEN ",
        ] {
            assert!(junit.contains(expected), "{junit}");
        }
    }
}
