//! The battery: a trial on a machine in trouble, and commands that are killed anywhere.
//!
//! ```text
//! battery PORTREEVE                      every case, and what came of it
//! battery trial PORTREEVE [CASE]         a rule set that drops SSH, on a machine in trouble
//! battery kills PORTREEVE [SEED [RUN]]   2,000 runs that are killed at random, or one of them
//! ```
//!
//! It starts itself again as everything that it needs: the world, the machine, the login server.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portreeve_tests::battery::kills::{self, Campaign};
use portreeve_tests::battery::{self, Programs, Trouble, Verdict, login, world};

/// Runs of the campaign; half of them for each of two processes.
const KILLS: u64 = 2_000;

/// Processes that kill at the same time: each waits for disks and kernels half of its time.
const PROCESSES: u64 = 2;

/// What a world may take.
const LIMIT: Duration = Duration::from_secs(1800);

const USAGE: &str = "usage: battery [trial|kills] PORTREEVE [CASE | SEED [RUN]]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ended(run(&arguments)).unwrap_or_else(|error| {
        eprintln!("battery: {error}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &[String]) -> io::Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["machine"] => battery::init().map(|()| true),
        ["login-server"] => login::serve().map(|()| true),
        ["session"] => login::session().map(|()| true),
        ["login", address, _, ..] => {
            let code = login::login(parse(address)?, &arguments[2..])?;
            std::process::exit(code.unwrap_or(1));
        }
        ["call", address] => login::call(parse(address)?).map(|()| true),
        ["traced", _, ..] => kills::traced(&arguments[1..]).map(|()| true),
        ["inside", "trial", portreeve, case] => trial_inside(portreeve, case),
        ["inside", "kills", portreeve, seed, from, to] => {
            kills_inside(portreeve, number(seed)?, number(from)?..number(to)?)
        }
        ["trial", portreeve] => trials(portreeve, &Trouble::ALL),
        ["trial", portreeve, case] => {
            let case = Trouble::named(case).ok_or_else(|| other("there is no such case"))?;
            trials(portreeve, &[case])
        }
        ["kills", portreeve] => kill(portreeve, seed()?),
        ["kills", portreeve, seed] => kill(portreeve, number(seed)?),
        ["kills", portreeve, seed, run] => {
            let run = number(run)?;
            all_well(vec![kills_process(portreeve, number(seed)?, run, run + 1)?])
        }
        [portreeve] if Path::new(portreeve).is_file() => everything(portreeve),
        _ => Err(other(USAGE)),
    }
}

/// Everything there is, whatever the others say.
fn everything(portreeve: &str) -> io::Result<bool> {
    println!("a rule set that drops SSH is on trial, and the machine is in trouble");
    let trials = trials(portreeve, &Trouble::ALL)?;
    println!("\ncommands are killed at random instants");
    let kills = kill(portreeve, seed()?)?;
    Ok(trials && kills)
}

/// Each case in a world of its own, all at once: most of a trial is waiting.
fn trials(portreeve: &str, cases: &[Trouble]) -> io::Result<bool> {
    let start = |case: &Trouble| start(&["inside", "trial", portreeve, case.name()]);
    let children: Vec<Child> = cases.iter().map(start).collect::<io::Result<_>>()?;
    let mut verdicts = Vec::new();
    for (child, case) in children.into_iter().zip(cases) {
        let output = child.wait_with_output()?;
        let verdict = serde_json::from_slice(&output.stdout);
        verdicts.push(verdict.unwrap_or_else(|_| Verdict::none(*case, &output.stderr)));
    }
    print!("{}", battery::table(&verdicts));
    Ok(verdicts.iter().all(Verdict::is_good))
}

fn trial_inside(portreeve: &str, case: &str) -> io::Result<bool> {
    world::end_after(LIMIT);
    let case = Trouble::named(case).ok_or_else(|| other("there is no such case"))?;
    let verdict = battery::run(&programs(portreeve)?, case)?;
    serde_json::to_writer(io::stdout(), &verdict)?;
    Ok(true)
}

/// The whole campaign with this seed.
fn kill(portreeve: &str, seed: u64) -> io::Result<bool> {
    println!("seed {seed}");
    let share = KILLS.div_ceil(PROCESSES);
    let process = |number| kills_process(portreeve, seed, number * share, (number + 1) * share);
    let children = (0..PROCESSES).map(process).collect::<io::Result<_>>()?;
    all_well(children)
}

fn kills_process(portreeve: &str, seed: u64, from: u64, to: u64) -> io::Result<Child> {
    let [seed, from, to] = [seed, from, to].map(|number| number.to_string());
    start(&["inside", "kills", portreeve, &seed, &from, &to])
}

fn kills_inside(portreeve: &str, seed: u64, runs: std::ops::Range<u64>) -> io::Result<bool> {
    world::end_after(LIMIT);
    let tally = Campaign { seed, runs }.run(&programs(portreeve)?)?;
    print!("{tally}");
    Ok(tally.faults.is_empty())
}

fn programs(portreeve: &str) -> io::Result<Programs> {
    Ok(Programs {
        portreeve: Path::new(portreeve).canonicalize()?,
        battery: std::env::current_exe()?,
    })
}

/// Prints what each of them said, one after the other.
fn all_well(children: Vec<Child>) -> io::Result<bool> {
    let mut well = true;
    for child in children {
        let output = child.wait_with_output()?;
        io::stdout().write_all(&output.stdout)?;
        io::stderr().write_all(&output.stderr)?;
        well &= output.status.success();
    }
    Ok(well)
}

/// Starts this program again in a world of its own.
fn start(arguments: &[&str]) -> io::Result<Child> {
    let mut command = world::prepare(arguments)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// A seed that was not used before.
fn seed() -> io::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now.as_secs()).map_err(io::Error::other)
}

fn number(word: &str) -> io::Result<u64> {
    word.parse()
        .map_err(|_| other(&format!("`{word}` is no number")))
}

fn parse(address: &str) -> io::Result<SocketAddr> {
    address
        .parse()
        .map_err(|_| other(&format!("`{address}` is no address with a port")))
}

fn other(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

fn ended(run: io::Result<bool>) -> io::Result<ExitCode> {
    run.map(|well| {
        if well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    })
}
