//! What ran, what was skipped and why.

use std::fmt;
use std::io;

use crate::step::{Ended, Step};

/// What a test prints at the start of a line when it cannot run here.
const SKIPPED: &str = "skipped: ";

/// The sum of all checks and tests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Ended well, as their runner sees it.
    passed: usize,
    failed: usize,
    /// Left out by their runner.
    skipped: usize,
    /// Ended well only because they could not run here.
    unable: usize,
    /// Why, each reason once.
    reasons: Vec<String>,
    /// What has gone wrong.
    failures: Vec<String>,
}

impl Tally {
    /// Runs something that is one check.
    pub(crate) fn check(&mut self, name: &str, step: Step) -> io::Result<Ended> {
        let ended = step.run()?;
        match ended {
            Ended::Well => self.passed += 1,
            Ended::Badly => self.fail(name),
        }
        Ok(ended)
    }

    /// Notes what is not run, and why.
    pub(crate) fn leave_out(&mut self, reason: &str) {
        self.skipped += 1;
        self.reasons.push(reason.to_owned());
    }

    /// Runs something that is many tests.
    pub(crate) fn tests(&mut self, step: Step) -> io::Result<()> {
        let failed_before = self.failed;
        let ended = step.watch(|line| self.look(line))?;
        // Tests that did not even build have no line of their own.
        if ended == Ended::Badly && self.failed == failed_before {
            self.fail("tests");
        }
        Ok(())
    }

    pub(crate) fn ended(&self) -> Ended {
        if self.failed == 0 {
            Ended::Well
        } else {
            Ended::Badly
        }
    }

    fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    /// Takes in a line of a test runner: its sums, and the words of tests that could not run.
    fn look(&mut self, line: &str) {
        if let Some(reason) = line.trim().strip_prefix(SKIPPED) {
            self.unable += 1;
            if !self.reasons.iter().any(|known| known == reason) {
                self.reasons.push(reason.to_owned());
            }
        } else if let Some(sums) = sums(line) {
            self.passed += count(sums, &["passed"]);
            self.failed += count(sums, &["failed", "timed out"]);
            self.skipped += count(sums, &["skipped", "ignored"]);
        } else if let Some(test) = failed(line) {
            // nextest names it again at the end.
            if !self.failures.iter().any(|known| known == test) {
                self.failures.push(test.to_owned());
            }
        }
    }
}

/// The sums in `Summary [ 1.2s] 9 tests run: 8 passed, 1 failed, 0 skipped` of nextest or in
/// `test result: ok. 8 passed; 1 failed; 0 ignored` of libtest.
///
/// nextest shows libtest's lines too, indented: those are in its own sums already.
fn sums(line: &str) -> Option<&str> {
    if line.trim_start().starts_with("Summary [") {
        return line.split_once("run: ").map(|(_, sums)| sums);
    }
    let (_, sums) = line.strip_prefix("test result: ")?.split_once(". ")?;
    Some(sums)
}

/// The test in `FAIL [ 0.1s] package::binary name` of nextest or in `test name ... FAILED` of
/// libtest.
fn failed(line: &str) -> Option<&str> {
    if let Some(test) = line.strip_prefix("test ") {
        return test.strip_suffix(" ... FAILED");
    }
    let (how, rest) = line.trim().split_once(" [")?;
    let badly = ["FAIL", "TIMEOUT", "ABORT"].contains(&how) || how.starts_with("SIG");
    let (_, test) = rest.split_once("] ")?;
    badly.then(|| test.trim())
}

/// The number in front of any of `words`.
fn count(sums: &str, words: &[&str]) -> usize {
    let parts = sums.split([',', ';', '(', ')']).map(str::trim);
    parts
        .filter_map(|part| part.split_once(' '))
        .filter(|(_, word)| words.contains(word))
        .filter_map(|(number, _)| number.parse::<usize>().ok())
        .sum()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for reason in &self.reasons {
            writeln!(f, "skipped: {reason}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        let passed = self.passed.saturating_sub(self.unable);
        let (failed, skipped) = (self.failed, self.skipped + self.unable);
        writeln!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &str) {
        let mut tally = Tally::default();
        for line in lines {
            tally.look(line);
        }
        assert_eq!(tally.to_string(), expected);
    }

    #[test]
    fn a_test_that_could_not_run_is_not_counted_as_passed() {
        let lines = [
            "    skipped: no namespaces",
            "        FAIL [   0.004s] portreeve-tests::cli it_plans",
            "     TIMEOUT [  60.004s] portreeve-tests::cli it_ends",
            "        PASS [   0.004s] portreeve-tests::cli it_applies",
            "    test it_applies ... ok",
            "    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 8 filtered out",
            "     Summary [   0.011s] 7 tests run: 5 passed (1 slow), 1 failed, 1 timed out, 2 skipped",
            "        FAIL [   0.004s] portreeve-tests::cli it_plans",
        ];
        check(
            &lines,
            "\nskipped: no namespaces\nfailed: portreeve-tests::cli it_plans\n\
             failed: portreeve-tests::cli it_ends\n4 passed, 2 failed, 3 skipped\n",
        );
    }

    #[test]
    fn all_binaries_of_plain_cargo_test_are_added_up() {
        let lines = [
            "test plans::it_plans ... FAILED",
            "test plans::it_ends ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        check(
            &lines,
            "\nfailed: plans::it_plans\n5 passed, 4 failed, 1 skipped\n",
        );
    }
}
