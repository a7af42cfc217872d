//! The stored record of a tick in all its formats.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[cfg(feature = "columnar")]
mod agreement;
mod arbitrary;
mod binary;
#[cfg(feature = "columnar")]
mod columnar;
mod json;
