//! `portreeve rollback`: ends the trial now, or goes back to an earlier generation.

use super::Here;
use crate::apply::rollback;
use crate::cli::{self, Options};
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Rollback,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let done = rollback(Here::of(options).request(), arguments.generation)?;
    printer.notes(&done.notes);
    Ok(Answer::RolledBack {
        rolled_back: done.what,
        machine: done.machine,
    })
}
