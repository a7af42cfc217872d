//! SQL on the archive, as its users see it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod answer;
mod golden;
mod marked_prices;
mod mistakes;
mod other_types;
mod plans;
mod real_candles;
mod rows;
mod sql;
mod trino;
mod unreadable;
