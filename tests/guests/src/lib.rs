//! Policies that misbehave on purpose.
