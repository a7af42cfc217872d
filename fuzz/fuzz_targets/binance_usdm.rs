//! Any bytes as a delivery of `binance-usdm`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("binance-usdm", body));
