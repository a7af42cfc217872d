//! Analytics: a position for each batch, candles of ten minutes as an item, and snapshots.

use super::flow::{DAYS_PER_MONTH, Flow, GIB, HOURS_PER_MONTH, KIB, gb_seconds, ratio, steps};
use super::item::{Item, Part};
use super::load::Load;
use super::prices::Prices;
use super::units::{
    ANALYTICS_MEMORY_MB, ANALYTICS_MS, ANALYTICS_MS_PER_RECORD, ANOMALIES_PER_PAIR_AND_DAY,
    BLOCK_BYTES, BLOCK_BYTES_SPREAD, CANDLE_BYTES, INDEX_BYTES_PER_ITEM, PAIRS_IN_MEMORY_MAX,
    READ_UNITS_PER_BATCH, RECORDS_PER_SNAPSHOT, SINGLE_TICK_CANDLE_BYTES, SNAPSHOT_BYTES_PER_PAIR,
    TICK_IN_BLOCK_BYTES, WRITE_UNITS_PER_ANOMALY, WRITE_UNITS_PER_BATCH,
};

const BLOCKS_PER_DAY: f64 = 144.0;

const BLOCKS_PER_HOUR: f64 = 6.0;

/// A read unit.
const READ_UNIT_BYTES: f64 = 4.0 * KIB;

/// A deleted snapshot stays for `NoncurrentDays` in the versioned bucket.
const SNAPSHOTS_KEPT_DAYS: f64 = 1.0;

/// The schedule that stores what is due.
const SETTLES_PER_MONTH: f64 = HOURS_PER_MONTH;

/// Up to so many ticks a block, the numbers of ticks are summed up by their probabilities.
const SUMMED_TICKS_MAX: f64 = 200.0;

/// Fifths of a normal distribution, in standard deviations.
const FIFTHS: [f64; 5] = [-1.28, -0.52, 0.0, 0.52, 1.28];

/// The blocks of candles of a month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blocks {
    /// How many have ticks, and are stored.
    pub stored: f64,
    /// The units that their writes use.
    pub write_units: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// The blocks of so many ticks in a month, spread evenly over tokens and time.
#[must_use]
pub fn blocks(ticks: f64, tokens: f64, candles_per_block: f64) -> Blocks {
    let possible = tokens * BLOCKS_PER_DAY * DAYS_PER_MONTH;
    let mean = ticks / possible;
    if mean > SUMMED_TICKS_MAX {
        let bytes = bytes_of_block(mean, candles_per_block);
        return Blocks {
            stored: possible,
            // A size is as often in the lower as in the upper half of its last unit.
            write_units: possible * (bytes / KIB + 0.5),
            bytes: possible * bytes,
        };
    }
    let mut probability = (-mean).exp();
    let (mut stored, mut write_units, mut bytes) = (0.0, 0.0, 0.0);
    let mut n = 0.0;
    while n < mean + 10.0 * mean.sqrt() + 20.0 {
        n += 1.0;
        probability *= mean / n;
        let size = bytes_of_block(n, candles_per_block);
        stored += probability;
        write_units += probability * units_of_size(size);
        bytes += probability * size;
    }
    Blocks {
        stored: possible * stored,
        write_units: possible * write_units,
        bytes: possible * bytes,
    }
}

/// A block of so many ticks: how many candles they are in follows from chance.
fn bytes_of_block(ticks: f64, candles_per_block: f64) -> f64 {
    let others = 1.0 - 1.0 / candles_per_block;
    let candles = candles_per_block * (1.0 - others.powf(ticks));
    let singles = ticks * others.powf(ticks - 1.0);
    BLOCK_BYTES
        + SINGLE_TICK_CANDLE_BYTES * singles
        + CANDLE_BYTES * (candles - singles)
        + TICK_IN_BLOCK_BYTES * (ticks - singles - 2.0 * (candles - singles)).max(0.0)
}

/// The mean units of sizes around a mean.
fn units_of_size(mean: f64) -> f64 {
    let units = FIFTHS.map(|deviations| steps(mean + deviations * BLOCK_BYTES_SPREAD, KIB));
    units.iter().sum::<f64>() / units.len() as f64
}

pub(super) fn items(load: &Load, flow: &Flow, prices: &Prices) -> Vec<Item> {
    let item = |name, quantity, price| Item::new(Part::Analytics, name, quantity, price);
    let blocks = blocks(flow.streamed, load.tokens, load.candles.per_block());
    let invocations = flow.shard_batches + SETTLES_PER_MONTH;
    let ms = ANALYTICS_MS + ANALYTICS_MS_PER_RECORD * flow.records_per_batch;
    let ms = load.analytics_ms.unwrap_or(ms);
    let snapshots = snapshots(flow);
    let block_bytes = ratio(blocks.bytes, blocks.stored);
    // Pairs beyond those in memory are read again when they have ticks again.
    let pairs_per_shard = load.tokens / flow.shards;
    let read_again = (1.0 - PAIRS_IN_MEMORY_MAX / pairs_per_shard).max(0.0) * blocks.stored;
    let read_units = read_again * steps(BLOCKS_PER_HOUR * block_bytes, READ_UNIT_BYTES);
    let per_month = load.retention_days / DAYS_PER_MONTH;
    let table = blocks.bytes + blocks.stored * INDEX_BYTES_PER_ITEM;
    let table = table * per_month / GIB;
    let held = pairs_per_shard.min(PAIRS_IN_MEMORY_MAX);
    let anomalies = match flow.streamed > 0.0 {
        true => load.tokens * ANOMALIES_PER_PAIR_AND_DAY * DAYS_PER_MONTH,
        false => 0.0,
    };
    let kept = snapshots * SNAPSHOTS_KEPT_DAYS / DAYS_PER_MONTH;
    let kept = kept * held * SNAPSHOT_BYTES_PER_PAIR / GIB;
    vec![
        item("Lambda requests", invocations, &prices.lambda_requests),
        item(
            "Lambda time",
            gb_seconds(invocations, ms, ANALYTICS_MEMORY_MB),
            &prices.lambda_gb_seconds,
        ),
        item(
            "DynamoDB writes, batches",
            flow.shard_batches * WRITE_UNITS_PER_BATCH + snapshots,
            &prices.dynamodb_writes,
        ),
        item(
            "DynamoDB writes, candles",
            blocks.write_units,
            &prices.dynamodb_writes,
        ),
        item(
            "DynamoDB, anomalies",
            anomalies * WRITE_UNITS_PER_ANOMALY,
            &prices.dynamodb_writes,
        ),
        item(
            "DynamoDB reads",
            flow.shard_batches * READ_UNITS_PER_BATCH + read_units,
            &prices.dynamodb_reads,
        ),
        item("DynamoDB storage", table, &prices.dynamodb_storage),
        item("DynamoDB recovery", table, &prices.dynamodb_recovery),
        item("S3 writes", snapshots, &prices.s3_puts),
        item("S3 snapshots", kept, &prices.s3_storage),
    ]
}

/// Snapshots of all shards: after so many records, and one an hour.
fn snapshots(flow: &Flow) -> f64 {
    if flow.streamed > 0.0 {
        flow.streamed / RECORDS_PER_SNAPSHOT + flow.shards * SETTLES_PER_MONTH
    } else {
        0.0
    }
}
