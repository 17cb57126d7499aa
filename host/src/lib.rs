//! portreeve: firewall policies as sandboxed WebAssembly components, applied through nftables.
//!
//! The modules stand in the order in which they may name each other: each names only those above
//! it. [`pipeline`] is the one place that names every stage from inputs to plan.

pub mod cli;
mod durable;
pub mod exit_code;

pub mod inputs;
pub mod policy;

pub mod session;

pub mod proofs;

pub mod guard;

pub mod pipeline;

pub mod apply;

pub mod observe;

pub mod probe;

pub mod report;

pub mod command;
