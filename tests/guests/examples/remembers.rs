//! Counts its calls, which it must not be able to do.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

fn decide() -> Result<Draft, Refusal> {
    let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Ok(draft_of(vec![rule(&format!("call {calls}"))]))
}
