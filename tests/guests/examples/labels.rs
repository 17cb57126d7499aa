//! Labels rules with what nft or a terminal would take for commands.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let labels = [
        "a\" accept comment \"b",
        "a\nflush ruleset",
        "a; drop",
        "a } }",
        "a\u{0}b",
        "a\u{1b}]0;title\u{7}",
        "a\u{202e}b",
        "",
    ];
    Ok(draft_of(labels.map(rule).into()))
}
