//! The function on ports in memory, and its bootstrap with a fake Runtime API.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use app::ports::{OutboxId, PortError, Quarantine, Quarantined, Refused, TickStream};
use app::redrive::Redrive;
use async_trait::async_trait;
use aws::emf::InvocationMetrics;
use domain::{Reason, Tick};
use redrive::config::Config;
use redrive::handler::Redriver;
use runtime::lambda::Settings;
use runtime::partial_batch::{BatchError, BatchResponse};
use serde_json::{Value, json};
use testkit::runtime_api::{self, Answered};
use testkit::ticks::{START_MS, tick};

/// How the ports behave.
#[derive(Default)]
struct Fakes {
    appended: Mutex<Vec<Tick>>,
    /// Tokens that the stream refuses.
    refused: Vec<&'static str>,
    stream_down: bool,
    quarantine_down: bool,
    kept: Mutex<Vec<Quarantined>>,
}

fn fault(operation: &'static str) -> PortError {
    PortError {
        operation,
        retryable: true,
        source: "a fault of the test".into(),
    }
}

#[async_trait]
impl TickStream for Fakes {
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        if self.stream_down {
            return Err(fault("append"));
        }
        let mut refused = Vec::new();
        for (index, tick) in ticks.iter().enumerate() {
            if self.refused.contains(&tick.token.as_str()) {
                let reason = "throttled".to_owned();
                refused.push(Refused { index, reason });
            } else {
                self.appended.lock().unwrap().push((*tick).clone());
            }
        }
        Ok(refused)
    }
}

#[async_trait]
impl Quarantine for Fakes {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        if self.quarantine_down {
            return Err(fault("keep"));
        }
        self.kept.lock().unwrap().extend_from_slice(entries);
        Ok(())
    }
}

fn body(tick: &Tick) -> String {
    let mut json = Vec::new();
    codec::json::write_json(tick, &mut json);
    String::from_utf8(json).unwrap()
}

fn event(bodies: &[String]) -> Value {
    let message =
        |(at, body): (usize, &String)| json!({"messageId": format!("m-{at}"), "body": body});
    let records: Vec<Value> = bodies.iter().enumerate().map(message).collect();
    json!({"Records": records})
}

/// What the function writes to standard output.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The response, and the metrics.
async fn handle(
    fakes: &Arc<Fakes>,
    bodies: &[String],
) -> (Result<BatchResponse, BatchError>, Option<Value>) {
    let output = Output::default();
    let clock = Arc::new(|| START_MS);
    let metrics = InvocationMetrics::new(output.clone(), Arc::clone(&clock) as _, "redrive");
    let redriver = Redriver {
        redrive: Redrive {
            stream: Arc::clone(fakes) as _,
        },
        quarantine: Arc::clone(fakes) as _,
        clock,
        metrics: Arc::new(metrics),
    };
    let event = serde_json::from_value(event(bodies)).unwrap();
    let response = redriver.handle(event).await;
    let lines = output.0.lock().unwrap();
    (response, serde_json::from_slice(&lines).ok())
}

async fn check(fakes: Fakes, bodies: &[String], failed: &[&str]) -> Arc<Fakes> {
    let fakes = Arc::new(fakes);
    let (response, metrics) = handle(&fakes, bodies).await;
    let failures = response.unwrap().batch_item_failures;
    let found: Vec<_> = failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    assert_eq!(found, failed);
    let counted = metrics.map_or(json!(0), |line| line["FailedItems"].clone());
    assert_eq!(counted, failed.len());
    fakes
}

async fn fails(fakes: Fakes, bodies: &[String], message: &str) {
    let (response, metrics) = handle(&Arc::new(fakes), bodies).await;
    assert_eq!(runtime::causes::joined(&response.unwrap_err()), message);
    assert_eq!(metrics, None, "Lambda counts the error");
}

fn bodies() -> Vec<String> {
    vec![
        body(&tick("A", 3)),
        "no tick".to_owned(),
        body(&tick("B", 1)),
        body(&tick("A", 2)),
    ]
}

#[tokio::test]
async fn ticks_are_appended_in_order_of_time_and_poison_is_quarantined() {
    let fakes = check(Fakes::default(), &bodies(), &[]).await;
    let appended = fakes.appended.lock().unwrap();
    assert_eq!(*appended, [tick("B", 1), tick("A", 2), tick("A", 3)]);
    let kept = fakes.kept.lock().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].entry.reason, kept[0].entry.index),
        (Reason::UnreadableBody, 1)
    );
    assert_eq!(kept[0].source, "redrive");
}

#[tokio::test]
async fn ticks_that_are_refused_again_stay_in_the_queue() {
    let fakes = Fakes {
        refused: vec!["A"],
        ..Fakes::default()
    };
    let fakes = check(fakes, &bodies(), &["m-0", "m-3"]).await;
    assert_eq!(*fakes.appended.lock().unwrap(), [tick("B", 1)]);
}

#[tokio::test]
async fn while_the_stream_is_unavailable_all_ticks_stay_in_the_queue() {
    let fakes = Fakes {
        stream_down: true,
        ..Fakes::default()
    };
    let fakes = check(fakes, &bodies(), &["m-0", "m-2", "m-3"]).await;
    assert_eq!(fakes.kept.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn poison_that_cannot_be_quarantined_stays_in_the_queue() {
    let fakes = Fakes {
        quarantine_down: true,
        ..Fakes::default()
    };
    let fakes = check(fakes, &bodies(), &["m-1"]).await;
    assert_eq!(fakes.appended.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_tick_that_occurs_twice_in_a_batch_fails_twice() {
    let fakes = Fakes {
        refused: vec!["A"],
        ..Fakes::default()
    };
    let bodies = [("A", 1), ("A", 1), ("B", 1)].map(|(token, n)| body(&tick(token, n)));
    check(fakes, &bodies, &["m-0", "m-1"]).await;
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_done_is_an_error() {
    let ticks = [body(&tick("A", 1)), body(&tick("A", 2))];
    let refusing = Fakes {
        refused: vec!["A"],
        ..Fakes::default()
    };
    let failed = "a batch of 2 messages failed and will be delivered again: \
                  the stream refused 2 ticks again";
    fails(refusing, &ticks, failed).await;
    let down = || Fakes {
        stream_down: true,
        quarantine_down: true,
        ..Fakes::default()
    };
    let failed = "a batch of 2 messages failed and will be delivered again: append failed: \
                  a fault of the test";
    fails(down(), &ticks, failed).await;
    let failed = "a batch of 4 messages failed and will be delivered again: append failed: \
                  a fault of the test";
    fails(down(), &bodies(), failed).await;
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_redrive");

#[tokio::test]
async fn an_invocation_fails_while_the_stream_is_unavailable() {
    let endpoint = runtime_api::refusing_service().await;
    let environment = [
        ("STREAM_NAME", "tickstream-ticks"),
        ("ARCHIVE_BUCKET", "archive"),
        ("AWS_ENDPOINT_URL", &endpoint),
    ];
    let bootstrap = runtime_api::start(PROGRAM, &environment).await;
    bootstrap.ready().await;
    let answered = bootstrap
        .invoke(event(&[body(&tick("A", 1)), body(&tick("B", 1))]))
        .await;
    let Answered::Error(error) = answered else {
        panic!("{answered:?}");
    };
    assert_eq!(error["errorType"], "BatchError");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.starts_with("a batch of 2 messages failed"),
        "{message}"
    );
}

#[tokio::test]
async fn an_invalid_log_filter_prevents_the_start() {
    let environment = [
        ("STREAM_NAME", "s"),
        ("ARCHIVE_BUCKET", "a"),
        ("LOG", "=loud="),
    ];
    let (status, log) = runtime_api::start(PROGRAM, &environment)
        .await
        .ended()
        .await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("=loud="), "{log}");
}

#[test]
fn the_environment_variables_match_the_template() {
    assert_eq!(
        Config::environment(),
        [
            "ARCHIVE_BUCKET",
            "AWS_LAMBDA_FUNCTION_NAME",
            "LOG",
            "STREAM_NAME"
        ]
    );
}
