//! `portreeve plan`: shows what would be applied, what is proved of it, whether the operator still
//! gets in, and what it would change; changes nothing.

use super::{in_force, make_candidate, ssh_port};
use crate::apply::store::StateDir;
use crate::apply::survey::survey;
use crate::cli::Options;
use crate::guard;
use crate::observe::surroundings;
use crate::proofs::Outlook;
use crate::report::{Answer, Failure, Planned, Printer};
use crate::session::Session;

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    let candidate = make_candidate(options, printer)?;
    // Where that cannot be read, there is nothing to compare with.
    let survey = survey(&StateDir::new(options.state_dir.clone())).ok();
    let outlook = Outlook::of(candidate.ruleset(), survey.as_ref().and_then(in_force));
    let facts = surroundings::read(&Session::of_this_process());
    let judgement = guard::judge(&facts, candidate.ruleset(), ssh_port(&candidate));
    let machine = guard::survey(&facts, candidate.ruleset());
    Ok(Answer::Plan(Box::new(Planned {
        candidate,
        outlook,
        judgement,
        machine,
    })))
}
