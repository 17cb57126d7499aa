//! `portreeve status`: what is in force, since when, and whether it is what was applied.

use portreeve_model::ruleset::Ruleset;
use portreeve_nft::layout::Number;

use super::in_force;
use crate::apply::nft::Nft;
use crate::apply::store::StateDir;
use crate::apply::survey::{Survey, survey};
use crate::cli::Options;
use crate::guard;
use crate::observe::{self, Expected, surroundings};
use crate::proofs;
use crate::report::{Answer, Failure, Printer, Status};
use crate::session::Session;

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    let status = look(&StateDir::new(options.state_dir.clone()))?;
    printer.notes(&status.survey.notes);
    Ok(Answer::Status(Box::new(status)))
}

/// How things stand, and whether the kernel holds what it should.
pub(super) fn look(state_dir: &StateDir) -> Result<Status, Failure> {
    let survey = survey(state_dir)?;
    let contents = compare(&survey);
    let in_force = in_force(&survey);
    let machine = in_force.map(|ruleset| {
        let facts = surroundings::read(&Session::of_this_process());
        guard::survey(&facts, ruleset)
    });
    let exposure = in_force.map(proofs::exposure);
    Ok(Status {
        survey,
        contents,
        exposure,
        machine,
    })
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
