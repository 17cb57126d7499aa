//! What names a component: SHA-256 of its bytes.
//!
//! The build names the built-in policies with this same file, so that a start does not have to.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`, in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

/// What was hashed so far, in hexadecimal.
pub(crate) fn hexadecimal(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        })
}
