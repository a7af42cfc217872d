//! The table of ticks: chunks, unprocessed items, throttling, claims, the latest ticks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, LatestTicks, PortError, PutOutcome, PutReceipt, TickStore};
use aws::dynamodb::TickTable;
use aws::dynamodb::ticks::STORE_TIMEOUT;
use aws_sdk_dynamodb::Client;
use domain::{Tick, Token};
use serde_json::{Value, json};
use testkit::ticks::{START_MS, tick, ticks};
use tokio::time::Instant;

use aws_client::scripted_http::{Answer, Call, Wire};

/// A clock with a fixed time.
#[derive(Debug)]
pub(crate) struct At(pub(crate) i64);

impl Clock for At {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

fn table(wire: &Wire) -> TickTable {
    let clock = Arc::new(At(START_MS));
    TickTable::new(
        Client::new(&wire.config()),
        "tickstream-ticks",
        30,
        STORE_TIMEOUT,
        clock,
    )
}

async fn put(wire: &Wire, ticks: &[Tick]) -> Result<PutReceipt, PortError> {
    let all: Vec<&Tick> = ticks.iter().collect();
    table(wire).put(&testkit::ticks::in_cohort(all)).await
}

/// The writes of a BatchWriteItem.
fn writes(call: &Call) -> Vec<Value> {
    assert_eq!(call.operation, "BatchWriteItem");
    let writes = &call.body["RequestItems"]["tickstream-ticks"];
    writes.as_array().unwrap().clone()
}

fn ids(writes: &[Value]) -> Vec<String> {
    let id = |write: &Value| {
        write["PutRequest"]["Item"]["tick_id"]["S"]
            .as_str()
            .map(str::to_owned)
    };
    writes.iter().map(|write| id(write).unwrap()).collect()
}

/// Everything was processed.
fn taken() -> Answer {
    Answer::Good(json!({ "UnprocessedItems": {} }))
}

/// Some writes are unprocessed.
fn left_over(writes: Vec<Value>) -> Answer {
    Answer::Good(json!({ "UnprocessedItems": { "tickstream-ticks": writes } }))
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_in_concurrent_calls_of_twenty_five() {
    let wire = Wire::new(|_, _| taken()).with_latency(Duration::from_millis(10));
    let made = ticks(&["BTC", "ETH"], 30);
    let start = Instant::now();
    let receipt = put(&wire, &made).await.unwrap();
    assert_eq!(receipt.outcomes, vec![PutOutcome::Stored; 60]);
    assert_eq!((receipt.outbox_id, receipt.retimed), (None, vec![]));
    assert!(
        start.elapsed() < Duration::from_millis(20),
        "calls are concurrent"
    );
    let calls = wire.calls();
    let mut counts: Vec<usize> = calls.iter().map(|call| writes(call).len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [10, 25, 25]);
    let sent: BTreeSet<String> = calls.iter().flat_map(|call| ids(&writes(call))).collect();
    let expected = made.iter().map(|tick| tick.tick_id.to_string()).collect();
    assert_eq!(sent, expected);
}

#[tokio::test(start_paused = true)]
async fn only_unprocessed_items_are_retried() {
    let wire = Wire::new(|number, call| match number {
        0 => left_over(writes(call).split_off(20)),
        1 => left_over(writes(call).split_off(4)),
        _ => taken(),
    });
    let receipt = put(&wire, &ticks(&["BTC"], 25)).await.unwrap();
    assert_eq!(receipt.outcomes, vec![PutOutcome::Stored; 25]);
    let calls = wire.calls();
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
    let wire = Wire::new(move |_, call| left_over(of_eth(call)));
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
    assert!(wire.calls().len() > 2, "it was retried");
    assert!(start.elapsed() < STORE_TIMEOUT, "within its timeout");
}

#[tokio::test(start_paused = true)]
async fn unprocessed_items_that_were_never_sent_count_as_all_of_them() {
    let stranger = json!({ "PutRequest": { "Item": { "pk": { "S": "a" }, "sk": { "S": "b" } } } });
    let wire = Wire::new(move |number, _| match number {
        0 => left_over(vec![stranger.clone()]),
        _ => taken(),
    });
    put(&wire, &ticks(&["BTC"], 3)).await.unwrap();
    let counts: Vec<usize> = wire.calls().iter().map(|call| writes(call).len()).collect();
    assert_eq!(counts, [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_table_is_retried_until_it_accepts() {
    let wire = Wire::new(|number, _| match number {
        0..4 => Answer::Refusal(400, "ProvisionedThroughputExceededException"),
        _ => taken(),
    });
    let receipt = put(&wire, &[tick("BTC", 1)]).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Stored]);
    assert_eq!(wire.calls().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_refuses_only_its_own_ticks() {
    let wire = Wire::new(|_, call| match writes(call).len() {
        25 => taken(),
        _ => Answer::Refusal(400, "ValidationException"),
    });
    let receipt = put(&wire, &ticks(&["BTC"], 30)).await.unwrap();
    assert_eq!(receipt.outcomes[..25], [PutOutcome::Stored; 25]);
    assert_eq!(receipt.outcomes[25..], [PutOutcome::Refused; 5]);
    assert_eq!(wire.calls().len(), 2, "an invalid request is not retried");
}

#[tokio::test(start_paused = true)]
async fn the_call_only_fails_if_nothing_was_stored() {
    for (code, retryable) in [
        ("ResourceNotFoundException", false),
        ("ThrottlingException", true),
    ] {
        let wire = Wire::new(move |_, _| Answer::Refusal(400, code));
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
async fn a_repeated_tick_in_a_batch_is_sent_once_and_reported_twice() {
    let wire = Wire::new(|_, _| taken());
    let made = [tick("BTC", 1), tick("BTC", 2), tick("BTC", 1)];
    let receipt = put(&wire, &made).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Stored; 3]);
    let expected = [tick("BTC", 1), tick("BTC", 2)].map(|tick| tick.tick_id.to_string());
    assert_eq!(ids(&writes(&wire.calls()[0])), expected);
}

fn arrival_stamped(n: u32, at_ms: i64) -> Tick {
    Tick {
        timestamp_ms: at_ms,
        ingested_at_ms: at_ms,
        ..tick("BTC", n)
    }
}

/// Responds to claims with the first time of an id, which `first_ms` returns if it was claimed before.
fn claiming(first_ms: impl Fn(&str) -> Option<i64> + Send + Sync + 'static) -> Wire {
    Wire::new(move |_, call| match call.operation.as_str() {
        "UpdateItem" => {
            let id = call.body["Key"]["pk"]["S"].as_str().unwrap();
            let own = call.body["ExpressionAttributeValues"][":at"]["N"].clone();
            let at = match first_ms(id.strip_prefix("claim#").unwrap()) {
                Some(first_ms) => json!(first_ms.to_string()),
                None => own,
            };
            Answer::Good(json!({ "Attributes": { "timestamp": { "N": at } } }))
        }
        _ => taken(),
    })
}

#[tokio::test(start_paused = true)]
async fn an_arrival_stamped_tick_is_stored_under_its_first_time() {
    let replayed = tick("BTC", 2).tick_id.to_string();
    let wire = claiming(move |id| (id == replayed).then_some(START_MS - 60_000));
    let made = [
        tick("BTC", 1),
        arrival_stamped(2, START_MS),
        arrival_stamped(3, START_MS),
    ];
    let receipt = put(&wire, &made).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Stored; 3]);
    assert_eq!(receipt.retimed, [(1, START_MS - 60_000)]);

    let calls = wire.calls();
    let claims: Vec<&Call> = calls
        .iter()
        .filter(|it| it.operation == "UpdateItem")
        .collect();
    assert_eq!(claims.len(), 2, "a tick with an event time is not claimed");
    assert_eq!(
        claims[0].body["UpdateExpression"],
        "SET #at = if_not_exists(#at, :at), #ttl = if_not_exists(#ttl, :ttl)",
        "an existing claim is not overwritten"
    );
    let stored = writes(calls.last().unwrap());
    let times: Vec<(&Value, &Value)> = stored
        .iter()
        .map(|write| {
            let item = &write["PutRequest"]["Item"];
            (&item["timestamp"]["N"], &item["ingested_at"]["N"])
        })
        .collect();
    let first = json!((START_MS - 60_000).to_string());
    let own = json!(START_MS.to_string());
    assert_eq!(times[1..], [(&first, &first), (&own, &own)]);
    assert_eq!(stored[1]["PutRequest"]["Item"]["pk"]["S"], "BTC#2025-12-31");
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_cannot_be_claimed_is_not_stored() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "UpdateItem" => Answer::Refusal(400, "AccessDeniedException"),
        _ => taken(),
    });
    let made = [arrival_stamped(1, START_MS), tick("BTC", 2)];
    let receipt = put(&wire, &made).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Refused, PutOutcome::Stored]);
    let alone = put(&wire, &made[..1]).await.unwrap_err();
    assert!(
        !alone.retryable && alone.operation == "claim a tick",
        "{alone:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_tick_is_not_reported_as_retimed() {
    let wire = Wire::new(|_, call| match call.operation.as_str() {
        "UpdateItem" => Answer::Good(json!({ "Attributes": { "timestamp": { "N": "5" } } })),
        _ => {
            let mut all = writes(call);
            all.retain(|write| write["PutRequest"]["Item"]["timestamp"]["N"] == "5");
            left_over(all)
        }
    });
    let made = [arrival_stamped(1, START_MS), tick("BTC", 2)];
    let receipt = put(&wire, &made).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Refused, PutOutcome::Stored]);
    assert_eq!(receipt.retimed, []);
}

#[tokio::test(start_paused = true)]
async fn the_latest_ticks_are_queried_newest_first_for_today_and_yesterday() {
    let wire = Wire::new(|_, _| Answer::Good(json!({ "Items": [], "Count": 0 })));
    let found = table(&wire).latest(&Token::new("BTC").unwrap()).await;
    assert_eq!(found.unwrap(), []);
    let calls = wire.calls();
    let asked: BTreeSet<&str> = calls
        .iter()
        .map(|call| {
            assert_eq!(call.operation, "Query");
            assert_eq!(call.body["ScanIndexForward"], false);
            assert_eq!(call.body["Limit"], 50);
            call.body["ExpressionAttributeValues"][":pk"]["S"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(asked, BTreeSet::from(["BTC#2026-01-01", "BTC#2025-12-31"]));
    assert_eq!(calls.len(), 2);
}
