//! Names chains and sets with what nft would take for commands.

use hostile_guests::{
    Draft, Family, Refusal, Set, SetNode, honest_description, honest_draft, policy,
};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut draft = honest_draft()?;
    draft.chains[0].name = "x { type filter hook input priority 0; }".to_owned();
    draft.sets.push(Set {
        name: "s; flush ruleset".to_owned(),
        family: Family::Ip,
        expression: vec![SetNode::Feed("/etc/passwd".to_owned())],
    });
    Ok(draft)
}
