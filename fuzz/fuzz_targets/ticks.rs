//! Any bytes as a delivery of `ticks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("ticks", body));
