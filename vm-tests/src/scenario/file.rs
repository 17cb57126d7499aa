//! A scenario's file. Read strictly: a key that is not known might have been the one that mattered.

mod steps;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portreeve_model::address::{AddressSet, Family, Prefix};
use portreeve_model::ruleset::Reject;
use serde::Deserialize;

use super::cover::{Case, Expectation, attempts, cases};
use super::plan::Policy;
use super::sources::{Pick, cloudflare, pick};
use super::{Class, Expected, Machine, Plan, Scenario};
use crate::network::packet::Target;
use steps::{WrittenStep, cuts_defects};

/// A file as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    why: String,
    policy: String,
    #[serde(default)]
    settings: BTreeMap<String, toml::Value>,
    #[serde(default)]
    feeds: BTreeMap<String, Vec<String>>,
    machine: WrittenMachine,
    sources: BTreeMap<String, WrittenSource>,
    #[serde(default)]
    expect: Vec<WrittenExpectation>,
    #[serde(default)]
    step: Vec<WrittenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMachine {
    #[serde(default)]
    eth0: Vec<String>,
    #[serde(default)]
    eth1: Vec<String>,
    serves: Vec<String>,
    others: Option<String>,
    #[serde(default)]
    disk: bool,
    system: Option<WrittenSystem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenSystem {
    Systemd,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list of addresses, `{ addresses = […], card = 1 }` or \
                 `{ feed = \"NAME\", pick = […] }`"
)]
enum WrittenSource {
    Addresses(Vec<IpAddr>),
    Behind(WrittenAddresses),
    Feed(WrittenPick),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAddresses {
    addresses: Vec<IpAddr>,
    card: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPick {
    feed: String,
    pick: Vec<String>,
    #[serde(default)]
    card: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpectation {
    from: Words,
    to: Words,
    verdict: String,
}

/// One word, several, or `*` for all.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a word, a list of words, or \"*\"")]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Words {
    /// None is all.
    fn listed(self) -> Option<Vec<String>> {
        match self {
            Self::One(word) if word == "*" => None,
            Self::One(word) => Some(vec![word]),
            Self::Several(words) => Some(words),
        }
    }
}

/// Why a file is no scenario: everything that is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub defects: Vec<String>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let lines = self.defects.iter().map(|it| format!("{path}: {it}"));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Unusable {}

/// The scenario in a file.
///
/// # Errors
/// When it cannot be read, or says what cannot be.
pub fn read(path: &Path) -> Result<Scenario, Unusable> {
    let unusable = |defects| Unusable {
        path: path.to_owned(),
        defects,
    };
    let text = fs::read_to_string(path).map_err(|error| unusable(vec![error.to_string()]))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&name, &text, folder).map_err(unusable)
}

/// The scenario that a text is of; what it names lies in a folder.
pub(super) fn parse(name: &str, text: &str, folder: &Path) -> Result<Scenario, Vec<String>> {
    let written: Written =
        toml::from_str(text).map_err(|error| vec![error.to_string().trim_end().to_owned()])?;
    let mut reader = Reader {
        defects: Vec::new(),
    };
    let plan = Plan {
        policy: reader.policy(&written.policy, folder),
        settings: reader.settings(written.settings),
        feeds: reader.feeds(written.feeds),
    };
    let machine = reader.machine(written.machine);
    let classes = reader.classes(written.sources, &plan);
    let expectations: Vec<Expectation> = written
        .expect
        .into_iter()
        .filter_map(|it| reader.expectation(it, &classes, &machine))
        .collect();
    let mut current = plan.clone();
    let mut steps = Vec::new();
    for step in written.step {
        steps.extend(reader.step(step, &mut current, &classes, &machine));
    }
    if !reader.defects.is_empty() {
        return Err(reader.defects);
    }
    let cases = cases(&machine, &classes, &expectations)?;
    if cases.is_empty() {
        let nothing = "nothing is tried: no source is of a family that the machine has";
        return Err(vec![nothing.to_owned()]);
    }
    let defects = cuts_defects(&steps, &cases);
    if !defects.is_empty() {
        return Err(defects);
    }
    Ok(Scenario {
        name: name.to_owned(),
        why: written.why,
        plan,
        machine,
        cases,
        steps,
    })
}

/// Reads the parts of a file, and notes what is wrong.
struct Reader {
    defects: Vec<String>,
}

impl Reader {
    fn wrong(&mut self, what: impl Into<String>) {
        self.defects.push(what.into());
    }

    fn policy(&mut self, word: &str, folder: &Path) -> Policy {
        let policy = Policy::named(word, folder);
        if let Policy::Component(path) = &policy
            && !path.is_file()
        {
            let path = path.display();
            self.wrong(format!("policy `{word}`: there is no file {path}"));
        }
        policy
    }

    /// Settings as `--set` takes them.
    fn settings(&mut self, settings: BTreeMap<String, toml::Value>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in settings {
            match value {
                toml::Value::String(text) => texts.insert(key, text),
                toml::Value::Array(values) => {
                    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
                    texts.insert(key, words.join(","))
                }
                toml::Value::Datetime(_) | toml::Value::Table(_) => {
                    self.wrong(format!("setting `{key}` is no text, number, list or truth"));
                    None
                }
                other => texts.insert(key, other.to_string()),
            };
        }
        texts
    }

    fn feeds(&mut self, feeds: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<Prefix>> {
        let mut read = BTreeMap::new();
        for (name, words) in feeds {
            let mut prefixes = Vec::new();
            for word in words {
                match word.parse() {
                    Ok(prefix) => prefixes.push(prefix),
                    Err(error) => self.wrong(format!("feed `{name}`: `{word}` is {error}")),
                }
            }
            read.insert(name, prefixes);
        }
        read
    }

    fn machine(&mut self, written: WrittenMachine) -> Machine {
        let cards = [("eth0", written.eth0), ("eth1", written.eth1)];
        let cards = cards.map(|(name, words)| self.card(name, words));
        let mut serves = Vec::new();
        for word in written.serves {
            match Target::from_word(&word).and_then(Target::port) {
                Some(port) => serves.push(port),
                None => self.wrong(format!(
                    "the machine cannot serve `{word}`; write `tcp/443` or `udp/53`"
                )),
            }
        }
        Machine {
            cards,
            serves,
            others: written.others,
            systemd: matches!(written.system, Some(WrittenSystem::Systemd)),
            disk: written.disk,
        }
    }

    fn card(&mut self, name: &str, words: Vec<String>) -> Vec<(IpAddr, u8)> {
        let mut addresses: Vec<(IpAddr, u8)> = Vec::new();
        for word in words {
            let parts = word.split_once('/');
            let read = parts.and_then(|(address, length)| {
                Some((address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?))
            });
            match read.filter(|(address, length)| *length <= Family::of(*address).bits()) {
                Some(read) => {
                    let same =
                        |(address, _): &(IpAddr, u8)| Family::of(*address) == Family::of(read.0);
                    if addresses.iter().any(same) {
                        self.wrong(format!("{name} has two addresses of one family"));
                    }
                    addresses.push(read);
                }
                None => self.wrong(format!(
                    "{name}: `{word}` is no address with the length of its network, such as \
                     `203.0.113.10/24`"
                )),
            }
        }
        addresses
    }

    fn classes(&mut self, sources: BTreeMap<String, WrittenSource>, plan: &Plan) -> Vec<Class> {
        let mut classes = Vec::new();
        for (name, source) in sources {
            let (addresses, card) = match source {
                WrittenSource::Addresses(addresses) => (addresses, 0),
                WrittenSource::Behind(behind) => (behind.addresses, behind.card),
                WrittenSource::Feed(written) => (self.picked(&name, &written, plan), written.card),
            };
            if addresses.is_empty() {
                self.wrong(format!("source `{name}` has no address"));
            }
            if card > 1 {
                self.wrong(format!(
                    "source `{name}` is behind card {card}; there are 0 and 1"
                ));
            }
            classes.push(Class {
                name,
                card: card.min(1),
                addresses,
            });
        }
        classes
    }

    fn picked(&mut self, name: &str, written: &WrittenPick, plan: &Plan) -> Vec<IpAddr> {
        let feed: AddressSet = match plan.feeds.get(&written.feed) {
            Some(prefixes) => prefixes.iter().copied().collect(),
            None if written.feed == "cloudflare" => cloudflare().into_iter().collect(),
            None => {
                let feed = &written.feed;
                self.wrong(format!("source `{name}`: there is no feed `{feed}`"));
                return Vec::new();
            }
        };
        let mut picks = Vec::new();
        for word in &written.pick {
            match Pick::from_word(word) {
                Some(read) => picks.push(read),
                None => self.wrong(format!(
                    "source `{name}`: cannot pick `{word}`; possible are {}",
                    Pick::ALLOWED
                )),
            }
        }
        pick(&feed, &picks)
    }

    fn expectation(
        &mut self,
        written: WrittenExpectation,
        classes: &[Class],
        machine: &Machine,
    ) -> Option<Expectation> {
        let before = self.defects.len();
        let from = written.from.listed();
        for name in from.iter().flatten() {
            if !classes.iter().any(|class| class.name == *name) {
                self.wrong(format!("an expectation is of `{name}`, which is no source"));
            }
        }
        let to = written.to.listed().map(|words| {
            let targets = words.iter().map(|word| self.target(word, machine));
            targets.collect::<Vec<_>>()
        });
        let expected = self.expected(&written.verdict);
        if self.defects.len() > before {
            return None;
        }
        Some(Expectation {
            from,
            to: to.map(|to| to.into_iter().flatten().collect()),
            expected: expected?,
        })
    }

    fn target(&mut self, word: &str, machine: &Machine) -> Option<Target> {
        let target = Target::from_word(word);
        let possible = target.filter(|it| machine.targets().contains(it));
        if possible.is_none() {
            let all = machine.targets();
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            self.wrong(format!(
                "`{word}` is nothing that the machine offers; it offers {}",
                all.join(", ")
            ));
        }
        possible
    }

    fn expected(&mut self, word: &str) -> Option<Expected> {
        let rejects = [
            Reject::PortUnreachable,
            Reject::AdminProhibited,
            Reject::HostUnreachable,
            Reject::NoRoute,
            Reject::TcpReset,
        ];
        let mut rejects = rejects.into_iter();
        match word {
            "open" => Some(Expected::Open),
            "dropped" => Some(Expected::Dropped),
            _ => {
                let found = word
                    .strip_prefix("reject with ")
                    .and_then(|kind| rejects.find(|reject| reject.to_string() == kind));
                if found.is_none() {
                    self.wrong(format!(
                        "`{word}` is no verdict; possible are `open`, `dropped`, and `reject with` \
                         and one of nft's kinds, such as `icmpx type admin-prohibited` or \
                         `tcp reset`"
                    ));
                }
                found.map(Expected::Rejected)
            }
        }
    }
}

/// The attempts that one expectation speaks of.
fn probes(expectation: &Expectation, classes: &[Class], machine: &Machine) -> Vec<Case> {
    let mut found = Vec::new();
    for class in classes {
        for target in machine.targets() {
            if expectation.speaks_of(class, target) {
                found.extend(attempts(machine, class, target, expectation.expected));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        why = "an example"
        policy = "strict-origin"
        [settings]
        ports = [443, 8443]
        [machine]
        eth0 = ["203.0.113.10/24", "2001:db8:10::10/64"]
        serves = ["tcp/22", "tcp/443"]
        [sources]
        stranger = ["198.51.100.7", "2001:db8:bad::7"]
        feed = { feed = "cloudflare", pick = ["first"] }
        [[expect]]
        from = "*"
        to = "tcp/22"
        verdict = "open"
        [[expect]]
        from = "feed"
        to = "tcp/443"
        verdict = "open"
        [[expect]]
        from = "stranger"
        to = "tcp/443"
        verdict = "dropped"
        [[expect]]
        from = "*"
        to = "echo"
        verdict = "open"
    "#;

    fn defects(change: (&str, &str)) -> String {
        let text = GOOD.replace(change.0, change.1);
        assert_ne!(text, GOOD, "nothing was changed");
        parse("example", &text, Path::new(""))
            .unwrap_err()
            .join("\n")
    }

    #[test]
    fn every_attempt_has_one_expectation() {
        let scenario = parse("example", GOOD, Path::new("")).unwrap();
        // Two strangers and 21 ranges, two prefixes of which lie next to each other, at three targets.
        assert_eq!(scenario.cases.len(), 23 * 3);
        assert_eq!(scenario.plan.settings["ports"], "443,8443");
    }

    #[test]
    fn what_nobody_thought_of_and_what_is_said_twice_are_errors() {
        let cases = [
            (
                ("from = \"stranger\"", "from = \"feed\""),
                "no expectation speaks of `stranger` to tcp/443; exactly one must",
            ),
            (
                ("from = \"feed\"", "from = \"*\""),
                "2 expectations speak of `stranger` to tcp/443; exactly one must",
            ),
            (
                ("to = \"echo\"", "to = \"udp/53\""),
                "`udp/53` is nothing that the machine offers; it offers tcp/22, tcp/443, echo",
            ),
            (
                ("pick = [\"first\"]", "pick = [\"some\"]"),
                "source `feed`: cannot pick `some`; possible are `first`, `last`, `below`",
            ),
            (
                ("feed = \"cloudflare\"", "feed = \"fastly\""),
                "source `feed`: there is no feed `fastly`",
            ),
            (
                ("203.0.113.10/24", "203.0.113.10/33"),
                "eth0: `203.0.113.10/33` is no address with the length of its network",
            ),
            (
                ("verdict = \"dropped\"", "verdict = \"closed\""),
                "`closed` is no verdict; possible are `open`, `dropped`, and `reject with`",
            ),
            (
                ("\"strict-origin\"", "\"mine.wasm\""),
                "policy `mine.wasm`: there is no file mine.wasm",
            ),
            (("why = ", "reason = "), "unknown field `reason`"),
            (
                ("[[expect]]", "[[step]]\nadvance = \"soon\"\n[[expect]]"),
                "`soon` is no time to advance, such as `70s`",
            ),
            (
                ("[sources]", "system = \"upstart\"\n[sources]"),
                "unknown variant `upstart`, expected `systemd`",
            ),
            (
                (
                    "[[expect]]\n        from = \"*\"\n        to = \"echo\"",
                    "[[step]]\nboot = {}\n[[expect]]\nfrom = \"*\"\nto = \"echo\"",
                ),
                "only a machine with `system = \"systemd\"` and `disk = true` boots and ends",
            ),
        ];
        for (change, expected) in cases {
            let found = defects(change);
            assert!(found.contains(expected), "{found}");
        }
    }
}
