//! Declines, with a message that moves the cursor.

use hostile_guests::{Draft, Refusal, honest_description, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    Err(Refusal::Inputs("\u{1b}[2Jset ports".to_owned()))
}
