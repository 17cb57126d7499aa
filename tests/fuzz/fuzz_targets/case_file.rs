//! Feeds libFuzzer's bytes to [`portreeve_fuzz::case_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::case_file::target(data));
