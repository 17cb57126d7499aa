//! `portreeve diff`: which packets fare otherwise under two rule sets. Changes nothing.
//!
//! A rule set of ours is compared as a table alone; with what is in force on this machine it is
//! compared among the tables of others, where it would stand.

use portreeve_model::ruleset::Ruleset;
use portreeve_model::tables::Tables;
use portreeve_nft::TABLE;
use portreeve_nft::layout::Number;

use super::explain::{live, of_listing};
use super::{in_force, make_candidate, status};
use crate::apply::store::StateDir;
use crate::apply::survey::recorded;
use crate::cli::{self, Options};
use crate::guard::candidate;
use crate::observe::Observed;
use crate::proofs::difference;
use crate::report::{Answer, Difference, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Diff,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let before = side(&arguments.before, options, printer)?;
    let after = side(&arguments.after, options, printer)?;
    let [its_tables, other_tables] = match (&before.rules, &after.rules) {
        (Rules::Live(live), Rules::Ours(ours)) => {
            [as_applied(live, options), candidate(Some(live), ours)]
        }
        (Rules::Ours(ours), Rules::Live(live)) => {
            [candidate(Some(live), ours), as_applied(live, options)]
        }
        (one, other) => [one.tables(), other.tables()],
    };
    Ok(Answer::Difference(Box::new(Difference {
        before: before.called,
        after: after.called,
        changes: difference(&its_tables, &other_tables),
    })))
}

/// A rule set, with what it is called.
struct Side {
    called: String,
    rules: Rules,
}

enum Rules {
    /// One of ours, planned or recorded.
    Ours(Ruleset),
    /// Every table of this machine, as nft lists them.
    Live(Tables),
    /// Every table of a listing.
    Listing(Tables),
}

impl Rules {
    fn tables(&self) -> Tables {
        match self {
            Self::Ours(ruleset) => ruleset.tables(TABLE),
            Self::Live(tables) | Self::Listing(tables) => tables.clone(),
        }
    }
}

/// A rule set, by what it is called on the command line.
fn side(called: &str, options: &Options, printer: &Printer) -> Result<Side, Failure> {
    let side = |called: String, rules| Ok(Side { called, rules });
    if called == "planned" {
        let planned = make_candidate(options, printer)?.ruleset().clone();
        return side(
            "the planned table inet portreeve".to_owned(),
            Rules::Ours(planned),
        );
    }
    if called == "live" {
        return side(
            "what is in force on this machine".to_owned(),
            Rules::Live(live()?),
        );
    }
    if let Ok(number) = called.parse::<Number>() {
        let ruleset = recorded(&StateDir::new(options.state_dir.clone()), number)?;
        return side(format!("generation {number}"), Rules::Ours(ruleset));
    }
    side(
        format!("the listing {called}"),
        Rules::Listing(of_listing(called)?),
    )
}

/// What is in force on this machine, with our own table as it was recorded where the kernel holds
/// just that: a listing does not say all of it.
fn as_applied(live: &Tables, options: &Options) -> Tables {
    let status = status::look(&StateDir::new(options.state_dir.clone())).ok();
    let ours = status.as_ref().and_then(|status| match status.contents {
        Some(Ok(Observed::Expected { .. })) => in_force(&status.survey),
        Some(Ok(Observed::Other | Observed::Nothing) | Err(_)) | None => None,
    });
    match ours {
        Some(ours) => candidate(Some(live), ours),
        None => live.clone(),
    }
}
