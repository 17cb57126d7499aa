//! Feeds libFuzzer's bytes to [`portreeve_fuzz::refusal`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::refusal::target(data));
