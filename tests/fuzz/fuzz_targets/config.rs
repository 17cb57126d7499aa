//! Feeds libFuzzer's bytes to [`portreeve_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::config::target(data));
