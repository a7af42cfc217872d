//! The table of ticks: chunks, unprocessed items, throttling.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use app::ports::{Clock, PortError, PutOutcome, PutReceipt, TickStore};
use aws::dynamodb::{STORE_TIMEOUT, StoreTimeout, TickTable, TickTableConfig};
use aws_sdk_dynamodb::Client;
use domain::Tick;
use serde_json::{Value, json};
use testkit::ticks::{START_MS, tick, ticks};
use tokio::time::Instant;

use aws_client::scripted_http::{Answer, Call, Wire};

use crate::arrival_time_claims::{arrival_stamped, claiming};

pub(crate) const TICKS_TABLE: &str = "tickstream-ticks";

/// A clock with a fixed time.
#[derive(Debug)]
pub(crate) struct At(pub(crate) i64);

impl Clock for At {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

pub(crate) fn table(wire: &Wire) -> TickTable {
    let config = TickTableConfig {
        table: TICKS_TABLE.to_owned(),
        retention_days: 30,
        timeout: StoreTimeout::default(),
        new_ids_from_ms: 0,
    };
    TickTable::new(Client::new(&wire.config()), config, Arc::new(At(START_MS)))
}

/// A table without items: `respond` gets all calls but the reads.
pub(crate) fn empty_table(
    respond: impl Fn(usize, &Call) -> Answer + Send + Sync + 'static,
) -> Wire {
    let number = AtomicUsize::new(0);
    Wire::new(move |_, call| match call.operation.as_str() {
        "BatchGetItem" => found(&[]),
        _ => respond(number.fetch_add(1, Ordering::Relaxed), call),
    })
}

/// The items of a read.
pub(crate) fn found(items: &[Value]) -> Answer {
    Answer::Good(json!({ "Responses": { TICKS_TABLE: items }, "UnprocessedKeys": {} }))
}

/// All calls but the reads.
pub(crate) fn write_calls(wire: &Wire) -> Vec<Call> {
    let mut calls = wire.calls();
    calls.retain(|call| call.operation != "BatchGetItem");
    calls
}

/// The keys of a BatchGetItem.
pub(crate) fn keys(call: &Call) -> Vec<Value> {
    let asked = &call.body["RequestItems"][TICKS_TABLE];
    asked["Keys"].as_array().unwrap().clone()
}

pub(crate) async fn put(wire: &Wire, ticks: &[Tick]) -> Result<PutReceipt, PortError> {
    let all: Vec<&Tick> = ticks.iter().collect();
    table(wire).put(&testkit::ticks::in_cohort(all)).await
}

/// The writes of a BatchWriteItem.
pub(crate) fn writes(call: &Call) -> Vec<Value> {
    assert_eq!(call.operation, "BatchWriteItem");
    let writes = &call.body["RequestItems"]["tickstream-ticks"];
    writes.as_array().unwrap().clone()
}

pub(crate) fn ids(writes: &[Value]) -> Vec<String> {
    let id = |write: &Value| {
        write["PutRequest"]["Item"]["tick_id"]["S"]
            .as_str()
            .map(str::to_owned)
    };
    writes.iter().map(|write| id(write).unwrap()).collect()
}

/// Everything was processed.
pub(crate) fn taken() -> Answer {
    Answer::Good(json!({ "UnprocessedItems": {} }))
}

/// Some writes are unprocessed.
pub(crate) fn left_over(writes: Vec<Value>) -> Answer {
    Answer::Good(json!({ "UnprocessedItems": { "tickstream-ticks": writes } }))
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_in_concurrent_calls_of_twenty_five() {
    let wire = empty_table(|_, _| taken()).with_latency(Duration::from_millis(10));
    let made = ticks(&["BTC", "ETH"], 30);
    let start = Instant::now();
    let receipt = put(&wire, &made).await.unwrap();
    assert_eq!(receipt.outcomes, vec![PutOutcome::Stored; 60]);
    assert_eq!((receipt.outbox_id, receipt.retimed), (None, vec![]));
    assert!(
        start.elapsed() < Duration::from_millis(30),
        "one read, and then concurrent writes"
    );
    let calls = write_calls(&wire);
    let mut counts: Vec<usize> = calls.iter().map(|call| writes(call).len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [10, 25, 25]);
    let sent: BTreeSet<String> = calls.iter().flat_map(|call| ids(&writes(call))).collect();
    let expected = made.iter().map(|tick| tick.tick_id.to_string()).collect();
    assert_eq!(sent, expected);
}

#[tokio::test(start_paused = true)]
async fn only_unprocessed_items_are_retried() {
    let wire = empty_table(|number, call| match number {
        0 => left_over(writes(call).split_off(20)),
        1 => left_over(writes(call).split_off(4)),
        _ => taken(),
    });
    let receipt = put(&wire, &ticks(&["BTC"], 25)).await.unwrap();
    assert_eq!(receipt.outcomes, vec![PutOutcome::Stored; 25]);
    let calls = write_calls(&wire);
    let counts: Vec<usize> = calls.iter().map(|call| writes(call).len()).collect();
    assert_eq!(counts, [25, 5, 1]);
    assert_eq!(
        ids(&writes(&calls[2])),
        [tick("BTC", 24).tick_id.to_string()]
    );
    assert!(calls[1].sent > calls[0].sent, "after a wait");
}

#[tokio::test(start_paused = true)]
async fn items_that_stay_unprocessed_are_refused_and_their_neighbours_are_not() {
    let of_eth = |call: &Call| {
        let mut all = writes(call);
        all.retain(|write| write["PutRequest"]["Item"]["token"]["S"] == "ETH");
        all
    };
    let wire = empty_table(move |_, call| left_over(of_eth(call)));
    let made = ticks(&["BTC", "ETH"], 5);
    let start = Instant::now();
    let receipt = put(&wire, &made).await.unwrap();
    for (tick, outcome) in made.iter().zip(receipt.outcomes) {
        let expected = match tick.token.as_str() {
            "ETH" => PutOutcome::Refused,
            _ => PutOutcome::Stored,
        };
        assert_eq!(outcome, expected, "{}", tick.token);
    }
    assert!(write_calls(&wire).len() > 2, "it was retried");
    assert!(start.elapsed() < STORE_TIMEOUT, "within its timeout");
}

#[tokio::test(start_paused = true)]
async fn unprocessed_items_that_were_never_sent_count_as_all_of_them() {
    let stranger = json!({ "PutRequest": { "Item": { "pk": { "S": "a" }, "sk": { "S": "b" } } } });
    let wire = empty_table(move |number, _| match number {
        0 => left_over(vec![stranger.clone()]),
        _ => taken(),
    });
    put(&wire, &ticks(&["BTC"], 3)).await.unwrap();
    let calls = write_calls(&wire);
    let counts: Vec<usize> = calls.iter().map(|call| writes(call).len()).collect();
    assert_eq!(counts, [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_table_is_retried_until_it_accepts() {
    let wire = empty_table(|number, _| match number {
        0..4 => Answer::Refusal(400, "ProvisionedThroughputExceededException"),
        _ => taken(),
    });
    let receipt = put(&wire, &[tick("BTC", 1)]).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Stored]);
    assert_eq!(write_calls(&wire).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_refuses_only_its_own_ticks() {
    let wire = empty_table(|_, call| match writes(call).len() {
        25 => taken(),
        _ => Answer::Refusal(400, "ValidationException"),
    });
    let receipt = put(&wire, &ticks(&["BTC"], 30)).await.unwrap();
    assert_eq!(receipt.outcomes[..25], [PutOutcome::Stored; 25]);
    assert_eq!(receipt.outcomes[25..], [PutOutcome::Refused; 5]);
    assert_eq!(
        write_calls(&wire).len(),
        2,
        "an invalid request is not retried"
    );
}

#[tokio::test(start_paused = true)]
async fn the_call_only_fails_if_nothing_was_stored() {
    for (code, retryable) in [
        ("ResourceNotFoundException", false),
        ("ThrottlingException", true),
    ] {
        let wire = empty_table(move |_, _| Answer::Refusal(400, code));
        let error = put(&wire, &ticks(&["BTC"], 30)).await.unwrap_err();
        assert_eq!(error.retryable, retryable, "{code}");
        assert!(error.source.to_string().contains(code), "{}", error.source);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_respond_fails_within_the_timeout() {
    let wire = Wire::new(|_, _| Answer::Silence);
    let start = Instant::now();
    let error = put(&wire, &ticks(&["BTC"], 30)).await.unwrap_err();
    assert!(error.retryable);
    assert_eq!(start.elapsed(), STORE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_tick_in_a_batch_is_sent_once_and_a_duplicate() {
    let wire = empty_table(|_, _| taken());
    let made = [tick("BTC", 1), tick("BTC", 2), tick("BTC", 1)];
    let receipt = put(&wire, &made).await.unwrap();
    let [stored, repeat] = [PutOutcome::Stored, PutOutcome::Duplicate];
    assert_eq!(receipt.outcomes, [stored, stored, repeat]);
    assert_eq!(receipt.offer_again, []);
    let expected = [tick("BTC", 1), tick("BTC", 2)].map(|tick| tick.tick_id.to_string());
    assert_eq!(ids(&writes(&write_calls(&wire)[0])), expected);
}

/// The item that a put would write.
pub(crate) async fn item_of(tick: &Tick) -> Value {
    let wire = empty_table(|_, _| taken());
    put(&wire, std::slice::from_ref(tick)).await.unwrap();
    writes(&write_calls(&wire)[0])[0]["PutRequest"]["Item"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_known_tick_is_not_written_and_offered_again_as_it_is_stored() {
    let day_ms = 86_400_000;
    let stored_at = |n, ingested_at_ms| Tick {
        ingested_at_ms,
        ..tick("BTC", n)
    };
    let stored = [
        stored_at(1, START_MS - 5),
        stored_at(2, START_MS - day_ms),
        stored_at(3, START_MS - day_ms - 1),
        stored_at(4, START_MS - 5),
        stored_at(5, START_MS - 5),
    ];
    let mut items = Vec::new();
    for tick in &stored {
        items.push(item_of(tick).await);
    }
    items[3]["in_cohort"] = json!({ "BOOL": false });
    items[4].as_object_mut().unwrap().remove("in_cohort");
    let wire = Wire::new(move |_, call| match call.operation.as_str() {
        "BatchGetItem" => {
            let asked: BTreeSet<String> =
                keys(call).iter().map(|key| key["sk"].to_string()).collect();
            let mut known = items.clone();
            known.retain(|item| asked.contains(&item["sk"].to_string()));
            found(&known)
        }
        _ => taken(),
    });
    let delivered: Vec<Tick> = [1, 2, 3, 4, 5, 6, 1].map(|n| tick("BTC", n)).to_vec();
    let table = table(&wire);
    let receipt = table
        .put(&testkit::ticks::in_cohort(&delivered))
        .await
        .unwrap();
    let mut expected = [PutOutcome::Duplicate; 7];
    expected[5] = PutOutcome::Stored;
    assert_eq!(receipt.outcomes, expected);
    assert_eq!(
        receipt.offer_again,
        stored[..2],
        "each once, within a day, of the stream"
    );
    let calls = write_calls(&wire);
    assert_eq!(calls.len(), 1);
    let written = writes(&calls[0]);
    assert_eq!(ids(&written), [tick("BTC", 6).tick_id.to_string()]);
    assert_eq!(
        written[0]["PutRequest"]["Item"]["in_cohort"],
        json!({ "BOOL": true })
    );

    // The same process neither reads nor writes them again.
    let before = wire.calls().len();
    let again = table
        .put(&testkit::ticks::in_cohort(&delivered))
        .await
        .unwrap();
    assert_eq!(again.outcomes, [PutOutcome::Duplicate; 7]);
    assert_eq!(
        again.offer_again,
        [&stored[0], &stored[1], &tick("BTC", 6)].map(Tick::clone)
    );
    assert_eq!(wire.calls().len(), before);
}

#[tokio::test(start_paused = true)]
async fn unprocessed_keys_are_read_again_and_what_was_read_is_written_before() {
    let wire = Wire::new(|number, call| match (number, call.operation.as_str()) {
        (0, _) => {
            let left = keys(call).split_off(2);
            Answer::Good(json!({
                "Responses": {},
                "UnprocessedKeys": { TICKS_TABLE: { "Keys": left, "ConsistentRead": true } },
            }))
        }
        (_, "BatchGetItem") => found(&[]),
        _ => taken(),
    });
    let receipt = put(&wire, &ticks(&["BTC"], 5)).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Stored; 5]);
    let operations: Vec<String> = wire.calls().into_iter().map(|it| it.operation).collect();
    assert_eq!(
        operations,
        [
            "BatchGetItem",
            "BatchWriteItem",
            "BatchGetItem",
            "BatchWriteItem"
        ]
    );
    let counts: Vec<usize> = write_calls(&wire)
        .iter()
        .map(|call| writes(call).len())
        .collect();
    assert_eq!(counts, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn no_call_begins_after_the_deadline() {
    // 40 ms a call: the half second ends in the middle of the batch.
    for made in [
        ticks(&["BTC"], 3_000),
        (0..500).map(|n| arrival_stamped(n, START_MS)).collect(),
    ] {
        let wire = claiming(|_| None).with_latency(Duration::from_millis(40));
        let start = Instant::now();
        let short = TickTable::new(
            Client::new(&wire.config()),
            TickTableConfig {
                table: TICKS_TABLE.to_owned(),
                retention_days: 30,
                timeout: StoreTimeout {
                    base: Duration::from_millis(250),
                    max: Duration::from_millis(250),
                },
                new_ids_from_ms: 0,
            },
            Arc::new(At(START_MS)),
        );
        let receipt = short.put(&testkit::ticks::in_cohort(&made)).await.unwrap();
        let stored = receipt
            .outcomes
            .iter()
            .filter(|it| **it == PutOutcome::Stored)
            .count();
        assert!(stored > 0 && stored < made.len(), "{stored}");
        assert_eq!(start.elapsed(), Duration::from_millis(250));
        let deadline = start + Duration::from_millis(250);
        assert!(wire.calls().iter().all(|call| call.sent < deadline));
    }
}
