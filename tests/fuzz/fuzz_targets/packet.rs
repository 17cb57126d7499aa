//! Feeds libFuzzer's bytes to [`portreeve_fuzz::packet`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::packet::target(data));
