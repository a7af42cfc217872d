//! The use cases with in-memory ports.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod candle_rebuild;
mod kept_pairs;
mod quarantine_objects;
mod quarantine_unavailable;
mod replayed;
mod retimed;
mod tick_replay;
mod unoffered;
