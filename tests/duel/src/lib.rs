//! The model against the kernel: random rule sets, random packets, and not one difference.
//!
//! A round is a rule set and packets. The rules are text that nft loads into a network namespace;
//! the packets come in by the wires of interfaces there, or are sent there. What became of each is
//! noted by a table of our own, and every rule counts. The model reads nft's listing of the rules
//! and says what should have become of each packet, and what each counter should be.
//!
//! Nothing here uses how portreeve says rules to nft, so a reader and an evaluation that are wrong
//! in the same way have nobody to agree with.

pub mod answer;
pub mod arena;
pub mod campaign;
pub mod case;
pub mod conntrack;
pub mod dissect;
pub mod draw;
pub mod facts;
pub mod judge;
pub mod listing;
pub mod minimise;
pub mod nftables;
pub mod observer;
pub mod random;
pub mod round;
pub mod shots;
pub mod tally;
pub mod worker;
