//! The function on in-memory shards, and its bootstrap with a fake Runtime API.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::sync::{Arc, Mutex};

use app::ports::PortError;
use async_trait::async_trait;
use clap::Parser;
use ops::ports::{Resize, Shards, StreamMetrics, StreamState};
use ops::scaling::{Mode, Scaled, Scaling, ShardLimits};
use ops::stream_history::{Minute, StreamHistory};
use runtime::lambda::Settings;
use scaler::config::Config;
use scaler::handler::{Scaler, ScalerError};
use scaler::metric::ShardMetric;
use serde::Deserialize as _;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use testkit::runtime_api::{self, Answered};
use testkit::written::Written;

const MINUTE_MS: i64 = 60_000;

/// When a resize of the stream takes two minutes, as it does on AWS, or longer.
const RESIZE_MINUTES: i64 = 2;

/// A stream with its metrics, which are those that the function wrote. Its traffic does not depend on the shards.
struct Stream {
    written: Written,
    state: Mutex<State>,
}

struct State {
    minute: i64,
    /// Shards that the traffic fills.
    used: f64,
    open: u32,
    /// The number that it reaches, and when.
    resize: Option<(u32, i64)>,
    /// Refusals of the next requests.
    refusals: Vec<&'static str>,
    past: Vec<(i64, f64)>,
    metrics_are_read: bool,
}

#[async_trait]
impl Shards for Stream {
    async fn describe(&self) -> Result<StreamState, PortError> {
        let state = self.state.lock().unwrap();
        Ok(StreamState {
            open: state.open,
            is_active: state.resize.is_none(),
        })
    }
    async fn set(&self, count: u32) -> Result<Resize, PortError> {
        let mut state = self.state.lock().unwrap();
        if let Some(reason) = state.refusals.pop() {
            return Ok(Resize::Refused(reason.to_owned()));
        }
        assert!(state.resize.is_none(), "it is being changed");
        assert!(count <= 2 * state.open && 2 * count >= state.open);
        state.resize = Some((count, state.minute + RESIZE_MINUTES));
        Ok(Resize::Accepted)
    }
}

#[async_trait]
impl StreamMetrics for Stream {
    async fn read(&self, _: i64) -> Result<StreamHistory, PortError> {
        let state = self.state.lock().unwrap();
        if !state.metrics_are_read {
            return Err(PortError {
                operation: "read the stream's metrics",
                retryable: true,
                source: "a timeout".into(),
            });
        }
        let mut history = StreamHistory::default();
        for (minute, used) in &state.past {
            history.minute_mut(minute * MINUTE_MS).records = Some(used * 60_000.0);
        }
        for line in self.written.json_lines() {
            let at_ms = line["_aws"]["Timestamp"].as_i64().unwrap();
            let minute: &mut Minute = history.minute_mut(at_ms);
            minute.open = line["OpenShards"].as_f64();
        }
        Ok(history)
    }
}

/// A function on a stream, minute by minute.
struct Run {
    stream: Arc<Stream>,
    scaler: Scaler,
}

impl Run {
    fn new(used: f64, open: u32, mode: Mode) -> Self {
        let written = Written::default();
        let stream = Arc::new(Stream {
            written: written.clone(),
            state: Mutex::new(State {
                minute: 29_000_000,
                used,
                open,
                resize: None,
                refusals: Vec::new(),
                past: Vec::new(),
                metrics_are_read: true,
            }),
        });
        let clock = Arc::clone(&stream);
        let scaler = Scaler {
            scaling: Scaling {
                shards: Arc::clone(&stream) as _,
                metrics: Arc::clone(&stream) as _,
                limits: ShardLimits::new(2, 10).unwrap(),
                mode,
            },
            metric: ShardMetric::new(written, "prices-scaler"),
            clock: Arc::new(move || clock.state.lock().unwrap().minute * MINUTE_MS + 20_000),
        };
        Self { stream, scaler }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.stream.state.lock().unwrap());
    }

    /// The call of the schedule in a minute, and the minute's end.
    async fn minute(&self) -> Result<Scaled, ScalerError> {
        let scaled = self.scaler.handle(IgnoredAny).await;
        let mut state = self.stream.state.lock().unwrap();
        let of_minute = (state.minute, state.used);
        state.past.push(of_minute);
        state.minute += 1;
        if let Some((open, at)) = state.resize
            && state.minute >= at
        {
            (state.open, state.resize) = (open, None);
        }
        scaled
    }

    /// The numbers of shards that were requested in so many minutes, with the minute.
    async fn requested(&self, minutes: usize) -> Vec<(usize, u32)> {
        let mut requested = Vec::new();
        for minute in 0..minutes {
            if let Scaled::Requested { to, .. } = self.minute().await.unwrap() {
                requested.push((minute, to));
            }
        }
        requested
    }

    /// The numbers of open shards that were written as metrics.
    fn metrics(&self) -> Vec<u64> {
        let lines = self.stream.written.json_lines();
        let open = |line: &Value| line["OpenShards"].as_u64().unwrap();
        lines.iter().map(open).collect()
    }
}

/// Two minutes, and the one that CloudWatch needs, decide for more shards; fifteen for fewer, after each change.
#[tokio::test]
async fn the_shards_follow_the_load_between_their_limits() {
    let run = Run::new(8.2, 4, Mode::Apply);
    // Without a call in between, nothing is repeated: each step needs new minutes or new shards.
    assert_eq!(run.requested(60).await, [(3, 8), (5, 10)]);
    run.set(|state| state.used = 0.4);
    let down = [(16, 7), (34, 5), (52, 3), (70, 2)];
    assert_eq!(run.requested(120).await, down);
    assert!(run.metrics().starts_with(&[4, 4, 4, 4, 4, 8, 8, 10]));
    assert_eq!(run.metrics().last(), Some(&2));
}

#[tokio::test]
async fn a_refused_change_is_requested_again_each_minute() {
    let run = Run::new(3.4, 4, Mode::Apply);
    run.set(|state| state.refusals = vec!["LimitExceededException", "ResourceInUseException"]);
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        let outcome = serde_json::to_value(run.minute().await.unwrap()).unwrap();
        outcomes.push(outcome["outcome"].as_str().unwrap().to_owned());
    }
    let expected = [
        "unchanged",
        "unchanged",
        "unchanged",
        "refused",
        "refused",
        "requested",
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn waves_of_a_day_leave_changes_for_more_shards() {
    let run = Run::new(0.4, 2, Mode::Apply);
    let mut requested = Vec::new();
    for wave in 0..20 {
        run.set(|state| state.used = if wave % 2 == 0 { 3.0 } else { 0.4 });
        requested.extend(run.requested(40).await.into_iter().map(|(_, to)| to));
    }
    // Up and down until six changes are used, then only up.
    assert_eq!(requested, [4, 3, 2, 4, 3, 2, 4]);
    // A higher wave still has two changes.
    run.set(|state| state.used = 7.0);
    assert_eq!(run.requested(10).await, [(3, 8), (5, 10)]);
}

#[tokio::test]
async fn the_metric_is_written_even_if_the_metrics_cannot_be_read() {
    let run = Run::new(3.4, 4, Mode::Apply);
    run.set(|state| state.metrics_are_read = false);
    let error = run.minute().await.unwrap_err();
    assert!(error.to_string().contains("read the stream's metrics"));
    assert_eq!(run.metrics(), [4]);
}

#[tokio::test]
async fn a_dry_run_only_reports() {
    let run = Run::new(3.4, 4, Mode::DryRun);
    assert_eq!(run.requested(3).await, []);
    let answered = run.minute().await.unwrap();
    let json = serde_json::to_value(answered).unwrap();
    let expected = json!({"outcome": "would_request", "from": 4, "to": 6});
    assert_eq!(json, expected);
}

/// The schedule's own event says when it was called, and by what; nothing depends on it.
#[test]
fn any_event_is_a_call() {
    for event in [
        json!({}),
        json!({"time": "2026-01-01T00:00:00Z"}),
        json!(null),
    ] {
        assert!(IgnoredAny::deserialize(event).is_ok());
    }
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
    // The process goes on with the next minute's call.
    for _ in 0..2 {
        let answered = bootstrap.invoke(json!({})).await;
        let Answered::Error(error) = answered else {
            panic!("{answered:?}");
        };
        assert_eq!(error["errorType"], "ScalerError");
    }
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
