//! `portreeve status`: what is in force, since when, and whether it is what was applied.

use std::io::ErrorKind;

use portreeve_nft::lift;

use crate::apply::nft::{Listing, Nft};
use crate::apply::record::StateDir;
use crate::cli::Options;
use crate::observe::{self, Observed};
use crate::report::{Answer, Failure, Status};

pub(super) fn run(options: &Options) -> Result<Answer, Failure> {
    let state = StateDir::new(options.state_dir.clone());
    let applied = state.applied().map_err(|error| match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Failure::damaged(&error),
        _ => Failure::state(&options.state_dir, &error),
    })?;
    let nft = Nft::find()?;
    let Some(applied) = applied else {
        let table = nft.list(Listing::Terse)?;
        return Ok(Answer::Status(Status::NeverApplied {
            table_present: table.is_some(),
        }));
    };
    let expected = lift(&applied.transaction).map_err(|error| Failure::damaged(&error))?;
    let observed = observe::compare(&nft, &expected)?;
    Ok(Answer::Status(match observed {
        Observed::Expected { elements } => Status::InForce {
            record: applied.record,
            elements,
        },
        Observed::Nothing => Status::Gone {
            record: applied.record,
        },
        Observed::Other => Status::Drifted {
            record: applied.record,
        },
    }))
}
