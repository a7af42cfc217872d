//! What keeps candles, heads and snapshots of the analysis.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a contract suite fails by panicking"
)]

use app::ports::SequenceNumber;
use app::replay::{Blocks, Checkpoints, StoredBlock};
use domain::analytics::{CandleBlock, Interval};
use domain::{Pair, Tick};

use crate::ticks::tick;

/// Block number `n` of a token, with these ticks, as of a position.
fn stored(token: &str, n: i64, ticks: std::ops::Range<u32>, position: u64) -> StoredBlock {
    let made = |at: u32| {
        let tick = tick(token, at);
        Tick {
            timestamp_ms: tick.timestamp_ms + n * 600_000,
            ..tick
        }
    };
    let start_ms = CandleBlock::start_of(made(0).timestamp_ms);
    let mut block = CandleBlock::new(Pair::of(&made(0)), Interval::OneMinute, start_ms);
    for at in ticks {
        block.add(&made(at), false);
    }
    StoredBlock {
        block,
        position: SequenceNumber::from(position),
    }
}

/// Blocks are returned as they were stored, newest first, and never replaced by those of an earlier position.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn blocks(store: &dyn Blocks) {
    let put = async |blocks: &[StoredBlock]| {
        for outcome in store.put(blocks).await {
            outcome.unwrap();
        }
    };
    let token = "contract-blocks";
    let all: Vec<StoredBlock> = (0..8).map(|n| stored(token, n, 0..20, 100)).collect();
    put(&all).await;
    let pair = all[0].block.pair().clone();
    let unknown = Pair::of(&tick("contract-unknown", 1));
    let newest = store
        .newest(&[pair.clone(), unknown.clone()])
        .await
        .unwrap();
    let starts: Vec<&StoredBlock> = all.iter().rev().take(6).collect();
    assert_eq!(
        newest[0].iter().collect::<Vec<_>>(),
        starts,
        "those of the last hour"
    );
    assert!(newest[1].is_empty(), "a pair without candles");

    let key = |n: usize| (pair.clone(), all[n].block.start_ms());
    let found = store
        .blocks(&[key(3), (unknown, all[0].block.start_ms()), key(0)])
        .await
        .unwrap();
    assert_eq!(found, [Some(all[3].clone()), None, Some(all[0].clone())]);

    let read = async || store.blocks(&[key(3)]).await.unwrap()[0].clone();
    put(&[stored(token, 3, 0..10, 99)]).await;
    assert_eq!(read().await.as_ref(), Some(&all[3]), "an earlier position");
    let later = stored(token, 3, 0..30, 101);
    put(std::slice::from_ref(&later)).await;
    assert_eq!(read().await.as_ref(), Some(&later), "a later position");
}

/// A head advances from what it is; the newest snapshot is found, and a lost one is forgotten.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn checkpoints(store: &dyn Checkpoints) {
    let shard = "shardId-contract";
    let at = SequenceNumber::from;
    let head = async || store.head(shard).await.unwrap();
    let positions = async || -> Vec<u64> {
        let snapshots = head().await.unwrap().snapshots;
        snapshots.iter().map(|it| it.position.count()).collect()
    };
    assert_eq!(head().await, None);
    assert!(
        !store.advance(shard, Some(at(1)), at(2)).await.unwrap(),
        "no head yet"
    );
    assert!(store.advance(shard, None, at(5)).await.unwrap());
    assert!(
        !store.advance(shard, None, at(6)).await.unwrap(),
        "there is a head"
    );
    assert!(
        !store.advance(shard, Some(at(4)), at(6)).await.unwrap(),
        "another base"
    );
    assert!(store.advance(shard, Some(at(5)), at(9)).await.unwrap());
    assert_eq!(head().await.unwrap().last, at(9));
    assert!(positions().await.is_empty());

    for position in [9, 12, 15] {
        store
            .save(shard, at(position), vec![7; 1_000])
            .await
            .unwrap();
    }
    assert_eq!(positions().await, [15, 12], "the newest two");
    store.save(shard, at(11), vec![1]).await.unwrap();
    assert_eq!(positions().await, [15, 12], "a late one changes nothing");
    let snapshots = head().await.unwrap().snapshots;
    assert_eq!(
        store.load(&snapshots[0].name).await.unwrap(),
        Some(vec![7; 1_000])
    );
    assert_eq!(store.load("analytics-snapshots/none").await.unwrap(), None);

    store.forget(shard, &snapshots[0].name).await.unwrap();
    assert_eq!(positions().await, [12]);
    store.save(shard, at(13), vec![3]).await.unwrap();
    assert_eq!(
        positions().await,
        [13, 12],
        "an earlier one than what was lost"
    );
    for snapshot in head().await.unwrap().snapshots {
        store.forget(shard, &snapshot.name).await.unwrap();
    }
    assert!(positions().await.is_empty());
    assert_eq!(
        head().await.unwrap().last,
        at(9),
        "the head itself is as it was"
    );
    assert!(store.advance(shard, Some(at(9)), at(20)).await.unwrap());
}
