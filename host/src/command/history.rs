//! `portreeve history`: what was applied, and what became of it.

use crate::apply::store::StateDir;
use crate::cli::Options;
use crate::report::{Answer, Failure};

pub(super) fn run(options: &Options) -> Result<Answer, Failure> {
    let state_dir = StateDir::new(options.state_dir.clone());
    let shelf = state_dir.look().map_err(|error| Failure::store(&error))?;
    Ok(Answer::History(state_dir.history(&shelf)))
}
