//! Any bytes as a delivery of `binance-coinm`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("binance-coinm", body));
