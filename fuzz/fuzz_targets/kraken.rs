//! Any bytes as a delivery of `kraken`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("kraken", body));
