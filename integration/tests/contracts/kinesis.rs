//! The stream: the contract of its port, and reading it, on the emulator and on kinesalite.

use std::collections::BTreeMap;
use std::time::Duration;

use app::ports::TickStream;
use app::requeue_batches::ShardRange as _;
use aws::kinesis::KinesisStream;
use aws::kinesis::shard_log::KinesisLog;
use aws::kinesis::shard_reader::Begin;
use aws::kinesis::tail::{StreamTail, Tailed};
use aws::shards::KinesisShards;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::StreamStatus;
use domain::Tick;
use integration::aws_parts::Part;
use integration::emulator;
use ops::ports::Shards;
use testkit::contract;
use testkit::ticks::ticks;

/// The emulator shares its cores with other tests, so it gets more time than AWS needs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How long a stream may take to be created or resharded.
const ACTIVE_WITHIN: Duration = Duration::from_secs(30);

/// A new stream on each service that can run here: the emulator always, and kinesalite.
async fn new_streams(shards: i32) -> Vec<(Client, String)> {
    let emulator = emulator::start().await.unwrap();
    let kinesalite = kinesalite("the stream's contract on a second implementation").await;
    let mut streams = Vec::new();
    for config in [Some(emulator.sdk_config()), kinesalite] {
        let Some(config) = config else { continue };
        let client = Client::new(&config);
        streams.push((client.clone(), new_stream(&client, shards).await));
    }
    streams
}

pub(crate) async fn kinesalite(unshown: &str) -> Option<SdkConfig> {
    Part::Kinesalite.start(unshown).await.unwrap()
}

pub(crate) async fn new_stream(client: &Client, shards: i32) -> String {
    let name = format!("{}-ticks", emulator::unique_project());
    let create = client.create_stream().stream_name(&name);
    create.shard_count(shards).send().await.unwrap();
    active(client, &name).await;
    name
}

pub(crate) async fn active(client: &Client, name: &str) {
    let wait = async {
        loop {
            let summary = client.describe_stream_summary().stream_name(name);
            let answer = summary.send().await.unwrap();
            let summary = answer.stream_description_summary().unwrap();
            if summary.stream_status() == &StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(ACTIVE_WITHIN, wait).await.unwrap();
}

pub(crate) fn by_token(ticks: impl IntoIterator<Item = Tick>) -> BTreeMap<String, Vec<Tick>> {
    let mut by_token: BTreeMap<String, Vec<Tick>> = BTreeMap::new();
    for tick in ticks {
        let token = tick.token.to_string();
        by_token.entry(token).or_default().push(tick);
    }
    by_token
}

/// Whether the ticks of each token were read once and in the order in which they were sent.
#[track_caller]
pub(crate) fn assert_read(read: Vec<Tick>, sent: Vec<Tick>) {
    let seconds = |ticks| {
        let of_token = |ticks: Vec<Tick>| {
            ticks
                .iter()
                .map(|it| it.timestamp_ms / 1_000 % 1_000)
                .collect()
        };
        let all = by_token(ticks)
            .into_iter()
            .map(|(token, ticks)| (token, of_token(ticks)));
        all.collect::<BTreeMap<String, Vec<i64>>>()
    };
    assert_eq!(seconds(read.clone()), seconds(sent.clone()));
    assert_eq!(by_token(read), by_token(sent));
}

pub(crate) fn ticks_of(tailed: Vec<Tailed>) -> Vec<Tick> {
    tailed
        .into_iter()
        .map(|tailed| tailed.tick.unwrap())
        .collect()
}

pub(crate) async fn append(stream: &KinesisStream, sent: &[Tick]) {
    let all: Vec<&Tick> = sent.iter().collect();
    assert_eq!(stream.append(&all, None).await.unwrap(), []);
}

#[tokio::test]
async fn the_stream_keeps_its_contract() {
    for (client, name) in new_streams(2).await {
        contract::tick_stream(&KinesisStream::new(&client, name, DEADLINE)).await;
    }
}

#[tokio::test]
async fn appended_ticks_are_read_once_and_in_order_per_token() {
    for (client, name) in new_streams(3).await {
        let stream = KinesisStream::new(&client, &name, DEADLINE);
        let sent = ticks(&["SOL", "BTC", "ETH", "JUP"], 300);
        append(&stream, &sent).await;
        let mut tail = StreamTail::open(&client, &name, Begin::TrimHorizon)
            .await
            .unwrap();
        let tailed = tail.catch_up().await.unwrap();
        let mut shard_of: BTreeMap<&str, &str> = BTreeMap::new();
        let mut last: BTreeMap<&str, _> = BTreeMap::new();
        for tailed in &tailed {
            let shard = shard_of
                .entry(&tailed.partition_key)
                .or_insert(&tailed.shard_id);
            assert_eq!(*shard, tailed.shard_id, "a token stays in its shard");
            let before = last.insert(tailed.shard_id.as_str(), tailed.sequence);
            assert!(before.is_none_or(|before| before < tailed.sequence));
            assert!(
                tailed
                    .arrived_at_ms
                    .is_some_and(|ms| ms > 1_700_000_000_000)
            );
        }
        assert_eq!(by_token(ticks_of(tailed)), by_token(sent));
        assert!(
            tail.catch_up().await.unwrap().is_empty(),
            "no tick is read twice"
        );
    }
}

#[tokio::test]
async fn a_reader_may_start_at_a_time_or_at_latest() {
    for (client, name) in new_streams(2).await {
        let stream = KinesisStream::new(&client, &name, DEADLINE);
        // Each shard has a late one: kinesalite never answers if none is as late.
        let sent = ticks(&["SOL", "BTC", "ETH", "JUP"], 20);
        let (early, late) = sent.split_at(40);
        append(&stream, early).await;
        let mut all = StreamTail::open(&client, &name, Begin::TrimHorizon)
            .await
            .unwrap();
        let arrived = all.catch_up().await.unwrap();
        let last_ms = arrived
            .iter()
            .filter_map(|tailed| tailed.arrived_at_ms)
            .max()
            .unwrap();
        let mut tip = StreamTail::open(&client, &name, Begin::Latest)
            .await
            .unwrap();
        // Arrival times have milliseconds.
        tokio::time::sleep(Duration::from_millis(20)).await;
        append(&stream, late).await;
        let begin = Begin::AtTimestamp(last_ms + 1);
        let mut at_time = StreamTail::open(&client, &name, begin).await.unwrap();
        for tail in [&mut tip, &mut at_time] {
            let read = ticks_of(tail.catch_up().await.unwrap());
            assert_eq!(by_token(read), by_token(late.to_vec()));
        }
    }
}

#[tokio::test]
async fn a_stream_that_does_not_exist_refuses_every_tick_with_the_reason() {
    for (client, name) in new_streams(1).await {
        let stream = KinesisStream::new(&client, format!("{name}-no"), DEADLINE);
        let sent = ticks(&["SOL"], 3);
        let all: Vec<&Tick> = sent.iter().collect();
        let refused = stream.append(&all, None).await.unwrap();
        assert_eq!(refused.len(), 3);
        assert!(
            refused[0].reason.contains("ResourceNotFoundException"),
            "{}",
            refused[0].reason
        );
    }
}

/// The emulator creates new shards with the old names and drops the records, while AWS closes the old
/// shards and keeps them. Reading across a reshard is tested in `resharding.rs`, and with a fake HTTP client.
#[tokio::test]
async fn shards_are_counted_and_changed_and_the_stream_continues() {
    for (client, name) in new_streams(2).await {
        let shards = KinesisShards::new(&client, &name);
        assert_eq!(shards.describe().await.unwrap().open, 2);
        shards.set(4).await.unwrap();
        active(&client, &name).await;
        assert_eq!(shards.describe().await.unwrap().open, 4);
        let stream = KinesisStream::new(&client, &name, DEADLINE);
        let sent = ticks(&["SOL", "BTC", "ETH"], 20);
        append(&stream, &sent).await;
        let mut tail = StreamTail::open(&client, &name, Begin::TrimHorizon)
            .await
            .unwrap();
        let read = ticks_of(tail.catch_up().await.unwrap());
        assert_eq!(by_token(read), by_token(sent));
    }
}

/// What `tickctl requeue analytics` reads of a batch that Lambda gave up.
#[tokio::test]
async fn a_part_of_a_shard_is_read_again_by_its_sequence_numbers() {
    for (client, name) in new_streams(1).await {
        let sent = ticks(&["SOL"], 6);
        let all: Vec<&Tick> = sent.iter().collect();
        let stream = KinesisStream::new(&client, name.as_str(), DEADLINE);
        assert_eq!(stream.append(&all, None).await.unwrap(), []);
        let mut tail = StreamTail::open(&client, name.as_str(), Begin::TrimHorizon)
            .await
            .unwrap();
        let mut tailed: Vec<Tailed> = Vec::new();
        while tailed.len() < sent.len() {
            tailed.extend(tail.poll().await.unwrap());
        }
        let (first, last) = (&tailed[1], &tailed[4]);
        // The emulator's numbers have leading zeros, which it compares; those of Kinesis have none, and more digits.
        let as_given = |tailed: &Tailed| format!("{:0>30}", tailed.sequence.to_string());
        let log = KinesisLog::new(&client, name.as_str());
        let read = log
            .records(&first.shard_id, &as_given(first), &as_given(last))
            .await
            .unwrap();
        let read: Vec<Tick> = read
            .iter()
            .map(|data| codec::json::from_json(data).unwrap())
            .collect();
        let expected: Vec<Tick> = tailed[1..=4]
            .iter()
            .map(|it| it.tick.as_ref().unwrap().clone())
            .collect();
        assert_eq!(read, expected);
    }
}
