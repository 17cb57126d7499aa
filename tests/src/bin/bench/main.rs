//! Measures portreeve against `nft` on the same rules, as whole processes, and prints each figure
//! beside its bar.
//!
//! `bench PORTREEVE` runs in a world of its own, which it makes; nft has another network
//! namespace there, so that neither meets the other's rules. Contenders take turns, so that a
//! noisy machine disturbs them alike; CPU is user and system time of the whole process tree, and
//! a ratio is the median of the ratios of neighbouring runs. Nothing here is asserted: a bar that
//! is missed is printed as missed.

mod evaluate;
mod measure;
mod table;
mod trials;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use portreeve_tests::battery::world;
use portreeve_tests::namespace::{Namespace, tool};

use measure::{Contender, Cost, Paired, measure_here, median};
use table::{Figure, table};

/// Runs behind each figure of a large feed.
const LARGE_ROUNDS: usize = 5;

type Result<T> = io::Result<T>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["measure", code, program, rest @ ..] => measure_here(code, program, rest)?,
        ["inside", portreeve] => inside(Path::new(portreeve))?,
        [portreeve] => return enter_world(portreeve),
        _ => return failed("usage: bench PORTREEVE"),
    }
    Ok(ExitCode::SUCCESS)
}

fn failed<T>(what: impl Into<String>) -> Result<T> {
    Err(io::Error::other(what.into()))
}

/// Starts this program again in a world of its own: no connection leads there, so that what is
/// confirmed there is confirmed from its console.
fn enter_world(portreeve: &str) -> Result<ExitCode> {
    let status = world::prepare(&["inside", portreeve])?.status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn inside(portreeve: &Path) -> Result<()> {
    let bench = Bench::new(portreeve)?;
    let elsewhere = Namespace::new().map_err(io::Error::other)?;
    let mut figures = bench.against_nft(&elsewhere)?;
    for (prefixes, seconds, megabytes) in [(100_000, 0.5, 100.0), (1_000_000, 3.0, 500.0)] {
        figures.extend(bench.large_feed(prefixes, seconds, megabytes)?);
    }
    let size = fs::metadata(portreeve)?.len() as f64 / f64::from(1 << 20);
    figures.push(Figure::new("release binary", size, 16.0, "MB"));
    figures.extend(evaluate::evaluation()?);
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

    fn portreeve(&self, words: &[&str]) -> Contender<'static> {
        let options = [
            ("--config", self.config()),
            ("--state-dir", self.path("state")),
            ("--cache-dir", self.path("cache")),
            // What logins are told of a trial is not for the users of this machine.
            ("--motd-dir", self.path("motd")),
        ];
        let options = options.map(|(option, path)| [option.to_owned(), path.display().to_string()]);
        let words = words.iter().map(|word| (*word).to_owned());
        let program = [self.portreeve.clone()].into_iter();
        Contender::new(program.chain(options.into_iter().flatten()).chain(words))
    }

    /// `plan`, `apply` and trials with the built-in policy and ranges, beside nft with the same
    /// rules.
    fn against_nft(&self, elsewhere: &Namespace) -> Result<Vec<Figure>> {
        let text = self.rules()?.display().to_string();
        let nft = |words: &[&str]| {
            let words = words.iter().copied().chain([text.as_str()]);
            Contender::new([self.nft.as_str()].into_iter().chain(words)).within(elsewhere)
        };
        let (check, load) = (nft(&["--check", "-f"]), nft(&["-f"]));
        let plan = Paired::of(&self.portreeve(&["plan"]), &check)?;
        eprintln!("plan: {plan}");
        let apply = Paired::of(&self.portreeve(&["apply", "--no-trial"]), &load)?;
        eprintln!("apply --no-trial: {apply}");
        let mut figures = vec![
            Figure::new("plan, CPU ÷ nft --check -f", plan.ratio(), 2.0, "×"),
            Figure::new("plan, memory", plan.peak_mb(), 40.0, "MB"),
            Figure::new("apply --no-trial, CPU ÷ nft -f", apply.ratio(), 3.0, "×"),
        ];
        figures.extend(trials::trials(self, &load)?);
        Ok(figures)
    }

    /// The planned rules as nft loads them: one transaction that replaces the table and nothing
    /// else.
    fn rules(&self) -> Result<PathBuf> {
        let rules = Command::new(&self.portreeve)
            .args(["plan", "--format", "nft", "--config"])
            .arg(self.config())
            .output()?;
        if !rules.status.success() {
            return failed("plan --format nft failed");
        }
        let mut script = b"add table inet portreeve\ndelete table inet portreeve\n".to_vec();
        script.extend(rules.stdout);
        let text = self.path("rules.nft");
        fs::write(&text, script)?;
        Ok(text)
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
        let figure = |what: &str, measured, bar, unit| {
            Figure::new(
                format!("plan, {prefixes} prefixes, {what}"),
                measured,
                bar,
                unit,
            )
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
