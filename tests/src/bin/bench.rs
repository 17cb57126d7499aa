//! Measures portreeve against `nft` on the same rules, as whole processes, and prints each figure
//! beside its bar.
//!
//! `bench PORTREEVE` runs in a network namespace of its own, which it makes. Contenders take
//! turns, so that a noisy machine disturbs them alike; CPU is user and system time of the whole
//! process tree, and a ratio is the median of the ratios of neighbouring runs. Nothing here is
//! asserted: a bar that is missed is printed as missed.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use portreeve_tests::namespace::{Namespaces, tool};
use serde::{Deserialize, Serialize};

/// Pairs of runs behind each ratio.
const ROUNDS: usize = 31;

/// Runs behind each figure of a large feed.
const LARGE_ROUNDS: usize = 5;

type Result<T> = io::Result<T>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["measure", program, rest @ ..] => measure_here(program, rest),
        ["inside", portreeve] => inside(Path::new(portreeve)).map(|()| ExitCode::SUCCESS),
        [portreeve] => enter_namespace(portreeve),
        _ => failed("usage: bench PORTREEVE"),
    }
}

fn failed<T>(what: impl Into<String>) -> Result<T> {
    Err(io::Error::other(what.into()))
}

/// Starts this program again in a network namespace of its own.
fn enter_namespace(portreeve: &str) -> Result<ExitCode> {
    let namespaces = if nix::unistd::geteuid().is_root() {
        Namespaces::OF_ROOT
    } else {
        Namespaces::OF_ANYBODY
    };
    let status = namespaces
        .command(&[], &std::env::current_exe()?)
        .args(["inside", portreeve])
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What one run of a program took.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Cost {
    cpu_ms: f64,
    wall_ms: f64,
    peak_mb: f64,
}

/// Runs a program as the only child of this process and prints what it took.
fn measure_here(program: &str, arguments: &[&str]) -> Result<ExitCode> {
    let started = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let output = child.wait_with_output()?;
    let wall_ms = started.elapsed().as_secs_f64() * 1e3;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return failed(format!(
            "{program} {arguments:?}: {}: {said}",
            output.status
        ));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    let cost = Cost {
        cpu_ms: micros(usage.user_time()) + micros(usage.system_time()),
        wall_ms,
        peak_mb: usage.max_rss() as f64 / 1024.0,
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(ExitCode::SUCCESS)
}

/// A command line to measure.
struct Contender(Vec<String>);

impl Contender {
    fn new<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        Self(
            words
                .into_iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
        )
    }

    /// One run, in a child that measures nothing else.
    fn run(&self) -> Result<Cost> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("measure")
            .args(&self.0)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut printed = String::new();
        child
            .stdout
            .take()
            .expect("piped")
            .read_to_string(&mut printed)?;
        if !child.wait()?.success() {
            return failed(format!("{:?} failed", self.0));
        }
        Ok(serde_json::from_str(&printed)?)
    }
}

/// One line of the table.
struct Figure {
    what: String,
    measured: f64,
    bar: f64,
    unit: &'static str,
}

fn inside(portreeve: &Path) -> Result<()> {
    let bench = Bench::new(portreeve)?;
    let mut figures = bench.against_nft()?;
    for (prefixes, seconds, megabytes) in [(100_000, 0.5, 100.0), (1_000_000, 3.0, 500.0)] {
        figures.extend(bench.large_feed(prefixes, seconds, megabytes)?);
    }
    let size = fs::metadata(portreeve)?.len() as f64 / f64::from(1 << 20);
    figures.push(Figure {
        what: "release binary".into(),
        measured: size,
        bar: 16.0,
        unit: "MB",
    });
    print!("{}", table(&figures));
    Ok(())
}

struct Bench {
    portreeve: String,
    nft: String,
    directory: tempfile::TempDir,
}

impl Bench {
    fn new(portreeve: &Path) -> Result<Self> {
        let portreeve = portreeve
            .to_str()
            .ok_or_else(|| io::Error::other("the path is not UTF-8"))?
            .to_owned();
        let nft = tool("nft")?.display().to_string();
        let bench = Self {
            portreeve,
            nft,
            directory: tempfile::tempdir()?,
        };
        // Empty: what this machine has in `/etc` is not measured.
        fs::write(bench.config(), "")?;
        Ok(bench)
    }

    fn config(&self) -> PathBuf {
        self.path("portreeve.toml")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn portreeve(&self, words: &[&str]) -> Contender {
        let (state, config) = (self.path("state"), self.config());
        let (state, config) = (state.to_string_lossy(), config.to_string_lossy());
        let options = ["--state-dir", &state, "--config", &config].map(str::to_owned);
        let words = words.iter().map(|word| (*word).to_owned());
        Contender::new(
            [self.portreeve.clone()]
                .into_iter()
                .chain(options)
                .chain(words),
        )
    }

    /// `plan` and `apply` with the built-in policy and ranges, beside nft with the same rules.
    fn against_nft(&self) -> Result<Vec<Figure>> {
        let text = self.path("rules.nft");
        let rules = Command::new(&self.portreeve)
            .args(["plan", "--format", "nft", "--config"])
            .arg(self.config())
            .output()?;
        if !rules.status.success() {
            return failed("plan --format nft failed");
        }
        // As portreeve does it: one transaction that replaces the table and nothing else.
        let mut script = b"add table inet portreeve\ndelete table inet portreeve\n".to_vec();
        script.extend(rules.stdout);
        fs::write(&text, script)?;
        let text = text.to_string_lossy();
        let plan = pairs(
            &self.portreeve(&["plan"]),
            &Contender::new([self.nft.as_str(), "--check", "-f", &text]),
        )?;
        let apply = pairs(
            &self.portreeve(&["apply", "--no-trial"]),
            &Contender::new([self.nft.as_str(), "-f", &text]),
        )?;
        let figure = |what: &str, measured, bar, unit| Figure {
            what: what.to_owned(),
            measured,
            bar,
            unit,
        };
        eprintln!(
            "plan: {:.2} ms CPU, {:.2} ms wall",
            plan.cpu_ms, plan.wall_ms
        );
        eprintln!(
            "apply: {:.2} ms CPU, {:.2} ms wall",
            apply.cpu_ms, apply.wall_ms
        );
        Ok(vec![
            figure("plan, CPU ÷ nft --check -f", plan.ratio, 2.0, "×"),
            figure("plan, memory", plan.peak_mb, 40.0, "MB"),
            figure("apply --no-trial, CPU ÷ nft -f", apply.ratio, 3.0, "×"),
        ])
    }

    /// What the policy takes to decide.
    fn fuel(&self) -> Result<serde_json::Value> {
        let mut plan = Command::new(&self.portreeve);
        plan.args(["plan", "--format", "json", "--config"])
            .arg(self.config());
        let plan: serde_json::Value = serde_json::from_slice(&plan.output()?.stdout)?;
        Ok(plan["plan"]["policy"]["fuel_used"].clone())
    }

    /// `plan` with a feed of so many prefixes.
    fn large_feed(&self, prefixes: u32, seconds: f64, megabytes: f64) -> Result<Vec<Figure>> {
        let list = self.path("feed.txt");
        fs::write(&list, feed(prefixes))?;
        fs::write(
            self.config(),
            format!("[feeds.cloudflare]\nsource = \"file:{}\"\n", list.display()),
        )?;
        let contender = self.portreeve(&["plan"]);
        eprintln!("{prefixes} prefixes: {} units of fuel", self.fuel()?);
        let runs: Vec<Cost> = (0..LARGE_ROUNDS)
            .map(|_| contender.run())
            .collect::<Result<_>>()?;
        let figure = |what: &str, measured, bar, unit| Figure {
            what: format!("plan, {prefixes} prefixes, {what}"),
            measured,
            bar,
            unit,
        };
        Ok(vec![
            figure(
                "wall",
                median(runs.iter().map(|run| run.wall_ms / 1e3)),
                seconds,
                "s",
            ),
            figure(
                "memory",
                median(runs.iter().map(|run| run.peak_mb)),
                megabytes,
                "MB",
            ),
        ])
    }
}

/// What a contender took beside a reference.
struct Paired {
    ratio: f64,
    cpu_ms: f64,
    wall_ms: f64,
    peak_mb: f64,
}

/// Runs the two in turns, after one round that only warms the page cache.
fn pairs(contender: &Contender, reference: &Contender) -> Result<Paired> {
    let (mut ours, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (mine, theirs) = (contender.run()?, reference.run()?);
        if round > 0 {
            ratios.push(mine.cpu_ms / theirs.cpu_ms);
            ours.push(mine);
        }
    }
    Ok(Paired {
        ratio: median(ratios),
        cpu_ms: median(ours.iter().map(|run| run.cpu_ms)),
        wall_ms: median(ours.iter().map(|run| run.wall_ms)),
        peak_mb: median(ours.iter().map(|run| run.peak_mb)),
    })
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A feed of `count` prefixes that neither touch nor overlap: nine in ten are IPv4 (a third of
/// those /24, the others /32) between 16.0.0.0 and 100.63.255.255, the others IPv6 /48.
fn feed(count: u32) -> String {
    let ip6_count = count / 10;
    let mut text = String::new();
    for number in 0..count - ip6_count {
        let address = std::net::Ipv4Addr::from_bits((16 << 24) + number * 1536);
        let length = if number % 3 == 0 { 24 } else { 32 };
        writeln!(text, "{address}/{length}").expect("writing to a string does not fail");
    }
    for number in 0..u128::from(ip6_count) {
        let address = std::net::Ipv6Addr::from_bits((0x2a00 << 112) + (number << 81));
        writeln!(text, "{address}/48").expect("writing to a string does not fail");
    }
    text
}

fn table(figures: &[Figure]) -> String {
    let mut out = format!("{:<44} {:>10} {:>10}\n", "what", "measured", "bar");
    for figure in figures {
        let Figure {
            what,
            measured,
            bar,
            unit,
        } = figure;
        let met = if measured <= bar { "met" } else { "MISSED" };
        let _ = writeln!(
            out,
            "{what:<44} {measured:>8.2} {unit:<2} ≤ {bar:>6} {unit:<2} {met}"
        );
    }
    out
}
