//! Drafts more rules than its memory holds.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    Ok(draft_of(vec![rule("all"); 10_000_000]))
}
