//! Logs without end.

use hostile_guests::{Draft, Level, Refusal, honest_description, log, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    loop {
        log(Level::Info, "\u{1b}[31mstill here");
    }
}
