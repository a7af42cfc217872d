//! Kinesis, Firehose and the archive.

use super::flow::{DAYS_PER_MONTH, Flow, GIB, HOURS_PER_MONTH, KIB, gb_seconds, steps};
use super::item::{Item, Part};
use super::load::{Load, StreamMode};
use super::prices::Prices;
use super::units::{
    ANOMALIES_ARCHIVED_MS, ANOMALIES_ARCHIVED_PER_HOUR, ARCHIVE_BYTES_PER_TICK,
    COMPACTED_TICKS_PER_SECOND, COMPACTION_MEMORY_MB, RECORD_BYTES, SCALER_CALLS_PER_HOUR,
    SCALER_MEMORY_MB, SCALER_METRICS_READ, SCALER_MS,
};

/// A provisioned stream bills a record for each so many bytes.
const PUT_UNIT_BYTES: f64 = 25.0 * KIB;

/// An on-demand stream rounds a record up to a multiple of this.
const ON_DEMAND_STEP: f64 = KIB;

/// Firehose rounds a record up to a multiple of this.
const FIREHOSE_STEP: f64 = 5.0 * KIB;

/// Analytics and Firehose read everything.
const READERS: f64 = 2.0;

/// `BufferingHints`: a file every 300 seconds.
const FILES_PER_DAY: f64 = 288.0;

/// The bytes of a file before conversion, at which it is written earlier.
const FILE_BYTES: f64 = 128.0 * KIB * KIB;

/// `ArchiveColdAfterDays`.
const COLD_AFTER_DAYS: f64 = 90.0;

pub(super) fn items(load: &Load, flow: &Flow, prices: &Prices) -> Vec<Item> {
    let item = |name, quantity, price| Item::new(Part::Stream, name, quantity, price);
    let rounded_to = |step| flow.streamed * steps(RECORD_BYTES, step) * step / GIB;
    let bytes = flow.streamed * RECORD_BYTES / GIB;
    let scaler_calls = SCALER_CALLS_PER_HOUR * HOURS_PER_MONTH;
    let mut items = match load.stream {
        StreamMode::OnDemand => vec![
            item(
                "Kinesis stream",
                HOURS_PER_MONTH,
                &prices.kinesis_stream_hours,
            ),
            item("Kinesis in", rounded_to(ON_DEMAND_STEP), &prices.kinesis_in),
            item("Kinesis out", bytes * READERS, &prices.kinesis_out),
        ],
        StreamMode::Provisioned => vec![
            item(
                "Kinesis shards",
                flow.shards * HOURS_PER_MONTH,
                &prices.kinesis_shard_hours,
            ),
            item(
                "Kinesis records",
                flow.streamed * steps(RECORD_BYTES, PUT_UNIT_BYTES),
                &prices.kinesis_put_units,
            ),
            item("scaler requests", scaler_calls, &prices.lambda_requests),
            item(
                "scaler time",
                gb_seconds(scaler_calls, SCALER_MS, SCALER_MEMORY_MB),
                &prices.lambda_gb_seconds,
            ),
            item(
                "scaler's metrics",
                scaler_calls * SCALER_METRICS_READ,
                &prices.metric_reads,
            ),
        ],
    };
    let firehose = rounded_to(FIREHOSE_STEP);
    let files = match flow.streamed > 0.0 {
        true => (FILES_PER_DAY * DAYS_PER_MONTH).max(bytes * GIB / FILE_BYTES),
        false => 0.0,
    };
    items.extend([
        item("Firehose", firehose, &prices.firehose_ingest),
        item("Firehose to Parquet", firehose, &prices.firehose_conversion),
    ]);
    if load.archive_by_event {
        items.extend([
            item("Firehose by day", bytes, &prices.firehose_partitioning),
            item("Firehose files", files, &prices.firehose_objects),
        ]);
    }
    let compaction_ms = flow.streamed / COMPACTED_TICKS_PER_SECOND * 1_000.0;
    items.push(item(
        "compaction",
        gb_seconds(1.0, compaction_ms, COMPACTION_MEMORY_MB),
        &prices.lambda_gb_seconds,
    ));
    let anomalies = match flow.streamed > 0.0 {
        true => ANOMALIES_ARCHIVED_PER_HOUR * HOURS_PER_MONTH,
        false => 0.0,
    };
    items.extend([
        item(
            "anomalies, Lambda time",
            gb_seconds(anomalies, ANOMALIES_ARCHIVED_MS, COMPACTION_MEMORY_MB),
            &prices.lambda_gb_seconds,
        ),
        item("anomalies, S3 writes", anomalies, &prices.s3_puts),
    ]);
    let archived_a_day = flow.streamed / DAYS_PER_MONTH * ARCHIVE_BYTES_PER_TICK / GIB;
    let recent = load.archive_days.min(COLD_AFTER_DAYS);
    items.extend([
        item("S3 writes", files, &prices.s3_puts),
        item("S3 archive", archived_a_day * recent, &prices.s3_storage),
        item(
            "S3 archive, cold",
            archived_a_day * (load.archive_days - recent),
            &prices.s3_cold_storage,
        ),
    ]);
    items
}
