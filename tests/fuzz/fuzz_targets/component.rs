//! Feeds libFuzzer's bytes to [`portreeve_fuzz::component`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::component::target(data));
