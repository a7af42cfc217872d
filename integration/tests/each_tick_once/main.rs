//! Each tick once, on every path, as a property of whole systems: whatever is delivered, in whatever
//! order, however often, with faults, changes of the flag and crashes in between, store, stream,
//! candles, archive and live feed agree with a plain reference.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too; clippy excuses only the test functions themselves"
)]

mod cloud;
mod embedded;
mod killed;
mod outage;
mod ports;
mod reference;
mod run;
mod scenario;
mod world;
