//! Feeds libFuzzer's bytes to [`portreeve_fuzz::listing`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::listing::target(data));
