//! The latest ticks of a token, from the table of ticks.

use std::collections::BTreeSet;

use app::ports::LatestTicks as _;
use aws_client::scripted_http::{Answer, Wire};
use domain::{Tick, Token};
use serde_json::{Value, json};
use testkit::ticks::{START_MS, tick};

use crate::dynamodb_ticks::{item_of, table};

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

#[tokio::test(start_paused = true)]
async fn the_latest_tick_is_that_of_effective_time_and_the_number_decides_in_a_millisecond() {
    let ahead = Tick {
        timestamp_ms: START_MS + 290_000,
        ingested_at_ms: START_MS - 2_000,
        ..tick("BTC", 1)
    };
    let at_once = |n: u32, sequence| Tick {
        timestamp_ms: START_MS - 1_000,
        ingested_at_ms: START_MS - 500,
        sequence,
        ..tick("BTC", n)
    };
    let (one, other) = (at_once(2, Some(8)), at_once(3, Some(7)));
    let mut items = Vec::new();
    for tick in [&ahead, &one, &other] {
        items.push(item_of(tick).await);
    }
    let wire = Wire::new(move |_, call| {
        let pk = &call.body["ExpressionAttributeValues"][":pk"];
        let found: Vec<&Value> = items.iter().filter(|item| item["pk"] == *pk).collect();
        Answer::Good(json!({ "Items": found, "Count": found.len() }))
    });
    let found = table(&wire).latest(&Token::new("BTC").unwrap()).await;
    assert_eq!(found.unwrap(), [one]);
}

#[tokio::test(start_paused = true)]
async fn fifty_ticks_from_ahead_do_not_hide_the_latest() {
    let ahead: Vec<Tick> = (0..50)
        .map(|n| Tick {
            timestamp_ms: START_MS + 200_000 + i64::from(n),
            ingested_at_ms: START_MS - 90_000,
            ..tick("BTC", n)
        })
        .collect();
    let newest = Tick {
        timestamp_ms: START_MS,
        ingested_at_ms: START_MS + 20,
        ..tick("BTC", 99)
    };
    let mut of_ahead = Vec::new();
    for tick in &ahead {
        of_ahead.push(item_of(tick).await);
    }
    let of_newest = item_of(&newest).await;
    let wire = Wire::new(move |_, call| {
        let values = &call.body["ExpressionAttributeValues"];
        let items = match (values[":pk"]["S"].as_str().unwrap(), &values[":end"]["S"]) {
            ("BTC#2026-01-01", Value::Null) => of_ahead.clone(),
            ("BTC#2026-01-01", end) => {
                assert_eq!(*end, json!((START_MS + 1).to_string()));
                vec![of_newest.clone()]
            }
            _ => Vec::new(),
        };
        Answer::Good(json!({ "Items": items, "Count": items.len() }))
    });
    let found = table(&wire).latest(&Token::new("BTC").unwrap()).await;
    assert_eq!(found.unwrap(), [newest]);
}
