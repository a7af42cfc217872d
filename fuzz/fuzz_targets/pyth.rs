//! Any bytes as a delivery of `pyth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("pyth", body));
