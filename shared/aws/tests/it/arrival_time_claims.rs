//! Ticks whose source gives no time: the first delivery claims the time under which they are stored.

use app::ports::{CohortTick, PutOutcome, TickStore as _};
use aws_client::scripted_http::{Answer, Call, Wire};
use domain::Tick;
use serde_json::{Value, json};
use testkit::ticks::{START_MS, tick};

use crate::dynamodb_ticks::{found, left_over, put, table, taken, writes};

pub(crate) fn arrival_stamped(n: u32, at_ms: i64) -> Tick {
    Tick {
        timestamp_ms: at_ms,
        ingested_at_ms: at_ms,
        ..tick("BTC", n)
    }
}

/// Responds to claims with the first time of an id, which `first_ms` returns if it was claimed before.
pub(crate) fn claiming(first_ms: impl Fn(&str) -> Option<i64> + Send + Sync + 'static) -> Wire {
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
        "BatchGetItem" => found(&[]),
        _ => taken(),
    })
}

async fn item_of_stamped(tick: &Tick) -> Value {
    let wire = claiming(|_| None);
    put(&wire, std::slice::from_ref(tick)).await.unwrap();
    let calls = wire.calls();
    writes(calls.last().unwrap())[0]["PutRequest"]["Item"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_time_of_its_own_that_equals_our_clock_needs_no_claim() {
    let wire = claiming(|_| Some(START_MS - 60_000));
    let made = CohortTick {
        tick: arrival_stamped(1, START_MS),
        in_cohort: true,
        arrival_stamped: false,
    };
    let receipt = table(&wire).put(&[made]).await.unwrap();
    assert_eq!(
        (&receipt.outcomes[..], &receipt.retimed[..]),
        (&[PutOutcome::Stored][..], &[][..])
    );
    let calls = wire.calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["BatchGetItem", "BatchWriteItem"]);
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
    let puts = calls.iter().filter(|it| it.operation == "BatchWriteItem");
    let mut stored: Vec<Value> = puts.flat_map(writes).collect();
    stored.sort_by_key(|write| {
        write["PutRequest"]["Item"]["tick_id"]["S"] == json!(made[0].tick_id.to_string())
    });
    stored.rotate_right(1);
    stored[1..].sort_by_key(|write| write["PutRequest"]["Item"]["timestamp"]["N"].to_string());
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
        "BatchGetItem" => found(&[]),
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
        "BatchGetItem" => found(&[]),
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
async fn a_known_arrival_stamped_tick_is_offered_under_its_first_time() {
    let first = arrival_stamped(1, START_MS - 60_000);
    let item = item_of_stamped(&first).await;
    let wire = Wire::new(move |_, call| match call.operation.as_str() {
        "UpdateItem" => Answer::Good(json!({
            "Attributes": { "timestamp": { "N": (START_MS - 60_000).to_string() } }
        })),
        "BatchGetItem" => found(std::slice::from_ref(&item)),
        other => panic!("{other}"),
    });
    let receipt = put(&wire, &[arrival_stamped(1, START_MS)]).await.unwrap();
    assert_eq!(receipt.outcomes, [PutOutcome::Duplicate]);
    assert_eq!(receipt.retimed, []);
    assert_eq!(receipt.offer_again, [first]);
}
