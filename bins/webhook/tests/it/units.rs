//! What AWS bills for a delivery, counted from the program's own requests and log.

use ops::bill::units::{
    BODY_BYTES_PER_TICK, LOG_BYTES_PER_DELIVERY, MESSAGES_PER_REQUEST, READ_UNITS_PER_TICK,
    RECORD_BYTES, RESPONSE_BYTES, TICK_ITEM_BYTES, WRITE_UNITS_PER_TICK,
};
use serde_json::{Value, json};
use testkit::recording_service::{Billed, RecordingService};

use crate::{FUNCTION_NAME, SECRET, event, start, status_and_body};

/// A token's address on Solana, the longest name that is usual.
const TOKEN: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const QUOTE: &str = "So11111111111111111111111111111111111111112";

fn delivery(ticks: usize) -> String {
    let entry = |n: usize| {
        json!({
            "id": format!("trade-{n:09}"), "token": TOKEN, "quote": QUOTE,
            "price": "0.0068912345", "volume": "1234.567891",
            "timestamp": 1_767_225_600_000_i64 + n as i64,
        })
    };
    let entries: Vec<Value> = (0..ticks).map(entry).collect();
    serde_json::to_string(&entries).unwrap()
}

/// A new process looks for its first token's day in the list of the days of ticks, and writes it if it is the first. The
/// bill counts that by token and day, and the look-up as half a unit, which is counted as one here.
const OF_THE_LIST: f64 = 1.0;

struct Counted {
    billed: Billed,
    body_bytes: usize,
    response_bytes: usize,
    log_bytes: usize,
    item_bytes: u64,
}

async fn counted(ticks: usize) -> Counted {
    let service = RecordingService::start().await;
    let bootstrap = async || {
        let bootstrap = start(&[
            ("AWS_ENDPOINT_URL", service.endpoint()),
            ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION_NAME),
            ("KINESIS_PERCENTAGE", "100"),
            // A debug build on a busy machine may take longer than senders like to wait.
            ("OFFER_WITHIN_MS", "3000"),
            ("WEBHOOK_SECRETS", SECRET),
        ])
        .await;
        bootstrap.ready().await;
        bootstrap
    };
    let without = bootstrap().await.written().await;
    let bootstrap = bootstrap().await;
    let body = delivery(ticks);
    let headers = json!({"authorization": SECRET, "content-type": "application/json"});
    let event = event("POST", "/webhooks/ticks", headers, Some(&body), false);
    let (status, response) = status_and_body(&bootstrap, event).await;
    assert_eq!(status, 200, "{response}");
    let log = bootstrap.written().await;
    Counted {
        billed: service.billed(),
        body_bytes: body.len(),
        response_bytes: response.to_string().len(),
        log_bytes: log.len() - without.len(),
        item_bytes: service.item_sizes().into_iter().max().unwrap(),
    }
}

#[tokio::test]
async fn a_delivery_uses_the_units_of_the_bill() {
    for (ticks, of) in [(1_usize, 1_u64), (10, 10), (100, 100)] {
        let counted = counted(ticks).await;
        let billed = counted.billed;
        println!("{ticks} ticks: {billed:?}");
        let all = |per_tick: f64| per_tick * ticks as f64;
        let same = |what: &str, counted: f64, in_the_bill: f64| {
            assert!(
                (counted - in_the_bill).abs() < 1e-6,
                "{what}, {ticks} ticks: counted {counted}, but ops::bill::units has {in_the_bill}"
            );
        };
        same(
            "read units",
            billed.read_units as f64,
            all(READ_UNITS_PER_TICK) + OF_THE_LIST,
        );
        same(
            "write units",
            billed.write_units as f64,
            all(WRITE_UNITS_PER_TICK) + OF_THE_LIST,
        );
        same("records", billed.stream_records as f64, all(1.0));
        same(
            "bytes of records",
            billed.stream_bytes as f64,
            all(RECORD_BYTES),
        );
        same("messages", billed.queue_messages as f64, all(1.0));
        same(
            "requests to the queue",
            billed.queue_requests as f64,
            (of as f64 / MESSAGES_PER_REQUEST).ceil(),
        );
        same(
            "bytes of an item",
            counted.item_bytes as f64,
            TICK_ITEM_BYTES,
        );
        assert_eq!(
            billed.other_calls, 0,
            "services that the bill does not have"
        );
        // These vary by some digits; the bill has the most.
        for (what, bytes, in_the_bill, by) in [
            (
                "body",
                counted.body_bytes as f64,
                all(BODY_BYTES_PER_TICK),
                ticks as f64 + 2.0,
            ),
            (
                "response",
                counted.response_bytes as f64,
                RESPONSE_BYTES - 200.0,
                10.0,
            ),
            (
                "log",
                counted.log_bytes as f64,
                LOG_BYTES_PER_DELIVERY - 26.0,
                10.0,
            ),
        ] {
            assert!(
                (in_the_bill - by..=in_the_bill + 2.0).contains(&bytes),
                "{what}, {ticks} ticks: counted {bytes} bytes, but ops::bill::units has {in_the_bill}"
            );
        }
    }
}
