//! Everybody else: every host of the internet at once, behind each network card of a machine.

pub mod card;
pub mod conversation;
pub mod packet;
pub mod record;
pub mod segment;
