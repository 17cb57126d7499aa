//! The battery: a trial on a machine in trouble, and commands that are killed anywhere.
//!
//! A machine under test ([`Machine`]) has a network, processes and a disk of its own. The world is
//! at the other end of its cable: it knocks, logs in and talks, and what it sees is judged. What
//! portreeve says of itself is judged too, but nothing is taken from it.

mod confirmed;
pub mod kills;
mod knock;
pub mod login;
mod machine;
mod sabotage;
mod table;
mod trial;
mod trouble;
pub mod world;

pub use confirmed::{Confirmed, token};
pub use knock::{Change, Door, Knocker};
pub use machine::{MACHINE, Machine, Processes, Programs, WORLD, init};
pub use sabotage::Sabotage;
pub use table::table;
pub use trial::{TRIAL, Verdict, run};
pub use trouble::Trouble;
