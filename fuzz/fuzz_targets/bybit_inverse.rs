//! Any bytes as a delivery of `bybit-inverse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("bybit-inverse", body));
