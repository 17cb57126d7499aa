//! Declines what it does not know.

use hostile_guests::{Draft, Refusal, honest_description, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    Err(Refusal::Unsupported("no interface named wg0".to_owned()))
}
