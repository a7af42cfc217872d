//! Any bytes as a delivery of `coinbase`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("coinbase", body));
