//! The function on ports in memory, and its bootstrap on a Runtime API of the tests.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};

use app::ports::{OutboxId, PortError, Quarantine, Quarantined, Refused, TickStream};
use app::redrive::Redrive;
use async_trait::async_trait;
use domain::{Reason, Tick};
use redrive::config::Config;
use redrive::handler::Redriver;
use runtime::lambda::Settings;
use serde_json::{Value, json};
use testkit::runtime_api::{self, Answered};
use testkit::ticks::{START_MS, tick};

/// How the ports behave.
#[derive(Default)]
struct World {
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
impl TickStream for World {
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
impl Quarantine for World {
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

async fn check(world: World, bodies: &[String], failed: &[&str]) -> Arc<World> {
    let world = Arc::new(world);
    let redriver = Redriver {
        redrive: Redrive {
            stream: Arc::clone(&world) as _,
        },
        quarantine: Arc::clone(&world) as _,
        clock: Arc::new(|| START_MS),
    };
    let event = serde_json::from_value(event(bodies)).unwrap();
    let response = redriver.handle(event).await.unwrap();
    let found: Vec<_> = response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    assert_eq!(found, failed);
    world
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
async fn ticks_go_back_in_the_order_of_time_and_poison_is_set_aside() {
    let world = check(World::default(), &bodies(), &[]).await;
    let appended = world.appended.lock().unwrap();
    assert_eq!(*appended, [tick("B", 1), tick("A", 2), tick("A", 3)]);
    let kept = world.kept.lock().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].entry.reason, kept[0].entry.index),
        (Reason::UnreadableBody, 1)
    );
    assert_eq!(kept[0].source, "redrive");
}

#[tokio::test]
async fn what_is_refused_again_stays_in_the_queue() {
    let world = World {
        refused: vec!["A"],
        ..World::default()
    };
    let world = check(world, &bodies(), &["m-0", "m-3"]).await;
    assert_eq!(*world.appended.lock().unwrap(), [tick("B", 1)]);
}

#[tokio::test]
async fn a_stream_that_is_away_keeps_all_ticks_in_the_queue() {
    let world = World {
        stream_down: true,
        ..World::default()
    };
    let world = check(world, &bodies(), &["m-0", "m-2", "m-3"]).await;
    assert_eq!(world.kept.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn poison_that_cannot_be_kept_stays_in_the_queue() {
    let world = World {
        quarantine_down: true,
        ..World::default()
    };
    let world = check(world, &bodies(), &["m-1"]).await;
    assert_eq!(world.appended.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_tick_that_stands_twice_in_a_batch_stays_twice() {
    let world = World {
        refused: vec!["A"],
        ..World::default()
    };
    let twice = [body(&tick("A", 1)), body(&tick("A", 1))];
    check(world, &twice, &["m-0", "m-1"]).await;
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_redrive");

#[tokio::test]
async fn the_program_names_all_messages_while_the_stream_is_away() {
    let endpoint = runtime_api::refusing_service().await;
    let environment = [
        ("STREAM_NAME", "tickstream-ticks"),
        ("ARCHIVE_BUCKET", "archive"),
        ("AWS_ENDPOINT_URL", &endpoint),
    ];
    let bootstrap = runtime_api::start(PROGRAM, &environment).await;
    bootstrap.ready().await;
    let event = event(&[body(&tick("A", 1)), body(&tick("B", 1))]);
    let failed =
        json!({"batchItemFailures": [{"itemIdentifier": "m-0"}, {"itemIdentifier": "m-1"}]});
    assert_eq!(bootstrap.invoke(event).await, Answered::Response(failed));
}

#[tokio::test]
async fn a_log_filter_that_is_not_understood_ends_the_start() {
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
fn the_environment_is_what_the_template_must_give() {
    assert_eq!(
        Config::environment(),
        ["ARCHIVE_BUCKET", "LOG", "STREAM_NAME"]
    );
}
