//! Panics when it is asked who it is.

use hostile_guests::{Description, honest_draft, policy};

policy!(describe, honest_draft);

fn describe() -> Description {
    panic!("no \u{1b}[2Jname");
}
