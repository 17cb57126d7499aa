//! Feeds libFuzzer's bytes to [`portreeve_fuzz::generation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::generation::target(data));
