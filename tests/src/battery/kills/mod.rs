//! Kill anywhere: commands that change rules are killed at random instants, and what they leave
//! behind is judged.
//!
//! All of this happens in a world of its own, whose first process this is.

mod campaign;
mod deed;
mod tracer;
mod yard;

pub use campaign::{Campaign, Tally};
pub use tracer::traced;
