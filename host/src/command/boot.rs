//! `portreeve boot`: loads the last confirmed rule set, before the network is up.

use super::Here;
use crate::apply::boot;
use crate::cli::Options;
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    let done = boot(Here::of(options).request())?;
    printer.notes(&done.notes);
    Ok(Answer::Booted {
        booted: Box::new(done.what),
        machine: done.machine,
    })
}
