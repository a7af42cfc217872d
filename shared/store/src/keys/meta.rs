//! Key: a name, one of those below.
//! Value: documented with each name.

pub(crate) const KEYSPACE: &str = "meta";

/// The layout of all keys and values (u32).
pub(crate) const LAYOUT: &str = "layout";

/// Positions and ledger counters: [`crate::state::State`] (postcard). Written with every commit.
pub(crate) const STATE: &str = "state";

/// From which event time on ticks get the ids of version 1.1 (i64, epoch milliseconds); missing in a folder
/// that never had others.
pub(crate) const NEW_IDS_FROM: &str = "new-ids-from";

/// The first day that is kept (u16). Rows of earlier days may still be on disk; nobody reads them.
pub(crate) const FIRST_DAY: &str = "first-day";

/// How many pairs have ticks (u64).
pub(crate) const PAIRS_LIVE: &str = "pairs-live";

/// The last number of the quarantine that is in the files (u64).
pub(crate) const QUARANTINE_WRITTEN: &str = "quarantine-written";

/// The day since whose beginning rows of anomalies may not be in the files (u16).
pub(crate) const ANOMALIES_WRITTEN: &str = "anomalies-written";

/// The last result of a comparison of store, stream and archive: [`ops::verify::Proof`] (JSON).
pub(crate) const PROOF: &str = "proof";

/// The analysis, as a consumer of the stream.
pub(crate) const ANALYTICS: &str = "analytics";

/// The archive, as a consumer of the stream.
pub(crate) const ARCHIVE: &str = "archive";

/// The consumers of the stream, by the names of their checkpoints.
pub const CONSUMERS: [&str; 2] = [ANALYTICS, ARCHIVE];

/// The last record of a shard that a consumer has processed (u64).
pub(crate) fn checkpoint(consumer: &str, shard: u8) -> String {
    format!("checkpoint/{consumer}/{shard}")
}

/// Of the records of a shard that may have been removed, the newest time of receipt (i64, epoch milliseconds). Missing until
/// some were removed by a version that keeps it.
pub(crate) fn removed_until(shard: u8) -> String {
    format!("removed-until/{shard}")
}

/// The records of a shard that the archive is writing: first and last (postcard).
pub(crate) fn archive_range(shard: u8) -> String {
    format!("archive-range/{shard}")
}

/// The records of the range that the archive is writing that it omits, since they cannot be written (postcard).
pub(crate) fn archive_omitted(shard: u8) -> String {
    format!("archive-omitted/{shard}")
}
