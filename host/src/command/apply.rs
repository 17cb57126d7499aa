//! `portreeve apply`: puts the plan into the kernel.

use std::time::{SystemTime, UNIX_EPOCH};

use super::make_plan;
use crate::apply::apply;
use crate::apply::nft::Nft;
use crate::apply::record::StateDir;
use crate::cli::{self, Options};
use crate::observe::{self, Observed};
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Apply,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    if !arguments.no_trial {
        return Err(Failure::usage(
            "this version cannot take a rule set back by itself, so it puts none on trial",
            "look at `portreeve plan`, keep a console at hand, then use `portreeve apply --no-trial`",
        ));
    }
    let plan = make_plan(options, printer)?;
    let nft = Nft::find()?;
    let state = StateDir::new(options.state_dir.clone());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let lock = state.lock()?;
    let record = apply(&plan, &nft, &state, &lock, now)?;
    match observe::compare(&nft, plan.ruleset()) {
        Ok(Observed::Expected { elements }) => Ok(Answer::Applied {
            plan: Box::new(plan),
            record,
            elements,
        }),
        Ok(Observed::Other | Observed::Nothing) => Err(Failure::unlike()),
        Err(error) => Err(Failure::unread(&error)),
    }
}
