//! The whole system on an emulator, with the real templates, bootstraps and deploy script.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first surprise"
)]

mod engine;
mod flow;
mod functions;
mod operator;
mod project;
mod redelivery;
mod released;
mod source;
mod sql;
mod staged;
