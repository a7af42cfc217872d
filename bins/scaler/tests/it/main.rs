//! The function on in-memory shards, and its bootstrap with a fake Runtime API.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};

use app::ports::PortError;
use async_trait::async_trait;
use clap::Parser;
use ops::ports::Shards;
use ops::scaling::{Mode, Scaled, Scaling, ShardLimits};
use runtime::lambda::Settings;
use scaler::config::Config;
use scaler::handler::{Scaler, ScalerError};
use scaler::metric::ShardMetric;
use serde_json::{Value, json};
use testkit::runtime_api::{self, Answered};
use testkit::written::Written;

/// A stream that reaches the requested number at once.
struct Stream {
    open: Mutex<u32>,
}

#[async_trait]
impl Shards for Stream {
    async fn open_count(&self) -> Result<u32, PortError> {
        Ok(*self.open.lock().unwrap())
    }
    async fn set(&self, count: u32) -> Result<(), PortError> {
        *self.open.lock().unwrap() = count;
        Ok(())
    }
}

/// The numbers of open shards that were written as metrics.
fn metrics(written: &Written) -> Vec<u64> {
    let lines = written.json_lines();
    let open = |line: &Value| line["OpenShards"].as_u64().unwrap();
    lines.iter().map(open).collect()
}

fn scaler(open: u32, mode: Mode) -> (Arc<Stream>, Written, Scaler) {
    let (written, stream) = (
        Written::default(),
        Arc::new(Stream {
            open: Mutex::new(open),
        }),
    );
    let scaling = Scaling {
        shards: Arc::clone(&stream) as _,
        limits: ShardLimits::new(2, 10).unwrap(),
        mode,
    };
    let scaler = Scaler {
        scaling,
        metric: ShardMetric::new(written.clone(), "prices-scaler"),
        clock: Arc::new(|| 1_767_225_600_000),
    };
    (stream, written, scaler)
}

fn alarm(name: &str, state: &str) -> Value {
    json!({
        "source": "aws.cloudwatch",
        "alarmData": {
            "alarmName": name,
            "state": {
                "value": state, "reason": "Threshold Crossed",
                "reasonData": r#"{"version":"1.0","recentDatapoints":[84.0],"threshold":80.0}"#,
            },
        },
    })
}

async fn answer(scaler: &Scaler, name: &str, state: &str) -> Result<Scaled, ScalerError> {
    let event = serde_json::from_value(alarm(name, state)).unwrap();
    scaler.handle(event).await
}

#[tokio::test]
async fn alarms_move_the_shards_up_and_down_between_the_limits() {
    let (stream, written, scaler) = scaler(4, Mode::Apply);
    let mut seen = Vec::new();
    for name in ["t-shards-up"; 4].into_iter().chain(["t-shards-down"; 6]) {
        answer(&scaler, name, "ALARM").await.unwrap();
        seen.push(*stream.open.lock().unwrap());
    }
    assert_eq!(seen, [6, 9, 10, 10, 7, 5, 3, 2, 2, 2]);
    assert_eq!(metrics(&written), [4, 6, 9, 10, 10, 7, 5, 3, 2, 2]);
}

#[tokio::test]
async fn an_alarm_that_ended_changes_nothing_but_the_metric_is_written() {
    let (stream, written, scaler) = scaler(4, Mode::Apply);
    for state in ["OK", "INSUFFICIENT_DATA"] {
        let answered = answer(&scaler, "t-shards-up", state).await.unwrap();
        assert_eq!(answered, Scaled::Ended { open: 4 });
    }
    assert_eq!(metrics(&written), [4, 4]);
    assert_eq!(*stream.open.lock().unwrap(), 4);
}

#[tokio::test]
async fn a_dry_run_only_reports() {
    let (stream, _, scaler) = scaler(4, Mode::DryRun);
    let answered = answer(&scaler, "t-shards-up", "ALARM").await.unwrap();
    assert_eq!(answered, Scaled::WouldRequest { from: 4, to: 6 });
    let json = serde_json::to_value(answered).unwrap();
    assert_eq!(json, json!({"outcome": "would_ask", "from": 4, "to": 6}));
    assert_eq!(*stream.open.lock().unwrap(), 4);
}

#[tokio::test]
async fn another_alarm_is_an_error_that_says_what_to_do() {
    let (_, _, scaler) = scaler(4, Mode::Apply);
    let refused = answer(&scaler, "t-iterator-age", "ALARM")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("-shards-up"), "{refused}");
}

#[test]
fn the_settings_are_read() {
    let config = |more: &[&str]| {
        let line = ["scaler", "--stream-name", "s", "--function-name", "f"]
            .iter()
            .chain(more);
        Config::try_parse_from(line)
    };
    let plain = config(&[]).unwrap();
    assert_eq!(plain.limits(), ShardLimits::new(2, 10));
    assert_eq!(plain.mode(), Mode::Apply);
    assert_eq!(config(&["--dry-run", "true"]).unwrap().mode(), Mode::DryRun);
    assert!(
        config(&["--shards-min", "5", "--shards-max", "4"])
            .unwrap()
            .limits()
            .is_err()
    );
    assert!(config(&["--shards-max", "-1"]).is_err());
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_scaler");

#[tokio::test]
async fn the_program_fails_the_invocation_while_the_stream_is_unavailable() {
    let environment = [
        ("STREAM_NAME", "s"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ];
    let bootstrap = runtime_api::start(PROGRAM, &environment).await;
    bootstrap.ready().await;
    let answered = bootstrap.invoke(alarm("t-shards-up", "ALARM")).await;
    let Answered::Error(error) = answered else {
        panic!("{answered:?}");
    };
    assert_eq!(error["errorType"], "ScalerError");
    // The process continues to handle scheduled events.
    let clock = json!({"alarmData": {"alarmName": "clock-shards-up", "state": {"value": "OK"}}});
    assert!(matches!(bootstrap.invoke(clock).await, Answered::Error(_)));
}

#[tokio::test]
async fn limits_that_contradict_each_other_prevent_the_start() {
    let environment = [
        ("STREAM_NAME", "s"),
        ("SHARDS_MIN", "9"),
        ("SHARDS_MAX", "3"),
    ];
    let (status, log) = runtime_api::start(PROGRAM, &environment)
        .await
        .ended()
        .await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("SHARDS_MIN") && log.contains("9 to 3"),
        "{log}"
    );
}

#[test]
fn the_environment_variables_match_the_template() {
    assert_eq!(
        Config::environment(),
        [
            "AWS_LAMBDA_FUNCTION_NAME",
            "DRY_RUN",
            "LOG",
            "SHARDS_MAX",
            "SHARDS_MIN",
            "STREAM_NAME"
        ]
    );
}
