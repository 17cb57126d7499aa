//! `portreeve plan`: shows what would be applied; changes nothing.

use super::make_plan;
use crate::cli::Options;
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    Ok(Answer::Plan(Box::new(make_plan(options, printer)?)))
}
