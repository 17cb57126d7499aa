//! What the whole-program tests share.

pub mod architecture;
pub mod battery;
pub mod guests;
pub mod judgement;
pub mod lab;
pub mod namespace;
pub mod program;
pub mod random;
pub mod verdicts;
