//! Power cuts, as a file asks for them.

use std::collections::BTreeMap;

use super::Case;
use crate::network::packet::Target;
use crate::probe::Verdict;

/// Power cuts while a rule set is put on trial or confirmed.
#[derive(Clone, Debug)]
pub struct Cuts {
    /// When.
    pub during: Operation,
    /// The settings of the new rule set, which are put on trial.
    pub settings: BTreeMap<String, String>,
    /// How many.
    pub times: u64,
    /// Of the first one: what decides when it is, and what it takes. The next has the next.
    pub seed: u64,
    /// What must come of some attempts under the new rule set; of all others what must before.
    pub new: Vec<Case>,
}

/// What is under way when the power fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// A trial begins.
    Apply,
    /// It is confirmed.
    Confirm,
}

impl Cuts {
    /// What must come of every attempt under the new rule set.
    #[must_use]
    pub fn under_new(&self, old: &[Case]) -> Vec<Case> {
        let new = |case: &Case| self.new.iter().find(|it| is_same(it, case)).cloned();
        let cases = old.iter();
        cases
            .map(|case| new(case).unwrap_or_else(|| case.clone()))
            .collect()
    }

    /// What is wrong with them, where `old` must come of every attempt before.
    pub(super) fn defects(&self, old: &[Case]) -> Vec<&'static str> {
        let new = self.under_new(old);
        let twice = self.new.iter().enumerate().any(|(at, case)| {
            let before = &self.new[..at];
            before.iter().any(|it| is_same(it, case))
        });
        let wrong = [
            (
                twice,
                "of a cut: two expectations speak of the same attempt",
            ),
            (
                new == old,
                "of a cut: nothing tells the new rule set from the old one",
            ),
            (
                ![old, &new].into_iter().all(lets_somebody_in),
                "of a cut: no TCP port is open under the old or the new rule set, so nobody could \
                 tell that SSH is",
            ),
        ];
        let wrong = wrong.into_iter().filter(|(is_wrong, _)| *is_wrong);
        wrong.map(|(_, what)| what).collect()
    }
}

fn is_same(one: &Case, other: &Case) -> bool {
    one.class == other.class && one.probe == other.probe
}

fn lets_somebody_in(cases: &[Case]) -> bool {
    cases
        .iter()
        .any(|case| matches!(case.probe.target, Target::Tcp(_)) && case.verdict == Verdict::Open)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::probe::Verdict;
    use crate::scenario::file::parse;
    use crate::scenario::{Case, Step, read};

    fn check(machine: &str, step: &str, defects: &[&str]) {
        let text = format!(
            r#"
            why = "an example"
            policy = "strict-origin"
            [machine]
            eth0 = ["203.0.113.10/24"]
            serves = ["tcp/22", "tcp/443"]
            {machine}
            [sources]
            world = ["198.51.100.7"]
            [[expect]]
            from = "*"
            to = ["tcp/22", "echo"]
            verdict = "open"
            [[expect]]
            from = "*"
            to = "tcp/443"
            verdict = "dropped"
            [[step]]
            {step}"#
        );
        let found = parse("a", &text, Path::new("")).err().unwrap_or_default();
        assert_eq!(found, defects, "{step}");
    }

    #[test]
    fn a_cut_after_which_nothing_could_be_told_is_refused() {
        let cut = |expect: &str| {
            format!("cut = {{ during = \"apply\", times = 1, expect = [{expect}] }}")
        };
        let rule = |to: &str, verdict: &str| {
            format!("{{ from = \"*\", to = \"{to}\", verdict = \"{verdict}\" }}")
        };
        let disk = "disk = true";
        let web = rule("tcp/443", "open");
        check(disk, &cut(&web), &[]);
        check(disk, "reboot = {}", &[]);
        let nothing = "without `machine.disk = true` nothing outlives the machine";
        check("", &cut(&web), &[nothing]);
        check("", "reboot = {}", &[nothing]);
        let alike = "of a cut: nothing tells the new rule set from the old one";
        check(disk, &cut(""), &[alike]);
        check(disk, &cut(&rule("tcp/443", "dropped")), &[alike]);
        let twice = "of a cut: two expectations speak of the same attempt";
        check(
            disk,
            &cut(&format!("{web}, {}", rule("*", "open"))),
            &[twice],
        );
        let locked = "of a cut: no TCP port is open under the old or the new rule set, so nobody could \
                      tell that SSH is";
        check(disk, &cut(&rule("*", "dropped")), &[locked]);
    }

    #[test]
    fn what_the_step_does_not_speak_of_stays_as_the_file_says() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/scenarios/power-cut-in-confirm.toml"
        );
        let scenario = read(path.as_ref()).unwrap();
        let [Step::Cut(cuts)] = &scenario.steps[..] else {
            panic!("{:?}", scenario.steps);
        };
        let open = |cases: &[Case]| -> Vec<String> {
            let open = cases.iter().filter(|case| case.verdict == Verdict::Open);
            let open = open.filter(|case| case.probe.from.is_ipv4());
            open.map(|case| case.probe.target.to_string()).collect()
        };
        assert_eq!(open(&scenario.cases), ["tcp/22", "echo"]);
        assert_eq!(
            open(&cuts.under_new(&scenario.cases)),
            ["tcp/22022", "echo"]
        );
    }
}
