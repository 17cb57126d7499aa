//! Ends without a word.

use hostile_guests::{Draft, Refusal, honest_description, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    std::process::abort()
}
