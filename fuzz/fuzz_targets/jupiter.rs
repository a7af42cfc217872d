//! Any bytes as a delivery of `jupiter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::check("jupiter", body));
