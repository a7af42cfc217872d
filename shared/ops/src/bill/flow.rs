//! How much flows in a month, and how often Lambda invokes the functions.

use super::load::{Load, StreamMode};
use super::units::RECORD_BYTES;

/// AWS's month.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// The same in days.
pub const DAYS_PER_MONTH: f64 = HOURS_PER_MONTH / 24.0;

pub(super) const SECONDS_PER_MONTH: f64 = HOURS_PER_MONTH * 3_600.0;

const SECONDS_PER_DAY: f64 = 86_400.0;

pub(super) const KIB: f64 = 1_024.0;

pub(super) const GIB: f64 = KIB * KIB * KIB;

/// What a shard takes in a second.
const RECORDS_PER_SHARD_SECOND: f64 = 1_000.0;

/// The same in bytes.
const BYTES_PER_SHARD_SECOND: f64 = KIB * KIB;

/// The shards of a new on-demand stream.
const SHARDS_ON_DEMAND: f64 = 4.0;

/// `ShardCount`, the shards of a new provisioned stream.
const SHARDS_PROVISIONED: f64 = 2.0;

/// An on-demand stream has room for twice its load.
const ON_DEMAND_HEADROOM: f64 = 2.0;

/// `MaximumBatchingWindowInSeconds` of both mappings.
const WINDOW_SECONDS: f64 = 1.0;

/// `AnalyticsBatchSize`, and the batch size of the broadcast queue.
const BATCH_SIZE: f64 = 500.0;

/// The flow of a month, or of a second where the name says so.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) ticks: f64,
    pub(super) deliveries: f64,
    pub(super) streamed: f64,
    pub(super) shards: f64,
    /// Batches of all shards.
    pub(super) shard_batches: f64,
    /// Records of one of them.
    pub(super) records_per_batch: f64,
}

impl Flow {
    pub(super) fn of(load: &Load) -> Self {
        let ticks = load.ticks_per_day * DAYS_PER_MONTH;
        let share = load.percent / 100.0;
        let streamed_per_second = load.ticks_per_day / SECONDS_PER_DAY * share;
        let shards = load
            .shards
            .unwrap_or_else(|| shards(load.stream, streamed_per_second));
        let per_shard = batches_per_second(streamed_per_second / shards);
        let shard_batches = per_shard * shards * SECONDS_PER_MONTH;
        let streamed = ticks * share;
        Self {
            ticks,
            deliveries: ticks / load.batch,
            streamed,

            shards,
            shard_batches,
            records_per_batch: ratio(streamed, shard_batches),
        }
    }
}

/// The shards that a load needs if it is spread evenly.
fn shards(mode: StreamMode, records_per_second: f64) -> f64 {
    let needed = (records_per_second / RECORDS_PER_SHARD_SECOND)
        .max(records_per_second * RECORD_BYTES / BYTES_PER_SHARD_SECOND);
    match mode {
        StreamMode::OnDemand => SHARDS_ON_DEMAND.max((needed * ON_DEMAND_HEADROOM).ceil()),
        StreamMode::Provisioned => SHARDS_PROVISIONED.max(needed.ceil()),
    }
}

/// How often Lambda hands over a batch: it waits for a record, then for the window, and a batch has at most 500 records.
pub(super) fn batches_per_second(records_per_second: f64) -> f64 {
    if records_per_second <= 0.0 {
        return 0.0;
    }
    let by_window = 1.0 / (WINDOW_SECONDS + 1.0 / records_per_second);
    by_window.max(records_per_second / BATCH_SIZE)
}

/// How many different ones of `of` are met by so many ticks.
pub(super) fn different(of: f64, ticks: f64) -> f64 {
    of * (1.0 - (-ticks / of).exp())
}

/// 0 if there is nothing to divide.
pub(super) fn ratio(of: f64, by: f64) -> f64 {
    if by > 0.0 { of / by } else { 0.0 }
}

/// Units that are billed for each `step` that is begun.
pub(super) fn steps(bytes: f64, step: f64) -> f64 {
    (bytes / step).ceil()
}

/// GB-seconds of invocations.
pub(super) fn gb_seconds(invocations: f64, ms: f64, memory_mb: f64) -> f64 {
    invocations * ms / 1_000.0 * memory_mb / KIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_for_a_record_and_a_second_and_is_never_too_large() {
        assert!(batches_per_second(0.0) == 0.0);
        assert!(batches_per_second(0.001) < 0.001);
        assert!((batches_per_second(58.0) - 0.983).abs() < 0.001);
        assert!((batches_per_second(5_000.0) - 10.0).abs() < 0.001);
    }

    #[test]
    fn a_stream_has_the_shards_that_its_load_needs() {
        let all = |mode| [0.0, 2_000.0, 60_000.0].map(|rate| shards(mode, rate));
        assert_eq!(all(StreamMode::Provisioned), [2.0, 2.0, 60.0]);
        assert_eq!(all(StreamMode::OnDemand), [4.0, 4.0, 120.0]);
    }
}
