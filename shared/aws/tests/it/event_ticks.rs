//! The ticks of a token by event time, from the table of ticks.

use std::sync::Arc;

use app::candle_rebuild::EventTicks as _;
use app::read_back::StoredTick;
use aws::dynamodb::event_ticks::TicksByEventTime;
use aws_client::scripted_http::{Answer, Wire};
use aws_sdk_dynamodb::Client;
use domain::Token;
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
    let ticks = TicksByEventTime::new(
        &Client::new(&wire.config()),
        "tickstream-ticks",
        Arc::new(|| START_MS),
    );
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
async fn tokens_are_those_that_the_webhook_listed() {
    let wire = Wire::new(move |_, call| {
        let partition = call.body["ExpressionAttributeValues"][":pk"]["S"]
            .as_str()
            .unwrap();
        let listed: &[&str] = match partition {
            "days#2025-12-31#3" => &["BTC#2025-12-31", "ETH#2026-01-01"],
            // Received later, of an earlier event.
            "days#2026-01-02#0" => &["OLD#2025-12-30", "ETH#2026-01-01", "SOL#2026-01-02"],
            _ => &[],
        };
        let item = |sort: &&str| json!({"pk": {"S": partition}, "sk": {"S": sort}});
        let items: Vec<Value> = listed.iter().map(item).collect();
        Answer::Good(json!({"Items": items, "Count": items.len()}))
    });
    let clock = Arc::new(|| START_MS + 2 * 86_400_000);
    let ticks = TicksByEventTime::new(&Client::new(&wire.config()), "tickstream-ticks", clock);
    let tokens = ticks
        .tokens(START_MS - 1, START_MS + 86_400_000)
        .await
        .unwrap();
    let tokens: Vec<&str> = tokens.iter().map(|token| token.as_str()).collect();
    assert_eq!(tokens, ["BTC", "ETH"]);
}
