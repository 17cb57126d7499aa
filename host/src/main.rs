//! Parse, dispatch, print, exit.

use std::process::ExitCode;

use clap::Parser;
use portreeve::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => portreeve::command::run(&cli).into(),
        Err(error) => {
            // Help and version are answers; anything else is a usage error. A closed pipe is the
            // reader's choice.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}
