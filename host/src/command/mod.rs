//! One file for each subcommand, and what they share: from the command line to a plan.

mod apply;
mod boot;
mod check;
mod confirm;
mod explain;
mod history;
mod plan;
mod rollback;
mod status;

use std::path::Path;
use std::time::SystemTime;

use crate::apply::Request;
use crate::apply::notice::Notices;
use crate::apply::session::Session;
use crate::apply::store::StateDir;
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
    let options = &cli.options;
    match &cli.command {
        Command::Plan => plan::run(options, printer),
        Command::Check => check::run(options, printer),
        Command::Apply(arguments) => apply::run(arguments, options, printer),
        Command::Confirm(arguments) => confirm::run(arguments, options, printer),
        Command::Rollback(arguments) => rollback::run(arguments, options, printer),
        Command::Boot => boot::run(options, printer),
        Command::Status => status::run(options, printer),
        Command::History => history::run(options),
        Command::Explain(arguments) => explain::run(arguments, options, printer),
    }
}

/// What the configuration and the command line ask for.
fn configuration(options: &Options) -> Result<Config, Failure> {
    let mut config = Config::load(options.config.as_deref())?;
    for setting in &options.settings {
        config.set(setting)?;
    }
    Ok(config)
}

/// The plan that the configuration and the command line ask for.
fn make_plan(options: &Options, printer: &Printer) -> Result<Plan, Failure> {
    plan_for(&configuration(options)?, options, printer)
}

fn plan_for(config: &Config, options: &Options, printer: &Printer) -> Result<Plan, Failure> {
    let policy = Policy::named(config.policy(), &Cache::new(options.cache_dir.clone()))?;
    if let Some(reason) = policy.uncached() {
        printer.note(&format!("the policy is compiled anew each time: {reason}"));
    }
    let description = policy.describe()?;
    let collected = inputs::collect(config, &description)?;
    for note in &collected.notes {
        printer.note(note);
    }
    let plan = pipeline::plan(&policy, description, collected)?;
    for line in plan.log() {
        printer.log_line(line);
    }
    Ok(plan)
}

/// Who asks, and where this machine keeps what it was asked.
#[derive(Debug)]
struct Here {
    state_dir: StateDir,
    notices: Notices,
    session: Session,
}

impl Here {
    fn of(options: &Options) -> Self {
        Self {
            state_dir: StateDir::new(options.state_dir.clone()),
            notices: Notices::new(Path::new(&options.motd_dir)),
            session: Session::of_this_process(),
        }
    }

    /// A request that is made now.
    fn request(&self) -> Request<'_> {
        Request {
            state_dir: &self.state_dir,
            notices: &self.notices,
            session: &self.session,
            now: SystemTime::now(),
        }
    }
}
