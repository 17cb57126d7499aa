//! A campaign: workers, each with a machine of its own, until the time is up.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::tally::Tally;
use crate::worker::News;

/// What a campaign shall be.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// What it begins with: the same seed gives the same rounds.
    pub seed: u64,
    /// How long workers begin new rounds.
    pub time: Duration,
    /// Rounds of each worker, or none: as many as there is time for.
    pub rounds: Option<u64>,
}

/// Runs it and prints what comes of it; whether there was no difference.
///
/// # Errors
/// When a worker cannot begin, or ends before its time: the error says what it said last.
pub fn run(campaign: &Campaign) -> io::Result<bool> {
    let workers = thread::available_parallelism()?.get();
    let start = Instant::now();
    let (sender, receiver) = channel();
    let mut children = Vec::new();
    for worker in 0..workers {
        children.push(begin(campaign, worker, workers, sender.clone())?);
    }
    drop(sender);
    let live = io::stderr().is_terminal();
    let mut tally = Tally::default();
    for news in receiver {
        match news {
            News::Done(more) => tally.add(&more),
            News::Found(case) => println!("\n{case}"),
            News::Refused(why) => println!("\n{why}"),
        }
        if live {
            eprint!("\r{}  ", tally.line(start.elapsed()));
        }
    }
    if live {
        eprintln!();
    }
    let mut ended_well = true;
    for mut child in children {
        ended_well &= child.wait()?.success();
    }
    println!("{tally}{}", tally.line(start.elapsed()));
    if ended_well {
        Ok(tally.differences == 0 && tally.refused == 0 && tally.verdicts > 0)
    } else {
        Err(io::Error::other("a worker ended before its time"))
    }
}

/// Starts a worker, and a thread that passes on what it tells.
fn begin(
    campaign: &Campaign,
    worker: usize,
    workers: usize,
    sender: Sender<News>,
) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    // nft reads and lists an hour for this clock, and the kernel has it in UTC.
    command.env("TZ", "UTC");
    command.args(["worker", &campaign.seed.to_string()]);
    command.args([worker, workers].map(|it| it.to_string()));
    command.arg(campaign.time.as_millis().to_string());
    command.args(campaign.rounds.map(|it| it.to_string()));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let Ok(news) = serde_json::from_str(&line) else {
                eprintln!("{line}");
                continue;
            };
            if sender.send(news).is_err() {
                break;
            }
        }
    });
    Ok(child)
}
