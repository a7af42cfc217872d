//! Queues: chunks, partial failures, deadlines, and the results of the analysis.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{Notifier, PortError, Refused, TickQueue};
use async_trait::async_trait;
use aws::sqs::{SqsFeed, SqsQueue};
use aws_sdk_sqs::Client;
use domain::Tick;
use domain::analytics::{Anomaly, Candle, Interval};
use serde_json::{Value, json};
use testkit::anomalies::jump_at;
use testkit::ticks::{tick, ticks};
use tokio::time::Instant;

use aws_client::scripted_http::{Answer, Call, Wire};

/// The adapter's deadline.
const DEADLINE: Duration = Duration::from_millis(400);

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/tickstream-broadcast";

async fn send(wire: &Wire, ticks: &[Tick]) -> Vec<Refused> {
    let all: Vec<&Tick> = ticks.iter().collect();
    let queue = SqsQueue::new(&Client::new(&wire.config()), URL, DEADLINE);
    queue.send(&all).await.unwrap()
}

/// Ids and bodies of a SendMessageBatch.
fn entries(call: &Call) -> Vec<(String, String)> {
    assert_eq!(call.operation, "SendMessageBatch");
    assert_eq!(call.body["QueueUrl"], URL);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = call.body["Entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| (text(&entry["Id"]), text(&entry["MessageBody"])))
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Taken,
    Throttled,
    OurMistake,
    Unmentioned,
}

fn answered(call: &Call, fate: impl Fn(usize, &str) -> Fate) -> Answer {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (position, (id, body)) in entries(call).into_iter().enumerate() {
        let failure = |code: &str, sender: bool| json!({"Id": id, "Code": code, "Message": "the test says so", "SenderFault": sender});
        match fate(position, &body) {
            Fate::Taken => {
                successful.push(json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "0"}));
            }
            Fate::Throttled => failed.push(failure("RequestThrottled", false)),
            Fate::OurMistake => failed.push(failure("InvalidMessageContents", true)),
            Fate::Unmentioned => {}
        }
    }
    Answer::Good(json!({"Successful": successful, "Failed": failed}))
}

fn sizes(wire: &Wire) -> Vec<usize> {
    wire.calls()
        .iter()
        .map(|call| entries(call).len())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_tick_is_a_message_and_a_request_has_ten() {
    let wire = Wire::new(|_, call| answered(call, |_, _| Fate::Taken));
    let made = ticks(&["A"], 25);
    assert_eq!(send(&wire, &made).await, []);
    assert_eq!(sizes(&wire), [10, 10, 5]);
    let arrived: Vec<Tick> = wire
        .calls()
        .iter()
        .flat_map(entries)
        .map(|(_, body)| codec::json::from_json(body.as_bytes()).unwrap())
        .collect();
    assert_eq!(arrived, made);
}

#[tokio::test(start_paused = true)]
async fn a_service_fault_is_retried_and_a_sender_fault_is_not() {
    let wire = Wire::new(|n, call| {
        answered(call, |position, _| match (n, position) {
            (0, 1) | (0, 3) | (1, 0) => Fate::Throttled,
            (0, 2) => Fate::OurMistake,
            (0, 4) => Fate::Unmentioned,
            _ => Fate::Taken,
        })
    });
    let refused = send(&wire, &ticks(&["A"], 6)).await;
    assert_eq!(sizes(&wire), [6, 3, 1]);
    assert_eq!(
        refused,
        [Refused {
            index: 2,
            reason: "InvalidMessageContents: the test says so".to_owned(),
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn messages_throttled_until_the_deadline_are_refused_and_delay_no_others() {
    let hot = ticks(&["A"], 15)[12].tick_id.to_string();
    let wire = Wire::new(move |_, call| {
        answered(call, |_, body| {
            if body.contains(&hot) {
                Fate::Throttled
            } else {
                Fate::Taken
            }
        })
    });
    let started = Instant::now();
    let refused = send(&wire, &ticks(&["A"], 15)).await;
    assert!(started.elapsed() < DEADLINE);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].index, 12);
    assert_eq!(refused[0].reason, "RequestThrottled: the test says so");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_respond_takes_no_longer_than_the_deadline() {
    let wire = Wire::new(|_, _| Answer::Silence);
    let started = Instant::now();
    let refused = send(&wire, &ticks(&["A"], 200)).await;
    assert!(started.elapsed() <= DEADLINE + Duration::from_millis(1));
    assert!(refused.iter().map(|refused| refused.index).eq(0..200));
    assert!(refused[0].reason.contains("no response"));
}

#[tokio::test(start_paused = true)]
async fn failed_requests_are_retried_or_refused_depending_on_the_error() {
    let wire = Wire::new(|n, call| match n {
        0 => Answer::Refusal(503, "ServiceUnavailable"),
        _ => answered(call, |_, _| Fate::Taken),
    });
    assert_eq!(send(&wire, &ticks(&["A"], 3)).await, []);
    assert_eq!(wire.calls().len(), 2);

    let wire = Wire::new(|_, _| Answer::Refusal(400, "AWS.SimpleQueueService.NonExistentQueue"));
    let refused = send(&wire, &ticks(&["A"], 12)).await;
    assert_eq!((refused.len(), wire.calls().len()), (12, 2));
    assert!(
        refused[0].reason.contains("NonExistentQueue"),
        "{:?}",
        refused[0]
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_concurrent_up_to_a_limit() {
    let wire = Wire::new(|_, call| answered(call, |_, _| Fate::Taken))
        .with_latency(Duration::from_millis(10));
    let started = Instant::now();
    assert_eq!(send(&wire, &ticks(&["A"], 320)).await, []);
    assert_eq!(wire.calls().len(), 32);
    assert_eq!(started.elapsed().as_millis(), 40, "eight at a time");
}

/// Records the notifications, or refuses them.
#[derive(Default)]
struct FakeNotifier {
    notifications: Mutex<Vec<(String, String)>>,
    deaf: bool,
}

#[async_trait]
impl Notifier for FakeNotifier {
    async fn notify(&self, subject: &str, text: &str) -> Result<(), PortError> {
        if self.deaf {
            return Err(PortError {
                operation: "notify",
                retryable: true,
                source: "a fault of the test".into(),
            });
        }
        let notification = (subject.to_owned(), text.to_owned());
        self.notifications.lock().unwrap().push(notification);
        Ok(())
    }
}

fn anomaly(n: u32) -> Anomaly {
    jump_at(&tick("SOL", n))
}

fn feed(wire: &Wire, notifier: &Arc<FakeNotifier>) -> SqsFeed {
    let notifier: Arc<dyn Notifier> = notifier.clone();
    SqsFeed::new(&Client::new(&wire.config()), URL, DEADLINE, notifier)
}

#[tokio::test(start_paused = true)]
async fn results_are_queued_by_kind_in_small_messages_and_anomalies_notified_once() {
    let wire = Wire::new(|_, call| answered(call, |_, _| Fate::Taken));
    let notifier = Arc::new(FakeNotifier::default());
    let update = AnalysisUpdate {
        candles: (0..6_000)
            .map(|n| Candle::of(&tick("SOL", n), Interval::OneSecond))
            .collect(),
        anomalies: (0..3).map(anomaly).collect(),
        ..AnalysisUpdate::default()
    };
    feed(&wire, &notifier).publish(update).await;
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for call in wire.calls() {
        let entries = entries(&call);
        let bytes: usize = entries.iter().map(|(_, body)| body.len()).sum();
        assert!(entries.len() <= 10 && bytes <= 1_024 * 1_024);
        for (_, body) in entries {
            assert!(body.len() <= 256 * 1_024);
            let message: Value = serde_json::from_str(&body).unwrap();
            let kind = message["type"].as_str().unwrap().to_owned();
            let held = message[&kind].as_array().unwrap().len();
            *rows.entry(kind).or_default() += held;
        }
    }
    let expected = [("anomalies".to_owned(), 3), ("candles".to_owned(), 6_000)];
    assert_eq!(rows, BTreeMap::from(expected));
    assert!(
        wire.calls().len() > 1,
        "more than 1 MiB takes several requests"
    );
    let notifications = notifier.notifications.lock().unwrap();
    assert_eq!(notifications.len(), 1);
    assert!(notifications[0].0.starts_with("3 anomalies"));
    assert_eq!(notifications[0].1.lines().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn queue_and_notifications_fail_independently() {
    let update = || AnalysisUpdate {
        anomalies: vec![anomaly(1)],
        ..AnalysisUpdate::default()
    };
    let wire = Wire::new(|_, call| answered(call, |_, _| Fate::Taken));
    let deaf = Arc::new(FakeNotifier {
        deaf: true,
        ..FakeNotifier::default()
    });
    feed(&wire, &deaf).publish(update()).await;
    assert_eq!(wire.calls().len(), 1);

    let away = Wire::new(|_, _| Answer::Refusal(400, "AccessDenied"));
    let notifier = Arc::new(FakeNotifier::default());
    feed(&away, &notifier).publish(update()).await;
    assert_eq!(notifier.notifications.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_update_without_results_sends_no_request() {
    let wire = Wire::new(|_, call| answered(call, |_, _| Fate::Taken));
    let notifier = Arc::new(FakeNotifier::default());
    feed(&wire, &notifier)
        .publish(AnalysisUpdate::default())
        .await;
    assert!(wire.calls().is_empty() && notifier.notifications.lock().unwrap().is_empty());
}
