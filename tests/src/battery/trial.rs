//! One case: a rule set that drops SSH is on trial while the machine is in trouble.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::battery::confirmed::{Confirmed, Generation, generations};
use crate::battery::knock::{Change, Door, Knocker};
use crate::battery::login::{PORT, Session};
use crate::battery::machine::{MACHINE, Machine, Programs};
use crate::battery::trouble::Trouble;

/// How long the trial runs.
pub const TRIAL: Duration = Duration::from_secs(3);

/// SSH must be open again so soon after the deadline.
const LATE: i64 = 1000;

/// And not before it, but for two ticks of the kernel's clock, which are 10 ms at most.
const EARLY: i64 = 20;

/// A trial that has not ended so long after its deadline will not end.
const NEVER: Duration = Duration::from_secs(5);

/// Everything that does not depend on the trial happens sooner.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a case.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Verdict {
    /// What happened to the machine.
    pub trouble: String,
    /// Milliseconds from the deadline to the first new connection, at most.
    pub opened_after: Option<i64>,
    /// What a boot would load.
    pub boot: String,
    /// What `portreeve status` says.
    pub status: String,
    /// What is not as it must be.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Of a case that came to none; with the reason on standard error.
    #[must_use]
    pub fn none(trouble: Trouble, stderr: &[u8]) -> Self {
        let none = || "-".to_owned();
        Self {
            trouble: trouble.name().to_owned(),
            opened_after: None,
            boot: none(),
            status: none(),
            faults: vec![String::from_utf8_lossy(stderr).trim().to_owned()],
        }
    }

    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Puts a machine into that trouble, in the world that this program is in.
///
/// # Errors
/// When the machine does not work, or the trial does not begin.
pub fn run(programs: &Programs, trouble: Trouble) -> io::Result<Verdict> {
    let Confirmed { machine, ruleset } = Confirmed::boot(programs)?;
    let mut faults = Vec::new();
    let doors = Doors::watch()?;
    let mut before = machine.login()?;
    let mut session = machine.login()?;

    let seconds = format!("{}s", TRIAL.as_secs());
    // It locks this very session out, and would be refused.
    let shut_out = ["--set", "ssh-port=2", "--allow-lockout"];
    let apply = [["apply", "--confirm-within", &seconds], shut_out].concat();
    session.start(&machine.portreeve(&apply), trouble.terminal())?;
    let shut = doors.wait(Door::Shut, PATIENCE)?;
    let session = trouble.strike(&machine, session)?;
    let opened_after = match doors.wait(Door::Open, TRIAL + NEVER) {
        // The trial began after the last knock that was answered: this is the most that SSH can
        // have been late, and never more than it was early.
        Ok(opened) => Some(milliseconds(shut.after + TRIAL, opened.by)),
        Err(error) => {
            faults.push(format!("SSH never opened: {error}"));
            None
        }
    };
    if let Some(after) = opened_after
        && !(-EARLY..=LATE).contains(&after)
    {
        faults.push(format!("SSH opened {after} ms after the deadline"));
    }
    trouble.resume(&machine)?;
    faults.extend(conversation(&mut before, session, trouble));

    // Nobody has repaired anything yet: what is said now is said by a machine in trouble.
    let status = told(&machine, &mut faults);
    trouble.repair(&machine)?;
    let (run, listing) = machine.boots();
    let boot = match listing.as_deref().map(generations).transpose()? {
        Some((Some((1, booted)), None)) if booted == ruleset => "generation 1".to_owned(),
        other => {
            let loaded = other.as_ref().map_or("nothing".to_owned(), named);
            faults.push(format!("a boot loads {loaded}: {}", run.stderr.trim()));
            "another".to_owned()
        }
    };
    faults.extend(kernel(&machine, &ruleset)?);
    Ok(Verdict {
        trouble: trouble.name().to_owned(),
        opened_after,
        boot,
        status,
        faults,
    })
}

/// SSH over both families, from outside.
struct Doors([Knocker; 2]);

impl Doors {
    /// Begins to knock, and finds both open.
    fn watch() -> io::Result<Self> {
        let doors = Self(MACHINE.map(|address| Knocker::at(SocketAddr::new(address, PORT))));
        doors.wait(Door::Open, PATIENCE)?;
        Ok(doors)
    }

    /// From the first of the two to change to the last.
    fn wait(&self, door: Door, limit: Duration) -> io::Result<Change> {
        let [v4, v6] = &self.0;
        let (v4, v6) = (v4.wait(door, limit)?, v6.wait(door, limit)?);
        Ok(Change {
            after: v4.after.min(v6.after),
            by: v4.by.max(v6.by),
            door,
        })
    }
}

/// From one instant to another, which may be earlier.
fn milliseconds(from: Instant, to: Instant) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match to.checked_duration_since(from) {
        Some(later) => whole(later),
        None => -whole(from - to),
    }
}

/// A conversation that was there before goes on, and `apply` tells whoever still listens how the
/// trial ended.
fn conversation(before: &mut Session, apply: Option<Session>, trouble: Trouble) -> Vec<String> {
    let mut faults = Vec::new();
    if let Err(error) = before.echo("still here") {
        faults.push(format!("the conversation from before broke: {error}"));
    }
    let killed = matches!(trouble, Trouble::Terminate | Trouble::Kill);
    if let Some(mut session) = apply
        && !killed
    {
        match session.finish() {
            Ok(run) if run.code == Some(7) => {}
            Ok(run) => faults.push(format!("apply ended with {:?}: {}", run.code, run.stderr)),
            Err(error) => faults.push(format!("apply: {error}")),
        }
    }
    faults
}

/// Generation 1 is what packets meet, and nothing else.
fn kernel(
    machine: &Machine,
    confirmed: &portreeve_model::ruleset::Ruleset,
) -> io::Result<Option<String>> {
    let listing = machine.listing().unwrap_or_default();
    let (found, _lapsed) = generations(&listing)?;
    let same = matches!(&found, Some((1, ruleset)) if ruleset == confirmed);
    let found = (found, None);
    Ok((!same).then(|| format!("the kernel holds {} as confirmed", named(&found))))
}

/// What is confirmed and what is on trial, by number: the rules themselves are pages.
fn named((confirmed, trial): &(Option<Generation>, Option<Generation>)) -> String {
    let name = |generation: &Option<Generation>| match generation {
        Some((1, _)) => "generation 1, perhaps not as it was confirmed".to_owned(),
        Some((number, _)) => format!("generation {number}"),
        None => "nothing".to_owned(),
    };
    match trial {
        None => name(confirmed),
        trial => format!("{}, and {} on trial", name(confirmed), name(trial)),
    }
}

/// What `status` says, in short; and what of it is not true.
fn told(machine: &Machine, faults: &mut Vec<String>) -> String {
    let status = match machine.status() {
        Ok(status) => status,
        Err(error) => {
            faults.push(format!("status: {error}"));
            return "none".to_owned();
        }
    };
    let machine = &status["machine"];
    for fact in ["in_force", "confirmed"] {
        if machine[fact] != 1 {
            faults.push(format!("status says {fact}: {}", machine[fact]));
        }
    }
    // What the lapse has left in the kernel says it, or the record of it.
    let ended = &status["status"]["ended"];
    let recorded = ended["record"]["number"] == 2 && ended["ending"] == "lapsed";
    let in_force = &machine["in_force"];
    match machine["state"].as_str() {
        Some("lapsed") => {}
        Some("confirmed") if recorded => {}
        _ => {
            faults.push(format!("status says nothing of the lapse: {status}"));
            return format!("generation {in_force} in force");
        }
    }
    format!("generation {in_force} in force, 2 lapsed")
}
