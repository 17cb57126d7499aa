//! `portreeve explain`: what a rule set does to one packet, and why: the planned one, the one in
//! force on this machine, or that of a listing. Changes nothing.

use std::io::Read as _;
use std::path::Path;

use portreeve_model::packet::Packet;
use portreeve_model::tables::Tables;
use portreeve_nft::read;

use super::make_plan;
use crate::apply::nft::Nft;
use crate::cli::{self, Options};
use crate::inputs::file::{self, ReadError};
use crate::report::{Answer, Explanation, Failure, Printer, Source};

/// Bytes in a listing. Ours: one with a million prefixes has 26 MB.
const LISTING_BYTES_MAX: u64 = 256 << 20;

/// Where the kernel names the tables of iptables-legacy, which nft does not list.
const LEGACY: [(&str, &str); 2] = [
    ("iptables", "/proc/net/ip_tables_names"),
    ("ip6tables", "/proc/net/ip6_tables_names"),
];

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
            let plan = make_plan(options, printer)?;
            (Source::Plan, plan.ruleset().tables(portreeve_nft::TABLE))
        }
        Some("live") => {
            let listing = Nft::find()?.list_everything()?;
            let tables = tables("what nft lists", &listing)?;
            (Source::Machine { legacy: legacy() }, tables)
        }
        Some(file) => {
            let listing = listing(file).map_err(|error| Failure::listing(file, &error))?;
            (Source::Listing(file.to_owned()), tables(file, &listing)?)
        }
    };
    Ok(Answer::Explanation(Box::new(Explanation {
        packet,
        tables,
        source,
        all: arguments.all,
    })))
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

/// The tables of iptables-legacy that this machine has, if it has any.
fn legacy() -> Vec<String> {
    let found = LEGACY.iter().filter_map(|(program, path)| {
        let names = std::fs::read_to_string(path).ok()?;
        let names: Vec<&str> = names.split_whitespace().collect();
        (!names.is_empty()).then(|| format!("{program}: {}", names.join(", ")))
    });
    found.collect()
}
