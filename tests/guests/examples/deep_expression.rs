//! Nests a set expression a hundred deep.

use hostile_guests::{
    Draft, Family, Refusal, Set, SetNode, honest_description, honest_draft, policy,
};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut draft = honest_draft()?;
    let nested = (0..100).map(|below| SetNode::Union(vec![below]));
    let expression = [SetNode::Elements(Vec::new())].into_iter().chain(nested);
    draft.sets.push(Set {
        name: "deep".to_owned(),
        family: Family::Ip,
        expression: expression.collect(),
    });
    Ok(draft)
}
