//! The configuration ([`client`]) and the errors ([`error`]) of AWS clients. The adapters (`aws`) and SQL
//! (`athena`) are separate crates, so a program only compiles and links the SDKs that it uses.

pub mod client;
pub mod error;
#[cfg(feature = "wire")]
pub mod scripted_http;
