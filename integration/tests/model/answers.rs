//! Reads a function's response, and writes the two documents of AWS: the event and the failure record.

use app::ports::SequenceNumber;
use aws_lambda_events::event::kinesis::KinesisEvent;
use integration::event_source::answer::{Answer, outcome};
use integration::event_source::event::{Origin, failure, invocation};
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{Batch, Condition, Outcome, Shard, Step};
use serde_json::{Value, json};

use crate::simulation::START_MS;

fn before(number: &str) -> Outcome {
    Outcome::DoneBefore(number.parse::<SequenceNumber>().unwrap())
}

#[test]
fn responses_are_read_as_aws_documents_it() {
    let settings = MappingSettings {
        partial_failures: true,
        ..MappingSettings::default()
    };
    let failures = |items: Value| json!({ "batchItemFailures": items });
    let named = |identifier: Value| json!([{ "itemIdentifier": identifier }]);
    let cases = [
        (json!(null), Outcome::Done),
        (json!({}), Outcome::Done),
        (json!("ok"), Outcome::Done),
        (failures(json!([])), Outcome::Done),
        (failures(json!(null)), Outcome::Done),
        (failures(named(json!("17"))), before("17")),
        (
            failures(json!([
                { "itemIdentifier": "100" },
                { "itemIdentifier": "99" },
                { "itemIdentifier": "101" },
            ])),
            before("99"),
        ),
        (failures(named(json!(""))), Outcome::AllReported),
        (failures(named(json!(null))), Outcome::AllReported),
        (
            failures(json!([{ "sequenceNumber": "17" }])),
            Outcome::AllReported,
        ),
        (
            failures(json!([{ "itemIdentifier": "17" }, {}])),
            Outcome::AllReported,
        ),
        (failures(json!("17")), Outcome::AllReported),
    ];
    for (returned, expected) in cases {
        let answer = Answer::Returned(returned.clone());
        assert_eq!(outcome(&settings, &answer), expected, "{returned}");
    }
    assert_eq!(
        outcome(&settings, &Answer::Raised("boom".to_owned())),
        Outcome::Failed
    );
    assert_eq!(
        outcome(&settings, &Answer::NotInvoked("429".to_owned())),
        Outcome::NotInvoked
    );
}

#[test]
fn without_the_response_type_reported_failures_are_ignored() {
    let answer = Answer::Returned(json!({ "batchItemFailures": [{ "itemIdentifier": "17" }] }));
    assert_eq!(outcome(&MappingSettings::default(), &answer), Outcome::Done);
}

fn origin() -> Origin {
    Origin {
        stream_arn: "arn:aws:kinesis:us-east-1:000000000000:stream/ticks".to_owned(),
        shard_id: "shardId-000000000003".to_owned(),
        function_arn: "arn:aws:lambda:us-east-1:000000000000:function:analytics".to_owned(),
        region: "us-east-1".to_owned(),
    }
}

fn batch() -> Batch {
    let mut shard = Shard::new(MappingSettings::default());
    let record = |number: &str, arrival_ms, data: &[u8]| Record {
        sequence_number: number.parse::<SequenceNumber>().unwrap(),
        arrival_ms,
        partition_key: "SOL".to_owned(),
        data: data.to_vec(),
    };
    let records = vec![
        record("8", START_MS + 987, b"first"),
        record("11", START_MS + 1_000, &[0, 255, 10]),
    ];
    shard.offer(records, START_MS).unwrap();
    let Step::Invoke(batch) = shard.step(START_MS + 2_000) else {
        panic!()
    };
    batch
}

#[test]
fn the_event_is_a_valid_kinesis_event() {
    let event: KinesisEvent = serde_json::from_value(invocation(&origin(), &batch())).unwrap();
    let [first, second] = &event.records[..] else {
        panic!()
    };
    assert_eq!(first.kinesis.data.0, b"first");
    assert_eq!(second.kinesis.data.0, [0, 255, 10]);
    assert_eq!(first.kinesis.sequence_number, "8");
    assert_eq!(first.kinesis.partition_key, "SOL");
    assert_eq!(first.event_id.as_deref(), Some("shardId-000000000003:8"));
    assert_eq!(
        first
            .kinesis
            .approximate_arrival_timestamp
            .0
            .timestamp_millis(),
        START_MS + 987
    );
}

#[test]
fn a_record_takes_no_more_of_the_payload_than_counted() {
    let batch = batch();
    let event = invocation(&origin(), &batch).to_string();
    let counted: usize = batch.records.iter().map(Record::payload_bytes).sum();
    assert!(
        event.len() <= counted,
        "{} bytes, counted {counted}",
        event.len()
    );
}

#[test]
fn the_failure_record_has_the_positions_of_the_records_and_not_their_data() {
    let document = failure(
        &origin(),
        &batch(),
        Condition::RetryAttemptsExhausted,
        "request-1",
        START_MS + 3_000,
    );
    let expected = json!({
        "requestContext": {
            "requestId": "request-1",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:analytics",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 0,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": "2025-10-09T08:53:23.000Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000003",
            "startSequenceNumber": "8",
            "endSequenceNumber": "11",
            "approximateArrivalOfFirstRecord": "2025-10-09T08:53:20.987Z",
            "approximateArrivalOfLastRecord": "2025-10-09T08:53:21.000Z",
            "batchSize": 2,
            "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/ticks",
        },
    });
    assert_eq!(document, expected);
}
