//! The model against the kernel of this machine: `portreeve-duel`, release build.

use std::io;

use crate::setup::{self, Needs};
use crate::step::{self, Ended, cargo};

/// Minutes, when nobody says otherwise.
const MINUTES: &str = "5";

/// Runs the duel with these options; none when they make no sense.
pub(crate) fn run(options: &[&str]) -> Option<io::Result<Ended>> {
    let (mut minutes, mut seed) = (MINUTES, "1");
    for option in options.chunks(2) {
        match option {
            ["--minutes", number] if is_number(number) => minutes = number,
            ["--seed", number] if is_number(number) => seed = number,
            _ => return None,
        }
    }
    Some(duel(minutes, seed))
}

fn is_number(word: &str) -> bool {
    word.parse::<u32>().is_ok()
}

fn duel(minutes: &str, seed: &str) -> io::Result<Ended> {
    setup::ensure(Needs::Everything)?;
    let build = [
        "build",
        "--locked",
        "--release",
        "--package",
        "portreeve-duel",
    ];
    if cargo(&build).run()? == Ended::Badly {
        return Ok(Ended::Badly);
    }
    let duel = step::program(&step::built("release", "duel")?);
    duel.args(&["run", "--minutes", minutes, "--seed", seed])
        .run()
}
