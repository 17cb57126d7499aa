//! `portreeve explain`: what a rule set does to one packet, and why: the planned one, the one in
//! force on this machine, or that of a listing. Changes nothing.

use std::io::Read as _;
use std::path::Path;

use portreeve_model::packet::Packet;
use portreeve_model::tables::Tables;
use portreeve_nft::read;

use super::make_candidate;
use crate::apply::nft::Nft;
use crate::cli::{self, Options};
use crate::inputs::file::{self, ReadError};
use crate::observe::surroundings;
use crate::report::{Answer, Explanation, Failure, Printer, Source};

/// Bytes in a listing. Ours: one with a million prefixes has 26 MB.
const LISTING_BYTES_MAX: u64 = 256 << 20;

pub(super) fn run(
    arguments: &cli::Explain,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let packet: Packet = arguments.packet.join(" ").parse().map_err(|error| {
        Failure::usage(
            &format!("the packet is not understood: {error}"),
            "see `portreeve explain --help`",
        )
    })?;
    let (source, tables) = match arguments.ruleset.as_deref() {
        None => {
            let candidate = make_candidate(options, printer)?;
            let tables = candidate.ruleset().tables(portreeve_nft::TABLE);
            (Source::Plan, tables)
        }
        Some("live") => (
            Source::Machine {
                legacy: surroundings::legacy().unwrap_or_default(),
            },
            live()?,
        ),
        Some(file) => (Source::Listing(file.to_owned()), of_listing(file)?),
    };
    Ok(Answer::Explanation(Box::new(Explanation {
        packet,
        tables,
        source,
        all: arguments.all,
    })))
}

/// Every table of this machine.
pub(super) fn live() -> Result<Tables, Failure> {
    tables("what nft lists", &Nft::find()?.list_everything()?)
}

/// The tables of a listing in a file, or on stdin for `-`.
pub(super) fn of_listing(file: &str) -> Result<Tables, Failure> {
    let listing = listing(file).map_err(|error| Failure::listing(file, &error))?;
    tables(file, &listing)
}

fn tables(subject: &str, listing: &str) -> Result<Tables, Failure> {
    read(listing).map_err(|error| Failure::listing(subject, &error))
}

/// The text of a listing: of a file, or of stdin for `-`.
fn listing(file: &str) -> Result<String, ReadError> {
    let bytes = if file == "-" {
        let mut bytes = Vec::new();
        let stdin = std::io::stdin().lock();
        stdin
            .take(LISTING_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(ReadError::Io)?;
        if bytes.len() as u64 > LISTING_BYTES_MAX {
            return Err(ReadError::TooLong {
                max: LISTING_BYTES_MAX,
            });
        }
        bytes
    } else {
        file::read(Path::new(file), LISTING_BYTES_MAX)?.bytes
    };
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}
