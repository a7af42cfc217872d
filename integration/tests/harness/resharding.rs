//! The scaler and analytics on kinesalite, which really splits and merges shards, with our model of the event source:
//! the scaler changes the number of shards while records wait in them, and the candles count each tick once.

use std::sync::Arc;
use std::time::Duration;

use app::ports::TickStream as _;
use aws::dynamodb::CandleTable;
use aws::dynamodb::candle_blocks::{ReadRange, TIMEOUT};
use aws::kinesis::KinesisStream;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::StreamStatus;
use domain::analytics::{Candle, Interval};
use domain::{Pair, Tick, Token};
use integration::aws_parts::Part;
use integration::event_source::function::BootstrapFunction;
use integration::event_source::{
    Answer, EventSource, Function as _, MappingSettings, StartingPosition,
};
use integration::stream_metrics;
use serde_json::{Value, json};
use testkit::replay::expected_candles;
use testkit::ticks::{START_MS, tick, ticks};

use crate::resources::Resources;

const TOKENS: [&str; 5] = ["SOL", "BTC", "ETH", "JUP", "WIF"];

/// Seconds of ticks in a round. A block of candles has ten minutes, so it goes on across several changes.
const ROUND: u32 = 180;

/// More calls of the schedule, a second apart, than the last blocks need.
const SETTLES_MAX: u32 = 30;

async fn returned(function: &BootstrapFunction, event: Value) -> Value {
    let answer = function.invoke(event).await;
    let Answer::Returned(answer) = answer else {
        panic!("{answer:?}")
    };
    answer
}

/// A change of the number of shards.
struct Change {
    /// What the traffic grows by, in shards that it fills.
    more: f64,
    from: u32,
    to: u32,
}

/// First down, since the sums of CloudWatch only grow.
const CHANGES: [Change; 4] = [
    Change {
        more: 0.0,
        from: 5,
        to: 3,
    },
    Change {
        more: 0.5,
        from: 3,
        to: 2,
    },
    Change {
        more: 2.7,
        from: 2,
        to: 4,
    },
    Change {
        more: 0.3,
        from: 4,
        to: 6,
    },
];

/// Has the scaler called after minutes that ask for this change.
async fn scale(resources: &mut Resources, number: usize, change: &Change) {
    let Change { more, from, to } = *change;
    let emulator = resources.proxied.emulator.sdk_config();
    let stream = &resources.proxied.name;
    // A function of its own has a history of its own, with this number of shards for long.
    let function_name = format!("{stream}-scaler-{number}");
    stream_metrics::add_traffic(&emulator, stream, more)
        .await
        .unwrap();
    let set = stream_metrics::set_open_shards(&emulator, &function_name, from);
    set.await.unwrap();
    resources.set("AWS_LAMBDA_FUNCTION_NAME", &function_name);
    let answer = returned(&resources.function("scaler"), json!({})).await;
    let expected = json!({ "outcome": "requested", "from": from, "to": to });
    assert_eq!(answer, expected);
}

/// Ticks of an hour ago, since candles expire.
fn market() -> (i64, Vec<Tick>) {
    let start_ms = runtime::clock::now_ms() / 600_000 * 600_000 - 3_600_000;
    let rounds = u32::try_from(CHANGES.len()).unwrap() + 1;
    let ticks = ticks(&TOKENS, rounds * ROUND).into_iter();
    let moved = ticks.map(|tick| Tick {
        timestamp_ms: tick.timestamp_ms - START_MS + start_ms,
        ingested_at_ms: tick.ingested_at_ms - START_MS + start_ms,
        ..tick
    });
    (start_ms, moved.collect())
}

async fn new_stream(client: &Client, name: &str) {
    let create = client.create_stream().stream_name(name);
    create.shard_count(5).send().await.unwrap();
    loop {
        let described = client.describe_stream_summary().stream_name(name);
        let summary = described.send().await.unwrap().stream_description_summary;
        if summary.is_some_and(|it| it.stream_status() == &StreamStatus::Active) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn event_source(
    config: &SdkConfig,
    stream: &str,
    function: &Arc<BootstrapFunction>,
) -> EventSource {
    let settings = MappingSettings {
        batch_records_max: 200,
        bisect: true,
        partial_failures: true,
        ..MappingSettings::default()
    };
    let function = Arc::clone(function) as _;
    let from = StartingPosition::TrimHorizon;
    let opened = EventSource::open(config, stream, function, settings, from, None).await;
    opened.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn candles_count_each_tick_once_while_the_scaler_splits_and_merges_shards() {
    let unshown = "the scaler and analytics across real splits and merges";
    let Some(kinesalite) = Part::Kinesalite.start(unshown).await.unwrap() else {
        return;
    };
    let mut resources = Resources::new().await;
    let endpoint = kinesalite.endpoint_url().unwrap();
    resources.set("AWS_ENDPOINT_URL_KINESIS", endpoint);
    // Shorter than the test, so that some blocks are stored between the rounds, and some are not.
    resources.set("CANDLE_DELAY_SECONDS", "2");
    let name = resources.proxied.name.clone();
    let client = Client::new(&kinesalite);
    new_stream(&client, &name).await;
    let analytics = Arc::new(resources.function("analytics"));
    let mut source = event_source(&kinesalite, &name, &analytics).await;

    let (start_ms, sent) = market();
    let stream = KinesisStream::new(&client, &name, Duration::from_secs(20));
    let append = async |ticks: &[Tick]| {
        let all: Vec<&Tick> = ticks.iter().collect();
        assert_eq!(stream.append(&all, None).await.unwrap(), []);
    };
    let changes = CHANGES.iter().map(Some).chain([None]);
    let rounds = sent.chunks(ROUND as usize * TOKENS.len());
    for (number, (round, change)) in rounds.zip(changes).enumerate() {
        // Half of a round waits in the shards that are then closed.
        let (before, after) = round.split_at(round.len() / 2);
        append(before).await;
        if let Some(change) = change {
            scale(&mut resources, number, change).await;
        }
        append(after).await;
        if number % 2 == 1 {
            // Another instance, which has to read records again.
            analytics.cool_down().await;
        }
        source.drain().await.unwrap();
    }
    assert_eq!(source.report().records_processed, sent.len());
    let expected = counts(&expected_candles(&sent, Interval::OneMinute));
    assert_stored(&resources, &analytics, start_ms, &expected).await;
}

/// Waits until the table has these candles.
async fn assert_stored(
    resources: &Resources,
    analytics: &BootstrapFunction,
    start_ms: i64,
    expected: &[(Token, i64, u64)],
) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&resources.proxied.emulator.sdk_config());
    let clock = Arc::new(runtime::clock::now_ms);
    let table = CandleTable::new(&dynamodb, &resources.proxied.name, 30, TIMEOUT, clock);
    let day = ReadRange {
        from_ms: start_ms,
        to_ms: start_ms + 86_400_000,
        limit: 10_000,
    };
    for attempts in 1.. {
        returned(analytics, json!({ "settle": true })).await;
        let mut found = Vec::new();
        for token in TOKENS {
            let pair = Pair::of(&tick(token, 0));
            let candles = table.candles(&pair, Interval::OneMinute, day).await;
            found.extend(candles.unwrap());
        }
        let found = counts(&found);
        if found == expected {
            return;
        }
        assert!(attempts < SETTLES_MAX, "{found:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The ticks of each candle.
fn counts(candles: &[Candle]) -> Vec<(Token, i64, u64)> {
    let count = |it: &Candle| (it.token.clone(), it.start_ms, it.tick_count());
    let mut counts: Vec<_> = candles.iter().map(count).collect();
    counts.sort();
    counts
}
