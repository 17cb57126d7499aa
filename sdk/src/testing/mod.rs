//! Tests of a policy as data: case files, mutants, goals and snapshots, all without WebAssembly.
//!
//! A policy keeps its cases in `cases/*.toml` and its tests are four calls:
//!
//! ```
//! # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
//! # use portreeve_sdk::{Settings, describe, draft, goal, packets, rule};
//! # struct SshOnly;
//! # impl Policy for SshOnly {
//! #     fn describe() -> Description {
//! #         let new = packets().tcp_dport_setting("ssh-port");
//! #         describe("ssh-only", "1", "SSH only.")
//! #             .port("ssh-port", 22, "where sshd listens")
//! #             .goal(goal("only ssh comes in").exactly_these_accepted([new]))
//! #             .build()
//! #     }
//! #     fn decide(inputs: &Inputs) -> Result<Draft, Refusal> {
//! #         let ssh = rule("ssh").tcp_dport(inputs.port("ssh-port")).accept();
//! #         Ok(draft([Chain::input(ChainPolicy::Drop).rule(ssh)]))
//! #     }
//! # }
//! # let dir = std::env::temp_dir().join(format!("portreeve-doc-mod-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # let case = |packet: &str, verdict: &str| {
//! #     format!("[[case]]\npacket = '{packet}'\nverdict = '{verdict}'\nwhy = 'an example'\n")
//! # };
//! # let file = case("tcp 192.0.2.7 > 192.0.2.1:22", "accept")
//! #     + &case("tcp 2001:db8::7 > [2001:db8::1]:22", "accept")
//! #     + &case("tcp 192.0.2.7 > 192.0.2.1:21", "drop")
//! #     + &case("tcp 192.0.2.7 > 192.0.2.1:23", "drop");
//! # std::fs::write(dir.join("default.toml"), file)?;
//! # let cases = &dir;
//! use portreeve_sdk::testing;
//!
//! testing::run_cases::<SshOnly>(cases);
//! testing::assert_cases_kill_all_mutants::<SshOnly>(cases);
//! testing::check_goals::<SshOnly>(cases, 100);
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The files and their judgement, [`CaseFile`] and [`judge`], know nothing of Rust policies: a
//! host can judge a component's drafts with the same cases.

mod case_file;
mod goals;
mod judge;
mod lattice;
mod mutants;
mod snapshot;
mod survivors;
mod value;

use std::path::Path;

use portreeve_model::description::Description;
use portreeve_model::inputs::{Feed, Inputs, Setting};
use portreeve_model::ruleset::Ruleset;
use portreeve_model::validate::validate;

use crate::Policy;

pub use self::case_file::{
    Case, CaseError, CaseFile, Expected, ExpectedRefusal, ExpectedVerdict, Logging,
};
pub use self::goals::check_goals;
pub use self::judge::{Failure, judge, walk};
pub use self::lattice::lattice;
pub use self::mutants::{Mutant, mutants};
pub use self::snapshot::{UPDATE_VARIABLE, assert_snapshots};
pub use self::survivors::{Tally, assert_cases_kill_all_mutants};

/// What a host collects when the operator sets nothing: every default, and empty feeds.
///
/// ```
/// use portreeve_sdk::{describe, testing};
///
/// let description = describe("example", "1", "An example.").boolean("echo", true, "ping").build();
/// assert_eq!(testing::inputs(&description).settings[0].name, "echo");
/// ```
#[must_use]
pub fn inputs(description: &Description) -> Inputs {
    let settings = description.settings.iter().map(|spec| Setting {
        name: spec.name.clone(),
        value: spec.default.clone(),
    });
    let feeds = description.feeds.iter().map(|spec| Feed {
        name: spec.name.clone(),
        ip_prefixes: 0,
        ip6_prefixes: 0,
        digest: "0".repeat(64),
        age: None,
        elements: spec.needs_elements.then(Vec::new),
    });
    Inputs {
        settings: settings.collect(),
        feeds: feeds.collect(),
        interfaces: description.needs_interfaces.then(Vec::new),
        listeners: description.needs_listeners.then(Vec::new),
    }
}

/// Judges every case in `dir` with the policy `P`.
///
/// ```
/// # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
/// # use portreeve_sdk::{describe, draft};
/// # struct Nothing;
/// # impl Policy for Nothing {
/// #     fn describe() -> Description { describe("nothing", "1", "Nothing.").build() }
/// #     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
/// #         Ok(draft([Chain::input(ChainPolicy::Drop)]))
/// #     }
/// # }
/// # let dir = std::env::temp_dir().join(format!("portreeve-doc-run-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let cases = dir.to_str().expect("a path in UTF-8");
/// std::fs::write(
///     dir.join("default.toml"),
///     "[[case]]
///     packet = 'tcp 192.0.2.7 > 192.0.2.1:22'
///     verdict = 'drop'
///     by = 'chain policy'
///     why = 'nothing comes in'",
/// )?;
/// portreeve_sdk::testing::run_cases::<Nothing>(cases);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// When a file cannot be read, there is none, or a case does not come out as it says; the message
/// has the packet's walk through the rules.
pub fn run_cases<P: Policy>(dir: impl AsRef<Path>) {
    let failures: Vec<String> = case_files::<P>(dir.as_ref())
        .iter()
        .flat_map(|file| judge(file, &P::decide(&file.inputs)))
        .map(|failure| failure.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The case files in `dir`; a file that is wrong ends the test.
fn case_files<P: Policy>(dir: &Path) -> Vec<CaseFile> {
    match CaseFile::read_dir(dir, &P::describe()) {
        Ok(files) => files,
        Err(error) => panic!("{error}"),
    }
}

/// The rule set that the policy means for a case file; one that it does not draft ends the test.
fn ruleset_of<P: Policy>(file: &CaseFile) -> Ruleset {
    let path = file.path.display();
    let draft = match P::decide(&file.inputs) {
        Ok(draft) => draft,
        Err(refusal) => panic!("{path}: the policy refuses: {refusal}"),
    };
    match validate(&draft, &file.feeds) {
        Ok(ruleset) => ruleset,
        Err(found) => panic!("{path}: {}", found[0]),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use portreeve_model::packet::Packet;

    use super::*;
    use crate::{
        Chain, ChainPolicy, CtState, Draft, Family, Refusal, describe, draft, goal, packets, rule,
    };

    /// SSH, but with the port beside it by mistake; its goal says better.
    struct TooWide;

    impl Policy for TooWide {
        fn describe() -> Description {
            let only = goal("only ssh").exactly_these_accepted([packets().tcp_dport(22)]);
            describe("too-wide", "1", "SSH.").goal(only).build()
        }

        fn decide(_: &Inputs) -> Result<Draft, Refusal> {
            let ssh = rule("ssh").tcp_dport(22..=23).accept();
            let dead = rule("new ssh")
                .tcp_dport(22)
                .ct_state(CtState::New)
                .accept();
            Ok(draft([Chain::input(ChainPolicy::Drop)
                .rule(ssh)
                .rule(dead)]))
        }
    }

    fn complaint(name: &str, case: &str, test: fn(&Path)) -> String {
        let dir = std::env::temp_dir().join(format!("portreeve-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a.toml"), case).unwrap();
        let panic = catch_unwind(|| test(&dir)).unwrap_err();
        std::fs::remove_dir_all(&dir).unwrap();
        panic
            .downcast_ref::<String>()
            .unwrap()
            .replace(&*dir.to_string_lossy(), "cases")
    }

    const CLOSED: &str = "[[case]]
        packet = 'tcp 192.0.2.7 > 192.0.2.1:23'
        verdict = 'drop'
        by = 'chain policy'
        why = 'telnet is over'";

    #[test]
    fn a_case_that_fails_shows_the_way_of_the_packet() {
        assert_eq!(
            complaint("case", CLOSED, |dir| run_cases::<TooWide>(dir)),
            "cases/a.toml:2: eth0 tcp 192.0.2.7:40000 > 192.0.2.1:23 new
  expected  drop, by chain policy
  found     accept, by ssh
  why       telnet is over
  walk      input 1 `ssh`: matches"
        );
    }

    #[test]
    fn a_broken_goal_is_found_with_a_packet() {
        let found = complaint("goal", CLOSED, |dir| check_goals::<TooWide>(dir, 1));
        assert!(
            found.starts_with("cases/a.toml: goal `only ssh` does not hold"),
            "{found}"
        );
        assert!(found.contains(":23 "), "{found}");
    }

    /// SSH, over one family only by mistake.
    struct HalfOpen;

    impl Policy for HalfOpen {
        fn describe() -> Description {
            let alike = goal("alike").families_alike([packets().tcp_dport(20..=25)]);
            describe("half-open", "1", "SSH.").goal(alike).build()
        }

        fn decide(_: &Inputs) -> Result<Draft, Refusal> {
            let ssh = rule("ssh").meta_nfproto(Family::Ip).tcp_dport(22).accept();
            Ok(draft([Chain::input(ChainPolicy::Drop).rule(ssh)]))
        }
    }

    #[test]
    fn families_that_fare_differently_are_found_with_a_packet_of_each() {
        let found = complaint("alike", CLOSED, |dir| check_goals::<HalfOpen>(dir, 1));
        let (first, rest) = found.split_once("\n  accepted  ").unwrap();
        assert_eq!(first, "cases/a.toml: goal `alike` does not hold");
        let (accepted, other) = rest.split_once("\n  but not   ").unwrap();
        let family = |text: &str| text.parse::<Packet>().unwrap().addresses.family();
        assert_eq!(family(accepted), Family::Ip, "{found}");
        assert_eq!(family(other), Family::Ip6, "{found}");
        assert!(
            accepted.contains(":22 ") && other.contains(":22 "),
            "{found}"
        );
    }

    #[test]
    fn a_rule_that_no_case_guards_is_named_and_a_dead_one_is_not() {
        let case = CLOSED
            .replace("'drop'", "'accept'")
            .replace("chain policy", "ssh");
        let found = complaint("mutant", &case, |dir| {
            let _ = assert_cases_kill_all_mutants::<TooWide>(dir);
        });
        let alive = "rule `ssh` in chain `input`: dport range 1 wider at its last value";
        assert!(found.contains(alive), "{found}");
        assert!(
            !found.contains("rule `new ssh` in chain `input`: removed"),
            "{found}"
        );
    }
}
