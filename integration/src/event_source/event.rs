//! The two JSON documents that AWS writes: the function's event and the failure record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::record::Record;
use super::shard::{Batch, Condition};

/// The origin of the records in both documents.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The stream's ARN.
    pub stream_arn: String,
    /// The shard's id, such as `shardId-000000000003`.
    pub shard_id: String,
    /// The function's ARN.
    pub function_arn: String,
    /// The stream's region.
    pub region: String,
}

/// The event that a function gets for a batch.
#[must_use]
pub fn invocation(origin: &Origin, batch: &Batch) -> Value {
    let records: Vec<Value> = batch
        .records
        .iter()
        .map(|record| record_json(origin, record))
        .collect();
    json!({ "Records": records })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "AWS gives the arrival in seconds as a double, which represents epoch ms exactly for \
              200,000 years"
)]
fn record_json(origin: &Origin, record: &Record) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": record.sequence_number.to_string(),
            "data": STANDARD.encode(&record.data),
            "approximateArrivalTimestamp": record.arrival_ms as f64 / 1000.0,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{}:{}", origin.shard_id, record.sequence_number),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/event-source-model",
        "awsRegion": origin.region,
        "eventSourceARN": origin.stream_arn,
    })
}

/// The message for the failure destination (SQS or SNS): the positions of the records, never the
/// records.
#[must_use]
pub fn failure(
    origin: &Origin,
    batch: &Batch,
    condition: Condition,
    request_id: &str,
    now_ms: i64,
) -> Value {
    let ends = batch.records.first().zip(batch.records.last());
    json!({
        "requestContext": {
            "requestId": request_id,
            "functionArn": origin.function_arn,
            "condition": condition.as_str(),
            "approximateInvokeCount": batch.invocations,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": rfc3339(now_ms),
        "KinesisBatchInfo": {
            "shardId": origin.shard_id,
            "startSequenceNumber": ends.map(|(first, _)| first.sequence_number.to_string()),
            "endSequenceNumber": ends.map(|(_, last)| last.sequence_number.to_string()),
            "approximateArrivalOfFirstRecord": ends.map(|(first, _)| rfc3339(first.arrival_ms)),
            "approximateArrivalOfLastRecord": ends.map(|(_, last)| rfc3339(last.arrival_ms)),
            "batchSize": batch.records.len(),
            "streamArn": origin.stream_arn,
        },
    })
}

fn rfc3339(epoch_ms: i64) -> String {
    DateTime::from_timestamp_millis(epoch_ms).map_or_else(
        || epoch_ms.to_string(),
        |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}
