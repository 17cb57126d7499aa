//! Lets two chains jump to each other.

use hostile_guests::{
    Chain, Draft, Refusal, Rule, Statement, draft_of, honest_description, policy, rule,
};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut draft = draft_of(vec![jump("ping")]);
    for (name, target) in [("ping", "pong"), ("pong", "ping")] {
        draft.chains.push(Chain {
            name: name.to_owned(),
            base: None,
            rules: vec![jump(target)],
        });
    }
    Ok(draft)
}

fn jump(target: &str) -> Rule {
    Rule {
        statements: vec![Statement::Jump(target.to_owned())],
        ..rule("jump")
    }
}
