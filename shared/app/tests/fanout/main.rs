//! The fan-out with connections in memory.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::sync::Arc;
use std::time::Duration;

use app::live::{
    ConflatedUpdates, DELIVER_WITHIN, DeliveryReport, Fanout, Kind, MESSAGE_BYTES_MAX,
    NOBODY_WATCHES_FOR, Update,
};
use app::ports::Topic;
use domain::{Tick, Token};
use serde_json::Value;
use testkit::live::{Behaviour, Connections};
use testkit::ticks::{tick, ticks};

fn token(name: &str) -> Token {
    Token::new(name).unwrap()
}

fn topic(name: &str) -> Topic {
    Topic::Token(token(name))
}

fn batch(ticks: impl IntoIterator<Item = Tick>) -> ConflatedUpdates {
    let mut batch = ConflatedUpdates::default();
    for tick in ticks {
        batch.add_tick(&tick);
    }
    batch
}

fn fanout(connections: &Arc<Connections>) -> Fanout {
    let connections = || Arc::clone(connections);
    Fanout::new(connections(), connections(), connections())
}

fn read(message: &str) -> Value {
    assert!(message.len() <= MESSAGE_BYTES_MAX);
    serde_json::from_str(message).unwrap()
}

/// The tokens of the ticks of a message.
fn tokens(message: &str) -> Vec<String> {
    let ticks = read(message)["ticks"].as_array().unwrap().clone();
    let token = |tick: &Value| tick["token"].as_str().unwrap().to_owned();
    ticks.iter().map(token).collect()
}

#[tokio::test(start_paused = true)]
async fn a_connection_gets_one_message_with_the_latest_ticks_of_its_topics() {
    let connections = Arc::new(Connections::default());
    connections.watch("all", &[Topic::All]);
    connections.watch("a", &[topic("A")]);
    connections.watch("ac", &[topic("A"), topic("C")]);
    connections.watch("both", &[Topic::All, topic("A")]);
    connections.watch("other", &[topic("X")]);
    let mut made = ticks(&["A", "B", "C"], 10);
    made.reverse();
    let report = fanout(&connections).publish(|| batch(made)).await.unwrap();
    assert_eq!(report.connections, 4);
    assert_eq!(report.sent, 4, "one message each");
    let of = |connection: &str| connections.messages(connection);
    assert_eq!(tokens(&of("all")[0]), ["A", "B", "C"]);
    assert_eq!(
        of("both"),
        of("all"),
        "a topic in addition to all changes nothing"
    );
    assert_eq!(tokens(&of("ac")[0]), ["A", "C"]);
    assert!(of("other").is_empty());
    let message = read(&of("a")[0]);
    assert_eq!(
        message["ticks"][0]["tick_id"],
        tick("A", 9).tick_id.to_string()
    );
    assert_eq!(message["counts"]["ticks"], 10);
}

#[tokio::test(start_paused = true)]
async fn only_the_latest_result_of_each_kind_is_sent() {
    let connections = Arc::new(Connections::default());
    connections.watch("a", &[topic("A")]);
    let mut batch = batch([tick("A", 1)]);
    for (name, rank, json) in [
        ("A", 2, r#"{"revision":2}"#),
        ("A", 1, r#"{"revision":1}"#),
        ("B", 1, r#"{"revision":9}"#),
    ] {
        let identity = format!("{name}/USD/1m/0");
        batch.add(Update::of_result(
            Kind::Candles,
            token(name),
            identity,
            (rank, 0),
            json.to_owned(),
        ));
    }
    fanout(&connections).publish(|| batch).await.unwrap();
    let messages = connections.messages("a");
    assert_eq!(messages.len(), 1, "one message for all kinds");
    let message = read(&messages[0]);
    assert_eq!(message["type"], "updates");
    assert_eq!(message["candles"], serde_json::json!([{"revision": 2}]));
    assert_eq!(tokens(&messages[0]), ["A"]);
}

#[tokio::test(start_paused = true)]
async fn while_nobody_watches_nothing_is_queried_and_no_batch_is_read() {
    let connections = Arc::new(Connections::default());
    connections.watch("without topics", &[]);
    let fanout = fanout(&connections);
    for _ in 0..100 {
        let unread = || panic!("nobody watches");
        assert_eq!(
            fanout.publish(unread).await.unwrap(),
            DeliveryReport::default()
        );
    }
    assert_eq!(connections.reads(), 1);
    // Who connects is found after a moment, and from then on the subscribers are read for each batch.
    connections.watch("first", &[Topic::All]);
    tokio::time::advance(NOBODY_WATCHES_FOR).await;
    for sent in 1..=3 {
        fanout.publish(|| batch([tick("A", 1)])).await.unwrap();
        assert_eq!(connections.messages("first").len(), sent);
    }
    assert_eq!(connections.reads(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_gone_is_forgotten() {
    let connections = Arc::new(Connections::default());
    for name in ["gone", "here"] {
        connections.watch(name, &[Topic::All]);
    }
    connections.behave("gone", Behaviour::Gone);
    let report = fanout(&connections)
        .publish(|| batch([tick("A", 1)]))
        .await
        .unwrap();
    assert_eq!((report.sent, report.gone), (1, 1));
    assert_eq!(connections.topics("gone"), None);
    assert!(connections.topics("here").is_some());
}

#[tokio::test(start_paused = true)]
async fn throttled_messages_are_retried_a_few_times_and_then_dropped() {
    let connections = Arc::new(Connections::default());
    for (name, times) in [("twice", 2), ("for-ever", u32::MAX)] {
        connections.watch(name, &[Topic::All]);
        connections.behave(name, Behaviour::Throttled(times));
    }
    let report = fanout(&connections)
        .publish(|| batch([tick("A", 1)]))
        .await
        .unwrap();
    assert_eq!((report.sent, report.throttled), (1, 1));
    assert_eq!(connections.messages("twice").len(), 1);
    assert!(
        connections.topics("for-ever").is_some(),
        "the next batch is sent"
    );
}

#[tokio::test(start_paused = true)]
async fn connections_that_fail_or_hang_do_not_delay_others() {
    let connections = Arc::new(Connections::default());
    for n in 0..200 {
        let name = format!("c{n}");
        connections.watch(&name, &[Topic::All]);
        match n % 20 {
            0 => connections.behave(&name, Behaviour::Hangs),
            1 => connections.behave(&name, Behaviour::Fails),
            _ => {}
        }
    }
    let before = tokio::time::Instant::now();
    let report = fanout(&connections)
        .publish(|| batch([tick("A", 1)]))
        .await
        .unwrap();
    assert_eq!(
        report,
        DeliveryReport {
            connections: 200,
            sent: 180,
            failed: 20,
            ..DeliveryReport::default()
        }
    );
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "{:?}",
        before.elapsed()
    );
    assert!(
        (2..=64).contains(&connections.posting_max()),
        "{}",
        connections.posting_max()
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_within_its_time_limit() {
    let connections = Arc::new(Connections::default());
    for n in 0..2_000 {
        let name = format!("c{n}");
        connections.watch(&name, &[Topic::All]);
        connections.behave(&name, Behaviour::Hangs);
    }
    let before = tokio::time::Instant::now();
    let report = fanout(&connections)
        .publish(|| batch([tick("A", 1)]))
        .await
        .unwrap();
    assert!(before.elapsed() <= DELIVER_WITHIN + Duration::from_millis(10));
    assert_eq!(report.failed + report.late, 2_000);
    assert!(report.late > 0);
}

#[tokio::test]
async fn a_batch_is_only_retried_if_the_subscribers_cannot_be_read() {
    let connections = Arc::new(Connections::default());
    connections.set_down(true);
    assert!(
        fanout(&connections)
            .publish(|| batch([tick("A", 1)]))
            .await
            .is_err()
    );
    connections.set_down(false);
    connections.watch("all", &[Topic::All]);
    assert_eq!(
        fanout(&connections)
            .publish(ConflatedUpdates::default)
            .await
            .unwrap(),
        DeliveryReport::default(),
        "nothing is new"
    );
}

#[tokio::test(start_paused = true)]
async fn many_tokens_are_split_into_messages_within_the_services_limit() {
    let connections = Arc::new(Connections::default());
    connections.watch("all", &[Topic::All]);
    let made = (0..1_000).map(|n| tick(&format!("T{n}"), n));
    let report = fanout(&connections).publish(|| batch(made)).await.unwrap();
    let messages = connections.messages("all");
    assert_eq!(report.sent, messages.len() as u64);
    assert!((2..=4).contains(&messages.len()), "{}", messages.len());
    let all: Vec<String> = messages
        .iter()
        .flat_map(|message| tokens(message))
        .collect();
    assert_eq!(all.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_the_latest_ticks_of_the_tokens() {
    let connections = Arc::new(Connections::default());
    connections.set_latest(vec![tick("A", 5), tick("B", 6)]);
    let fanout = fanout(&connections);
    fanout
        .snapshot("c", &[token("A"), token("X")])
        .await
        .unwrap();
    fanout.snapshot("c", &[]).await.unwrap();
    let messages = connections.messages("c");
    assert_eq!(read(&messages[0])["type"], "snapshot");
    assert_eq!(tokens(&messages[0]), ["A"]);
    assert!(tokens(&messages[1]).is_empty());
}
