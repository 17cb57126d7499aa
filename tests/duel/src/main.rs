//! The model against the kernel: random rule sets and packets until somebody is wrong.
//!
//! ```text
//! duel run [--seed S] (--minutes N | --rounds N)
//! duel replay FILE...
//! ```
//!
//! It exits with 1 when kernel and model differ, and with 3 when there can be no machine here.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use portreeve_duel::campaign::{self, Campaign};
use portreeve_duel::case::Case;
use portreeve_duel::round::Ring;
use portreeve_duel::worker::{self, Orders};

const USAGE: &str = "usage: duel run [--seed S] (--minutes N | --rounds N)
       duel replay FILE...
";

/// There can be no machine here.
const UNAVAILABLE: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["run", options @ ..] => {
            campaign(options).map(|it| probe().and_then(|()| campaign::run(&it)))
        }
        ["replay", files @ ..] => Some(replay(files)),
        ["worker", orders @ ..] => self::orders(orders).map(|it| worker::work(it).map(|()| true)),
        ["probe"] => Some(Ring::enter().map(|_| true)),
        _ => None,
    };
    match ended {
        None => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        Some(Err(error)) => {
            eprintln!("duel: {error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// Whether there can be a machine here; a process of its own tries, for it does not come back.
fn probe() -> io::Result<()> {
    let tried = std::process::Command::new(std::env::current_exe()?)
        .arg("probe")
        .output()?;
    if tried.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tried.stderr);
    Err(io::Error::other(
        said.trim().trim_start_matches("duel: ").to_owned(),
    ))
}

fn campaign(options: &[&str]) -> Option<Campaign> {
    let mut campaign = Campaign {
        seed: 1,
        time: Duration::MAX,
        rounds: None,
    };
    for option in options.chunks(2) {
        match option {
            ["--seed", seed] => campaign.seed = seed.parse().ok()?,
            ["--minutes", minutes] => {
                let minutes: u64 = minutes.parse().ok()?;
                campaign.time = Duration::from_secs(60 * minutes);
            }
            ["--rounds", rounds] => {
                campaign.rounds = Some(rounds.parse().ok()?);
                campaign.time = Duration::from_secs(3600);
            }
            _ => return None,
        }
    }
    (campaign.time < Duration::MAX).then_some(campaign)
}

fn orders(words: &[&str]) -> Option<Orders> {
    let numbers: Option<Vec<u64>> = words.iter().map(|word| word.parse().ok()).collect();
    match numbers?.as_slice() {
        [seed, first, step, time, rounds @ ..] => Some(Orders {
            seed: *seed,
            first: *first,
            step: *step,
            rounds: rounds.first().copied(),
            time: Duration::from_millis(*time),
        }),
        _ => None,
    }
}

/// Plays rounds from files again.
fn replay(files: &[&str]) -> io::Result<bool> {
    let mut ring = Ring::enter()?;
    let mut well = true;
    for file in files {
        let case = Case::read(Path::new(file))?;
        let judgement = ring.round(&case.rules, &case.salvo()?)?;
        let complaints = case.complaints(&judgement);
        well &= complaints.is_empty();
        println!(
            "{file}: {}",
            if complaints.is_empty() {
                "as it was"
            } else {
                &case.shows
            }
        );
        for complaint in complaints {
            println!("  {complaint}");
        }
    }
    Ok(well)
}
