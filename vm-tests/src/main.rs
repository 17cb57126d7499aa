//! `portreeve-harness`: tries scenarios on a model, in namespaces and in virtual machines, and fetches
//! what those are made of.
//!
//! `portreeve test` starts it for a policy's author; `cargo xtask vm` builds everything first, and starts
//! it for us.

mod arguments;

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use portreeve_vm_agent::Run;
use portreeve_vm_tests::disk::Disk;
use portreeve_vm_tests::fetch::{self, Lock};
use portreeve_vm_tests::kernels::{Architecture, Kernels, Pair};
use portreeve_vm_tests::known::KnownDifferences;
use portreeve_vm_tests::matrix::{Finished, Ground, Programs, Workshop, scenarios};
use portreeve_vm_tests::report::{self, Sum};
use portreeve_vm_tests::scenario::{Scenario, Step};
use portreeve_vm_tests::tier::Tier;
use portreeve_vm_tests::vm::Vm;
use portreeve_vm_tests::vm::command_line::{Clock, Memory};
use portreeve_vm_tests::vm::emulator::{self, Accelerator};
use portreeve_vm_tests::vm::template::DISK_BYTES;

use crate::arguments::{Arguments, Command, Places};

/// How this program ends: the numbers are those of `portreeve`.
const INVALID: u8 = 3;
const FAILED: u8 = 4;
const UNTESTED: u8 = 10;

/// Pairs that a run is on when nobody says which: the oldest, the usual one, and one that boots.
const USUAL: [&str; 3] = ["5.10/0.9.8", "6.1/1.0.6", "6.1/systemd-252"];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.on == Tier::Model && !arguments.places.kernels.is_empty() {
        let why = "--kernel says which machines are meant, and --on model needs none";
        let error = Arguments::command().error(ErrorKind::ArgumentConflict, why);
        error.exit();
    }
    let places = &arguments.places;
    let done = match &arguments.command {
        Some(Command::Fetch { update }) => fetch_packages(places, *update),
        Some(Command::Shell) => shell(&arguments),
        Some(Command::Pairs) => list_pairs(places),
        None => run(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("portreeve-harness: {error:#}");
        UNTESTED.into()
    })
}

fn kernels(places: &Places) -> Result<Kernels> {
    match &places.kernels_from {
        Some(folder) => Kernels::read(&folder.join("kernels.toml")),
        None => Kernels::carried(),
    }
}

fn lock(places: &Places) -> Result<Lock> {
    match &places.kernels_from {
        Some(folder) => Lock::read(&folder.join("kernels.lock")),
        None => Lock::carried(),
    }
}

fn known(places: &Places) -> Result<KnownDifferences> {
    match &places.kernels_from {
        Some(folder) => KnownDifferences::read(&folder.join("known_differences.toml")),
        None => KnownDifferences::carried(),
    }
}

fn store(places: &Places) -> Result<PathBuf> {
    if let Some(store) = &places.store {
        return Ok(store.clone());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || variable("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache.or_else(home);
    let cache = cache.context("there is no home folder to keep anything in; say --store")?;
    Ok(cache.join("portreeve"))
}

fn workshop(arguments: &Arguments) -> Result<Workshop> {
    let places = &arguments.places;
    let store = store(places)?;
    Ok(Workshop {
        lock: lock(places)?,
        kept: store.join("kept"),
        store,
        programs: programs(arguments)?,
        accelerator: match emulator::find(Architecture::Amd64) {
            Some(emulator) if arguments.kvm => emulator::fastest(&emulator)?,
            _ => Accelerator::Tcg,
        },
        known: known(places)?,
    })
}

/// The agent and the portreeve that are said. The model needs no agent.
fn programs(arguments: &Arguments) -> Result<Programs> {
    const AGENT: &str = "portreeve-vm-agent";
    let places = &arguments.places;
    let portreeve = match (&places.target, &places.portreeve) {
        (Some(target), _) => return Ok(Programs::Target(target.clone())),
        (None, Some(portreeve)) => portreeve.clone(),
        (None, None) => bail!("say --portreeve: there is nothing to test"),
    };
    let agent = match (&places.agent, arguments.on) {
        (Some(agent), _) => agent.clone(),
        (None, Tier::Model) => AGENT.into(),
        (None, Tier::Namespaces | Tier::Vm) => beside(AGENT)
            .with_context(|| format!("{AGENT} does not stand beside this program; say --agent"))?,
    };
    Ok(Programs::These { agent, portreeve })
}

/// The path of a program that stands beside this one.
fn beside(name: &str) -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(name);
    path.is_file().then_some(path)
}

/// The pairs that are meant.
fn wanted<'a>(names: &[String], kernels: &'a Kernels) -> Result<Vec<&'a Pair>> {
    let all = || kernels.pairs().iter().filter(|pair| pair.default);
    if names.iter().any(|name| name == "all") {
        return Ok(all().collect());
    }
    let usual = || USUAL.map(str::to_owned).to_vec();
    let names = match names {
        [] => usual(),
        names => names.to_vec(),
    };
    let mut pairs = Vec::new();
    for name in names {
        let found = kernels.matching(&name);
        if found.is_empty() {
            let known: Vec<&str> = all().map(|pair| pair.name.as_str()).collect();
            bail!(
                "there is no kernel `{name}`; there are {}, and `all`",
                known.join(", ")
            );
        }
        pairs.extend(found);
    }
    Ok(pairs)
}

/// What scenarios are tried on.
fn grounds<'a>(arguments: &Arguments, kernels: &'a Kernels) -> Result<Vec<Ground<'a>>> {
    let names = &arguments.places.kernels;
    let pairs = || wanted(names, kernels);
    Ok(match arguments.on {
        Tier::Model => vec![Ground::Model],
        Tier::Namespaces if names.is_empty() => vec![Ground::Namespaces(None)],
        Tier::Namespaces => {
            let pairs = pairs()?.into_iter();
            pairs.map(|pair| Ground::Namespaces(Some(pair))).collect()
        }
        Tier::Vm => pairs()?.into_iter().map(Ground::Vm).collect(),
    })
}

fn list_pairs(places: &Places) -> Result<ExitCode> {
    let kernels = kernels(places)?;
    let pairs = match places.kernels.as_slice() {
        [] => kernels.pairs().iter().collect(),
        names => wanted(names, &kernels)?,
    };
    for pair in pairs {
        println!("{}", pair.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch_packages(places: &Places, update: bool) -> Result<ExitCode> {
    let kernels = kernels(places)?;
    let store = store(places)?;
    let pairs = wanted(&places.kernels, &kernels)?;
    if update {
        let folder = places.kernels_from.as_ref();
        let folder = folder.context("say --kernels: there is no lock file to write")?;
        fetch::update(&kernels, &folder.join("kernels.lock"), &store, &pairs)?;
    } else {
        fetch::fetch(&kernels, &lock(places)?, &store, &pairs)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut scenarios = match scenarios(arguments.places.scenarios.as_deref(), &arguments.names) {
        Ok(scenarios) if scenarios.is_empty() => bail!("say a scenario: there is none to run"),
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("portreeve-harness: {error:#}");
            return Ok(INVALID.into());
        }
    };
    if arguments.names.is_empty() {
        // Of ours some are meant for one kind of machine only; who names one wants to know of it.
        scenarios.retain(|scenario| arguments.on.refuses(scenario).is_none());
    }
    change_cuts(arguments, &mut scenarios);
    let kernels = kernels(&arguments.places)?;
    let grounds = grounds(arguments, &kernels)?;
    let jobs = arguments
        .jobs
        .map_or_else(thread::available_parallelism, Ok)?;
    let start = Instant::now();
    let finished =
        workshop(arguments)?.run(&grounds, &scenarios, jobs.get(), &tell(arguments.json));
    if finished.is_empty() {
        bail!(
            "no scenario is for such a machine: `system = \"systemd\"` runs on `systemd-252` only"
        );
    }
    if let Some(path) = &arguments.junit {
        let text = report::junit(&finished);
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    let sum = Sum::of(&finished);
    eprintln!("\n{}", sum.text(start.elapsed()));
    Ok(judge(&sum, arguments.require))
}

fn change_cuts(arguments: &Arguments, scenarios: &mut [Scenario]) {
    let Some((times, seed)) = arguments.cuts else {
        return;
    };
    for step in scenarios.iter_mut().flat_map(|it| &mut it.steps) {
        if let Step::Cut(cuts) = step {
            (cuts.times, cuts.seed) = (times, seed);
        }
    }
}

/// Tells of each scenario as it ends.
fn tell(json: bool) -> impl Fn(&Finished) + Sync {
    let stdout = Mutex::new(io::stdout());
    move |finished| {
        let text = if json {
            report::value(finished).to_string()
        } else {
            report::line(finished)
        };
        let mut stdout = stdout.lock().expect("nobody panics here");
        // Whoever has closed the pipe does not want to know.
        let _ = writeln!(stdout, "{text}");
    }
}

/// How that ends.
fn judge(sum: &Sum, required: bool) -> ExitCode {
    let ran = sum.good + sum.failed + sum.broken;
    let incomplete = sum.skipped > 0 || ran == 0;
    if incomplete {
        let required = if required { ", and it is required" } else { "" };
        eprintln!("nothing is known of what was skipped{required}");
    }
    match (sum.failed, sum.broken) {
        (0, 0) if !(required && incomplete) => ExitCode::SUCCESS,
        (0, _) => UNTESTED.into(),
        (_, _) => FAILED.into(),
    }
}

/// Boots a VM and runs in it what stdin says.
fn shell(arguments: &Arguments) -> Result<ExitCode> {
    let kernels = kernels(&arguments.places)?;
    let pairs = wanted(&arguments.places.kernels, &kernels)?;
    let pair = pairs.last().context("no pair is meant")?;
    let (hardware, _) = workshop(arguments)?.hardware(pair, Clock::Real)?;
    let (mut vm, hello) = Vm::boot(&hardware, &Memory::Own, &Disk::blank(DISK_BYTES))?;
    eprintln!(
        "{}: Linux {}; one line at a time is run by its shell",
        pair.name, hello.kernel
    );
    for failed in hello.failed_modules {
        eprintln!("module not loaded: {failed}");
    }
    for line in io::stdin().lock().lines() {
        let ended = vm.control.run(Run::new("/bin/sh", &["-c", &line?]))?;
        print!("{}{}", ended.stdout, ended.stderr);
        if ended.code != Some(0) {
            eprintln!("[{:?}]", ended.code);
        }
        io::stdout().flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
