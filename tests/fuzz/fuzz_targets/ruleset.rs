//! Feeds libFuzzer's bytes to [`portreeve_fuzz::ruleset`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::ruleset::target(data));
