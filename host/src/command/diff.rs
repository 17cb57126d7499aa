//! `portreeve diff`: which packets fare otherwise under two rule sets. Changes nothing.

use portreeve_model::tables::Tables;
use portreeve_nft::layout::Number;

use super::explain::{live, of_listing};
use super::make_candidate;
use crate::apply::store::StateDir;
use crate::apply::survey::recorded;
use crate::cli::{self, Options};
use crate::proofs::difference;
use crate::report::{Answer, Difference, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Diff,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let (before, its_tables) = side(&arguments.before, options, printer)?;
    let (after, other_tables) = side(&arguments.after, options, printer)?;
    Ok(Answer::Difference(Box::new(Difference {
        before,
        after,
        changes: difference(&its_tables, &other_tables),
    })))
}

/// A rule set, by what it is called on the command line, with what it is.
fn side(called: &str, options: &Options, printer: &Printer) -> Result<(String, Tables), Failure> {
    if called == "planned" {
        let candidate = make_candidate(options, printer)?;
        let tables = candidate.ruleset().tables(portreeve_nft::TABLE);
        return Ok(("the planned table inet portreeve".to_owned(), tables));
    }
    if called == "live" {
        return Ok(("what is in force on this machine".to_owned(), live()?));
    }
    if let Ok(number) = called.parse::<Number>() {
        let ruleset = recorded(&StateDir::new(options.state_dir.clone()), number)?;
        let tables = ruleset.tables(portreeve_nft::TABLE);
        return Ok((format!("generation {number}"), tables));
    }
    Ok((format!("the listing {called}"), of_listing(called)?))
}
