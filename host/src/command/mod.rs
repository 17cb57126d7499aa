//! One file for each subcommand, and what they share: from the command line to a plan.

mod apply;
mod boot;
mod check;
mod confirm;
mod diff;
mod explain;
mod history;
mod plan;
mod rollback;
mod status;
mod test;

use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use portreeve_model::inputs::Value;
use portreeve_model::ruleset::Ruleset;

use crate::apply::Request;
use crate::apply::notice::Notices;
use crate::apply::store::StateDir;
use crate::apply::survey::Survey;
use crate::cli::{Cli, Command, Format, Options};
use crate::exit_code::ExitCode;
use crate::guard::Operator;
use crate::inputs::{self, Config};
use crate::observe::surroundings;
use crate::pipeline::{self, Candidate, Plan, PlanError, Wishes};
use crate::policy::{Cache, Policy};
use crate::report::{Answer, Failure, Printer};
use crate::session::Session;

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
    if nft_format && !matches!(cli.command, Command::Plan(_)) {
        return Err(Failure::usage(
            "only `plan` prints a rule set in nft's formats",
            "use --format human, plain or json",
        ));
    }
    let options = &cli.options;
    match &cli.command {
        Command::Plan(arguments) => plan::run(arguments, options, printer),
        Command::Check => check::run(options, printer),
        Command::Apply(arguments) => apply::run(arguments, options, printer),
        Command::Confirm(arguments) => confirm::run(arguments, options, printer),
        Command::Rollback(arguments) => rollback::run(arguments, options, printer),
        Command::Boot => boot::run(options, printer),
        Command::Status => status::run(options, printer),
        Command::History => history::run(options),
        Command::Explain(arguments) => explain::run(arguments, options, printer),
        Command::Diff(arguments) => diff::run(arguments, options, printer),
        Command::Test(arguments) => Err(test::run(arguments, options)),
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

/// The rule set that the configuration and the command line ask for, proved or not.
fn make_candidate(options: &Options, printer: &Printer) -> Result<Candidate, Failure> {
    match planned(&configuration(options)?, options, printer)? {
        Ok(plan) => Ok(plan.into_candidate()),
        Err(PlanError::Unproved(candidate)) => Ok(*candidate),
        Err(error) => Err(error.into()),
    }
}

fn plan_for(config: &Config, options: &Options, printer: &Printer) -> Result<Plan, Failure> {
    Ok(planned(config, options, printer)??)
}

/// A plan, or why there is none; fails where it does not come to that.
fn planned(
    config: &Config,
    options: &Options,
    printer: &Printer,
) -> Result<Result<Plan, PlanError>, Failure> {
    let policy = Policy::named(config.policy(), &Cache::new(options.cache_dir.clone()))?;
    if let Some(reason) = policy.uncached() {
        printer.note(&format!("the policy is compiled anew each time: {reason}"));
    }
    let description = policy.describe()?;
    let collected = inputs::collect(config, &description)?;
    for note in &collected.notes {
        printer.note(note);
    }
    let wishes = Wishes {
        goals: config.goals(),
        operator: &operator(config),
    };
    let plan = pipeline::plan(&policy, description, collected, &wishes);
    let log = match &plan {
        Ok(plan) => plan.log(),
        Err(PlanError::Unproved(candidate)) => candidate.log(),
        Err(_) => &[],
    };
    for line in log {
        printer.log_line(line);
    }
    Ok(plan)
}

/// Where the operator is, if some goal of the configuration may ask.
fn operator(config: &Config) -> Vec<IpAddr> {
    if config.goals().is_empty() {
        return Vec::new();
    }
    match surroundings::operator(&Session::of_this_process()) {
        Operator::Remote(connections) => connections.iter().map(|it| it.client().ip()).collect(),
        Operator::Local(_) | Operator::Console | Operator::Unknown(_) => Vec::new(),
    }
}

/// The rule set that is in force in our table, as it was recorded; none where nothing of ours is in
/// force as it was applied.
fn in_force(survey: &Survey) -> Option<&Ruleset> {
    let number = survey.machine.in_force()?;
    let sides = [&survey.trial, &survey.confirmed].into_iter().flatten();
    let mut sides = sides.filter(|(of, _)| *of == number);
    sides.next().map(|(_, ruleset)| ruleset)
}

/// The port that a policy's setting says sshd listens on.
fn ssh_port(candidate: &Candidate) -> Option<u16> {
    match candidate.inputs().value("ssh-port") {
        Some(Value::Port(port)) => Some(*port),
        _ => None,
    }
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
