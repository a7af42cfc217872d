//! Any bytes as a delivery of `birdeye`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("birdeye", body));
