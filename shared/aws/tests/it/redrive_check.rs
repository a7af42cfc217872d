//! Whether ticks wait in the redrive queue.

use aws::sqs::redrive_check::RedriveCheck;
use aws_client::scripted_http::{Answer, Wire};
use aws_sdk_sqs::Client;
use serde_json::{Value, json};

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/prices-redrive";

/// What the check says of a queue with these attributes.
async fn checked(attributes: Value) -> Result<(), String> {
    let wire = Wire::new(move |_, call| match call.operation.as_str() {
        "GetQueueUrl" if call.body["QueueName"] == "prices-redrive" => {
            Answer::Good(json!({"QueueUrl": URL}))
        }
        "GetQueueAttributes" => {
            let names = call.body["AttributeNames"].as_array().unwrap();
            let has = |name: &&Value| attributes.get(name.as_str().unwrap()).is_some();
            let answer = names.iter().filter(has).map(|name| {
                let name = name.as_str().unwrap().to_owned();
                let value = attributes[&name].clone();
                (name, value)
            });
            Answer::Good(json!({"Attributes": answer.collect::<serde_json::Map<_, _>>()}))
        }
        other => panic!("{other}"),
    });
    let check = RedriveCheck::new(&Client::new(&wire.config()), "prices");
    let checked = check.check_empty().await;
    checked.map_err(|error| error.source.to_string())
}

fn counts(visible: &str, in_flight: &str, delayed: &str) -> Value {
    json!({
        "ApproximateNumberOfMessages": visible,
        "ApproximateNumberOfMessagesNotVisible": in_flight,
        "ApproximateNumberOfMessagesDelayed": delayed,
    })
}

#[tokio::test]
async fn a_queue_is_empty_if_it_has_no_message_in_any_state() {
    assert_eq!(checked(counts("0", "0", "0")).await, Ok(()));
    for (counts, found) in [
        (
            counts("1", "0", "0"),
            "about 1 message (1 visible, 0 in flight, 0 delayed)",
        ),
        (
            counts("0", "4", "0"),
            "about 4 messages (0 visible, 4 in flight, 0 delayed)",
        ),
        (
            counts("0", "0", "7"),
            "about 7 messages (0 visible, 0 in flight, 7 delayed)",
        ),
    ] {
        let why = checked(counts).await.unwrap_err();
        assert!(why.contains(found), "{why}");
        for advice in [
            "Wait until",
            "purge",
            "`tickctl requeue --aws --project prices`",
        ] {
            assert!(why.contains(advice), "{why}");
        }
    }
}

#[tokio::test]
async fn a_count_that_is_missing_is_not_0() {
    let mut counts = counts("0", "0", "0");
    counts
        .as_object_mut()
        .unwrap()
        .remove("ApproximateNumberOfMessagesDelayed");
    let why = checked(counts).await.unwrap_err();
    assert!(
        why.contains("no ApproximateNumberOfMessagesDelayed"),
        "{why}"
    );
}
