//! One function for each parser of bytes that others wrote: it takes any bytes, and panics when
//! what the parser makes of them breaks a law.
//!
//! libFuzzer calls these functions to find such bytes; a plain test calls them with those that were
//! found. Nothing here reads a file of the machine, and nothing is left behind.

pub mod case_file;
pub mod component;
pub mod config;
pub mod feed;
pub mod generation;
mod in_memory;
mod law;
pub mod listing;
pub mod netlink;
pub mod packet;
pub mod refusal;
pub mod ruleset;
pub mod setting;
pub mod word;

/// What takes any bytes.
pub type Target = fn(&[u8]);

/// Every target, under the name that its binary and its corpus have.
pub const TARGETS: [(&str, Target); 12] = [
    ("case_file", case_file::target),
    ("component", component::target),
    ("config", config::target),
    ("feed", feed::target),
    ("generation", generation::target),
    ("listing", listing::target),
    ("netlink", netlink::target),
    ("packet", packet::target),
    ("refusal", refusal::target),
    ("ruleset", ruleset::target),
    ("setting", setting::target),
    ("word", word::target),
];
