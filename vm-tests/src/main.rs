//! `vm`: fetches what virtual machines are made of, and runs scenarios in them.
//!
//! `cargo xtask vm` builds what goes into them first, and starts this.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use portreeve_vm_agent::Run;
use portreeve_vm_tests::disk::Disk;
use portreeve_vm_tests::fetch;
use portreeve_vm_tests::kernels::{Architecture, Kernels, Pair};
use portreeve_vm_tests::known::KnownDifferences;
use portreeve_vm_tests::matrix::{Workshop, scenarios};
use portreeve_vm_tests::report::{self, Sum};
use portreeve_vm_tests::scenario::Step;
use portreeve_vm_tests::vm::Vm;
use portreeve_vm_tests::vm::command_line::{Clock, Memory};
use portreeve_vm_tests::vm::emulator::{self, Accelerator};
use portreeve_vm_tests::vm::template::DISK_BYTES;

const USAGE: &str = "usage: vm [OPTION…] [NAME… | fetch [--update] | shell | pairs]

  NAME…    run these scenarios, by name or file; all of ours, if none is said
  fetch    download the packages that the lock file names; --update: name the newest ones
  shell    boot a VM and run what stdin says in it, a line at a time
  pairs    list what there is, or what --kernel means

  --kernel K     this kernel or pair; may be repeated; `all` is every pair. Unless it is said, the
                 oldest pair and the usual one, 5.10/0.9.8 and 6.1/1.0.6, and 6.1/systemd-252
  --require      what would be skipped is a failure
  --jobs N       so many VMs at a time; as many as there are processors
  --cuts N[@S]   so many power cuts instead of a few, wherever a scenario has some; the first one by
                 seed S instead of 0
  --junit FILE   write the results for programs that collect them
  --kvm          run on this machine's own processor, if a few instructions show that it can
  --json         print a JSON value for each scenario instead of a line
  --target DIR   where cargo has put our programs
";

/// Pairs that a run is on when nobody says which: the oldest, the usual one, and one that boots.
const USUAL: [&str; 3] = ["5.10/0.9.8", "6.1/1.0.6", "6.1/systemd-252"];

#[derive(Default)]
struct Arguments {
    words: Vec<String>,
    kernels: Vec<String>,
    require: bool,
    update: bool,
    json: bool,
    kvm: bool,
    jobs: Option<usize>,
    cuts: Option<(u64, u64)>,
    junit: Option<PathBuf>,
    target: Option<PathBuf>,
}

impl Arguments {
    fn read(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut read = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--kernel" => read.kernels.push(arguments.next()?),
                "--jobs" => read.jobs = Some(arguments.next()?.parse().ok().filter(|it| *it > 0)?),
                "--cuts" => read.cuts = Some(cuts(&arguments.next()?)?),
                "--junit" => read.junit = Some(arguments.next()?.into()),
                "--target" => read.target = Some(arguments.next()?.into()),
                "--require" => read.require = true,
                "--update" => read.update = true,
                "--json" => read.json = true,
                "--kvm" => read.kvm = true,
                option if option.starts_with('-') => return None,
                _ => read.words.push(argument),
            }
        }
        Some(read)
    }
}

/// How many power cuts, and the first one's seed.
fn cuts(word: &str) -> Option<(u64, u64)> {
    let (times, seed) = word.split_once('@').unwrap_or((word, "0"));
    Some((times.parse().ok()?, seed.parse().ok()?))
}

fn main() -> ExitCode {
    if std::env::args().any(|it| it == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(arguments) = Arguments::read(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match arguments.words.first().map(String::as_str) {
        Some("fetch") => fetch_packages(&arguments),
        Some("shell") => shell(&arguments),
        Some("pairs") => list_pairs(&arguments),
        _ => run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where everything of ours is.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kernels() -> Result<Kernels> {
    Kernels::read(&folder().join("kernels.toml"))
}

fn workshop(arguments: &Arguments) -> Result<Workshop> {
    let root = folder().parent().unwrap_or(folder());
    let target = arguments.target.clone();
    let target = target.unwrap_or_else(|| root.join("target"));
    Ok(Workshop {
        lock: folder().join("kernels.lock"),
        store: target.join("machines"),
        kept: target.join("machines/kept"),
        programs: target,
        accelerator: match emulator::find(Architecture::Amd64) {
            Some(emulator) if arguments.kvm => emulator::fastest(&emulator)?,
            _ => Accelerator::Tcg,
        },
        known: KnownDifferences::read(&folder().join("known_differences.toml"))?,
    })
}

/// The pairs that are meant.
fn wanted<'a>(arguments: &Arguments, kernels: &'a Kernels) -> Result<Vec<&'a Pair>> {
    let all = || kernels.pairs().iter().filter(|pair| pair.default);
    if arguments.kernels.iter().any(|name| name == "all") {
        return Ok(all().collect());
    }
    let usual = || USUAL.map(str::to_owned).to_vec();
    let names = match arguments.kernels.as_slice() {
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

fn list_pairs(arguments: &Arguments) -> Result<bool> {
    let kernels = kernels()?;
    let pairs = match arguments.kernels.as_slice() {
        [] => kernels.pairs().iter().collect(),
        _ => wanted(arguments, &kernels)?,
    };
    for pair in pairs {
        println!("{}", pair.name);
    }
    Ok(true)
}

fn fetch_packages(arguments: &Arguments) -> Result<bool> {
    let kernels = kernels()?;
    let workshop = workshop(arguments)?;
    let pairs = wanted(arguments, &kernels)?;
    let fetch = if arguments.update {
        fetch::update
    } else {
        fetch::fetch
    };
    fetch(&kernels, &workshop.lock, &workshop.store, &pairs)?;
    Ok(true)
}

fn run(arguments: &Arguments) -> Result<bool> {
    let kernels = kernels()?;
    let pairs = wanted(arguments, &kernels)?;
    let mut scenarios = scenarios(&folder().join("scenarios"), &arguments.words)?;
    if let Some((times, seed)) = arguments.cuts {
        let steps = scenarios.iter_mut().flat_map(|it| &mut it.steps);
        for step in steps {
            if let Step::Cut(cuts) = step {
                (cuts.times, cuts.seed) = (times, seed);
            }
        }
    }
    let jobs = arguments
        .jobs
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let start = Instant::now();
    let stdout = Mutex::new(io::stdout());
    let finished = workshop(arguments)?.run(&pairs, &scenarios, jobs, &|finished| {
        let text = if arguments.json {
            report::value(finished).to_string()
        } else {
            report::line(finished)
        };
        let mut stdout = stdout.lock().expect("nobody panics here");
        // Whoever has closed the pipe does not want to know.
        let _ = writeln!(stdout, "{text}");
    });
    if finished.is_empty() {
        bail!(
            "no scenario is for such a machine: `system = \"systemd\"` runs on `systemd-252` only"
        );
    }
    let sum = Sum::of(&finished);
    if let Some(path) = &arguments.junit {
        let text = report::junit(&finished);
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    eprintln!("\n{}", sum.text(start.elapsed()));
    let ran = sum.good + sum.failed + sum.broken;
    if sum.skipped > 0 || ran == 0 {
        eprintln!(
            "nothing is known of what was skipped{}",
            if arguments.require {
                ", and it is required"
            } else {
                ""
            }
        );
    }
    let complete = !arguments.require || (sum.skipped == 0 && ran > 0);
    Ok(sum.failed + sum.broken == 0 && complete)
}

/// Boots a VM and runs in it what stdin says.
fn shell(arguments: &Arguments) -> Result<bool> {
    let kernels = kernels()?;
    let pairs = wanted(arguments, &kernels)?;
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
    Ok(true)
}
