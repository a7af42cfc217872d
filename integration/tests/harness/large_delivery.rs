//! A large delivery of one token, by the real webhook and redrive, within limits by the second: it ends, and each
//! tick is stored once and reaches the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use aws::kinesis::shard_reader::Begin;
use aws::kinesis::tail::StreamTail;
use domain::TickId;
use integration::event_source::{Answer, Function as _};
use integration::faults::Limits;
use serde_json::{Value, json};
use testkit::ticks::ticks;

use crate::resources::{Resources, webhook_event};

/// Six times what a partition of the table, or a shard, takes in a second.
const TICKS: u32 = 600;

/// A tenth of AWS's, so that the emulator is faster than they are on any machine.
const LIMITS: Limits = Limits {
    partition_units: 100,
    shard_records: 100,
    ..Limits::AWS
};

/// The sender's attempts, of which most machines need about six.
const TRIES_MAX: u32 = 30;

impl Resources {
    /// Lets the function append what is in the redrive queue, as the event source does: what it reports
    /// stays in the queue. Returns the number of messages.
    async fn redrive(&self) -> usize {
        let function = self.function("redrive");
        let mut redriven = 0;
        loop {
            let receive = self
                .sqs
                .receive_message()
                .queue_url(self.variable("REDRIVE_QUEUE_URL"));
            let receive = receive.max_number_of_messages(10).visibility_timeout(2);
            let messages = receive.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() && self.is_empty().await {
                return redriven;
            }
            let records = messages.iter().map(|message| {
                json!({
                    "messageId": message.message_id(), "receiptHandle": message.receipt_handle(),
                    "body": message.body(), "eventSource": "aws:sqs",
                })
            });
            let event = json!({ "Records": records.collect::<Vec<Value>>() });
            let Answer::Returned(answer) = function.invoke(event).await else {
                continue;
            };
            let failed = answer["batchItemFailures"].as_array().unwrap();
            for message in messages {
                let id = message.message_id().unwrap();
                if failed.iter().all(|it| it["itemIdentifier"] != id) {
                    let delete = self
                        .sqs
                        .delete_message()
                        .queue_url(self.variable("REDRIVE_QUEUE_URL"));
                    let delete = delete.set_receipt_handle(message.receipt_handle);
                    delete.send().await.unwrap();
                    redriven += 1;
                }
            }
        }
    }

    /// Whether the redrive queue has no message, those in flight included.
    async fn is_empty(&self) -> bool {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(self.variable("REDRIVE_QUEUE_URL"));
        let found = request.set_attribute_names(Some(names.to_vec()));
        let found = found.send().await.unwrap().attributes.unwrap();
        found.values().all(|count| count == "0")
    }

    /// The ids of the ticks in the table.
    async fn stored(&self) -> Vec<TickId> {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.proxied.emulator.sdk_config());
        let scan = dynamodb.scan().table_name(&self.proxied.name);
        let mut pages = scan.into_paginator().items().send();
        let mut ids = Vec::new();
        while let Some(item) = pages.next().await {
            // The list of the days of ticks is in the same table.
            if let Some(id) = item.unwrap().get("tick_id") {
                ids.push(TickId::parse(id.as_s().unwrap()).unwrap());
            }
        }
        ids
    }

    /// How often the stream has each tick.
    async fn streamed(&self) -> BTreeMap<TickId, u32> {
        let kinesis = aws_sdk_kinesis::Client::new(&self.proxied.emulator.sdk_config());
        let tail = StreamTail::open(&kinesis, &self.proxied.name, Begin::TrimHorizon).await;
        let mut counts = BTreeMap::new();
        for tailed in tail.unwrap().catch_up().await.unwrap() {
            *counts.entry(tailed.tick.unwrap().tick_id).or_default() += 1;
        }
        counts
    }
}

/// The webhook's event, in payload format 2.0.
fn delivery() -> Value {
    let mut body = Vec::from(b"[");
    for tick in ticks(&["one"], TICKS) {
        if body.len() > 1 {
            body.push(b',');
        }
        codec::json::write_json(&tick, &mut body);
    }
    body.push(b']');
    webhook_event(&String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_large_delivery_of_one_token_ends() {
    let mut resources = Resources::new().await;
    let proxy = resources.proxied.proxy.url().to_owned();
    resources.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy);
    resources.set("AWS_ENDPOINT_URL_KINESIS", &proxy);
    resources.proxied.proxy.limit(LIMITS);
    let webhook = resources.function("webhook");
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        assert!(tries <= TRIES_MAX, "not accepted after {TRIES_MAX} tries");
        let Answer::Returned(response) = webhook.invoke(delivery()).await else {
            panic!("the webhook failed");
        };
        let body = response["body"].as_str().unwrap_or_default();
        match response["statusCode"].as_u64() {
            Some(200) => break serde_json::from_str::<Value>(body).unwrap(),
            Some(503) => tokio::time::sleep(Duration::from_secs(1)).await,
            _ => panic!("{response}"),
        }
    };
    let calls = resources.proxied.proxy.calls("BatchWriteItem");
    println!("{tries} tries, {calls:?}, {answer}");
    assert!(calls.with_fault > 0, "the table was throttled: {calls:?}");
    let mut stored = resources.stored().await;
    stored.sort_unstable();
    let mut expected: Vec<TickId> = ticks(&["one"], TICKS).iter().map(|it| it.tick_id).collect();
    expected.sort_unstable();
    assert_eq!(stored, expected, "each is stored once");

    let redriven = tokio::time::timeout(Duration::from_secs(120), resources.redrive()).await;
    println!("{} messages were redriven", redriven.unwrap());
    let streamed = resources.streamed().await;
    assert!(streamed.keys().eq(&expected), "{} ticks", streamed.len());
}
