//! What every client of AWS needs: how it is configured ([`client`]) and what the errors of its calls mean
//! ([`error`]). The ports (`aws`) and the SQL service (`athena`) are rooms of their own on top of it, so that
//! a program compiles and links the SDKs that it uses.

pub mod client;
pub mod error;
#[cfg(feature = "wire")]
pub mod wire;
