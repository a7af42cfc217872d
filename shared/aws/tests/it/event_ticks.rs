//! The ticks of a token by event time, from the table of ticks.

use std::collections::BTreeSet;

use app::candle_rebuild::EventTicks as _;
use app::read_back::{Page, ReceiptRange, StoredTick, StoredTicks as _};
use aws::dynamodb::event_ticks::{TicksByEventTime, TicksOfTokens};
use aws_client::scripted_http::{Answer, Wire};
use aws_sdk_dynamodb::Client;
use domain::Token;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use testkit::ticks::{START_MS, tick};

use crate::dynamodb_ticks::item_of;

#[tokio::test]
async fn each_day_of_the_range_is_queried_to_its_end() {
    let mut items = Vec::new();
    for n in 0..3 {
        items.push(item_of(&tick("BTC", n)).await);
    }
    items[1].as_object_mut().unwrap().remove("in_cohort");
    let wire = Wire::new(move |_, call| {
        let values = &call.body["ExpressionAttributeValues"];
        if values[":pk"]["S"] != "BTC#2026-01-01" {
            return Answer::Good(json!({"Items": [], "Count": 0}));
        }
        let after = &call.body["ExclusiveStartKey"];
        let page: Vec<&Value> = match after.is_null() {
            true => items[..2].iter().collect(),
            false => items[2..].iter().collect(),
        };
        let mut answer = json!({"Items": page, "Count": page.len()});
        if after.is_null() {
            answer["LastEvaluatedKey"] = json!({"pk": page[1]["pk"], "sk": page[1]["sk"]});
        }
        Answer::Good(answer)
    });
    let ticks = TicksByEventTime::new(&Client::new(&wire.config()), "tickstream-ticks");
    let token = Token::new("BTC").unwrap();
    // From the last second of a day to the third second of the next.
    let found = ticks
        .of_token(&token, START_MS - 1_000, START_MS + 2_000)
        .await
        .unwrap();
    let expected = [(0, Some(true)), (1, None)].map(|(n, in_cohort)| StoredTick {
        tick: tick("BTC", n),
        in_cohort,
    });
    assert_eq!(found, expected);
    let calls = wire.calls();
    let asked: Vec<&Value> = calls
        .iter()
        .map(|call| &call.body["ExpressionAttributeValues"][":pk"]["S"])
        .collect();
    assert_eq!(
        asked,
        ["BTC#2025-12-31", "BTC#2026-01-01", "BTC#2026-01-01"]
    );
    let values = &calls[0].body["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":from"]["S"], &values[":to"]["S"]),
        (&json!("1767225599000"), &json!("1767225602000"))
    );
    assert_eq!(calls[0].body["ConsistentRead"], true);
}

#[tokio::test]
async fn ticks_by_receipt_are_found_on_the_days_around_it() {
    let mut items = Vec::new();
    for n in 0..3 {
        items.push(item_of(&tick("BTC", n)).await);
    }
    let wire = Wire::new(move |number, call| {
        let is_its_day = call.body["ExpressionAttributeValues"][":pk"]["S"] == "BTC#2026-01-01";
        match (is_its_day, number) {
            (true, _) => Answer::Good(json!({"Items": items, "Count": 3})),
            (false, 5) => Answer::Refusal(400, "AccessDeniedException"),
            (false, _) => Answer::Good(json!({"Items": [], "Count": 0})),
        }
    });
    let ticks = TicksByEventTime::new(&Client::new(&wire.config()), "tickstream-ticks");
    let tokens = BTreeSet::from(["BTC", "ETH"].map(|token| Token::new(token).unwrap()));
    let ticks = TicksOfTokens::new(ticks, tokens);
    // The generated ticks are received 20 ms after their time, a second apart.
    let range = ReceiptRange {
        from_ms: START_MS + 1_000,
        to_ms: START_MS + 2_020,
    };
    let pages: Vec<_> = ticks.stored(range).collect().await;
    let found: Vec<StoredTick> = pages
        .iter()
        .filter_map(|page| match page {
            Ok(Page::Ticks(ticks)) => Some(ticks.clone()),
            Ok(Page::Unseen(_)) | Err(_) => None,
        })
        .flatten()
        .collect();
    assert_eq!(
        found.iter().map(|row| row.tick.clone()).collect::<Vec<_>>(),
        [tick("BTC", 1)]
    );
    // Three days of each token; the last one may not be read.
    assert_eq!(wire.calls().len(), 6);
    assert!(pages.last().unwrap().is_err());
}
