//! A machine as an operator leaves it: a first rule set applied, confirmed over a new connection.

use std::io;

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::lift_installed;

use crate::battery::login::Terminal;
use crate::battery::machine::{Machine, Programs};
use crate::program::Run;

/// A machine with generation 1 confirmed.
#[derive(Debug)]
pub struct Confirmed {
    /// The machine.
    pub machine: Machine,
    /// Generation 1, as the kernel lists it.
    pub ruleset: Ruleset,
}

impl Confirmed {
    /// Boots a machine, applies the policy of an empty configuration and confirms it.
    ///
    /// # Errors
    /// When that does not work.
    pub fn boot(programs: &Programs) -> io::Result<Self> {
        let machine = Machine::boot(programs)?;
        let mut session = machine.login()?;
        let apply = machine.portreeve(&["apply", "--confirm-within", "60s"]);
        session.start(&apply, Terminal::No)?;
        let token = session.until(token)?;
        let confirm = machine
            .login()?
            .run(&machine.portreeve(&["confirm", &token]))?;
        expect(&confirm, 0, "confirm")?;
        expect(&session.finish()?, 0, "apply, once confirmed")?;
        let listing = machine.listing().unwrap_or_default();
        match generations(&listing)? {
            (Some((1, ruleset)), None) => Ok(Self { machine, ruleset }),
            other => Err(io::Error::other(format!("confirmed, but there: {other:?}"))),
        }
    }
}

fn expect(run: &Run, code: i32, what: &str) -> io::Result<()> {
    if run.code == Some(code) {
        return Ok(());
    }
    let Run {
        code,
        stdout,
        stderr,
    } = run;
    let text = format!("{what}: ended with {code:?}: {stdout}{stderr}");
    Err(io::Error::other(text))
}

/// A generation and what it says.
pub(super) type Generation = (u64, Ruleset);

/// The generation that is confirmed in a listing of the kernel's table, and the one on trial.
pub(super) fn generations(listing: &str) -> io::Result<(Option<Generation>, Option<Generation>)> {
    let installed = lift_installed(listing).map_err(io::Error::other)?;
    Ok((installed.confirmed, installed.trial))
}

/// The token in what `apply` has told the operator so far.
#[must_use]
pub fn token(said: &Run) -> Option<String> {
    let text = said.stdout.clone() + &said.stderr;
    // A line that is not whole yet may hold half a token.
    let whole = &text[..=text.rfind('\n')?];
    let (_, rest) = whole.split_once("portreeve confirm ")?;
    let token = rest.split_whitespace().next()?;
    Some(token.trim_matches('`').to_owned())
}
