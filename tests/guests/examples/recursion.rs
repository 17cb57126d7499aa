//! Calls itself, with a frame in memory, until the stack ends.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    Ok(draft_of(vec![rule(&nested(0).to_string())]))
}

#[expect(unconditional_recursion, reason = "on purpose")]
#[inline(never)]
fn nested(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    nested(depth + 1) ^ std::hint::black_box(frame)[7]
}
