//! Panics when it decides.

use hostile_guests::{Draft, Refusal, honest_description, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let ports: Vec<u16> = Vec::new();
    let at = std::hint::black_box(3);
    Err(Refusal::Inputs(ports[at].to_string()))
}
