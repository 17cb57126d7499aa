//! The steps of a scenario's file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portreeve_model::address::Family;
use portreeve_vm_agent::Protocol;
use serde::Deserialize;

use super::{Reader, Words, WrittenExpectation, probes};
use crate::cold::Change;
use crate::network::packet::Target;
use crate::scenario::cover::Case;
use crate::scenario::{Class, Cuts, Machine, Operation, Plan, Step};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub(super) enum WrittenStep {
    Apply {
        #[serde(default)]
        settings: BTreeMap<String, toml::Value>,
        #[serde(default)]
        feeds: BTreeMap<String, Vec<String>>,
    },
    Trial {
        #[serde(default)]
        settings: BTreeMap<String, toml::Value>,
        lasts: String,
    },
    Confirm {
        over: String,
    },
    Reboot {},
    Cut(WrittenCuts),
    Probe(WrittenExpectation),
    Advance(String),
    Eventually {
        from: Words,
        to: Words,
        verdict: String,
        within_s: u64,
    },
    Talk {
        name: String,
        from: IpAddr,
        to: String,
    },
    Tunnel {
        over: String,
        to: SocketAddr,
        service: SocketAddr,
    },
    Reach {
        to: SocketAddr,
        open: bool,
    },
    Forward {
        from: IpAddr,
        to: SocketAddr,
        by: SocketAddr,
    },
    Run {
        words: Vec<String>,
        #[serde(default)]
        ends: i32,
        says: Option<String>,
    },
    Write {
        path: String,
        text: String,
    },
    Boot {
        #[serde(default)]
        files: BTreeMap<String, String>,
        #[serde(default)]
        masked: Vec<String>,
        #[serde(default)]
        caught: bool,
    },
    End {
        how: String,
        #[serde(default)]
        caught: bool,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCuts {
    during: WrittenOperation,
    #[serde(default)]
    settings: BTreeMap<String, toml::Value>,
    times: u64,
    expect: Vec<WrittenExpectation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WrittenOperation {
    Apply,
    Confirm,
}

impl Reader {
    /// A step, after which the plan is as it is then.
    pub(super) fn step(
        &mut self,
        written: WrittenStep,
        current: &mut Plan,
        classes: &[Class],
        machine: &Machine,
    ) -> Option<Step> {
        Some(match written {
            WrittenStep::Apply { settings, feeds } => {
                current.settings.extend(self.settings(settings));
                current.feeds.extend(self.feeds(feeds));
                Step::Apply(current.clone())
            }
            WrittenStep::Trial { settings, lasts } => {
                let mut plan = current.clone();
                plan.settings.extend(self.settings(settings));
                Step::Trial { plan, lasts }
            }
            WrittenStep::Confirm { over } => Step::Confirm { over },
            WrittenStep::Reboot {} => self.outlived(machine, Step::Reboot),
            WrittenStep::Cut(written) => {
                let cuts = self.cuts(written, current, classes, machine);
                self.outlived(machine, Step::Cut(cuts))
            }
            WrittenStep::Eventually {
                from,
                to,
                verdict,
                within_s,
            } => {
                let written = WrittenExpectation { from, to, verdict };
                let expectation = self.expectation(written, classes, machine)?;
                Step::Eventually {
                    cases: probes(&expectation, classes, machine),
                    within: Duration::from_secs(within_s),
                }
            }
            WrittenStep::Advance(time) => Step::Advance(self.time(&time, machine)?),
            WrittenStep::Probe(written) => {
                let expectation = self.expectation(written, classes, machine)?;
                Step::Probe(probes(&expectation, classes, machine))
            }
            WrittenStep::Talk { name, from, to } => {
                let to = self.service(from, &to, machine)?;
                Step::Talk { name, from, to }
            }
            WrittenStep::Tunnel { over, to, service } => {
                let protocol = self.protocol(&over)?;
                Step::Tunnel {
                    protocol,
                    to,
                    service,
                }
            }
            WrittenStep::Reach { to, open } => Step::Reach { to, open },
            WrittenStep::Forward { from, to, by } => Step::Forward { from, to, by },
            WrittenStep::Run { words, ends, says } => {
                if words.is_empty() {
                    self.wrong("a step runs nothing");
                }
                Step::Run { words, ends, says }
            }
            WrittenStep::Write { path, text } => Step::Write { path, text },
            WrittenStep::Boot {
                files,
                masked,
                caught,
            } => {
                self.is_whole(machine);
                let change = Change { files, masked };
                Step::Boot { change, caught }
            }
            WrittenStep::End { how, caught } => {
                self.is_whole(machine);
                Step::End { how, caught }
            }
        })
    }

    /// A step that a machine does not outlive.
    fn outlived(&mut self, machine: &Machine, step: Step) -> Step {
        if !machine.disk {
            self.wrong("without `machine.disk = true` nothing outlives the machine");
        }
        step
    }

    fn cuts(
        &mut self,
        written: WrittenCuts,
        current: &Plan,
        classes: &[Class],
        machine: &Machine,
    ) -> Cuts {
        let mut settings = current.settings.clone();
        settings.extend(self.settings(written.settings));
        let mut new = Vec::new();
        for expectation in written.expect {
            let expectation = self.expectation(expectation, classes, machine);
            new.extend(
                expectation
                    .iter()
                    .flat_map(|it| probes(it, classes, machine)),
            );
        }
        Cuts {
            during: match written.during {
                WrittenOperation::Apply => Operation::Apply,
                WrittenOperation::Confirm => Operation::Confirm,
            },
            settings,
            times: written.times,
            seed: 0,
            new,
        }
    }

    fn is_whole(&mut self, machine: &Machine) {
        if !machine.systemd || !machine.disk {
            self.wrong(
                "only a machine with `system = \"systemd\"` and `disk = true` boots and ends",
            );
        }
    }

    /// A time that passes.
    fn time(&mut self, written: &str, machine: &Machine) -> Option<Duration> {
        if machine.systemd {
            self.wrong("no time is skipped on a machine with `system = \"systemd\"`");
        }
        let read = humantime::parse_duration(written);
        if let Err(error) = &read {
            self.wrong(format!(
                "`{written}` is no time to advance, such as `70s`: {error}"
            ));
        }
        read.ok()
    }

    /// The service of the machine that somebody talks to.
    fn service(&mut self, from: IpAddr, to: &str, machine: &Machine) -> Option<SocketAddr> {
        let Some(Target::Tcp(port)) = self.target(to, machine) else {
            self.wrong(format!("nobody can talk to `{to}`: it is no TCP port"));
            return None;
        };
        let Some(address) = machine.address(0, Family::of(from)) else {
            self.wrong(format!("{from} cannot talk: eth0 has no such address"));
            return None;
        };
        Some(SocketAddr::new(address, port))
    }

    /// What a tunnel goes over.
    fn protocol(&mut self, written: &str) -> Option<Protocol> {
        match written {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            _ => {
                self.wrong(format!(
                    "a tunnel goes over `tcp` or `udp`, not `{written}`"
                ));
                None
            }
        }
    }
}

/// What is wrong with the power cuts, now that it is known what must come of every attempt.
pub(super) fn cuts_defects(steps: &[Step], cases: &[Case]) -> Vec<String> {
    let cuts = steps.iter().filter_map(|step| match step {
        Step::Cut(cuts) => Some(cuts),
        _ => None,
    });
    let defects = cuts.flat_map(|it| it.defects(cases));
    defects.map(str::to_owned).collect()
}
