//! Any bytes as a delivery of `okx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("okx", body));
