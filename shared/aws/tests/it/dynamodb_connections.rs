//! The table of connections: order of writes, limits, expiry, pages.

use std::sync::Arc;

use app::ports::{Subscribers, Topic};
use aws::dynamodb::ConnectionTable;
use aws::dynamodb::connections::TOPICS_PER_CONNECTION_MAX;
use aws_sdk_dynamodb::Client;
use domain::Token;
use serde_json::{Value, json};
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
async fn the_connection_is_written_before_its_topics_and_all_expire_together() {
    let wire = holding(vec![]);
    let topics = [topic("BTC"), Topic::All, topic("BTC")];
    table(&wire).subscribe("one", &topics).await.unwrap();
    assert_eq!(
        operations(&wire),
        ["GetItem", "UpdateItem", "BatchWriteItem"]
    );
    let calls = wire.calls();
    assert_eq!(calls[1].body["Key"]["topic"]["S"], "#connection");
    let values = &calls[1].body["ExpressionAttributeValues"];
    assert_eq!(values[":tokens"]["SS"], json!(["*", "BTC"]));
    let expires_at = json!({ "N": (START_MS / 1_000 + 7_200).to_string() });
    assert_eq!(values[":ttl"], expires_at);
    let puts = calls[2].body["RequestItems"]["tickstream-connections"]
        .as_array()
        .unwrap();
    let seen: Vec<(&Value, &Value)> = puts
        .iter()
        .map(|put| {
            let item = &put["PutRequest"]["Item"];
            assert_eq!(item["connection_id"]["S"], "one");
            (&item["topic"]["S"], &item["expires_at"])
        })
        .collect();
    assert_eq!(
        seen,
        [(&json!("*"), &expires_at), (&json!("BTC"), &expires_at)]
    );
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
async fn a_connection_is_deleted_after_its_topics() {
    let wire = holding(vec!["*".to_owned(), "BTC".to_owned()]);
    table(&wire).forget("one").await.unwrap();
    assert_eq!(
        operations(&wire),
        ["GetItem", "BatchWriteItem", "DeleteItem"]
    );

    let unknown = holding(vec![]);
    table(&unknown).forget("never").await.unwrap();
    assert_eq!(operations(&unknown), ["GetItem"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_while_it_has_topics_in_the_table() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "GetItem" => Answer::Good(json!({ "Item": { "tokens": { "SS": ["BTC"] } } })),
        _ => Answer::Good(json!({ "UnprocessedItems": call.body["RequestItems"] })),
    });
    assert!(table(&wire).forget("one").await.unwrap_err().retryable);
    assert!(!operations(&wire).contains(&"DeleteItem".to_owned()));
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
    assert_eq!(operations(&wire), ["BatchWriteItem", "UpdateItem"]);
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_read_page_by_page_without_expired_ones() {
    let wire = Wire::new(|_, call| {
        assert_eq!(call.operation, "Query");
        assert_eq!(call.body["FilterExpression"], "#ttl > :now");
        let now = (START_MS / 1_000).to_string();
        assert_eq!(call.body["ExpressionAttributeValues"][":now"]["N"], now);
        let topic = call.body["ExpressionAttributeValues"][":topic"]["S"]
            .as_str()
            .unwrap();
        let id = |n: u32| json!({ "connection_id": { "S": format!("{topic}-{n}") } });
        let key = json!({ "topic": { "S": topic }, "connection_id": { "S": "x" } });
        match call.body["ExclusiveStartKey"].is_object() {
            false => Answer::Good(json!({ "Items": [id(1), id(2)], "LastEvaluatedKey": key })),
            true => Answer::Good(json!({ "Items": [id(3)] })),
        }
    });
    let topics = [topic("B"), Topic::All];
    let found = table(&wire).watching(&topics).await.unwrap();
    assert_eq!(found, [["B-1", "B-2", "B-3"], ["*-1", "*-2", "*-3"]]);
}
