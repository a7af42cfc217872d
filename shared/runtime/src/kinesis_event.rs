//! An event of a stream, with only the fields that handlers read. `aws_lambda_events` makes a dozen strings of each record,
//! which is much of what a batch of 500 costs.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Records of one shard. See [AWS's example](https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct KinesisEvent {
    /// The records, in order.
    #[serde(rename = "Records", default)]
    pub records: Vec<KinesisEventRecord>,
}

/// A record of a shard.
#[derive(Debug, Clone, Deserialize)]
pub struct KinesisEventRecord {
    /// The shard's id, a colon, and the sequence number.
    #[serde(rename = "eventID", default)]
    pub event_id: String,
    /// What the stream holds.
    pub kinesis: KinesisRecord,
}

/// A record as the stream holds it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KinesisRecord {
    /// Its place in the shard, as the service writes it.
    pub sequence_number: String,
    /// What the producer sent.
    #[serde(deserialize_with = "from_base64")]
    pub data: Vec<u8>,
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Base64;

    impl Visitor<'_> for Base64 {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("base64")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
            BASE64_STANDARD.decode(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Base64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_read_from_the_whole_event() {
        let event = json!({"Records": [{
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": "4959",
                "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==", "approximateArrivalTimestamp": 1_545_084_650.987,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "shardId-000000000006:4959",
            "eventName": "aws:kinesis:record", "awsRegion": "us-east-2",
        }]});
        let event: KinesisEvent = serde_json::from_str(&event.to_string()).unwrap();
        let record = &event.records[0];
        assert_eq!(record.event_id, "shardId-000000000006:4959");
        assert_eq!(record.kinesis.sequence_number, "4959");
        assert_eq!(record.kinesis.data, b"Hello, this is a test.");
    }

    #[test]
    fn data_that_is_not_base64_is_refused_with_its_place() {
        let event = r#"{"Records":[{"kinesis":{"sequenceNumber":"1","data":"%"}}]}"#;
        let error = serde_json::from_str::<KinesisEvent>(event).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
