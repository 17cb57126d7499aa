//! One file for each subcommand, and what they share: from the command line to a plan.

mod apply;
mod check;
mod explain;
mod plan;
mod status;

use crate::cli::{Cli, Command, Format, Options};
use crate::exit_code::ExitCode;
use crate::inputs::{self, Config};
use crate::pipeline::{self, Plan};
use crate::policy::{Cache, Policy};
use crate::report::{Answer, Failure, Printer};

/// Runs one command to its end: answer to stdout, story to stderr.
pub fn run(cli: &Cli) -> ExitCode {
    let printer = Printer::new(cli.options.format);
    match dispatch(cli, &printer) {
        Ok(answer) => printer.answer(&answer),
        Err(failure) => printer.failure(&failure),
    }
}

fn dispatch(cli: &Cli, printer: &Printer) -> Result<Answer, Failure> {
    let nft_format = matches!(cli.options.format, Format::Nft | Format::NftJson);
    if nft_format && !matches!(cli.command, Command::Plan) {
        return Err(Failure::usage(
            "only `plan` prints a rule set in nft's formats",
            "use --format human, plain or json",
        ));
    }
    match &cli.command {
        Command::Plan => plan::run(&cli.options, printer),
        Command::Check => check::run(&cli.options, printer),
        Command::Apply(arguments) => apply::run(arguments, &cli.options, printer),
        Command::Status => status::run(&cli.options),
        Command::Explain(arguments) => explain::run(arguments, &cli.options, printer),
    }
}

/// The plan that the configuration and the command line ask for.
fn make_plan(options: &Options, printer: &Printer) -> Result<Plan, Failure> {
    let mut config = Config::load(options.config.as_deref())?;
    for setting in &options.settings {
        config.set(setting)?;
    }
    let policy = Policy::named(config.policy(), &Cache::new(options.cache_dir.clone()))?;
    if let Some(reason) = policy.uncached() {
        printer.note(&format!("the policy is compiled anew each time: {reason}"));
    }
    let description = policy.describe()?;
    let collected = inputs::collect(&config, &description)?;
    for note in &collected.notes {
        printer.note(note);
    }
    let plan = pipeline::plan(&policy, description, collected)?;
    for line in plan.log() {
        printer.log_line(line);
    }
    Ok(plan)
}
