//! Any bytes as a delivery of `coingecko`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("coingecko", body));
