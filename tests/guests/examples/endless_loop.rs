//! Never ends.

use hostile_guests::{Draft, Refusal, honest_description, policy};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
