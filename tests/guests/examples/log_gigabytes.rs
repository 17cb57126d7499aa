//! Logs megabytes in every line.

use hostile_guests::{Draft, Level, Refusal, honest_description, log, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let line = "x".repeat(8 << 20);
    loop {
        log(Level::Info, &line);
    }
}
