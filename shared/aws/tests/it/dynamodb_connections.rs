//! The table of connections: order of writes, limits, expiry, pages.

use std::sync::Arc;

use app::ports::{Subscribers, Topic, Watcher};
use aws::dynamodb::ConnectionTable;
use aws::dynamodb::connections::TOPICS_PER_CONNECTION_MAX;
use aws_sdk_dynamodb::Client;
use domain::Token;
use serde_json::json;
use testkit::ticks::START_MS;

use crate::dynamodb_ticks::At;
use aws_client::scripted_http::{Answer, Call, Wire};

fn table(wire: &Wire) -> ConnectionTable {
    let clock = Arc::new(At(START_MS));
    ConnectionTable::new(
        Client::new(&wire.config()),
        "tickstream-connections",
        7_200,
        clock,
    )
}

fn topic(name: &str) -> Topic {
    Topic::Token(Token::new(name).unwrap())
}

fn operations(wire: &Wire) -> Vec<String> {
    wire.calls()
        .into_iter()
        .map(|call| call.operation)
        .collect()
}

/// A table with one connection that has these topics.
fn holding(names: Vec<String>) -> Wire {
    Wire::new(move |_, call: &Call| match call.operation.as_str() {
        "GetItem" if names.is_empty() => Answer::Good(json!({})),
        "GetItem" => Answer::Good(json!({ "Item": { "tokens": { "SS": names } } })),
        _ => Answer::Good(json!({})),
    })
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_one_item_with_its_topics_that_expires() {
    let wire = holding(vec![]);
    let topics = [topic("BTC"), Topic::All, topic("BTC")];
    table(&wire).subscribe("one", &topics).await.unwrap();
    assert_eq!(operations(&wire), ["GetItem", "UpdateItem"]);
    let calls = wire.calls();
    assert_eq!(calls[1].body["Key"]["topic"]["S"], "#connection");
    let values = &calls[1].body["ExpressionAttributeValues"];
    assert_eq!(values[":tokens"]["SS"], json!(["*", "BTC"]));
    let expires_at = json!({ "N": (START_MS / 1_000 + 7_200).to_string() });
    assert_eq!(values[":ttl"], expires_at);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_topics_is_known() {
    let wire = holding(vec![]);
    table(&wire).subscribe("one", &[]).await.unwrap();
    assert_eq!(operations(&wire), ["GetItem", "UpdateItem"]);
    assert_eq!(wire.calls()[1].body["UpdateExpression"], "SET #ttl = :ttl");
}

#[tokio::test(start_paused = true)]
async fn too_many_topics_are_refused_before_anything_is_written() {
    let held: Vec<String> = (0..TOPICS_PER_CONNECTION_MAX)
        .map(|n| format!("T{n}"))
        .collect();
    let wire = holding(held);
    table(&wire).subscribe("one", &[topic("T7")]).await.unwrap();
    let before = wire.calls().len();
    let refused = table(&wire)
        .subscribe("one", &[topic("new")])
        .await
        .unwrap_err();
    assert!(!refused.retryable);
    assert!(
        refused
            .source
            .to_string()
            .contains("at most 200 tokens, not 201"),
        "{}",
        refused.source
    );
    assert_eq!(operations(&wire)[before..], ["GetItem"]);
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_does_not_create_a_connection() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "UpdateItem" => {
            assert_eq!(call.body["ConditionExpression"], "attribute_exists(#topic)");
            Answer::Refusal(400, "ConditionalCheckFailedException")
        }
        _ => Answer::Good(json!({})),
    });
    table(&wire)
        .unsubscribe("never", &[topic("BTC")])
        .await
        .unwrap();
    assert_eq!(operations(&wire), ["UpdateItem"]);
}

#[tokio::test(start_paused = true)]
async fn all_subscribers_are_one_query_without_expired_ones() {
    let wire = Wire::new(|_, call| {
        assert_eq!(call.operation, "Query");
        let filter = "#ttl > :now AND attribute_exists(#tokens)";
        assert_eq!(call.body["FilterExpression"], filter);
        let values = &call.body["ExpressionAttributeValues"];
        assert_eq!(values[":now"]["N"], (START_MS / 1_000).to_string());
        assert_eq!(values[":topic"]["S"], "#connection");
        let item = |id: &str, tokens: &[&str]| json!({ "connection_id": { "S": id }, "tokens": { "SS": tokens } });
        let key = json!({ "topic": { "S": "#connection" }, "connection_id": { "S": "x" } });
        match call.body["ExclusiveStartKey"].is_object() {
            false => {
                Answer::Good(json!({ "Items": [item("one", &["*"])], "LastEvaluatedKey": key }))
            }
            true => Answer::Good(json!({ "Items": [item("two", &["BTC", "no token"])] })),
        }
    });
    let watcher = |connection: &str, topic| Watcher {
        connection: connection.to_owned(),
        topics: [topic].into(),
    };
    assert_eq!(
        table(&wire).watchers().await.unwrap(),
        [watcher("one", Topic::All), watcher("two", topic("BTC"))]
    );
    assert_eq!(operations(&wire).len(), 2, "a query of two pages");
}
