//! Feeds libFuzzer's bytes to [`portreeve_fuzz::word`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::word::target(data));
