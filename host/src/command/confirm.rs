//! `portreeve confirm`: makes the rule set on trial permanent.

use super::Here;
use crate::apply::confirm;
use crate::apply::token::Token;
use crate::cli::{self, Options};
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Confirm,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let token = Token::read(&arguments.token).map_err(|error| Failure::token(&error))?;
    let done = confirm(Here::of(options).request(), &token, arguments.from_console)?;
    printer.notes(&done.notes);
    Ok(Answer::Confirmed {
        number: done.what.number,
        machine: done.machine,
    })
}
