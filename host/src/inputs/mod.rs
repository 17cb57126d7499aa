//! Reads configuration, feeds and facts, and builds the inputs of a policy.
//!
//! Nothing here decides anything, and nothing here talks to a network. A feed that breaks its
//! contract, or a setting that its policy does not take, ends the run with every reason at once.

mod config;
pub(crate) mod facts;
mod feed;
pub(crate) mod file;
mod goals;
mod nearest;
mod raw;
mod settings;

use std::io;
use std::path::Path;

use portreeve_model::address::{AddressSet, Family};
use portreeve_model::description::{Description, FeedSpec};
use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::inputs::{Feed, Inputs};
use portreeve_model::validate::Feeds;

pub use self::config::{Config, DEFAULT_PATH, NoPeriod, confirm_within};
use self::config::{FeedConfig, FeedSource};
use self::feed::{Contents, Contract, Source};
pub use self::file::ReadError;
pub use self::goals::{NotStated, StatedGoal, resolve};

/// The feed that the binary carries.
const CLOUDFLARE: &str = "cloudflare";
const CLOUDFLARE_IP: &str = include_str!("../../data/cloudflare/ips-v4");
const CLOUDFLARE_IP6: &str = include_str!("../../data/cloudflare/ips-v6");

/// What a decision rests on.
#[derive(Debug)]
pub struct Collected {
    /// What the policy gets.
    pub inputs: Inputs,
    /// The addresses of the feeds, which stay with the host.
    pub feeds: Feeds,
    /// What the operator may like to know: entries of feeds that were merged.
    pub notes: Vec<String>,
}

/// Why there are no inputs.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// The configuration makes no sense or does not fit the policy, or a feed breaks its contract.
    #[error("the inputs are invalid")]
    Invalid(Vec<Diagnostic>),
    /// All is well but that files of feeds cannot be read.
    #[error("a feed cannot be read")]
    FeedUnavailable(Vec<Diagnostic>),
}

impl InputsError {
    /// Whether nothing is wrong but that a feed cannot be had.
    #[must_use]
    pub const fn is_unreadable_feed(&self) -> bool {
        matches!(self, Self::FeedUnavailable(_))
    }

    /// Everything that is wrong, at least one thing.
    #[must_use]
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::Invalid(found) | Self::FeedUnavailable(found) => found,
        }
    }
}

/// The inputs that `description` asks for, as `config` and this machine give them.
///
/// # Errors
/// Everything that is wrong with settings and feeds at once.
pub fn collect(config: &Config, description: &Description) -> Result<Collected, InputsError> {
    let mut collector = Collector::default();
    let settings = settings::collect(&config.settings, description)
        .map_err(|found| collector.invalid.extend(found))
        .unwrap_or_default();
    for feed in &config.feeds {
        if !description.feeds.iter().any(|spec| spec.name == feed.name) {
            collector.invalid.push(unwanted(feed, description));
        }
    }
    for spec in &description.feeds {
        let configured = config.feeds.iter().find(|feed| feed.name == spec.name);
        collector.feed(spec, configured);
    }
    if !collector.invalid.is_empty() {
        collector.invalid.extend(collector.unavailable);
        return Err(InputsError::Invalid(collector.invalid));
    }
    if !collector.unavailable.is_empty() {
        return Err(InputsError::FeedUnavailable(collector.unavailable));
    }
    let inputs = Inputs {
        settings,
        feeds: collector.summaries,
        interfaces: asked(
            "interfaces",
            description.needs_interfaces,
            facts::interfaces,
        )?,
        listeners: asked("listeners", description.needs_listeners, facts::listeners)?,
    };
    Ok(Collected {
        inputs,
        feeds: collector.feeds.into_iter().collect(),
        notes: collector.notes,
    })
}

/// Facts, if the policy asks for them.
fn asked<T>(
    what: &'static str,
    needed: bool,
    read: fn() -> io::Result<Vec<T>>,
) -> Result<Option<Vec<T>>, InputsError> {
    needed.then(read).transpose().map_err(|error| {
        InputsError::Invalid(vec![Diagnostic {
            code: "C011",
            subject: "this machine".to_owned(),
            message: format!("the policy needs its {what}, which cannot be read: {error}"),
            help: "look whether /proc is mounted and the user may read it".to_owned(),
        }])
    })
}

fn unwanted(feed: &FeedConfig, description: &Description) -> Diagnostic {
    Diagnostic {
        code: "C009",
        subject: format!("{}, feed {}", feed.place, Quoted(&feed.name)),
        message: format!("policy {} does not use it", Quoted(&description.name)),
        help: nearest::did_you_mean(
            &feed.name,
            description.feeds.iter().map(|spec| spec.name.as_str()),
        ),
    }
}

/// The feeds read so far, and what is wrong.
#[derive(Default)]
struct Collector {
    summaries: Vec<Feed>,
    feeds: Vec<(String, AddressSet)>,
    notes: Vec<String>,
    invalid: Vec<Diagnostic>,
    unavailable: Vec<Diagnostic>,
}

impl Collector {
    fn feed(&mut self, spec: &FeedSpec, configured: Option<&FeedConfig>) {
        let (sources, contract) = match configured {
            Some(feed) => (feed.sources.as_slice(), feed.contract.clone()),
            None if spec.name == CLOUDFLARE => {
                (&[FeedSource::BuiltInCloudflare][..], Contract::default())
            }
            None => return self.invalid.push(unconfigured(spec)),
        };
        let Some(files) = self.files(spec, sources) else {
            return;
        };
        let sources: Vec<_> = files.iter().map(File::source).collect();
        match feed::read(&spec.name, &sources, &contract) {
            Ok(contents) => self.take(spec, contents),
            Err(found) => self.invalid.extend(found),
        }
    }

    /// Every file of the feed, or none when one cannot be read.
    fn files(&mut self, spec: &FeedSpec, sources: &[FeedSource]) -> Option<Vec<File>> {
        let before = self.unavailable.len();
        let mut files = Vec::new();
        for source in sources {
            match source {
                FeedSource::BuiltInCloudflare => {
                    files.extend([CLOUDFLARE_IP, CLOUDFLARE_IP6].map(File::BuiltIn));
                }
                FeedSource::File(path) => match file::read(path, feed::FEED_BYTES_MAX) {
                    Ok(contents) => files.push(File::Read(quoted(path), contents.bytes)),
                    Err(error) => self.unavailable.push(unreadable(spec, path, &error)),
                },
            }
        }
        (self.unavailable.len() == before).then_some(files)
    }

    fn take(&mut self, spec: &FeedSpec, contents: Contents) {
        let prefixes = |family| feed::merged_prefixes(&contents.addresses, family);
        let elements = || Family::BOTH.into_iter().flat_map(prefixes).collect();
        let [ip_prefixes, ip6_prefixes] = contents.counts;
        self.summaries.push(Feed {
            name: spec.name.clone(),
            ip_prefixes,
            ip6_prefixes,
            digest: contents.digest,
            // Nothing is fetched: a file and the binary's own ranges have no such age.
            age: None,
            elements: spec.needs_elements.then(elements),
        });
        self.notes.extend(contents.note);
        self.feeds.push((spec.name.clone(), contents.addresses));
    }
}

/// The bytes of one source of a feed.
enum File {
    BuiltIn(&'static str),
    Read(String, Vec<u8>),
}

impl File {
    fn source(&self) -> Source<'_> {
        match self {
            Self::BuiltIn(text) => Source {
                origin: "carried by the binary".to_owned(),
                bytes: text.as_bytes(),
            },
            Self::Read(origin, bytes) => Source {
                origin: origin.clone(),
                bytes,
            },
        }
    }
}

fn quoted(path: &Path) -> String {
    Quoted(&path.to_string_lossy()).to_string()
}

fn unconfigured(spec: &FeedSpec) -> Diagnostic {
    Diagnostic {
        code: "C010",
        subject: format!("feed {}", Quoted(&spec.name)),
        message: "the policy needs it and the configuration does not say where it is".to_owned(),
        help: format!(
            "write a table [feeds.{}] with `source = \"file:PATH\"`; it is for: {}",
            spec.name.escape_default(),
            Quoted(&spec.help)
        ),
    }
}

fn unreadable(spec: &FeedSpec, path: &Path, error: &file::ReadError) -> Diagnostic {
    Diagnostic {
        code: "F001",
        subject: format!("feed {}", Quoted(&spec.name)),
        message: format!("file {} {error}", quoted(path)),
        help: "name a readable list of prefixes as `source = \"file:PATH\"`".to_owned(),
    }
}

#[cfg(test)]
mod tests;
