//! Drafts more rules than the host takes over.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    Ok(draft_of(vec![rule("all"); 200_000]))
}
