//! A built-in policy.
