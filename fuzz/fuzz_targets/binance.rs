//! Any bytes as a delivery of `binance`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("binance", body));
