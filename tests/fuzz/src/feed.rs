//! A feed: a list of prefixes that somebody publishes.

use portreeve::inputs::{Config, InputsError, collect};
use portreeve_model::address::Prefix;
use portreeve_model::description::{Description, FeedSpec};
use portreeve_model::inputs::Feed;

use super::in_memory::InMemory;
use super::law;

/// Reads a feed, once as one of the public Internet and once as one of anybody's: who keeps the
/// narrow contract keeps the wide one, and what was read can be written, in any order, and read
/// again.
pub fn target(data: &[u8]) {
    let file = InMemory::new(data);
    let anybodys = read(&file, "max-coverage = 1.0\npublic = false");
    if let Some(public) = read(&file, "max-coverage = 0.05") {
        assert_eq!(anybodys.as_ref(), Some(&public));
    }
    let Some(feed) = anybodys else {
        return;
    };
    let prefixes = feed.elements.as_deref().unwrap_or_default();
    assert_eq!(prefixes.len() as u64, feed.ip_prefixes + feed.ip6_prefixes);
    let lines = prefixes.iter().rev().map(Prefix::to_string);
    let written = lines.collect::<Vec<_>>().join("\n");
    let again = read(
        &InMemory::new(written.as_bytes()),
        "max-coverage = 1.0\npublic = false",
    );
    assert_eq!(again, Some(feed));
}

/// The feed in a file, if it keeps this contract.
fn read(file: &InMemory, contract: &str) -> Option<Feed> {
    let source = file.path();
    let config = format!(
        "[feeds.f]\nsource = 'file:{}'\nmin-entries = {{ v4 = 0, v6 = 0 }}\n{contract}\n",
        source.display()
    );
    let config = InMemory::new(config.as_bytes());
    let config = Config::load(Some(&config.path())).expect("it is in order");
    match collect(&config, &description()) {
        Ok(collected) => {
            collected.notes.iter().for_each(law::printable);
            collected.inputs.feeds.into_iter().next()
        }
        Err(InputsError::FeedUnavailable(found)) => panic!("{found:?}"),
        Err(InputsError::Invalid(found)) => {
            law::diagnostics(&found);
            None
        }
    }
}

/// Of a policy that wants to see the feed's prefixes.
fn description() -> Description {
    let feed = FeedSpec {
        name: "f".to_owned(),
        needs_elements: true,
        help: "who may come in".to_owned(),
    };
    Description {
        name: "fuzzed".to_owned(),
        version: "1".to_owned(),
        summary: "Takes a feed.".to_owned(),
        settings: Vec::new(),
        feeds: vec![feed],
        needs_interfaces: false,
        needs_listeners: false,
        goals: Vec::new(),
    }
}
