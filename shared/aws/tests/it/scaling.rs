//! The shards of a stream and its metrics: what is sent, and how the responses are read.

use std::sync::{Arc, Mutex};

use aws::shards::KinesisShards;
use aws::stream_metrics::CloudWatchStreamMetrics;
use aws_client::scripted_http::{Answer, Wire};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatch::config::Credentials;
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataInput, GetMetricDataOutput};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataResult, StatusCode};
use aws_smithy_mocks::{MockResponseInterceptor, Rule, create_mock_http_client, mock};
use ops::ports::{Resize, Shards as _, StreamMetrics as _, StreamState};
use ops::stream_history::StreamHistory;
use serde_json::json;

const NOW_MS: i64 = 1_767_225_617_000;

fn shards(wire: &Wire) -> KinesisShards {
    KinesisShards::new(&aws_sdk_kinesis::Client::new(&wire.config()), "ticks")
}

#[tokio::test]
async fn shards_are_counted_and_changed() {
    for (status, is_active) in [("ACTIVE", true), ("UPDATING", false), ("CREATING", false)] {
        let wire = Wire::new(move |_, call| match call.operation.as_str() {
            "DescribeStreamSummary" => Answer::Good(json!({"StreamDescriptionSummary": {
                "StreamName": "ticks", "StreamARN": "arn", "StreamStatus": status,
                "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.0,
                "EnhancedMonitoring": [], "OpenShardCount": 4,
            }})),
            _ => Answer::Good(json!({"StreamName": "ticks", "TargetShardCount": 5})),
        });
        let shards = shards(&wire);
        let described = shards.describe().await.unwrap();
        assert_eq!(described, StreamState { open: 4, is_active }, "{status}");
        assert_eq!(shards.set(5).await.unwrap(), Resize::Accepted);
        let calls = wire.calls();
        assert_eq!(calls[1].operation, "UpdateShardCount");
        assert_eq!(
            calls[1].body,
            json!({"StreamName": "ticks", "TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"})
        );
        for impossible in [0, u32::MAX] {
            assert!(!shards.set(impossible).await.unwrap_err().retryable);
        }
        assert_eq!(wire.calls().len(), 2);
    }
}

#[tokio::test]
async fn a_change_that_may_be_accepted_later_is_refused_and_not_an_error() {
    for code in ["ResourceInUseException", "LimitExceededException"] {
        let wire = Wire::new(move |_, _| Answer::Refusal(400, code));
        let Resize::Refused(reason) = shards(&wire).set(5).await.unwrap() else {
            panic!("{code}")
        };
        assert!(reason.starts_with(code), "{reason}");
        // The SDK does not repeat it either: ten changes are all there are.
        assert_eq!(wire.calls().len(), 1, "{code}");
    }
    let wire = Wire::new(|_, _| Answer::Refusal(400, "ResourceNotFoundException"));
    let error = shards(&wire).set(5).await.unwrap_err();
    assert!(error.source.to_string().starts_with("ResourceNotFound"));
}

/// The metrics whose responses follow rules, in their order.
fn metrics(rules: &[&Rule]) -> CloudWatchStreamMetrics {
    let mut interceptor = MockResponseInterceptor::new();
    for rule in rules {
        interceptor = interceptor.with_rule(rule);
    }
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(create_mock_http_client())
        .interceptor(interceptor);
    let client = aws_sdk_cloudwatch::Client::from_conf(config.build());
    CloudWatchStreamMetrics::new(&client, "prices-ticks", "prices-scaler")
}

fn result(id: &str, status: StatusCode, values: &[(i64, f64)]) -> MetricDataResult {
    let at = |minute: i64| DateTime::from_secs((NOW_MS / 60_000 + minute) * 60);
    MetricDataResult::builder()
        .id(id)
        .status_code(status)
        .set_timestamps(Some(values.iter().map(|(minute, _)| at(*minute)).collect()))
        .set_values(Some(values.iter().map(|(_, value)| *value).collect()))
        .build()
}

/// What is asked for, as text: namespace, name, dimension, statistic, period.
fn asked(request: &GetMetricDataInput) -> Vec<String> {
    let queries = request.metric_data_queries().iter();
    let shown = queries.map(|query| {
        let stat = query.metric_stat().unwrap();
        let metric = stat.metric().unwrap();
        let of = &metric.dimensions()[0];
        format!(
            "{} {} {}={} {} {}",
            metric.namespace().unwrap(),
            metric.metric_name().unwrap(),
            of.name().unwrap(),
            of.value().unwrap(),
            stat.stat().unwrap(),
            stat.period().unwrap()
        )
    });
    shown.collect()
}

#[tokio::test]
async fn a_day_of_metrics_is_read_by_the_minute() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let page = |token: Option<&'static str>| {
        let kept = Arc::clone(&kept);
        mock!(aws_sdk_cloudwatch::Client::get_metric_data).match_requests(move |request| {
            let matches = request.next_token() == token;
            if matches {
                kept.lock().unwrap().push(request.clone());
            }
            matches
        })
    };
    let first = page(None).then_output(|| {
        GetMetricDataOutput::builder()
            .metric_data_results(result(
                "bytes",
                StatusCode::Complete,
                &[(-2, 7e6), (-5, 8e6)],
            ))
            .metric_data_results(result("records", StatusCode::PartialData, &[(-2, 700.0)]))
            .next_token("more")
            .build()
    });
    let second = page(Some("more")).then_output(|| {
        GetMetricDataOutput::builder()
            .metric_data_results(result("records", StatusCode::Complete, &[(-3, 600.0)]))
            .metric_data_results(result("open", StatusCode::Complete, &[(-1, 4.0)]))
            .build()
    });
    let read = metrics(&[&first, &second]).read(NOW_MS).await.unwrap();
    let mut expected = StreamHistory::default();
    let minute = expected.minute_mut(NOW_MS - 2 * 60_000);
    (minute.bytes, minute.records) = (Some(7e6), Some(700.0));
    expected.minute_mut(NOW_MS - 3 * 60_000).records = Some(600.0);
    expected.minute_mut(NOW_MS - 5 * 60_000).bytes = Some(8e6);
    expected.minute_mut(NOW_MS - 60_000).open = Some(4.0);
    assert_eq!(read, expected);
    let requests = requests.lock().unwrap();
    assert_eq!(
        asked(&requests[0]),
        [
            "AWS/Kinesis IncomingBytes StreamName=prices-ticks Sum 60",
            "AWS/Kinesis IncomingRecords StreamName=prices-ticks Sum 60",
            "Tickstream OpenShards FunctionName=prices-scaler Maximum 60",
        ]
    );
    let range = (
        requests[0].start_time().unwrap(),
        requests[0].end_time().unwrap(),
    );
    assert_eq!(range.1.secs() - range.0.secs(), 24 * 60 * 60);
    assert_eq!(range.1.to_millis().unwrap(), NOW_MS);
}

/// A metric that could not be read would look like a stream without traffic.
#[tokio::test]
async fn a_metric_that_cloudwatch_could_not_read_is_an_error() {
    for status in [StatusCode::InternalError, StatusCode::Forbidden] {
        let rule = mock!(aws_sdk_cloudwatch::Client::get_metric_data).then_output(move || {
            GetMetricDataOutput::builder()
                .metric_data_results(result("bytes", status.clone(), &[]))
                .build()
        });
        let error = metrics(&[&rule]).read(NOW_MS).await.unwrap_err();
        assert!(error.source.to_string().starts_with("bytes:"), "{error}");
    }
}
