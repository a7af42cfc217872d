//! The program as a process.

use analytics::config::Config;
use runtime::lambda::Settings;
use serde_json::json;
use testkit::runtime_api::{self, Answered};
use testkit::ticks::ticks;

use crate::{data_of_all, event_value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_analytics");

const ENVIRONMENT: [(&str, &str); 6] = [
    ("ANALYTICS_TABLE", "tickstream-analytics"),
    ("BROADCAST_QUEUE_URL", "http://127.0.0.1:9/broadcast"),
    (
        "ANOMALIES_TOPIC_ARN",
        "arn:aws:sns:us-east-1:000000000000:anomalies",
    ),
    ("ARCHIVE_BUCKET", "archive"),
    ("STREAM_NAME", "tickstream-ticks"),
    ("AWS_LAMBDA_FUNCTION_NAME", "tickstream-analytics"),
];

#[tokio::test]
async fn an_invocation_fails_while_its_services_are_down() {
    let endpoint = runtime_api::refusing_service().await;
    let mut environment = ENVIRONMENT.to_vec();
    environment.push(("AWS_ENDPOINT_URL", &endpoint));
    let bootstrap = runtime_api::start(PROGRAM, &environment).await;
    bootstrap.ready().await;
    let event = event_value(7, &data_of_all(&ticks(&["A"], 2)));
    let answered = bootstrap.invoke(event).await;
    let Answered::Error(error) = answered else {
        panic!("{answered:?}");
    };
    assert_eq!(error["errorType"], "InvocationError");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("2 records of shardId-000000000001")
            && message.contains("refused by the test"),
        "{message}"
    );
    // An unreadable event fails its invocation, and the process continues.
    let answered = bootstrap.invoke(json!({"Records": "none"})).await;
    assert!(matches!(answered, Answered::Error(_)), "{answered:?}");
    let done = Answered::Response(json!({"batchItemFailures": []}));
    assert_eq!(bootstrap.invoke(json!({"Records": []})).await, done);
}

#[tokio::test]
async fn a_missing_setting_ends_the_start_with_its_name() {
    let bootstrap = runtime_api::start(PROGRAM, &ENVIRONMENT[1..]).await;
    let (status, log) = bootstrap.ended().await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(
        log.contains("ANALYTICS_TABLE") && !log.contains('\u{1b}'),
        "{log}"
    );
    let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
}

#[test]
fn the_environment_variables_match_the_template() {
    assert_eq!(
        Config::environment(),
        [
            "ANALYTICS_TABLE",
            "ANOMALIES_TOPIC_ARN",
            "ANOMALY_REPORTS_PER_DAY",
            "ARCHIVE_BUCKET",
            "AWS_LAMBDA_FUNCTION_NAME",
            "BROADCAST_QUEUE_URL",
            "CANDLE_DELAY_SECONDS",
            "CANDLE_INTERVAL",
            "LOG",
            "RETENTION_DAYS",
            "STREAM_NAME",
        ]
    );
}
