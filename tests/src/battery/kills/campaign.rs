//! Many runs, each killed at an instant of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use crate::battery::Programs;
use crate::battery::kills::deed::{Deed, Side, Standing};
use crate::battery::kills::tracer::{Instance, Traced, Victims};
use crate::battery::kills::yard::Yard;
use crate::random::Random;

/// Runs with one seed. Each run is told by its number, and can be repeated alone.
#[derive(Debug)]
pub struct Campaign {
    /// What decides about everything that is random.
    pub seed: u64,
    /// The numbers of the runs.
    pub runs: Range<u64>,
}

/// What undisturbed runs took: as counted under `ptrace`, and as timed at full speed.
struct Undisturbed {
    counted: Traced,
    time: Duration,
}

impl Campaign {
    /// Kills portreeve, in the world that this program is in.
    ///
    /// # Errors
    /// When it does not work even undisturbed.
    pub fn run(&self, programs: &Programs) -> io::Result<Tally> {
        let yard = Yard::new(programs)?;
        let mut undisturbed = BTreeMap::new();
        for deed in Deed::ALL {
            undisturbed.insert(deed, measure(&yard, deed)?);
        }
        let mut tally = Tally::default();
        for number in self.runs.clone() {
            // Multiplied by an odd number, so that neighbouring seeds share no run.
            let mut random = Random::new(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
            let deed = random.pick(&Deed::ALL);
            let instance = instance(&mut random, &undisturbed[&deed]);
            let victims = random.pick(&[Victims::Command, Victims::Command, Victims::All]);
            let ended = one(&yard, deed, instance, victims);
            tally.note(deed, &ended, || {
                let seed = self.seed;
                format!("seed {seed} run {number}: {deed:?}, {instance:?}, {victims:?}")
            });
        }
        Ok(tally)
    }
}

/// What an undisturbed run takes.
fn measure(yard: &Yard, deed: Deed) -> io::Result<Undisturbed> {
    let token = yard.reset(deed.before())?;
    let counted = yard.kill(&deed.words(&token), Instance::Never, Victims::Command)?;
    let token = yard.reset(deed.before())?;
    let time = yard.time(&deed.without_wait().words(&token))?;
    Ok(Undisturbed { counted, time })
}

/// An instant somewhere in such a run.
fn instance(random: &mut Random, undisturbed: &Undisturbed) -> Instance {
    let Traced {
        own_calls,
        child_calls,
        ..
    } = undisturbed.counted;
    let microseconds = usize::try_from(undisturbed.time.as_micros()).unwrap_or(usize::MAX);
    match random.up_to(4) {
        0 => Instance::Time(Duration::from_micros(random.up_to(microseconds + 1) as u64)),
        1 if child_calls > 0 => Instance::ChildCall(1 + random.up_to(child_calls)),
        _ => Instance::OwnCall(1 + random.up_to(own_calls)),
    }
}

/// What came of one run.
struct Ended {
    killed: bool,
    standing: Standing,
}

fn one(yard: &Yard, deed: Deed, instance: Instance, victims: Victims) -> io::Result<Ended> {
    let token = yard.reset(deed.before())?;
    let killed = yard.kill(&deed.words(&token), instance, victims)?.killed;
    let standing = yard.kernel()?;
    if !deed.allows(standing) {
        return Err(io::Error::other(format!("it left {standing:?}")));
    }
    let booted = yard.boots()?;
    // What is confirmed in the kernel may not be on the disk yet; nothing else is on the disk.
    if booted != standing.confirmed && booted != deed.before().confirmed {
        let text = format!("the kernel holds {standing:?}, a boot loads {booted:?}");
        return Err(io::Error::other(text));
    }
    yard.goes_on()?;
    Ok(Ended { killed, standing })
}

/// What came of all runs.
#[derive(Debug, Default)]
pub struct Tally {
    deeds: BTreeMap<String, Counts>,
    /// What was not as it must be, and how to see it again.
    pub faults: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    runs: usize,
    killed: usize,
    first: usize,
    trial: usize,
    second: usize,
    faults: usize,
}

impl Tally {
    fn note(&mut self, deed: Deed, ended: &io::Result<Ended>, run: impl Fn() -> String) {
        let counts = self.deeds.entry(format!("{deed:?}")).or_default();
        counts.runs += 1;
        match ended {
            Ok(Ended { killed, standing }) => {
                counts.killed += usize::from(*killed);
                match (standing.confirmed, standing.trial) {
                    (_, Some(_)) => counts.trial += 1,
                    (Side::First, None) => counts.first += 1,
                    (Side::Second, None) => counts.second += 1,
                }
            }
            Err(error) => {
                counts.faults += 1;
                self.faults.push(format!("{}: {error}", run()));
            }
        }
    }

    /// How many runs there were.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.deeds.values().map(|counts| counts.runs).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "command", "runs", "killed", "first", "trial", "second", "faults"
        )?;
        for (deed, counts) in &self.deeds {
            let Counts {
                runs,
                killed,
                first,
                trial,
                second,
                faults,
            } = counts;
            writeln!(
                f,
                "{deed:<14} {runs:>6} {killed:>8} {first:>8} {trial:>8} {second:>8} {faults:>8}"
            )?;
        }
        for fault in &self.faults {
            writeln!(f, "    {fault}")?;
        }
        Ok(())
    }
}
