//! Feeds libFuzzer's bytes to [`portreeve_fuzz::netlink`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portreeve_fuzz::netlink::target(data));
