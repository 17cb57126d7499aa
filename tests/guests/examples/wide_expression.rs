//! Writes a set expression of a hundred thousand nodes, each of all before.

use hostile_guests::{
    Draft, Family, Refusal, Set, SetNode, honest_description, honest_draft, policy,
};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut draft = honest_draft()?;
    let first = SetNode::Elements(Vec::new());
    let doubled = (0..100_000).map(|below| SetNode::Union(vec![below, below]));
    draft.sets.push(Set {
        name: "wide".to_owned(),
        family: Family::Ip,
        expression: [first].into_iter().chain(doubled).collect(),
    });
    Ok(draft)
}
