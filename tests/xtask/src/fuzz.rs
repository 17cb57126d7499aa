//! What is run for as long as one likes: random bytes against every parser, and the model against
//! the kernel.

use std::io;

use crate::step::Ended;

mod kernel;
mod parsers;

/// What each campaign is called and does.
pub(crate) const USAGE: &str = "  fuzz kernel [--minutes N] [--seed S]
            random rule sets and packets for N minutes (5): the model against the kernel
  fuzz parsers [--seconds N] [TARGET]
            random bytes to every parser of what others wrote, N seconds (60) each, or to one
";

/// Runs the campaign that `words` name; none when they name none.
pub(crate) fn run(words: &[&str]) -> Option<io::Result<Ended>> {
    match words {
        ["kernel", options @ ..] => kernel::run(options),
        ["parsers", options @ ..] => parsers::run(options),
        _ => None,
    }
}
