//! Feeds libFuzzer's bytes to [`portreeve_fuzz::feed`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::feed::target(data));
