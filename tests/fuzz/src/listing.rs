//! Our table, as nft lists it: the standalone one, and that in which generations stand.

use portreeve::observe::ObserveError;
use portreeve::report::Failure;
use portreeve_model::ruleset::Ruleset;
use portreeve_nft::{LiftError, lift, lift_installed, lift_installed_terse, lift_terse, lower};

use super::law;

/// Lifts a listing in all four ways: what is lifted can be written and lifted again, and no
/// listing goes on after its end.
pub fn target(data: &[u8]) {
    let Ok(json) = std::str::from_utf8(data) else {
        return;
    };
    let lifted = lift(json);
    if !matches!(lifted, Err(LiftError::NotAListing(_))) {
        let more = lift(&format!("{json} 0"));
        assert!(matches!(more, Err(LiftError::NotAListing(_))), "{more:?}");
    }
    match lifted {
        Ok(ruleset) => {
            written_and_lifted(&ruleset);
            let shape = lift_terse(json).expect("a full listing is a terse one, too");
            assert!(shape.is_that_of(&ruleset));
        }
        Err(error) => refused(error),
    }
    match (lift_installed(json), lift_installed_terse(json)) {
        (Ok(installed), Ok(shapes)) => {
            for (_, ruleset) in installed.confirmed.iter().chain(&installed.trial) {
                written_and_lifted(ruleset);
            }
            // Only a full listing tells that a trial has lapsed.
            let numbers = shapes.confirmed.as_ref().map(|(number, _)| number);
            assert_eq!(
                numbers,
                installed.confirmed.as_ref().map(|(number, _)| number)
            );
            assert!(shapes.trial.is_some() || installed.trial.is_none());
        }
        (full, terse) => {
            full.err().into_iter().for_each(refused);
            terse.err().into_iter().for_each(refused);
        }
    }
}

fn written_and_lifted(ruleset: &Ruleset) {
    let json = lower(ruleset).to_json();
    match lift(&json) {
        Ok(again) => assert_eq!(again, *ruleset, "{json}"),
        Err(error) => panic!("{error:?}: {json}"),
    }
}

fn refused(error: LiftError) {
    law::failure(&Failure::unread(&ObserveError::Foreign(error)));
}
