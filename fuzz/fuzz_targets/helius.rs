//! Any bytes as a delivery of `helius`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("helius", body));
