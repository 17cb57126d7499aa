//! Scenarios on pairs of kernel and nft: each on a machine of its own, as many at a time as there are
//! processors.
//!
//! A machine boots once for each pair. What cannot be run is skipped with its reason, and counted.

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

use crate::disk::Disk;
use crate::fetch::{Lock, hexadecimal};
use crate::image::{Image, Parts, build};
use crate::kernels::{Architecture, Kind, Pair};
use crate::known::KnownDifferences;
use crate::run::{Findings, Origin, run};
use crate::scenario::Scenario;
use crate::subject::Subject;
use crate::vm::command_line::{Clock, Hardware, Memory, Wires, arguments};
use crate::vm::emulator::{self, Accelerator};
use crate::vm::template::{DISK_BYTES, Template};

/// What machines are made from.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// Which packages are meant.
    pub lock: PathBuf,
    /// Where they are, and everything that is made of them.
    pub store: PathBuf,
    /// Where cargo has put our programs, by target.
    pub programs: PathBuf,
    /// Where is kept what a run that went wrong leaves.
    pub kept: PathBuf,
    /// What machines run under that can.
    pub accelerator: Accelerator,
    /// Where the model and a kernel are known to differ.
    pub known: KnownDifferences,
}

/// What came of one scenario on one pair.
#[derive(Debug)]
pub struct Finished {
    /// The pair.
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

/// A machine of a pair that has booted, or why there is none.
enum Ready {
    Template(Box<Template>),
    Skipped(String),
    Broken(String),
}

impl Workshop {
    /// Runs every scenario on every pair, and tells of each as it ends.
    pub fn run(
        &self,
        pairs: &[&Pair],
        scenarios: &[Scenario],
        at_a_time: usize,
        tell: &(dyn Fn(&Finished) + Sync),
    ) -> Vec<Finished> {
        let mut kinds: Vec<(&Pair, Clock)> = Vec::new();
        for pair in pairs {
            let here = scenarios.iter().filter(|it| fits(pair, it));
            let clocks: BTreeSet<Clock> = here.map(Scenario::clock).collect();
            kinds.extend(clocks.into_iter().map(|clock| (*pair, clock)));
        }
        let templates = in_parallel(kinds.clone(), at_a_time, |(pair, clock)| {
            self.ready(pair, clock)
        });
        let work = kinds.iter().zip(&templates).flat_map(|(kind, ready)| {
            let (pair, clock) = *kind;
            let here = scenarios
                .iter()
                .filter(move |it| fits(pair, it) && it.clock() == clock);
            here.map(move |scenario| (pair, ready, scenario))
        });
        in_parallel(work.collect(), at_a_time, |(pair, ready, scenario)| {
            let start = Instant::now();
            let ending = match ready {
                Ready::Template(template) => self.try_out(template, pair, scenario),
                Ready::Skipped(why) => Ending::Skipped(why.clone()),
                Ready::Broken(why) => Ending::Broken(anyhow::anyhow!("{why}")),
            };
            let finished = Finished {
                pair: pair.name.clone(),
                scenario: scenario.name.clone(),
                ending,
                took: start.elapsed(),
            };
            tell(&finished);
            finished
        })
    }

    fn ready(&self, pair: &Pair, clock: Clock) -> Ready {
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

    /// What runs in a machine: its first process, and the firewall under test.
    fn emulated(&self, architecture: Architecture) -> [PathBuf; 2] {
        let programs = self.programs.join(target(architecture)).join("vm");
        ["portreeve-vm-agent", "portreeve"].map(|name| programs.join(name))
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
        let lock = Lock::read(&self.lock)?;
        build(pair, &lock, &self.store, &parts, &self.store.join("images"))
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

    fn try_out(&self, template: &Template, pair: &Pair, scenario: &Scenario) -> Ending {
        let machine = &scenario.machine;
        let origin = Origin { template, machine };
        let mut subject = match origin.begin(&Disk::blank(DISK_BYTES)) {
            Ok(subject) => subject,
            Err(error) => return Ending::Broken(error),
        };
        let mut found = run(scenario, origin, &mut subject);
        if let Ok(found) = &mut found {
            self.known.settle(&pair.name, &scenario.name, found);
        }
        if !found.as_ref().is_ok_and(Findings::is_good)
            && let Err(error) = self.keep(&mut subject, pair, scenario)
        {
            return Ending::Broken(error.context("what went wrong cannot be kept"));
        }
        match found {
            Ok(found) => Ending::Found(found),
            Err(error) => Ending::Broken(subject.vm.with_console(error)),
        }
    }

    /// Keeps what tells why: the console, what the kernel said, the rules with their counters, every
    /// frame, and what was on the disk when the machine began, if anything of portreeve's was.
    fn keep(&self, subject: &mut Subject, pair: &Pair, scenario: &Scenario) -> Result<()> {
        let folder = self
            .kept
            .join(pair.name.replace('/', "-"))
            .join(&scenario.name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("console.txt"), subject.vm.console())?;
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
        if let Ok(log) = subject.kernel_log() {
            fs::write(folder.join("dmesg.txt"), log.join("\n"))?;
        }
        if let Ok(rules) = subject.rules_with_counters() {
            fs::write(folder.join("ruleset.nft"), rules)?;
        }
        Ok(())
    }
}

/// Whether a scenario is of such machines: a whole system boots by itself, and others do not.
fn fits(pair: &Pair, scenario: &Scenario) -> bool {
    scenario.machine.systemd == (pair.userland.kind == Kind::System)
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

/// The scenarios of a folder, or those of the files that are named, sorted by name.
///
/// # Errors
/// When one of them cannot be used: with everything that is wrong with all of them.
pub fn scenarios(folder: &Path, names: &[String]) -> Result<Vec<Scenario>> {
    let mut ours = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if let (Some(name), Some("toml")) =
            (path.file_stem(), path.extension().and_then(OsStr::to_str))
        {
            ours.insert(name.to_string_lossy().into_owned(), path);
        }
    }
    let path = |name: &String| -> Result<PathBuf> {
        let named = Some(PathBuf::from(name)).filter(|path| path.is_file());
        named.or_else(|| ours.get(name).cloned()).with_context(|| {
            let known: Vec<&str> = ours.keys().map(String::as_str).collect();
            let known = known.join(", ");
            format!("`{name}` is no file and no scenario of ours, which are {known}")
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
        let scenarios = scenarios(&folder, &[]).unwrap();
        assert!(scenarios.len() > 1, "{}", scenarios.len());
    }
}
