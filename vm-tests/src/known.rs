//! Differences between model and kernel that are known, and excused for as long as they are true.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::run::{Failure, Findings};

/// All that are known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDifferences {
    #[serde(default)]
    difference: Vec<Known>,
}

/// Attempts of one class at one port, in one scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// What the kernel does, and how that is known: for whoever reads the file.
    #[serde(rename = "why")]
    _why: String,
    /// On which pair; on every one, unless it is said.
    pair: Option<String>,
    scenario: String,
    from: String,
    to: String,
}

impl KnownDifferences {
    /// Those of a file.
    ///
    /// # Errors
    /// When it cannot be read, or says something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Those that this program carries.
    ///
    /// # Errors
    /// When it was built with a file that says something else.
    pub fn carried() -> Result<Self> {
        let text = include_str!("../known_differences.toml");
        toml::from_str(text).context("the known differences that are carried")
    }

    /// Excuses what is known of the differences that a scenario has found on a pair. One that is
    /// known, and was not found, is a failure.
    pub fn settle(&self, pair: &str, scenario: &str, found: &mut Findings) {
        let known = self.difference.iter().filter(|it| {
            it.scenario == scenario && it.pair.as_deref().is_none_or(|named| named == pair)
        });
        for known in known {
            let before = found.differences.len();
            found.differences.retain(|it| !known.is_of(it));
            let excused = before - found.differences.len();
            let Known { from, to, .. } = known;
            if excused == 0 {
                found.failures.push(Failure::Other(format!(
                    "known_differences.toml says that {to} from `{from}` differs from the model, \
                     and it does not: its entry there has to go"
                )));
            } else {
                let attempts = if excused == 1 { "attempt" } else { "attempts" };
                found.told.push(format!(
                    "{excused} {attempts} at {to} from `{from}`: a known difference"
                ));
            }
        }
    }
}

impl Known {
    fn is_of(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Probe { case, .. } => {
                case.class == self.from && case.probe.target.to_string() == self.to
            }
            Failure::Undecided { .. } | Failure::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::compare::Difference;
    use crate::network::packet::Target;
    use crate::probe::{Probe, Verdict};
    use crate::scenario::Case;

    fn difference(class: &str, port: u16) -> Failure {
        let case = Case {
            class: class.to_owned(),
            card: 0,
            probe: Probe {
                from: "198.51.100.7".parse().unwrap(),
                to: "203.0.113.10".parse().unwrap(),
                target: Target::Tcp(port),
            },
            verdict: Verdict::Dropped,
        };
        Failure::Probe {
            case,
            observed: Verdict::Dropped,
            allowed: BTreeSet::from([Verdict::Open]),
            difference: Difference::WronglyClosed,
        }
    }

    #[test]
    fn what_is_known_is_excused_only_where_and_while_it_is_true() {
        let known: KnownDifferences = toml::from_str(
            "[[difference]]\nwhy = \"an example\"\npair = \"6.1/1.0.6\"\nscenario = \"reject\"\n\
             from = \"world\"\nto = \"tcp/443\"\n",
        )
        .unwrap();
        // Pair, scenario, what differs; what stays, and whether the entry is out of date.
        let rows = [
            ("6.1/1.0.6", "reject", vec![("world", 443)], 0, false),
            (
                "6.1/1.0.6",
                "reject",
                vec![("world", 443), ("world", 22)],
                1,
                false,
            ),
            ("6.1/1.0.6", "reject", vec![("neighbour", 443)], 1, true),
            ("6.1/1.0.6", "reject", vec![], 0, true),
            ("5.10/0.9.8", "reject", vec![("world", 443)], 1, false),
            ("6.1/1.0.6", "strict-origin", vec![("world", 443)], 1, false),
        ];
        for (pair, scenario, differs, stay, outdated) in rows {
            let mut found = Findings {
                differences: differs.iter().map(|(c, p)| difference(c, *p)).collect(),
                ..Findings::default()
            };
            known.settle(pair, scenario, &mut found);
            let row = format!("{pair} {scenario} {differs:?}");
            assert_eq!(found.differences.len(), stay, "{row}");
            assert_eq!(!found.failures.is_empty(), outdated, "{row}");
        }
    }

    #[test]
    fn our_own_file_can_be_read_and_its_scenarios_exist() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let known = KnownDifferences::read(&folder.join("known_differences.toml")).unwrap();
        for it in known.difference {
            let file = folder.join("scenarios").join(it.scenario + ".toml");
            assert!(file.is_file(), "{}", file.display());
        }
    }
}
