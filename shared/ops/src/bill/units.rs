//! What the functions send, as counted by tests that run them: a change of a function fails its test with the number to
//! put here.

/// A body and its response, for API Gateway; `bins/webhook/tests/it/units.rs` counts these and the next ones.
pub const BODY_BYTES_PER_TICK: f64 = 206.0;
/// A response to a sender, with 200 bytes of headers.
pub const RESPONSE_BYTES: f64 = 202.0 + 200.0;
/// The line of metrics, and the 26 bytes that CloudWatch adds to each line.
pub const LOG_BYTES_PER_DELIVERY: f64 = 281.0 + 26.0;
/// Units of the table of ticks, for a tick with an event time that is new.
pub const READ_UNITS_PER_TICK: f64 = 1.0;
/// See [`READ_UNITS_PER_TICK`].
pub const WRITE_UNITS_PER_TICK: f64 = 1.0;
/// Each instance of the webhook looks up each token in the list of the days of ticks, eventually consistent.
pub const READ_UNITS_PER_LISTED_TOKEN: f64 = 0.5;
/// How many instances of the webhook there are in a day for each that is busy on average: Lambda replaces them after some
/// hours. An estimate.
pub const INSTANCES_PER_DAY: f64 = 12.0;
/// A tick in its table, with names of Solana's length.
pub const TICK_ITEM_BYTES: f64 = 411.0;
/// The same tick in the stream, and in the broadcast queue.
pub const RECORD_BYTES: f64 = 312.0;
/// The most messages of a request to a queue; each tick is a message.
pub const MESSAGES_PER_REQUEST: f64 = 10.0;
/// DynamoDB adds so many bytes to each item that it stores.
pub const INDEX_BYTES_PER_ITEM: f64 = 100.0;

/// The webhook waits for DynamoDB, then for Kinesis and SQS. An estimate: AWS's latencies and our CPU time at 512 MB.
pub const WEBHOOK_MS: f64 = 30.0;
/// See [`WEBHOOK_MS`].
pub const WEBHOOK_MS_PER_TICK: f64 = 0.2;

/// CloudWatch keeps logs compressed; AWS's own examples assume this share.
pub const LOGS_COMPRESSED_TO: f64 = 0.15;
/// `LogRetentionDays` is a month.
pub const LOGS_KEPT_MONTHS: f64 = 1.0;

/// A tick in a file of Firehose; `docs/archive.md` has figures of generated ticks, real prices compress less.
pub const ARCHIVE_BYTES_PER_TICK: f64 = 60.0;

/// `MemorySize` of compaction.
pub const COMPACTION_MEMORY_MB: f64 = 1_769.0;
/// What one CPU compacts, with reading from and writing to S3: an estimate.
pub const COMPACTED_TICKS_PER_SECOND: f64 = 50_000.0;

/// `CompactionSchedule`, which archives anomalies; `integration/tests/templates/bill.rs` compares it.
pub const ANOMALIES_ARCHIVED_PER_HOUR: f64 = 1.0;
/// A call of DynamoDB for the days, and three more of DynamoDB and S3 for each: an estimate like [`WEBHOOK_MS`].
pub const ANOMALIES_ARCHIVED_MS: f64 = 300.0;
/// Anomalies of a pair in a day, at most, on average: the goal of the detector.
pub const ANOMALIES_PER_PAIR_AND_DAY: f64 = 1.0;
/// An anomaly, and the item that lists its day.
pub const WRITE_UNITS_PER_ANOMALY: f64 = 2.0;

/// A batch of analytics reads and writes its position; `bins/analytics/tests/it/guide_day.rs` counts these and the next
/// ones.
pub const READ_UNITS_PER_BATCH: f64 = 1.0;
/// See [`READ_UNITS_PER_BATCH`].
pub const WRITE_UNITS_PER_BATCH: f64 = 1.0;
/// The item of ten minutes of a pair, without its candles and ticks, with names of Solana's length.
pub const BLOCK_BYTES: f64 = 200.0;
/// A candle in it that has one tick.
pub const SINGLE_TICK_CANDLE_BYTES: f64 = 55.0;
/// A candle in it that has several ticks.
pub const CANDLE_BYTES: f64 = 96.0;
/// Each tick that is neither the first nor the last of its candle.
pub const TICK_IN_BLOCK_BYTES: f64 = 8.0;
/// The standard deviation of the size of blocks with as many ticks.
pub const BLOCK_BYTES_SPREAD: f64 = 80.0;
/// A pair in a snapshot.
pub const SNAPSHOT_BYTES_PER_PAIR: f64 = 6_925.0;
/// `Settings::records_per_snapshot`.
pub const RECORDS_PER_SNAPSHOT: f64 = 50_000.0;
/// `Settings::states_bytes_max`, of pairs with one venue.
pub const PAIRS_IN_MEMORY_MAX: f64 = 8_000.0;
/// The results of a batch in the broadcast queue, for each pair with ticks.
pub const RESULT_BYTES_PER_PAIR: f64 = 2_798.0;
/// Candles and averages.
pub const RESULT_MESSAGES_PER_BATCH: f64 = 2.0;
/// `MemorySize` of analytics.
pub const ANALYTICS_MEMORY_MB: f64 = 512.0;
/// Two calls of DynamoDB and one of SQS, in turn: an estimate like [`WEBHOOK_MS`].
pub const ANALYTICS_MS: f64 = 30.0;
/// See [`ANALYTICS_MS`].
pub const ANALYTICS_MS_PER_RECORD: f64 = 0.15;

/// A pair with a tick in a message to a watcher: tick, candles and averages; `bins/broadcast/tests/it/units.rs` counts it.
pub const FRAME_BYTES_PER_PAIR: f64 = 2_375.0;
/// A connection that watches everything.
pub const CONNECTION_ITEM_BYTES: f64 = 100.0;
/// `MemorySize` of broadcast.
pub const BROADCAST_MEMORY_MB: f64 = 512.0;
/// An invocation of broadcast without a watcher: an estimate like [`WEBHOOK_MS`].
pub const BROADCAST_MS: f64 = 10.0;
/// Messages that are sent at the same time.
pub const POSTS_AT_ONCE: f64 = 64.0;
/// How long they take: an estimate.
pub const POST_MS: f64 = 20.0;

/// `ScalerSchedule`, for a provisioned stream; `integration/tests/templates/bill.rs` compares these and the next ones.
pub const SCALER_CALLS_PER_HOUR: f64 = 60.0;
/// Metrics that the scaler reads in a call.
pub const SCALER_METRICS_READ: f64 = 3.0;
/// `MemorySize` of the scaler.
pub const SCALER_MEMORY_MB: f64 = 128.0;
/// Two calls of AWS, in turn, with a fourteenth of a CPU: an estimate like [`WEBHOOK_MS`].
pub const SCALER_MS: f64 = 200.0;

/// Metrics of the functions, at most; `integration/tests/templates/bill.rs` counts these and the next ones.
pub const METRICS: f64 = 17.0;
/// Metrics of alarms.
pub const ALARM_METRICS: f64 = 54.0;
/// The same with the number of shards of a provisioned stream.
pub const ALARM_METRICS_PROVISIONED: f64 = 55.0;
/// Composite alarms.
pub const COMPOSITE_ALARMS: f64 = 1.0;
/// Dashboards.
pub const DASHBOARDS: f64 = 1.0;
