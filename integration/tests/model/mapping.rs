//! Reads a deployed mapping and checks AWS's limits.

use integration::event_source::mapping::{MappingError, MappingSettings};
use serde_json::{Value, json};

#[test]
fn a_mapping_is_read_from_a_template_and_from_lambdas_api() {
    let mapping = json!({
        "UUID": "1f0e…",
        "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/ticks",
        "FunctionName": "analytics",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 500,
        "MaximumBatchingWindowInSeconds": 1,
        "BisectBatchOnFunctionError": true,
        "MaximumRetryAttempts": 5,
        "MaximumRecordAgeInSeconds": 3600,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ParallelizationFactor": 1,
        "TumblingWindowInSeconds": 0,
    });
    let expected = MappingSettings {
        batch_records_max: 500,
        window_ms: 1_000,
        bisect: true,
        retries_max: Some(5),
        record_age_max_ms: Some(3_600_000),
        partial_failures: true,
        ..MappingSettings::default()
    };
    assert_eq!(MappingSettings::from_mapping(&mapping).unwrap(), expected);
}

#[test]
fn defaults_are_those_of_aws() {
    assert_eq!(
        MappingSettings::from_mapping(&json!({})).unwrap(),
        MappingSettings::default()
    );
    let for_ever = json!({ "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1 });
    assert_eq!(
        MappingSettings::from_mapping(&for_ever).unwrap(),
        MappingSettings::default()
    );
}

fn refused(mapping: &Value) -> String {
    MappingSettings::from_mapping(mapping)
        .unwrap_err()
        .to_string()
}

#[test]
fn values_that_aws_refuses_are_refused() {
    let cases = [
        (
            json!({ "BatchSize": 0 }),
            "BatchSize is 0, but AWS only allows 1 to 10000",
        ),
        (
            json!({ "BatchSize": 10_001 }),
            "BatchSize is 10001, but AWS only allows 1 to 10000",
        ),
        (
            json!({ "BatchSize": -1 }),
            "BatchSize is -1, but AWS only allows 1 to 10000",
        ),
        (
            json!({ "MaximumBatchingWindowInSeconds": 301 }),
            "MaximumBatchingWindowInSeconds is 301, but AWS only allows 0 to 300",
        ),
        (
            json!({ "MaximumRetryAttempts": 10_001 }),
            "MaximumRetryAttempts is 10001, but AWS only allows 0 to 10000, or -1",
        ),
        (
            json!({ "MaximumRetryAttempts": -2 }),
            "MaximumRetryAttempts is -2, but AWS only allows 0 to 10000, or -1",
        ),
        (
            json!({ "MaximumRecordAgeInSeconds": 59 }),
            "MaximumRecordAgeInSeconds is 59, but AWS only allows 60 to 604800, or -1",
        ),
    ];
    for (mapping, expected) in cases {
        assert_eq!(refused(&mapping), expected);
    }
}

#[test]
fn unsupported_settings_are_refused() {
    assert_eq!(
        refused(&json!({ "ParallelizationFactor": 2 })),
        "the model of the event source does not implement ParallelizationFactor = 2"
    );
    assert_eq!(
        refused(&json!({ "TumblingWindowInSeconds": 30 })),
        "the model of the event source does not implement TumblingWindowInSeconds = 30"
    );
    let unread = MappingSettings::from_mapping(&json!({ "BatchSize": { "Ref": "BatchSize" } }));
    assert!(
        matches!(unread, Err(MappingError::Unreadable(_))),
        "{unread:?}"
    );
}
