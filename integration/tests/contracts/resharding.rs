//! Reading a stream across splits and merges, on kinesalite: it closes the old shards and keeps their records, as AWS
//! does and the emulator does not.

use std::collections::BTreeMap;

use app::ports::SequenceNumber;
use app::replay::ShardLog as _;
use aws::kinesis::KinesisStream;
use aws::kinesis::shard_log::KinesisLog;
use aws::kinesis::shard_reader::Begin;
use aws::kinesis::tail::StreamTail;
use aws::shards::KinesisShards;
use aws_sdk_kinesis::Client;
use domain::Tick;
use ops::ports::{Resize, Shards as _, StreamState};
use testkit::ticks::ticks;

use crate::kinesis::{DEADLINE, append, assert_read, kinesalite, new_stream, ticks_of};

const TOKENS: [&str; 6] = ["SOL", "BTC", "ETH", "JUP", "BONK", "WIF"];

/// A stream of two shards; `None` if kinesalite cannot run here.
async fn two_shards() -> Option<(Client, String)> {
    let config = kinesalite("reading a stream across splits and merges").await?;
    let client = Client::new(&config);
    let name = new_stream(&client, 2).await;
    Some((client, name))
}

/// Rounds of 10 ticks of each token.
fn rounds(count: usize) -> Vec<Vec<Tick>> {
    let all = ticks(&TOKENS, 10 * u32::try_from(count).unwrap());
    all.chunks(10 * TOKENS.len())
        .map(<[Tick]>::to_vec)
        .collect()
}

/// Appends a round, and then changes the number of shards.
async fn play(client: &Client, name: &str, rounds: &[Vec<Tick>], counts: &[u32]) {
    let stream = KinesisStream::new(client, name, DEADLINE);
    let shards = KinesisShards::new(client, name);
    let counts = counts.iter().map(Some).chain(std::iter::repeat(None));
    for (round, count) in rounds.iter().zip(counts) {
        append(&stream, round).await;
        if let Some(count) = count {
            assert_eq!(shards.set(*count).await.unwrap(), Resize::Accepted);
            let open = shards.describe().await.unwrap();
            let expected = StreamState {
                open: *count,
                is_active: true,
            };
            assert_eq!(open, expected);
        }
    }
}

#[tokio::test]
async fn a_reader_follows_splits_and_merges_in_the_order_of_each_token() {
    let Some((client, name)) = two_shards().await else {
        return;
    };
    let rounds = rounds(5);
    let mut early = StreamTail::open(&client, &name, Begin::TrimHorizon)
        .await
        .unwrap();
    play(&client, &name, &rounds, &[4, 3, 5, 3]).await;
    let mut late = StreamTail::open(&client, &name, Begin::TrimHorizon)
        .await
        .unwrap();
    for tail in [&mut early, &mut late] {
        let read = ticks_of(tail.catch_up().await.unwrap());
        assert_read(read, rounds.concat());
        assert!(tail.catch_up().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_reader_at_latest_reads_only_what_is_new() {
    let Some((client, name)) = two_shards().await else {
        return;
    };
    let mut rounds = rounds(5);
    let new = rounds.split_off(3);
    play(&client, &name, &rounds, &[4, 2]).await;
    let mut tail = StreamTail::open(&client, &name, Begin::Latest)
        .await
        .unwrap();
    assert!(tail.catch_up().await.unwrap().is_empty());
    play(&client, &name, &new, &[4]).await;
    let read = ticks_of(tail.catch_up().await.unwrap());
    assert_read(read, new.concat());
}

#[tokio::test]
async fn closed_shards_are_replayed_and_are_the_parents_of_those_after_them() {
    let Some((client, name)) = two_shards().await else {
        return;
    };
    let rounds = rounds(3);
    play(&client, &name, &rounds, &[4, 2]).await;
    let log = KinesisLog::new(&client, &name);
    let shards = log.shards().await.unwrap();
    let mut parents = BTreeMap::new();
    let mut counted = Vec::new();
    for shard in &shards {
        let lineage = log.lineage(shard).await.unwrap();
        parents.insert(shard.clone(), lineage.parents.len());
        let all = log
            .between(shard, SequenceNumber::START, None)
            .await
            .unwrap();
        assert!(all.complete);
        let Some((first, _)) = all.records.first() else {
            continue;
        };
        // After its first record, and up to its last one.
        let last = all.records.last().map(|(last, _)| *last);
        let part = log.between(shard, *first, last).await.unwrap();
        assert!(part.complete);
        assert_eq!(part.records.len(), all.records.len().saturating_sub(2));
        for (_, data) in &all.records {
            let tick: Tick = codec::json::from_json(data).unwrap();
            assert!(lineage.hash_keys.contains(&log.hash_key(&tick.token)));
            counted.push(tick);
        }
    }
    let counts: Vec<usize> = parents.into_values().collect();
    assert_eq!(counts, [0, 0, 1, 1, 1, 1, 2, 2], "made, split, and merged");
    assert_read(counted, rounds.concat());
}
