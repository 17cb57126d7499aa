//! Feeds libFuzzer's bytes to [`portreeve_fuzz::setting`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::setting::target(data));
