//! `portreeve status`: what is in force, since when, and whether it is what was applied.

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::layout::Number;

use crate::apply::nft::Nft;
use crate::apply::store::StateDir;
use crate::apply::survey::{Survey, survey};
use crate::cli::Options;
use crate::observe::{self, Expected};
use crate::report::{Answer, Failure, Printer, Status};

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    let state_dir = StateDir::new(options.state_dir.clone());
    let survey = survey(&state_dir)?;
    printer.notes(&survey.notes);
    let contents = compare(&survey);
    Ok(Answer::Status(Box::new(Status { survey, contents })))
}

/// Whether the kernel lists what was applied; none when nothing was.
fn compare(survey: &Survey) -> Option<Result<observe::Observed, observe::ObserveError>> {
    fn of(side: &Option<(Number, Ruleset)>) -> Option<(Number, &Ruleset)> {
        side.as_ref().map(|(number, ruleset)| (*number, ruleset))
    }
    let expected = Expected {
        confirmed: of(&survey.confirmed),
        trial: of(&survey.trial),
    };
    if expected.confirmed.is_none() && expected.trial.is_none() {
        return None;
    }
    let nft = Nft::find().map_err(observe::ObserveError::List);
    Some(nft.and_then(|nft| observe::compare(&nft, &expected)))
}
