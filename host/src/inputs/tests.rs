//! From a configuration to inputs, as a command collects them.

use portreeve_model::description::{Constraint, SettingSpec};
use portreeve_model::inputs::Value;

use super::*;

fn description(feeds: &[&str]) -> Description {
    let feed = |name: &&str| FeedSpec {
        name: (*name).to_owned(),
        needs_elements: *name == "office",
        help: "a test".to_owned(),
    };
    Description {
        name: "test".to_owned(),
        version: "1".to_owned(),
        summary: String::new(),
        settings: vec![SettingSpec {
            name: "ssh-port".to_owned(),
            default: Value::Port(22),
            constraint: Constraint::None,
            help: "a test".to_owned(),
        }],
        feeds: feeds.iter().map(feed).collect(),
        needs_interfaces: false,
        needs_listeners: false,
        goals: Vec::new(),
    }
}

/// A configuration in a directory of its own, with the file `list` next to it.
fn config(text: &str, list: &str) -> (tempfile::TempDir, Config) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("list"), list).unwrap();
    let file = directory.path().join("portreeve.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file)).unwrap();
    (directory, config)
}

fn codes(error: InputsError) -> Vec<&'static str> {
    error
        .into_diagnostics()
        .iter()
        .map(|found| found.code)
        .collect()
}

#[test]
fn a_machine_without_configuration_has_cloudflare_and_the_defaults() {
    let collected = collect(&Config::default(), &description(&["cloudflare"])).unwrap();
    assert_eq!(collected.inputs.value("ssh-port"), Some(&Value::Port(22)));
    let feed = &collected.inputs.feeds[0];
    assert_eq!((feed.ip_prefixes, feed.ip6_prefixes), (15, 7));
    assert_eq!(
        (&feed.elements, feed.age, feed.digest.len()),
        (&None, None, 64)
    );
    assert!(collected.feeds.get("cloudflare").is_some());
    assert_eq!(collected.notes, Vec::<String>::new());
    assert_eq!(
        (collected.inputs.interfaces, collected.inputs.listeners),
        (None, None)
    );
}

#[test]
fn a_file_next_to_the_configuration_is_found_and_its_elements_are_given_when_asked() {
    let text = "[feeds.office]\nsource = \"file:list\"\nmin-entries.v6 = 0\npublic = false";
    let (_directory, config) = config(text, "192.0.2.0/24\n192.0.2.7");
    let collected = collect(&config, &description(&["office"])).unwrap();
    let elements = collected.inputs.feeds[0].elements.as_ref().unwrap();
    assert_eq!(elements, &["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(
        collected.notes,
        ["feed `office`: merged 0 prefixes that came twice and 1 prefix inside another"]
    );
}

#[test]
fn facts_are_collected_when_the_description_asks() {
    let mut description = description(&[]);
    description.needs_interfaces = true;
    description.needs_listeners = true;
    let inputs = collect(&Config::default(), &description).unwrap().inputs;
    assert!(inputs.interfaces.is_some() && inputs.listeners.is_some());
}

/// The daemon keeps the last good list when a file is gone, but not when the operator erred.
#[test]
fn a_file_that_is_gone_is_told_from_one_that_is_wrong() {
    let absent = "[feeds.office]\nsource = \"file:absent\"";
    let (_directory, mut config) = config(absent, "");
    let error = collect(&config, &description(&["office"])).unwrap_err();
    assert!(error.is_unreadable_feed());
    assert_eq!(codes(error), ["F001"]);
    config.set("ssh-port=x").unwrap();
    let error = collect(&config, &description(&["office"])).unwrap_err();
    assert!(!error.is_unreadable_feed());
    assert_eq!(codes(error), ["S003", "F001"]);
}

#[test]
fn feeds_of_the_policy_and_of_the_configuration_must_be_the_same() {
    let (_directory, config) = config("[feeds.ofice]\nsource = \"file:list\"", "");
    let found = collect(&config, &description(&["office"]))
        .unwrap_err()
        .into_diagnostics();
    let [unwanted, unconfigured] = found.as_slice() else {
        panic!("two things are wrong: {found:?}");
    };
    assert_eq!((unwanted.code, unconfigured.code), ("C009", "C010"));
    assert!(
        unwanted.subject.ends_with("line 1, feed `ofice`"),
        "{}",
        unwanted.subject
    );
    assert_eq!(unwanted.message, "policy `test` does not use it");
    assert_eq!(unwanted.help, "write `office`, if that is what it means");
    assert_eq!(
        unconfigured.help,
        "write a table [feeds.office] with `source = \"file:PATH\"`; it is for: `a test`"
    );
}

#[test]
fn one_bad_feed_ends_the_run() {
    let text = "[feeds.office]\nsource = \"file:list\"";
    let (_directory, config) = config(text, "<html>");
    let error = collect(&config, &description(&["office", "cloudflare"])).unwrap_err();
    assert_eq!(codes(error), ["F004"]);
}

/// The same inputs give the same bytes.
#[test]
fn collecting_twice_gives_the_same() {
    let twice = || {
        collect(&Config::default(), &description(&["cloudflare"]))
            .unwrap()
            .inputs
    };
    assert_eq!(twice(), twice());
}

#[test]
fn facts_that_the_kernel_keeps_to_itself_are_said_to_be_missing() {
    let refused = || Err::<Vec<()>, _>(io::Error::from(io::ErrorKind::PermissionDenied));
    let found = asked("listeners", true, refused)
        .unwrap_err()
        .into_diagnostics();
    assert_eq!(found[0].code, "C011");
    assert_eq!(
        found[0].to_string(),
        "error[C011]: this machine: the policy needs its listeners, which cannot be read: \
         permission denied"
    );
    assert!(
        asked("listeners", false, refused).unwrap().is_none(),
        "nobody asked"
    );
}
