//! On what scenarios are tried: a model, this machine's kernel, or others. Their files do not know.

use std::fmt;
use std::str::FromStr;

use crate::scenario::Scenario;
use crate::vm::command_line::Clock;

/// On what scenarios are tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// The model of the packet filter, given the rules that would be installed. No machine is needed.
    Model,
    /// This machine's kernel, in namespaces.
    Namespaces,
    /// Kernels in virtual machines.
    Vm,
}

impl Tier {
    /// All of them, from the fastest to the one that shows most.
    pub const ALL: [Self; 3] = [Self::Model, Self::Namespaces, Self::Vm];

    /// Why a scenario cannot be tried here at all; none if it can.
    #[must_use]
    pub fn refuses(self, scenario: &Scenario) -> Option<&'static str> {
        let machine = &scenario.machine;
        match self {
            Self::Model if machine.others.is_some() => Some(
                "tables of others are written in nft's words, which the model does not read; --on \
                 netns shows it",
            ),
            Self::Namespaces if machine.systemd => {
                Some("a system that boots needs a kernel of its own; --on vm shows it")
            }
            Self::Namespaces if machine.disk => {
                Some("a machine that outlives a power cut needs a disk; --on vm shows it")
            }
            Self::Namespaces if scenario.clock() == Clock::Skipping => {
                Some("this machine's time cannot be skipped; --on vm shows it")
            }
            Self::Model | Self::Namespaces | Self::Vm => None,
        }
    }
}

/// `netns`, as on the command line.
impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Namespaces => "netns",
            Self::Vm => "vm",
        })
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|tier| tier.to_string() == word)
            .ok_or_else(|| format!("--on is `{word}`, allowed are model, netns and vm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_read_as_they_are_written() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        assert!(
            "kvm"
                .parse::<Tier>()
                .unwrap_err()
                .contains("`kvm`, allowed are model, netns and vm")
        );
    }
}
