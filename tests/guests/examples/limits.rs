//! Lets everything in, ten times a minute: what nobody can promise anything about.

use hostile_guests::bindings::portreeve::policy::draft::{Limit, TimeUnit};
use hostile_guests::{Draft, Refusal, Rule, Statement, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let limit = Limit {
        rate: 10,
        per: TimeUnit::Minute,
        burst: 5,
        over: false,
    };
    Ok(draft_of(vec![Rule {
        statements: vec![Statement::Limit(limit), Statement::Accept],
        ..rule("ten times a minute")
    }]))
}
