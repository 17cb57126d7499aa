//! The part of nf_tables' netlink that the switch needs: batches that change our table, and what
//! the kernel answers when it is asked what stands there; and two messages to conntrack.
//!
//! Everything here is bytes to values and back. Nothing opens a socket, and no bytes whatsoever
//! make a reader panic.

mod attributes;
mod batch;
mod conntrack;
mod expressions;
mod items;
mod message;
mod numbers;
mod objects;
mod record;
mod request;

pub use self::attributes::Malformed;
pub use self::batch::{About, Batch};
pub use self::conntrack::{Connection, Ends};
pub use self::items::{Element, Item};
pub use self::message::{Answer, Says, answers};
pub use self::objects::{BaseChain, Chain, Lead, Meaning, Objects, Rule, Set};
pub use self::request::Request;

#[cfg(test)]
mod tests;
