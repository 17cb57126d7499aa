//! The operator's configuration file.

use std::net::{IpAddr, Ipv4Addr};

use portreeve::inputs::{Config, InputsError, resolve};
use portreeve_model::inputs::Inputs;
use portreeve_model::validate::Feeds;

use super::in_memory::InMemory;
use super::law;

/// Reads a configuration: a comment at its end changes nothing, and what is wrong is said on lines
/// that there are. A goal either has a meaning or says why it has none.
pub fn target(data: &[u8]) {
    let file = InMemory::new(data);
    let path = file.path();
    match Config::load(Some(&path)) {
        Ok(config) => {
            assert!((1..=3_600).contains(&config.confirm_within().as_secs()));
            for goal in config.goals() {
                let operator = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
                match resolve(goal, &Feeds::default(), &Inputs::default(), &operator) {
                    Ok(resolved) => assert_eq!(resolved.name, goal.name()),
                    Err(why) => law::diagnostics(&why.into_diagnostics()),
                }
            }
            drop(file);
            let commented = InMemory::new(&[data, b"\n# the end"].concat());
            assert_eq!(commented.path(), path, "both are the first free descriptor");
            let again = Config::load(Some(&path)).expect("a comment says nothing");
            assert_eq!(again, config);
        }
        Err(InputsError::FeedUnavailable(found)) => panic!("no feed is read: {found:?}"),
        Err(InputsError::Invalid(found)) => law::diagnostics(&found),
    }
}
