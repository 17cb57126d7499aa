//! The packet filter as pure data: what policies see, what they may say, and what it means.
//!
//! Nothing here reads a file, a clock, or a socket; without `std` it could not. That is why the
//! host, the sdk, the simulator, and the tests can all trust the same definitions.
//!
//! A decision passes through here in three shapes: [`inputs::Inputs`] go into a policy, a
//! [`draft::Draft`] comes out, and [`validate::validate`] turns that into a [`ruleset::Ruleset`]
//! or says everything that is wrong with it. [`evaluate::evaluate`] then says what a rule set
//! does to one [`packet::Packet`], and why.

#![no_std]

extern crate alloc;

pub mod address;
pub mod description;
pub mod diagnostic;
pub mod draft;
pub mod evaluate;
pub mod field;
pub mod goal;
pub mod icmp;
pub mod inputs;
pub mod intervals;
pub mod limits;
pub mod names;
pub mod packet;
pub mod ruleset;
pub mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod validate;
