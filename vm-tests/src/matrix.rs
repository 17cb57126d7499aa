//! Scenarios on pairs of kernel and nft, in namespaces, or on the model: each on a machine of its own, as
//! many at a time as there are processors.
//!
//! A VM boots once for each pair. What cannot be run is skipped with its reason, and counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use portreeve_vm_agent::Run;
use sha2::{Digest as _, Sha256};

use crate::computer::Kit;
use crate::disk::Disk;
use crate::fetch::{Lock, hexadecimal};
use crate::image::files::{Files, Userland, files};
use crate::image::{Image, Parts, build};
use crate::kernels::{Architecture, Kind, Pair};
use crate::known::KnownDifferences;
use crate::model;
use crate::namespaces::{self, Namespaces};
use crate::run::{Findings, Origin, run};
use crate::scenario::{Scenario, Step};
use crate::subject::Subject;
use crate::tier::Tier;
use crate::vm::command_line::{Clock, Hardware, Memory, Wires, arguments};
use crate::vm::emulator::{self, Accelerator};
use crate::vm::template::{DISK_BYTES, Template};

/// What machines are made from.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// Which packages are meant.
    pub lock: Lock,
    /// Where they are, and everything that is made of them.
    pub store: PathBuf,
    /// Our programs.
    pub programs: Programs,
    /// Where is kept what a run that went wrong leaves.
    pub kept: PathBuf,
    /// What machines run under that can.
    pub accelerator: Accelerator,
    /// Where the model and a kernel are known to differ.
    pub known: KnownDifferences,
}

/// Where the agent and the portreeve under test are.
#[derive(Clone, Debug)]
pub enum Programs {
    /// Where cargo has put them, by target.
    Target(PathBuf),
    /// These, whatever machine they are for.
    These {
        /// The agent.
        agent: PathBuf,
        /// The firewall under test.
        portreeve: PathBuf,
    },
}

/// What scenarios are tried on.
#[derive(Clone, Copy, Debug)]
pub enum Ground<'a> {
    /// VMs of a pair.
    Vm(&'a Pair),
    /// Namespaces, with this machine's nft or a pair's.
    Namespaces(Option<&'a Pair>),
    /// The model.
    Model,
}

impl Ground<'_> {
    /// Which tier it is of.
    #[must_use]
    pub const fn tier(self) -> Tier {
        match self {
            Self::Vm(_) => Tier::Vm,
            Self::Namespaces(_) => Tier::Namespaces,
            Self::Model => Tier::Model,
        }
    }

    /// Whether such a scenario is meant for it: a whole system boots by itself, and others do not.
    fn is_for(self, scenario: &Scenario) -> bool {
        match self {
            Self::Vm(pair) => scenario.machine.systemd == (pair.userland.kind == Kind::System),
            Self::Namespaces(_) | Self::Model => true,
        }
    }

    /// How time must go by there for a scenario: only a VM's can go otherwise than ours.
    fn clock(self, scenario: &Scenario) -> Clock {
        match self {
            Self::Vm(_) => scenario.clock(),
            Self::Namespaces(_) | Self::Model => Clock::Real,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Vm(pair) => pair.name.clone(),
            Self::Namespaces(Some(pair)) => format!("netns/{}", pair.userland.name),
            Self::Namespaces(None) | Self::Model => self.tier().to_string(),
        }
    }
}

/// What came of one scenario on one pair.
#[derive(Debug)]
pub struct Finished {
    /// The pair, or what else it was tried on.
    pub pair: String,
    /// The scenario.
    pub scenario: String,
    /// How it ended.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
}

/// How a scenario ends.
#[derive(Debug)]
pub enum Ending {
    /// Everything could be found out.
    Found(Findings),
    /// Something could not. Nobody knows whether the rules are right.
    Broken(anyhow::Error),
    /// It was not run.
    Skipped(String),
}

impl Finished {
    /// Whether everything was as it must be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match &self.ending {
            Ending::Found(found) => found.is_good(),
            Ending::Broken(_) => false,
            Ending::Skipped(_) => true,
        }
    }
}

/// What machines are made of, or why there are none.
enum Ready {
    /// A machine of a pair that has booted.
    Template(Box<Template>),
    /// The files of a machine of namespaces, and what it lacks.
    Files(namespaces::Parts, Vec<String>),
    /// The program that says what the rules are.
    Model(PathBuf),
    Skipped(String),
    Broken(String),
}

impl Workshop {
    /// Runs every scenario on everything, and tells of each as it ends.
    pub fn run(
        &self,
        grounds: &[Ground<'_>],
        scenarios: &[Scenario],
        at_a_time: usize,
        tell: &(dyn Fn(&Finished) + Sync),
    ) -> Vec<Finished> {
        let mut kinds: Vec<(Ground<'_>, Clock)> = Vec::new();
        for on in grounds {
            let here = scenarios.iter().filter(|it| on.is_for(it));
            let clocks: BTreeSet<Clock> = here.map(|it| on.clock(it)).collect();
            kinds.extend(clocks.into_iter().map(|clock| (*on, clock)));
        }
        let ready = in_parallel(kinds.clone(), at_a_time, |(on, clock)| {
            self.ready(on, clock)
        });
        let work = kinds.iter().zip(&ready).flat_map(|(kind, ready)| {
            let (on, clock) = *kind;
            let here = scenarios
                .iter()
                .filter(move |it| on.is_for(it) && on.clock(it) == clock);
            here.map(move |scenario| (on, ready, scenario))
        });
        in_parallel(work.collect(), at_a_time, |(on, ready, scenario)| {
            let start = Instant::now();
            let ending = match on.tier().refuses(scenario) {
                Some(why) => Ending::Skipped(why.to_owned()),
                None => self.try_on(on, ready, scenario),
            };
            let finished = Finished {
                pair: on.name(),
                scenario: scenario.name.clone(),
                ending,
                took: start.elapsed(),
            };
            tell(&finished);
            finished
        })
    }

    fn ready(&self, on: Ground<'_>, clock: Clock) -> Ready {
        match on {
            Ground::Vm(pair) => self.ready_vm(pair, clock),
            Ground::Namespaces(pair) => {
                let made = self.ready_namespaces(pair);
                made.unwrap_or_else(|error| Ready::Broken(format!("{error:#}")))
            }
            Ground::Model => match Architecture::of_this_machine() {
                Ok(architecture) => {
                    let [_, portreeve] = self.emulated(architecture);
                    Ready::Model(portreeve)
                }
                Err(error) => Ready::Broken(error.to_string()),
            },
        }
    }

    fn ready_vm(&self, pair: &Pair, clock: Clock) -> Ready {
        if emulator::find(pair.architecture).is_none() {
            let (program, package) = emulator::name(pair.architecture);
            return Ready::Skipped(format!(
                "{program} is missing: apt-get install --no-install-recommends {package}"
            ));
        }
        if let Some(missing) = self.missing_program(pair.architecture) {
            let (missing, pair) = (missing.display(), &pair.name);
            return Ready::Skipped(format!(
                "{missing} was not built; `cargo xtask vm --kernel {pair}` builds it"
            ));
        }
        match self.template(pair, clock) {
            Ok(template) => Ready::Template(Box::new(template)),
            Err(error) => Ready::Broken(format!("{error:#}")),
        }
    }

    /// Machines of namespaces, as far as this machine allows them: one is made, and rules are loaded in
    /// it.
    fn ready_namespaces(&self, pair: Option<&Pair>) -> Result<Ready> {
        let [agent, portreeve] = self.emulated(Architecture::of_this_machine()?);
        let userland = match pair {
            Some(pair) => Userland::Packages(&pair.userland, &self.lock, &self.store),
            None => Userland::OfThisMachine,
        };
        let Files { archive, absent } = files(userland, &portreeve, &self.store.join("images"))?;
        let parts = namespaces::Parts {
            agent,
            files: archive,
        };
        match Namespaces::start(&parts).and_then(|mut machine| machine.takes_rules()) {
            Ok(()) => Ok(Ready::Files(parts, absent)),
            Err(error) => Ok(Ready::Skipped(format!("{error:#}"))),
        }
    }

    /// What runs in a machine: its first process, and the firewall under test.
    fn emulated(&self, architecture: Architecture) -> [PathBuf; 2] {
        match &self.programs {
            Programs::Target(folder) => {
                let programs = folder.join(target(architecture)).join("vm");
                ["portreeve-vm-agent", "portreeve"].map(|name| programs.join(name))
            }
            Programs::These { agent, portreeve } => [agent.clone(), portreeve.clone()],
        }
    }

    fn missing_program(&self, architecture: Architecture) -> Option<PathBuf> {
        let mut programs = self.emulated(architecture).into_iter();
        programs.find(|path| !path.is_file())
    }

    fn image(&self, pair: &Pair) -> Result<Image> {
        let [agent, portreeve] = self.emulated(pair.architecture);
        let parts = Parts {
            agent: &agent,
            portreeve: Some(&portreeve),
            files: Vec::new(),
        };
        build(
            pair,
            &self.lock,
            &self.store,
            &parts,
            &self.store.join("images"),
        )
        .with_context(|| format!("the image of {}", pair.name))
    }

    /// What a machine of a pair is made of.
    ///
    /// # Errors
    /// When packages, programs or the emulator are missing.
    pub fn hardware(&self, pair: &Pair, clock: Clock) -> Result<(Hardware, String)> {
        let image = self.image(pair)?;
        let emulator = emulator::find(pair.architecture).context("there is no emulator")?;
        let hardware = Hardware {
            emulator,
            architecture: pair.architecture,
            accelerator: self.accelerator(pair, clock),
            clock,
            kernel: image.kernel,
            initrd: image.initrd,
            memory_mib: image.memory_mib,
        };
        Ok((hardware, image.digest))
    }

    /// Only what is emulated counts its instructions, or is of another architecture.
    fn accelerator(&self, pair: &Pair, clock: Clock) -> Accelerator {
        match (pair.architecture, clock) {
            (Architecture::Amd64, Clock::Real) => self.accelerator,
            _ => Accelerator::Tcg,
        }
    }

    fn template(&self, pair: &Pair, clock: Clock) -> Result<Template> {
        let (hardware, digest) = self.hardware(pair, clock)?;
        // What was kept of a machine fits no machine that is built otherwise, or by another QEMU.
        let emulator = fs::metadata(&hardware.emulator)?;
        let emulator = format!("{} {:?}", emulator.len(), emulator.modified()?);
        let words = arguments(&hardware, &Memory::Own, &Wires::default());
        let mut digest = Sha256::new_with_prefix(digest).chain_update(emulator);
        words
            .iter()
            .for_each(|it| digest.update(it.as_encoded_bytes()));
        let name = &hexadecimal(digest)[..24];
        let folder = self.store.join("templates").join(name);
        Template::made_once(&hardware, &folder).with_context(|| format!("a VM of {}", pair.name))
    }

    fn try_on(&self, on: Ground<'_>, ready: &Ready, scenario: &Scenario) -> Ending {
        let kit = match ready {
            Ready::Template(template) => Kit::Vm(template),
            Ready::Files(parts, absent) => match lacks(absent, scenario) {
                Some(why) => return Ending::Skipped(why),
                None => Kit::Namespaces(parts),
            },
            Ready::Model(portreeve) => {
                return model::run(scenario, portreeve).map_or_else(Ending::Broken, Ending::Found);
            }
            Ready::Skipped(why) => return Ending::Skipped(why.clone()),
            Ready::Broken(why) => return Ending::Broken(anyhow::anyhow!("{why}")),
        };
        let machine = &scenario.machine;
        let origin = Origin { kit, machine };
        let start = Instant::now();
        let mut subject = match origin.begin(&Disk::blank(DISK_BYTES)) {
            Ok(subject) => subject,
            Err(error) => return Ending::Broken(error),
        };
        let beginning = start.elapsed();
        let mut found = run(scenario, origin, &mut subject);
        if let Ok(found) = &mut found {
            found.beginning = beginning;
            self.known.settle(&on.name(), &scenario.name, found);
        }
        if !found.as_ref().is_ok_and(Findings::is_good)
            && let Err(error) = self.keep(&mut subject, &on.name(), scenario)
        {
            return Ending::Broken(error.context("what went wrong cannot be kept"));
        }
        match found {
            Ok(found) => Ending::Found(found),
            Err(error) => Ending::Broken(subject.computer.with_console(error)),
        }
    }

    /// Keeps what tells why: the console, what the kernel said, the rules with their counters, every
    /// frame, and what was on the disk when the machine began, if anything of portreeve's was.
    fn keep(&self, subject: &mut Subject, on: &str, scenario: &Scenario) -> Result<()> {
        let folder = self.kept.join(on.replace('/', "-")).join(&scenario.name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("console.txt"), subject.computer.console())?;
        for (at, segment) in subject.segments().iter().enumerate() {
            let mut file = File::create(folder.join(format!("eth{at}.pcapng")))?;
            segment.card().record().write(&mut file)?;
        }
        if let (true, Some(disk)) = (scenario.machine.disk, &subject.begun_with) {
            disk.save(&File::create(folder.join("disk.img"))?)?;
        }
        // A machine that is gone cannot be asked any more.
        if scenario.machine.systemd
            && let Ok(journal) = subject.must_run(Run::new("journalctl", &["-b", "--no-pager"]))
        {
            fs::write(folder.join("journal.txt"), journal)?;
        }
        if subject.computer.has_own_kernel()
            && let Ok(log) = subject.kernel_log()
        {
            fs::write(folder.join("dmesg.txt"), log.join("\n"))?;
        }
        if let Ok(rules) = subject.rules_with_counters() {
            fs::write(folder.join("ruleset.nft"), rules)?;
        }
        Ok(())
    }
}

/// Which step runs a program that a machine does not have.
fn lacks(absent: &[String], scenario: &Scenario) -> Option<String> {
    (1..).zip(&scenario.steps).find_map(|(number, step)| {
        let Step::Run { words, .. } = step else {
            return None;
        };
        let program = words.first().filter(|program| absent.contains(program))?;
        Some(format!(
            "step {number} runs {program}, which this machine does not have: apt-get install busybox"
        ))
    })
}

/// Rust's name for what runs on a machine of an architecture.
#[must_use]
pub const fn target(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "x86_64-unknown-linux-musl",
        Architecture::Arm64 => "aarch64-unknown-linux-musl",
    }
}

/// What `one` makes of each, in their order; so many are under way at a time.
fn in_parallel<T: Send, R: Send>(
    all: Vec<T>,
    at_a_time: usize,
    one: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let count = all.len();
    let waiting: Mutex<VecDeque<(usize, T)>> = Mutex::new(all.into_iter().enumerate().collect());
    let made: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(count));
    let next = || waiting.lock().expect("nobody panics here").pop_front();
    thread::scope(|scope| {
        for _ in 0..at_a_time.min(count) {
            scope.spawn(|| {
                while let Some((at, it)) = next() {
                    let result = one(it);
                    made.lock().expect("nobody panics here").push((at, result));
                }
            });
        }
    });
    let mut made = made.into_inner().expect("nobody panics here");
    made.sort_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, result)| result).collect()
}

/// The scenarios of a folder, if there is one, or those of the files that are named, sorted by name.
///
/// # Errors
/// When one of them cannot be used: with everything that is wrong with all of them.
pub fn scenarios(folder: Option<&Path>, names: &[String]) -> Result<Vec<Scenario>> {
    let mut ours = BTreeMap::new();
    if let Some(folder) = folder {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if let (Some(name), Some("toml")) =
                (path.file_stem(), path.extension().and_then(OsStr::to_str))
            {
                ours.insert(name.to_string_lossy().into_owned(), path);
            }
        }
    }
    let path = |name: &String| -> Result<PathBuf> {
        let named = Some(PathBuf::from(name)).filter(|path| path.is_file());
        named.or_else(|| ours.get(name).cloned()).with_context(|| {
            let known: Vec<&str> = ours.keys().map(String::as_str).collect();
            match known.join(", ").as_str() {
                "" => format!("`{name}` is no file"),
                known => format!("`{name}` is no file and no scenario of ours, which are {known}"),
            }
        })
    };
    let paths: Vec<PathBuf> = match names {
        [] => ours.values().cloned().collect(),
        names => names.iter().map(path).collect::<Result<_>>()?,
    };
    let (mut scenarios, mut unusable) = (Vec::new(), Vec::new());
    for path in paths {
        match crate::scenario::read(&path) {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => unusable.push(error.to_string()),
        }
    }
    if unusable.is_empty() {
        return Ok(scenarios);
    }
    bail!("{}", unusable.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_in_parallel_comes_in_order() {
        let made = in_parallel((0..100).collect(), 4, |it: u32| it * 2);
        assert_eq!(made, (0..100).map(|it| it * 2).collect::<Vec<_>>());
        assert_eq!(in_parallel(Vec::<u32>::new(), 4, |it| it), [0; 0]);
    }

    #[test]
    fn every_scenario_of_ours_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let scenarios = scenarios(Some(&folder), &[]).unwrap();
        assert!(scenarios.len() > 1, "{}", scenarios.len());
    }
}
