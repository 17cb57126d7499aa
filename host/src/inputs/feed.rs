//! Lists of prefixes from elsewhere, and the contract that each must keep.
//!
//! A list is taken whole or not at all: a bad one neither opens nor closes a port. Taken are the
//! forms in which such lists are served: one prefix a line, or Cloudflare's JSON.

mod parse;
mod reserved;

use std::fmt::Write as _;

use portreeve_model::address::{AddressSet, Family, Prefix};
use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::intervals::{Interval, Intervals};
use sha2::{Digest, Sha256};

use self::parse::Parser;

/// Bytes in one file of a feed. Ours: two million prefixes fit.
pub(super) const FEED_BYTES_MAX: u64 = 64 << 20;

/// What a feed must keep to be believed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contract {
    /// The fewest prefixes of each family, IPv4 first.
    pub(super) min_entries: [u64; 2],
    /// The largest share of a family's addresses.
    pub(super) max_coverage: f64,
    /// Whether the addresses are ones of the public Internet.
    pub(super) public: bool,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            min_entries: [1, 1],
            max_coverage: 0.05,
            public: true,
        }
    }
}

/// One file of a feed.
pub(super) struct Source<'a> {
    /// What to call it in a message, ready to print.
    pub(super) origin: String,
    pub(super) bytes: &'a [u8],
}

/// A feed that keeps its contract.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) addresses: AddressSet,
    /// How many prefixes each family has once merged, IPv4 first.
    pub(super) counts: [u64; 2],
    /// SHA-256, in hexadecimal, of the merged prefixes: one a line, IPv4 first, ascending.
    pub(super) digest: String,
    /// What was merged, if anything was.
    pub(super) note: Option<String>,
}

/// The contents of the feed `name`, from all of its files.
pub(super) fn read(
    name: &str,
    sources: &[Source<'_>],
    contract: &Contract,
) -> Result<Contents, Vec<Diagnostic>> {
    let mut parser = Parser::new(name, contract.public);
    for source in sources {
        parser.source(source);
    }
    let intervals = parser.finish()?;
    let [(ip, ip_merged), (ip6, ip6_merged)] = intervals.map(merge);
    let addresses = AddressSet { ip, ip6 };
    let (counts, digest) = summary(&addresses);
    let broken = broken(name, &addresses, counts, contract);
    if !broken.is_empty() {
        return Err(broken);
    }
    let merged = Merged {
        duplicates: ip_merged.duplicates + ip6_merged.duplicates,
        overlaps: ip_merged.overlaps + ip6_merged.overlaps,
    };
    let note = merged.note(name);
    Ok(Contents {
        addresses,
        counts,
        digest,
        note,
    })
}

/// How many prefixes said nothing new.
#[derive(Debug, Default)]
struct Merged {
    duplicates: usize,
    overlaps: usize,
}

impl Merged {
    fn note(&self, name: &str) -> Option<String> {
        (self.duplicates + self.overlaps > 0).then(|| {
            format!(
                "feed {}: merged {} that came twice and {} inside another",
                Quoted(name),
                counted(self.duplicates),
                counted(self.overlaps)
            )
        })
    }
}

fn counted(prefixes: usize) -> String {
    match prefixes {
        1 => "1 prefix".to_owned(),
        many => format!("{many} prefixes"),
    }
}

fn merge(mut intervals: Vec<Interval>) -> (Intervals, Merged) {
    // The wider of two prefixes that begin together comes first, so that it holds the narrower.
    intervals.sort_unstable_by_key(|interval| (interval.first(), !interval.last()));
    let mut merged = Merged::default();
    let mut widest: Option<Interval> = None;
    let mut before = None;
    for interval in &intervals {
        if before == Some(*interval) {
            merged.duplicates += 1;
        } else if widest.is_some_and(|widest| interval.last() <= widest.last()) {
            merged.overlaps += 1;
        } else {
            widest = Some(*interval);
        }
        before = Some(*interval);
    }
    (intervals.into_iter().collect(), merged)
}

/// The number of merged prefixes of each family, and their digest.
fn summary(addresses: &AddressSet) -> ([u64; 2], String) {
    let mut hasher = Sha256::new();
    let mut line = String::new();
    let mut count = |family| {
        let mut count = 0;
        for prefix in merged_prefixes(addresses, family) {
            count += 1;
            line.clear();
            writeln!(line, "{prefix}").expect("writing to a string does not fail");
            hasher.update(&line);
        }
        count
    };
    let counts = Family::BOTH.map(&mut count);
    let mut digest = String::with_capacity(64);
    for byte in hasher.finalize() {
        write!(digest, "{byte:02x}").expect("writing to a string does not fail");
    }
    (counts, digest)
}

/// The fewest prefixes that cover the addresses of one family, ascending.
pub(super) fn merged_prefixes(
    addresses: &AddressSet,
    family: Family,
) -> impl Iterator<Item = Prefix> {
    let intervals = addresses.of(family).iter();
    intervals.flat_map(move |interval| Prefix::covering(family, *interval))
}

/// How the whole list breaks its contract.
fn broken(
    name: &str,
    addresses: &AddressSet,
    counts: [u64; 2],
    contract: &Contract,
) -> Vec<Diagnostic> {
    let mut broken = Vec::new();
    let mut say = |code, message, help: &str| {
        broken.push(Diagnostic {
            code,
            subject: format!("feed {}", Quoted(name)),
            message,
            help: help.to_owned(),
        });
    };
    for (index, family) in Family::BOTH.into_iter().enumerate() {
        let (found, least) = (counts[index], contract.min_entries[index]);
        let words = family.nfproto();
        if found < least {
            let message = format!("found {found} {words} prefixes, at least {least} are needed");
            let help = "if so few are right, lower `min-entries` of the feed";
            say("F009", message, help);
        }
        let covered = addresses.of(family).count();
        let share = share(covered, family);
        if covered > family.max() || share >= 1.0 {
            let message = format!("the {words} prefixes together are a default route");
            say("F007", message, "a feed never holds every address");
        } else if share > contract.max_coverage {
            let message = format!(
                "covers {:.4} of all {words} addresses, allowed is at most {}",
                share, contract.max_coverage
            );
            let help = "if so many are right, raise `max-coverage` of the feed";
            say("F010", message, help);
        }
    }
    broken
}

/// The share of a family's addresses that `count` is.
fn share(count: u128, family: Family) -> f64 {
    count as f64 / (family.max() as f64 + 1.0)
}

#[cfg(test)]
mod tests;
