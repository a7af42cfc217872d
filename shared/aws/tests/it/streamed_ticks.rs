//! Reading a range of the stream back: what is trimmed or throttled meanwhile, or refused, is never taken for read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use app::ports::Clock;
use app::read_back::{Page, ReceiptRange, StreamedTicks as _, UnseenPart};
use aws::kinesis::streamed_ticks::StreamReader;
use aws_client::scripted_http::{Answer, Call, Wire};
use aws_sdk_kinesis::Client;
use aws_smithy_types::base64;
use futures_util::StreamExt as _;
use serde_json::json;
use testkit::ticks::{START_MS, tick};

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// A clock that a test sets.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream of one shard that was created long ago and keeps a day.
fn wire(read: impl Fn() -> Answer + Send + Sync + 'static) -> Wire {
    Wire::new(move |_, call: &Call| match call.operation.as_str() {
        "ListShards" => Answer::Good(json!({"Shards": [{
            "ShardId": "s0",
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
            "SequenceNumberRange": {"StartingSequenceNumber": "0"},
        }]})),
        "GetShardIterator" => Answer::Good(json!({"ShardIterator": "s0"})),
        "DescribeStreamSummary" => Answer::Good(json!({"StreamDescriptionSummary": {
            "StreamName": "prices-ticks",
            "StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/prices-ticks",
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1,
            "EnhancedMonitoring": [],
            "OpenShardCount": 1,
        }})),
        _ => read(),
    })
}

/// The ticks of an hour, what was not seen, and the error, if there was one.
async fn read(wire: &Wire, clock: Arc<dyn Clock>) -> (usize, Vec<UnseenPart>, Option<String>) {
    let reader = StreamReader::new(&Client::new(&wire.config()), "prices-ticks", clock);
    let mut pages = reader.streamed(ReceiptRange {
        from_ms: START_MS,
        to_ms: START_MS + HOUR_MS,
    });
    let (mut ticks, mut unseen, mut error) = (0, Vec::new(), None);
    while let Some(page) = pages.next().await {
        match page {
            Ok(Page::Ticks(page)) => ticks += page.len(),
            Ok(Page::Unseen(page)) => unseen.push(page),
            Err(failed) => error = Some(failed.source.to_string()),
        }
    }
    (ticks, unseen, error)
}

fn page() -> Answer {
    let mut data = Vec::new();
    codec::json::write_json(&tick("BTC", 1), &mut data);
    let record =
        json!({"SequenceNumber": "1", "Data": base64::encode(data), "PartitionKey": "BTC"});
    let next = "s0";
    Answer::Good(json!({"Records": [record], "NextShardIterator": next, "MillisBehindLatest": 0}))
}

#[tokio::test(start_paused = true)]
async fn what_is_trimmed_while_the_stream_is_read_is_not_seen() {
    let kept_ms = START_MS + 24 * HOUR_MS;
    let clock = Arc::new(SetClock(AtomicI64::new(kept_ms)));
    let (ticks, unseen, error) = read(&wire(page), clock.clone()).await;
    assert_eq!((ticks, unseen, error), (1, Vec::new(), None));

    let passing = Arc::clone(&clock);
    let slow = wire(move || {
        // It has taken a minute.
        passing.0.store(kept_ms + 60_000, Ordering::Relaxed);
        page()
    });
    let (ticks, unseen, error) = read(&slow, clock).await;
    assert_eq!((ticks, error), (1, None));
    assert_eq!(unseen.len(), 1);
    assert_eq!(unseen[0].before_ms, Some(START_MS + 60_000));
    assert!(
        unseen[0].what.contains("no records from before"),
        "{unseen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn reads_that_are_throttled_without_end_are_given_up() {
    let throttled = wire(|| Answer::Refusal(400, "ProvisionedThroughputExceededException"));
    let clock = Arc::new(SetClock(AtomicI64::new(START_MS + HOUR_MS)));
    let (ticks, _, error) = read(&throttled, clock).await;
    assert_eq!(ticks, 0);
    assert!(error.unwrap().contains("reads are throttled"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_be_read_says_so() {
    let refused = wire(|| Answer::Refusal(400, "AccessDeniedException"));
    let clock = Arc::new(SetClock(AtomicI64::new(START_MS + HOUR_MS)));
    let (ticks, _, error) = read(&refused, clock).await;
    assert_eq!(ticks, 0);
    assert!(error.unwrap().contains("AccessDenied"));
}
