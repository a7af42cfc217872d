//! What fails in a simulated day.

/// A failure, from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    // The webhook
    /// DynamoDB does not answer, so deliveries get a 503.
    StoreDown,
    /// The webhook's process ends or times out.
    WebhookCrashes,
    /// Lambda has no concurrency left for the webhook.
    WebhookThrottled,
    /// Each delivery meets a cold start.
    ColdStarts,
    /// A provider has a new secret that the webhook does not have.
    SecretRotated,
    /// SSM does not answer the webhook.
    SecretsUnread,
    /// The API refuses half of the requests with a 429.
    ApiThrottled,
    /// No provider sends.
    NoSenders,
    /// A defect: a tick that was received is not counted as stored.
    CountsDiffer,
    /// A provider changed its format.
    FormatChanged,
    /// Neither the stream nor the redrive queue accepts ticks.
    StreamAndQueueDown,
    // Tables
    WritesThrottled(&'static str),
    ReadsThrottled(&'static str),
    /// DynamoDB answers 500 to BatchWriteItem.
    DynamoDbFails,
    // The stream
    /// The stream has too few shards, and refuses all records.
    StreamRefuses,
    /// The webhook and redrive may no longer write to the stream.
    StreamForbidden,
    /// The load is 95 % of the capacity.
    StreamNearlyFull,
    /// A fifth reader.
    TooManyReaders,
    // Redrive, analytics, broadcast
    /// An event source mapping was disabled, or may not read: of this function.
    MappingStops(&'static str),
    /// A function returns errors for whole batches.
    FunctionFails(&'static str),
    /// A queue that people read has messages.
    DeadLetters(&'static str),
    /// Analytics takes longer than the records it gets.
    AnalyticsSlow,
    /// A stored state cannot be read.
    StateUnreadable,
    /// Broadcast takes longer than the messages it gets.
    BroadcastSlow,
    // The archive
    /// Firehose may not write to the bucket.
    FirehoseCannotWrite,
    /// Firehose may not read the stream.
    FirehoseCannotRead,
    /// The Glue table lost a column.
    ConversionFails,
    /// A replay of years.
    TooManyPartitions,
    /// The query for the day of a record fails.
    PartitionQueryFails,
    // Schedules
    /// The scaler is not started.
    ScalerStops,
    /// The schedule of the compaction is disabled.
    CompactionNotStarted,
}
