//! The queues: the contract of their port, and what consumers receive.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{Notifier, PortError, TickQueue};
use app::requeue::{DeadLetters as _, LetterAction, LetterFilter, LetterKind, requeue};
use async_trait::async_trait;
use aws::sqs::dead_letters::{SourceQueue, SqsDeadLetters, queue_url};
use aws::sqs::{SqsFeed, SqsQueue};
use aws_sdk_sqs::Client;
use domain::Tick;
use domain::analytics::{Candle, Interval};
use integration::emulator;
use serde_json::Value;
use testkit::anomalies::jump_at;
use testkit::contract;
use testkit::ticks::{tick, ticks};

/// The emulator shares its cores with other tests.
const DEADLINE: Duration = Duration::from_secs(20);

async fn new_queue() -> (Client, String) {
    let emulator = emulator::start().await.unwrap();
    let client = Client::new(&emulator.sdk_config());
    let name = format!("{}-broadcast", emulator.unique_project());
    let created = client.create_queue().queue_name(name).send().await.unwrap();
    (client, created.queue_url().unwrap().to_owned())
}

/// Receives and deletes messages until none is left.
async fn receive_all(client: &Client, url: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let request = client.receive_message().queue_url(url);
        let received = request.max_number_of_messages(10).send().await.unwrap();
        if received.messages().is_empty() {
            return bodies;
        }
        for message in received.messages() {
            bodies.push(message.body().unwrap().to_owned());
            let handle = message.receipt_handle().unwrap();
            let delete = client.delete_message().queue_url(url);
            delete.receipt_handle(handle).send().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_queue_keeps_its_contract() {
    let (client, url) = new_queue().await;
    contract::tick_queue(&SqsQueue::new(&client, &url, DEADLINE)).await;
    assert_eq!(receive_all(&client, &url).await.len(), 26);
}

#[tokio::test]
async fn received_ticks_equal_the_queued_ones() {
    let (client, url) = new_queue().await;
    let queue = SqsQueue::new(&client, &url, DEADLINE);
    let mut sent = ticks(&["SOL", "BTC"], 35);
    let all: Vec<&Tick> = sent.iter().collect();
    assert_eq!(queue.send(&all).await.unwrap(), []);
    let bodies = receive_all(&client, &url).await;
    let mut received: Vec<Tick> = bodies
        .iter()
        .map(|body| codec::json::from_json(body.as_bytes()).unwrap())
        .collect();
    received.sort_by_key(|tick| tick.tick_id);
    sent.sort_by_key(|tick| tick.tick_id);
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_refuses_every_tick_with_the_reason() {
    let (client, url) = new_queue().await;
    let queue = SqsQueue::new(&client, format!("{url}-no"), DEADLINE);
    let sent = ticks(&["SOL"], 12);
    let all: Vec<&Tick> = sent.iter().collect();
    let refused = queue.send(&all).await.unwrap();
    assert_eq!(refused.len(), 12);
    let reason = &refused[0].reason;
    assert!(
        reason.contains("NonExistentQueue") || reason.contains("QueueDoesNotExist"),
        "{reason}"
    );
}

#[tokio::test]
async fn dead_letters_are_shown_then_moved_to_their_queue() {
    let (client, source) = new_queue().await;
    let name = source.rsplit('/').next().unwrap();
    let name = format!("{name}-dlq");
    client
        .create_queue()
        .queue_name(&name)
        .send()
        .await
        .unwrap();
    let url = queue_url(&client, &name).await.unwrap();
    let sent = ticks(&["SOL"], 25);
    let all: Vec<&Tick> = sent.iter().collect();
    let dead = SqsQueue::new(&client, &url, DEADLINE);
    assert_eq!(dead.send(&all).await.unwrap(), []);
    let letters = SqsDeadLetters::new(&client, &url);
    let filter = LetterFilter {
        from_ms: 0,
        to_ms: i64::MAX,
        kind: Some(LetterKind::Tick),
        reason: None,
    };
    let go_on = || false;
    let (shown, done) = requeue(&letters, &filter, 1_000, LetterAction::Show, &go_on).await;
    done.unwrap();
    assert_eq!((shown.matching, shown.requeued), (25, 0));
    let (oldest, newest) = shown.sent_at_ms.unwrap();
    assert!(
        oldest > 1_700_000_000_000 && newest >= oldest,
        "{oldest} to {newest}"
    );
    // What was shown is visible again.
    assert_eq!(letters.count().await.unwrap(), 25);

    let to = SourceQueue::new(&client, &source, DEADLINE);
    let send = LetterAction::Send {
        to: &to,
        per_second_max: 1_000,
    };
    let (moved, done) = requeue(&letters, &filter, 1_000, send, &go_on).await;
    done.unwrap();
    assert_eq!((moved.requeued, moved.refused.len()), (25, 0));
    assert_eq!(letters.count().await.unwrap(), 0);
    assert_eq!(receive_all(&client, &source).await.len(), 25);
}

#[derive(Default)]
struct FakeNotifier(Mutex<Vec<String>>);

#[async_trait]
impl Notifier for FakeNotifier {
    async fn notify(&self, subject: &str, _text: &str) -> Result<(), PortError> {
        self.0.lock().unwrap().push(subject.to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn results_are_received_by_kind() {
    let (client, url) = new_queue().await;
    let fake = Arc::new(FakeNotifier::default());
    let notifier: Arc<dyn Notifier> = fake.clone();
    let update = AnalysisUpdate {
        // More than fit into a message of results, or into a request.
        candles: (0..6_000)
            .map(|n| Candle::of(&tick("SOL", n), Interval::OneSecond))
            .collect(),
        averages: Vec::new(),
        anomalies: vec![jump_at(&tick("SOL", 1))],
    };
    SqsFeed::new(&client, &url, DEADLINE, notifier)
        .publish(update)
        .await;
    let (mut candles, mut anomalies) = (0, 0);
    for body in receive_all(&client, &url).await {
        assert!(body.len() <= 256 * 1_024);
        let message: Value = serde_json::from_str(&body).unwrap();
        match message["type"].as_str().unwrap() {
            "candles" => candles += message["candles"].as_array().unwrap().len(),
            "anomalies" => anomalies += message["anomalies"].as_array().unwrap().len(),
            other => panic!("a message of type {other}"),
        }
    }
    assert_eq!((candles, anomalies), (6_000, 1));
    assert_eq!(*fake.0.lock().unwrap(), ["SOL/USD rose 5.0 % in 1.0 s"]);
}
