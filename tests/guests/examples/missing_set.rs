//! Compares with a set that it did not draft.

use hostile_guests::bindings::portreeve::policy::types::{AddressOperand, AddressTest, Test};
use hostile_guests::{Draft, Family, Match, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut dangling = rule("all");
    dangling.matches.push(Match {
        negated: false,
        test: Test::Saddr(AddressTest {
            family: Family::Ip,
            operand: AddressOperand::Set("nowhere".to_owned()),
        }),
    });
    Ok(draft_of(vec![dangling]))
}
