//! `portreeve rollback`: ends the trial now, or goes back to an earlier generation.

use super::{Here, status};
use crate::apply::{repair, rollback};
use crate::cli::{self, Options};
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Rollback,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let here = Here::of(options);
    let mut done = rollback(here.request(), arguments.generation)?;
    printer.notes(&done.notes);
    // The base chains may be as they should, and not what they lead to. When a trial was ended
    // that can wait; who asks for nothing but order wants all of it.
    let for_order = arguments.generation.is_none() && done.what.ended.is_none();
    if for_order && status::look(&here.state_dir)?.is_drift() {
        done = repair(here.request())?;
        printer.notes(&done.notes);
    }
    Ok(Answer::RolledBack {
        rolled_back: done.what,
        machine: done.machine,
    })
}
