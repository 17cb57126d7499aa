//! Parse, dispatch, print, exit.

use std::panic::catch_unwind;
use std::process::ExitCode as ProcessExitCode;

use clap::Parser;
use portreeve::cli::Cli;
use portreeve::exit_code::ExitCode;
use portreeve::probe;

fn main() -> ProcessExitCode {
    // A panic has said where it happened; the exit code must still be one that is documented.
    catch_unwind(run).unwrap_or(ExitCode::Internal).into()
}

fn run() -> ExitCode {
    if probe::is_asked() {
        return probe::serve();
    }
    match Cli::try_parse() {
        Ok(cli) => portreeve::command::run(&cli),
        Err(error) => {
            // Help and version are answers; anything else is a usage error. A closed pipe is the
            // reader's choice.
            let _ = error.print();
            if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Done
            }
        }
    }
}
