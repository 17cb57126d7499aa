//! `portreeve plan`: shows what would be applied, what is proved of it, and what it would change;
//! changes nothing.

use super::{in_force, make_candidate};
use crate::cli::Options;
use crate::proofs::Outlook;
use crate::report::{Answer, Failure, Planned, Printer};

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    let candidate = make_candidate(options, printer)?;
    let in_force = in_force(options);
    let outlook = Outlook::of(candidate.ruleset(), in_force.as_ref());
    Ok(Answer::Plan(Box::new(Planned { candidate, outlook })))
}
