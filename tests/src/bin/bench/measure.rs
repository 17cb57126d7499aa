//! What one run of a program takes: CPU of its whole process tree, time and memory.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use portreeve_tests::namespace::Namespace;
use serde::{Deserialize, Serialize};

/// Pairs of runs behind each ratio.
pub(crate) const ROUNDS: usize = 31;

/// What one run of a program took, and what it said.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Cost {
    pub(crate) cpu_ms: f64,
    pub(crate) wall_ms: f64,
    pub(crate) peak_mb: f64,
    pub(crate) stdout: String,
}

/// Runs a program as the only child of this process, which must end with `code`, and prints what
/// it took. What it leaves in the background is not waited for, and not measured.
pub(crate) fn measure_here(code: &str, program: &str, arguments: &[&str]) -> io::Result<()> {
    let started = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let output = child.wait_with_output()?;
    let wall_ms = started.elapsed().as_secs_f64() * 1e3;
    if output.status.code() != code.parse().ok() {
        let said = String::from_utf8_lossy(&output.stderr);
        let text = format!("{program} {arguments:?}: {}: {said}", output.status);
        return Err(io::Error::other(text));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cost = Cost {
        cpu_ms: milliseconds(usage.user_time()) + milliseconds(usage.system_time()),
        wall_ms,
        peak_mb: usage.max_rss() as f64 / 1024.0,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

fn milliseconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3
}

/// A command line to measure, where this process is or in a namespace of its own.
pub(crate) struct Contender<'a> {
    pub(crate) words: Vec<String>,
    /// What it exits with when all went as it should.
    pub(crate) code: u8,
    pub(crate) namespace: Option<&'a Namespace>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        Self {
            words: words.collect(),
            code: 0,
            namespace: None,
        }
    }

    pub(crate) fn within(self, namespace: &'a Namespace) -> Self {
        Self {
            namespace: Some(namespace),
            ..self
        }
    }

    pub(crate) fn ends_with(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// One run, in a child that measures nothing else.
    pub(crate) fn run(&self) -> io::Result<Cost> {
        let me = std::env::current_exe()?;
        let new = |program: &Path| match self.namespace {
            Some(namespace) => namespace.command(program),
            None => Command::new(program),
        };
        let output = new(&me)
            .arg("measure")
            .arg(self.code.to_string())
            .args(&self.words)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("{:?} failed", self.words)));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Runs of a contender, each beside one of a reference.
#[derive(Debug, Default)]
pub(crate) struct Paired {
    ours: Vec<Cost>,
    ratios: Vec<f64>,
}

impl Paired {
    /// Runs the two in turns, after one round that only warms the page cache.
    pub(crate) fn of(contender: &Contender<'_>, reference: &Contender<'_>) -> io::Result<Self> {
        let mut paired = Self::default();
        for round in 0..=ROUNDS {
            let (mine, theirs) = (contender.run()?, reference.run()?);
            if round > 0 {
                paired.push(mine, &theirs);
            }
        }
        Ok(paired)
    }

    /// Adds a run, and that of the reference which was its neighbour.
    pub(crate) fn push(&mut self, mine: Cost, theirs: &Cost) {
        self.ratios.push(mine.cpu_ms / theirs.cpu_ms);
        self.ours.push(mine);
    }

    /// CPU of the contender in that of the reference.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ratios.iter().copied())
    }

    pub(crate) fn peak_mb(&self) -> f64 {
        median(self.ours.iter().map(|run| run.peak_mb))
    }
}

impl fmt::Display for Paired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = median(self.ours.iter().map(|run| run.cpu_ms));
        let wall = median(self.ours.iter().map(|run| run.wall_ms));
        write!(f, "{cpu:.2} ms CPU, {wall:.2} ms wall")
    }
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
