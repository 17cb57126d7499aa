//! Does nothing wrong: the guest that others are derived from.

use hostile_guests::{honest_description, honest_draft, policy};

policy!(honest_description, honest_draft);
