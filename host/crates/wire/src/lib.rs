//! Packets as bytes, and network interfaces whose wires this program holds.
//!
//! With these a program makes itself a machine, in namespaces of its own, and has the real kernel
//! judge packets there. The firewall of the machine outside is never met.

pub mod cable;
pub mod device;
pub mod handover;
pub mod links;
pub mod namespace;
pub mod packet;
