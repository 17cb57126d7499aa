//! Reads the kernel back: what is in force, and whether it is what was applied; and what else the
//! machine has that rules must not forget.

mod others;
mod sshd;
pub mod surroundings;

use portreeve_model::packet::Packet;
use portreeve_model::ruleset::Ruleset;
use portreeve_nft::layout::Number;
use portreeve_nft::{
    LiftError, Shape, lift_installed, lift_installed_terse, read, single_generation,
};
use thiserror::Error;

use crate::apply::nft::{Listing, Nft, NftError};
use crate::proofs::contradiction;

/// Elements of one set above which sets are not listed: the kernel's dump of an interval set
/// takes time that grows with its square (100,000 prefixes: 1.8 s, 1,000,000: 85 s).
const LISTED_ELEMENTS_MAX: usize = 10_000;

/// Why the kernel could not be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// nft could not be asked.
    #[error("the kernel's rule set could not be listed")]
    List(#[source] NftError),
    /// The table holds something that portreeve does not write.
    #[error("the table inet portreeve holds something that portreeve did not write")]
    Foreign(#[source] LiftError),
}

/// What the kernel should hold. What is not named may be anything.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The generation that packets meet when no trial runs.
    pub confirmed: Option<(Number, &'a Ruleset)>,
    /// The generation on trial. By now the trial may be over.
    pub trial: Option<(Number, &'a Ruleset)>,
}

impl Expected<'_> {
    /// A packet to which the kernel's rules, read as those of others are, certainly do something else
    /// than what was expected; `on_trial` is the generation whose trial runs.
    fn contradicted(&self, listed: &str, on_trial: Option<Number>) -> Option<Packet> {
        let trial = self.trial.filter(|(number, _)| Some(*number) == on_trial);
        let tables = read(listed).ok()?;
        [self.confirmed, trial]
            .into_iter()
            .flatten()
            .find_map(|(number, ruleset)| {
                contradiction(&single_generation(tables.clone(), number), ruleset)
            })
    }
}

/// What the kernel holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observed {
    /// No table of ours.
    Nothing,
    /// Just what was expected.
    Expected {
        /// Whether the elements of sets were compared as well.
        elements: bool,
    },
    /// Something else.
    Other,
}

/// Compares what the kernel holds with `expected`: word by word, and by what is proved of it. Large
/// sets are compared word by word and without elements.
///
/// # Errors
/// When the kernel cannot be read, or our table holds what we cannot have written.
pub fn compare(nft: &Nft, expected: &Expected<'_>) -> Result<Observed, ObserveError> {
    let sides = [expected.confirmed, expected.trial];
    let rulesets = sides.iter().flatten().map(|(_, ruleset)| ruleset);
    let elements = rulesets
        .flat_map(|ruleset| ruleset.sets())
        .all(|set| set.elements().len() <= LISTED_ELEMENTS_MAX);
    let listing = if elements {
        Listing::Whole
    } else {
        Listing::Terse
    };
    let Some(listed) = nft.list(listing).map_err(ObserveError::List)? else {
        return Ok(Observed::Nothing);
    };
    let same = if elements {
        lift_installed(&listed).map(|live| {
            let is = |found: &Ruleset, expected: &Ruleset| found == expected;
            is_confirmed(live.confirmed.as_ref(), expected.confirmed, is)
                && is_trial(live.trial.as_ref(), expected.trial, is)
                && expected
                    .contradicted(&listed, live.trial.map(|(number, _)| number))
                    .is_none()
        })
    } else {
        lift_installed_terse(&listed).map(|live| {
            let is = |found: &Shape, expected: &Ruleset| found.is_that_of(expected);
            is_confirmed(live.confirmed.as_ref(), expected.confirmed, is)
                && is_trial(live.trial.as_ref(), expected.trial, is)
        })
    };
    Ok(if same.map_err(ObserveError::Foreign)? {
        Observed::Expected { elements }
    } else {
        Observed::Other
    })
}

/// Whether the confirmed generation is what was expected, if anything was.
fn is_confirmed<F>(
    found: Option<&(Number, F)>,
    expected: Option<(Number, &Ruleset)>,
    is: impl Fn(&F, &Ruleset) -> bool,
) -> bool {
    match (found, expected) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((found, contents)), Some((number, ruleset))) => {
            *found == number && is(contents, ruleset)
        }
    }
}

/// Whether the generation on trial is what was expected. Its trial may be over by now, and
/// another's may have begun.
fn is_trial<F>(
    found: Option<&(Number, F)>,
    expected: Option<(Number, &Ruleset)>,
    is: impl Fn(&F, &Ruleset) -> bool,
) -> bool {
    match (found, expected) {
        (Some((found, contents)), Some((number, ruleset))) if *found == number => {
            is(contents, ruleset)
        }
        (None | Some(_), None | Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use portreeve_model::draft::{Base, Chain, ChainType, Draft};
    use portreeve_model::packet::Hook;
    use portreeve_model::ruleset::ChainPolicy;
    use portreeve_model::validate::{Feeds, validate};

    use super::*;

    fn ruleset(policy: ChainPolicy) -> Ruleset {
        let chain = Chain {
            name: "in".to_owned(),
            base: Some(Base {
                chain_type: ChainType::Filter,
                hook: Hook::Input,
                priority: 0,
                policy,
            }),
            rules: Vec::new(),
        };
        let draft = Draft {
            sets: Vec::new(),
            field_sets: Vec::new(),
            chains: vec![chain],
        };
        validate(&draft, &Feeds::default()).unwrap()
    }

    /// Losing this, whoever watches a trial would take back the one that replaced it.
    #[test]
    fn a_trial_that_was_replaced_is_no_difference() {
        let (ours, other) = (ruleset(ChainPolicy::Drop), ruleset(ChainPolicy::Accept));
        let check = |found: Option<(Number, &Ruleset)>, expected: bool| {
            let found = found.map(|(number, ruleset)| (number, ruleset.clone()));
            let is = |found: &Ruleset, expected: &Ruleset| found == expected;
            assert_eq!(is_trial(found.as_ref(), Some((42, &ours)), is), expected);
        };
        check(Some((42, &ours)), true);
        check(Some((42, &other)), false);
        check(Some((43, &other)), true);
        check(None, true);
    }
}
