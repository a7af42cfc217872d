//! The scaler and analytics on kinesalite, which really splits and merges shards, with our model of the event source:
//! the scaler changes the number of shards while records wait in them, and the candles count each tick once.

use std::sync::Arc;
use std::time::Duration;

use app::ports::TickStream as _;
use aws::dynamodb::CandleTable;
use aws::dynamodb::candle_blocks::{ReadRange, TIMEOUT};
use aws::kinesis::KinesisStream;
use aws_sdk_kinesis::Client;
use domain::analytics::{Candle, Interval};
use domain::{Pair, Tick, Token};
use integration::aws_parts::Part;
use integration::event_source::function::BootstrapFunction;
use integration::event_source::{
    Answer, EventSource, Function as _, MappingSettings, StartingPosition,
};
use serde_json::{Value, json};
use testkit::replay::expected_candles;
use testkit::ticks::{START_MS, tick, ticks};

use crate::resources::Resources;

const TOKENS: [&str; 5] = ["SOL", "BTC", "ETH", "JUP", "WIF"];

/// Seconds of ticks in a round. A block of candles has ten minutes, so it goes on across several changes.
const ROUND: u32 = 180;

/// More calls of the schedule, a second apart, than the last blocks need.
const SETTLES_MAX: u32 = 30;

/// An alarm, as CloudWatch sends it.
fn alarm(name: &str, excess: f64) -> Value {
    let reason = json!({ "recentDatapoints": [excess], "threshold": 1.0 }).to_string();
    json!({ "alarmData": { "alarmName": name, "state": { "value": "ALARM", "reasonData": reason } } })
}

async fn returned(function: &BootstrapFunction, event: Value) -> Value {
    match function.invoke(event).await {
        Answer::Returned(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn candles_count_each_tick_once_while_the_scaler_splits_and_merges_shards() {
    let unshown = "the scaler and analytics across real splits and merges";
    let Some(kinesalite) = Part::Kinesalite.start(unshown).await.unwrap() else {
        return;
    };
    let mut resources = Resources::new().await;
    resources.set(
        "AWS_ENDPOINT_URL_KINESIS",
        kinesalite.endpoint_url().unwrap(),
    );
    // Shorter than the test, so that some blocks are stored between the rounds, and some are not.
    resources.set("CANDLE_DELAY_SECONDS", "2");
    let name = resources.proxied.name.clone();
    let client = Client::new(&kinesalite);
    let create = client.create_stream().stream_name(&name);
    create.shard_count(2).send().await.unwrap();
    while client
        .describe_stream_summary()
        .stream_name(&name)
        .send()
        .await
        .unwrap()
        .stream_description_summary
        .is_none_or(|it| it.stream_status().as_str() != "ACTIVE")
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (scaler, analytics) = (
        resources.function("scaler"),
        Arc::new(resources.function("analytics")),
    );
    let settings = MappingSettings {
        batch_records_max: 200,
        bisect: true,
        partial_failures: true,
        ..MappingSettings::default()
    };
    let function = Arc::clone(&analytics) as _;
    let from = StartingPosition::TrimHorizon;
    let opened = EventSource::open(&kinesalite, &name, function, settings, from, None).await;
    let mut source = opened.unwrap();

    // An hour ago, since candles expire.
    let start_ms = runtime::clock::now_ms() / 600_000 * 600_000 - 3_600_000;
    let sent: Vec<Tick> = ticks(&TOKENS, 5 * ROUND)
        .into_iter()
        .map(|tick| Tick {
            timestamp_ms: tick.timestamp_ms - START_MS + start_ms,
            ingested_at_ms: tick.ingested_at_ms - START_MS + start_ms,
            ..tick
        })
        .collect();
    let stream = KinesisStream::new(&client, &name, Duration::from_secs(20));
    let changes = [
        Some((
            "x-shards-up",
            2.0,
            json!({"outcome": "asked", "from": 2, "to": 4}),
        )),
        Some((
            "x-shards-up",
            0.5,
            json!({"outcome": "asked", "from": 4, "to": 5}),
        )),
        Some((
            "x-shards-down",
            0.0,
            json!({"outcome": "asked", "from": 5, "to": 3}),
        )),
        Some((
            "x-shards-down",
            0.0,
            json!({"outcome": "asked", "from": 3, "to": 2}),
        )),
        None,
    ];
    let rounds = sent.chunks(ROUND as usize * TOKENS.len());
    for (number, (round, change)) in rounds.zip(changes).enumerate() {
        // Half of a round waits in the shards that are then closed.
        let (before, after) = round.split_at(round.len() / 2);
        for (part, change) in [(before, change), (after, None)] {
            let all: Vec<_> = part.iter().collect();
            assert_eq!(stream.append(&all, None).await.unwrap(), []);
            if let Some((alarm_name, excess, answer)) = change {
                assert_eq!(returned(&scaler, alarm(alarm_name, excess)).await, answer);
            }
        }
        if number % 2 == 1 {
            // Another instance, which has to read records again.
            analytics.cool_down().await;
        }
        let report = source.drain().await.unwrap();
        assert_eq!(report.errors, [] as [&str; 0]);
    }
    assert_eq!(source.report().records_processed, sent.len());

    let dynamodb = aws_sdk_dynamodb::Client::new(&resources.proxied.emulator.sdk_config());
    let clock = Arc::new(runtime::clock::now_ms);
    let table = CandleTable::new(&dynamodb, &name, 30, TIMEOUT, clock);
    let day = ReadRange {
        from_ms: start_ms,
        to_ms: start_ms + 86_400_000,
        limit: 10_000,
    };
    let expected = counts(&expected_candles(&sent, Interval::OneMinute));
    for attempts in 1.. {
        returned(&analytics, json!({ "settle": true })).await;
        let mut found = Vec::new();
        for token in TOKENS {
            let pair = Pair::of(&tick(token, 0));
            let candles = table.candles(&pair, Interval::OneMinute, day).await;
            found.extend(candles.unwrap());
        }
        if counts(&found) == expected {
            return;
        }
        assert!(attempts < SETTLES_MAX, "{:?}", counts(&found));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The ticks of each candle.
fn counts(candles: &[Candle]) -> Vec<(Token, i64, u64)> {
    let count = |it: &Candle| (it.token.clone(), it.start_ms, it.tick_count);
    let mut counts: Vec<_> = candles.iter().map(count).collect();
    counts.sort();
    counts
}
