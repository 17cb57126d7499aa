//! Write portreeve policies in Rust.
