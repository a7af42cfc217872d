//! Tests of the archive's public API.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod anomaly_archive;
mod compaction;
mod evolution;
mod folder;
mod kills;
mod read_back;
mod readers;
mod replay;
mod test_archive;
mod writer;
