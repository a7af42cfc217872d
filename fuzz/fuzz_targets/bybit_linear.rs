//! Any bytes as a delivery of `bybit-linear`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("bybit-linear", body));
