//! The analysis with a snapshot and a replay: whatever fails, each tick counts once in the stored candles.

#![expect(
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::ports::{SequenceNumber, StreamRecord};
use app::replay::{Replayable, Settings, ShardLog as _, ShardMemory};
use async_trait::async_trait;
use domain::Tick;
use domain::analytics::{Candle, Interval};
use domain::detection::AnomalyKind;
use proptest::prelude::*;
use testkit::replay::{MemoryShards, ONLY_SHARD, expected_candles};
use testkit::ticks::{START_MS, tick};

#[derive(Default)]
struct Published(Mutex<Vec<AnalysisUpdate>>);

#[async_trait]
impl AnalysisFeed for Published {
    async fn publish(&self, update: AnalysisUpdate) {
        self.0.lock().unwrap().push(update);
    }
}

/// One thing that happens to a stream and its analysis.
#[derive(Debug, Clone)]
enum Step {
    /// A tick is appended: which of the made ones, and how often.
    Append(usize, usize),
    /// A batch of up to so many records is delivered to one of the instances.
    Deliver { records_max: usize, instance: usize },
    /// A later call fails, before or after its effect.
    Fail(u32, bool),
    /// An instance ends, and another one begins.
    Restart(usize),
    /// The last batch is delivered again, though it succeeded.
    Redeliver(usize),
    /// The newest snapshots are lost.
    LoseSnapshots(usize),
    /// The clock advances.
    Advance(i64),
    /// The shards are settled.
    Settle,
    /// A shard is split, or two of them are merged.
    Reshard { merge: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..MADE, 1_usize..3).prop_map(|(at, times)| Step::Append(at, times)),
        8 => (1_usize..6, 0_usize..INSTANCES)
            .prop_map(|(records_max, instance)| Step::Deliver { records_max, instance }),
        2 => (0_u32..12, any::<bool>()).prop_map(|(calls, after)| Step::Fail(calls, after)),
        1 => (0..INSTANCES).prop_map(Step::Restart),
        1 => (0..INSTANCES).prop_map(Step::Redeliver),
        1 => (1_usize..3).prop_map(Step::LoseSnapshots),
        2 => prop_oneof![Just(1_000_i64), Just(70_000), Just(700_000)].prop_map(Step::Advance),
        1 => Just(Step::Settle),
        2 => any::<bool>().prop_map(|merge| Step::Reshard { merge }),
    ]
}

const MADE: usize = 60;
const INSTANCES: usize = 2;

/// Ticks of three tokens over two hours, most of them close to each other.
fn made(at: usize) -> Tick {
    let n = u32::try_from(at).unwrap();
    let tick = tick(["BTC", "ETH", "SOL"][at % 3], n);
    let offset_ms = match at % 5 {
        0 => i64::from(n) * 120_000,
        _ => i64::from(n % 9) * 900,
    };
    Tick {
        timestamp_ms: START_MS + offset_ms,
        ingested_at_ms: START_MS + offset_ms + 20,
        ..tick
    }
}

struct World {
    shards: Arc<MemoryShards>,
    feed: Arc<Published>,
    clock: Arc<AtomicI64>,
    analysis: Replayable,
    /// What each instance keeps of each shard.
    kept: Vec<std::collections::HashMap<String, ShardMemory>>,
    /// The shards so far, parents before their children.
    names: Vec<String>,
    /// The open ones of them, in the order of their hash keys.
    open: Vec<(usize, RangeInclusive<u128>)>,
    /// The records of each shard, and how many of them are done.
    records: Vec<(Vec<StreamRecord>, usize)>,
    last_batch: Option<(usize, Vec<StreamRecord>)>,
    appended: Vec<Tick>,
}

impl World {
    fn new(records_per_snapshot: usize) -> Self {
        let shards = Arc::new(MemoryShards::default());
        shards.add_shard("s0", &[], ONLY_SHARD.hash_keys);
        let feed = Arc::new(Published::default());
        let clock = Arc::new(AtomicI64::new(START_MS + 7_200_000));
        let of_clock = Arc::clone(&clock);
        let analysis = Replayable {
            checkpoints: Arc::clone(&shards) as _,
            blocks: Arc::clone(&shards) as _,
            log: Arc::clone(&shards) as _,
            feed: Arc::clone(&feed) as _,
            clock: Arc::new(move || of_clock.load(Ordering::Relaxed)),
            settings: Settings {
                records_per_snapshot,
                blocks_per_batch_max: 2,
                // About two pairs.
                states_bytes_max: 40_000,
                ..Settings::default()
            },
        };
        Self {
            shards,
            feed,
            clock,
            analysis,
            kept: (0..INSTANCES).map(|_| Default::default()).collect(),
            names: vec!["s0".to_owned()],
            open: vec![(0, ONLY_SHARD.hash_keys)],
            records: vec![(Vec::new(), 0)],
            last_batch: None,
            appended: Vec::new(),
        }
    }

    fn append(&mut self, tick: &Tick) {
        let hash_key = self.shards.hash_key(&tick.token);
        let mut open = self.open.iter();
        let (shard, _) = open.find(|(_, keys)| keys.contains(&hash_key)).unwrap();
        let sequence = self.shards.append(&self.names[*shard], tick);
        let (records, _) = &mut self.records[*shard];
        let tick = tick.clone();
        records.push(StreamRecord { sequence, tick });
    }

    async fn deliver(&mut self, records_max: usize, instance: usize) {
        // The event source finishes a shard before its children.
        let Some(shard) = self
            .records
            .iter()
            .position(|(all, done)| *done < all.len())
        else {
            return;
        };
        let (all, done) = &self.records[shard];
        let batch: Vec<StreamRecord> = all[*done..].iter().take(records_max).cloned().collect();
        if self.analyse(shard, &batch, instance).await {
            self.records[shard].1 += batch.len();
            self.last_batch = Some((shard, batch));
        }
    }

    async fn analyse(&mut self, shard: usize, batch: &[StreamRecord], instance: usize) -> bool {
        let name = self.names[shard].clone();
        let kept = self.kept[instance].entry(name.clone()).or_default();
        self.analysis.analyse(kept, &name, batch).await.is_ok()
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Append(at, times) => {
                for _ in 0..*times {
                    self.append(&made(*at));
                }
                self.appended.push(made(*at));
            }
            Step::Deliver {
                records_max,
                instance,
            } => self.deliver(*records_max, *instance).await,
            Step::Fail(calls, after_effect) => self.shards.fail_after(*calls, *after_effect),
            Step::Restart(instance) => self.kept[*instance].clear(),
            Step::Redeliver(instance) => {
                if let Some((shard, batch)) = self.last_batch.clone() {
                    self.analyse(shard, &batch, *instance).await;
                }
            }
            Step::LoseSnapshots(count) => {
                for name in &self.names {
                    self.shards.lose_snapshots(name, *count);
                }
            }
            Step::Advance(ms) => {
                self.clock.fetch_add(*ms, Ordering::Relaxed);
            }
            Step::Settle => {
                for name in &self.names {
                    self.analysis.settle(name).await.ok();
                }
            }
            Step::Reshard { merge } => self.reshard(*merge),
        }
    }

    /// Merges the first two open shards, or splits the first one that has several tokens.
    fn reshard(&mut self, merge: bool) {
        if merge {
            if let [(low, from), (high, to), ..] = &self.open[..] {
                let parents = [*low, *high];
                let keys = *from.start()..=*to.end();
                let merged = self.add(&parents, keys);
                self.open.splice(..2, [merged]);
            }
            return;
        }
        // Between the first letters of the tokens.
        for boundary in [u128::from(b'D'), u128::from(b'F')] {
            let has = |(_, keys): &(usize, RangeInclusive<u128>)| {
                keys.contains(&boundary) && *keys.start() < boundary
            };
            if let Some(at) = self.open.iter().position(has) {
                let (parent, keys) = self.open[at].clone();
                let low = self.add(&[parent], *keys.start()..=boundary - 1);
                let high = self.add(&[parent], boundary..=*keys.end());
                self.open.splice(at..=at, [low, high]);
                return;
            }
        }
    }

    fn add(
        &mut self,
        parents: &[usize],
        keys: RangeInclusive<u128>,
    ) -> (usize, RangeInclusive<u128>) {
        let name = format!("s{}", self.names.len());
        let parents: Vec<&str> = parents.iter().map(|it| self.names[*it].as_str()).collect();
        self.shards.add_shard(&name, &parents, keys.clone());
        self.names.push(name);
        self.records.push((Vec::new(), 0));
        (self.names.len() - 1, keys)
    }

    async fn finish(&mut self) {
        self.shards.heal();
        let mut calls = 0;
        while self.records.iter().any(|(all, done)| *done < all.len()) {
            self.deliver(5, calls % INSTANCES).await;
            calls += 1;
            assert!(calls < 5_000, "the batches do not end");
        }
        for _ in 0..60 {
            self.clock.fetch_add(700_000, Ordering::Relaxed);
            for name in &self.names {
                // Reading again may take several calls.
                self.analysis.settle(name).await.ok();
            }
        }
    }
}

/// Without what the order of arrival decides: revisions, and the last digits of a double.
fn plain(candles: Vec<Candle>) -> Vec<Candle> {
    let plain = |mut candle: Candle| {
        candle.revision = 0;
        for series in &mut candle.series {
            series.values.quote_volume = (series.values.quote_volume * 1e6).round();
        }
        candle
    };
    candles.into_iter().map(plain).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_tick_counts_once(
        steps in proptest::collection::vec(step(), 1..80),
        records_per_snapshot in 1_usize..12,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(records_per_snapshot);
            for step in &steps {
                world.take(step).await;
            }
            world.finish().await;
            let mut seen = BTreeSet::new();
            let mut once = world.appended.clone();
            once.retain(|tick| seen.insert(tick.tick_id));
            let expected = expected_candles(&once, Interval::OneMinute);
            assert_eq!(plain(world.shards.candles()), plain(expected));
        });
    }
}

#[tokio::test]
async fn an_instance_that_was_overtaken_begins_again() {
    let mut world = World::new(1_000);
    for at in 0..12 {
        world.take(&Step::Append(at, 1)).await;
    }
    // In turns: each must read what the other one has analysed.
    for instance in [0, 1, 0, 1, 0, 1] {
        world.deliver(2, instance).await;
    }
    assert_eq!(world.records[0].1, 12);
    let published: usize = {
        let updates = world.feed.0.lock().unwrap();
        assert_eq!(updates.len(), 6, "nothing is published twice");
        updates.iter().map(|it| it.averages.len()).sum()
    };
    assert!(published >= 6, "{published}");
    // The other one has the same batch at the same time.
    let sequence = SequenceNumber::from(12);
    let head = app::replay::Checkpoints::head(world.shards.as_ref(), "s0").await;
    assert_eq!(head.unwrap().unwrap().last, sequence);
}

#[tokio::test]
async fn an_open_candle_counts_each_tick_once_after_the_loss_of_all_snapshots() {
    let mut world = World::new(1_000);
    let of_one_minute = |n: u32| Tick {
        timestamp_ms: START_MS + i64::from(n),
        ..tick("BTC", n)
    };
    for n in 0..5 {
        world.append(&of_one_minute(n));
    }
    world.deliver(5, 0).await;
    world.take(&Step::Advance(700_000)).await;
    world.take(&Step::Settle).await;
    assert_eq!(world.shards.candles().len(), 1, "they are stored");
    world.take(&Step::LoseSnapshots(2)).await;
    world.take(&Step::Restart(0)).await;
    world.append(&of_one_minute(5));
    world.deliver(1, 0).await;
    let updates = world.feed.0.lock().unwrap();
    let candles = &updates.last().unwrap().candles;
    // That of a second is not stored, and begins again.
    let stored = candles
        .iter()
        .filter(|it| it.interval >= Interval::OneMinute);
    let counts: Vec<u64> = stored.map(|it| it.tick_count()).collect();
    assert_eq!(counts, [6, 6, 6]);
}

#[tokio::test]
async fn a_read_that_fails_leaves_the_memory_as_it_was() {
    let mut world = World::new(1_000);
    for n in 0..5 {
        world.append(&tick("BTC", n));
    }
    world.deliver(5, 0).await;
    world.append(&tick("ETH", 5));
    let batch = world.records[0].0[5..].to_vec();
    // The head is read; the candles of the new pair are not.
    world.shards.fail_after(1, false);
    assert!(!world.analyse(0, &batch, 0).await);
    let kept = world.kept[0].get_mut("s0").unwrap();
    let analysed = world.analysis.analyse(kept, "s0", &batch).await.unwrap();
    assert_eq!(analysed.replayed, 0);
}

/// A tick a second of each token.
async fn append_each_second(world: &mut World, tokens: &[&str], seconds: std::ops::Range<u32>) {
    for second in seconds {
        for token in tokens {
            let ms = START_MS + i64::from(second) * 1_000;
            world.append(&Tick {
                timestamp_ms: ms,
                ingested_at_ms: ms + 20,
                ..tick(token, second)
            });
        }
        world.deliver(10, 0).await;
    }
}

#[tokio::test]
async fn a_feed_that_is_dead_while_others_are_alive_is_reported_once() {
    let mut world = World::new(100);
    append_each_second(&mut world, &["BTC", "ETH"], 0..300).await;
    append_each_second(&mut world, &["ETH"], 300..360).await;
    // Another instance reads again what the first one analysed, and does not report it again.
    world.take(&Step::Restart(0)).await;
    append_each_second(&mut world, &["ETH"], 360..400).await;
    let updates = world.feed.0.lock().unwrap();
    let silences: Vec<_> = updates
        .iter()
        .flat_map(|it| &it.anomalies)
        .filter(|it| it.detection.kind == AnomalyKind::Silence)
        .collect();
    let [silence] = &silences[..] else {
        panic!("{silences:?}")
    };
    assert_eq!(silence.token.as_str(), "BTC");
    let found_ms = silence.timestamp_ms - START_MS;
    assert!((305_000..360_000).contains(&found_ms), "{found_ms}");
}

#[tokio::test]
async fn a_webhook_that_was_unavailable_makes_no_feed_silent() {
    let mut world = World::new(100);
    append_each_second(&mut world, &["BTC", "ETH"], 0..300).await;
    // One of them comes first after half an hour.
    append_each_second(&mut world, &["ETH"], 2_100..2_102).await;
    append_each_second(&mut world, &["BTC", "ETH"], 2_102..2_130).await;
    let updates = world.feed.0.lock().unwrap();
    let found: Vec<_> = updates.iter().flat_map(|it| &it.anomalies).collect();
    // What both show when they resume, each for itself.
    assert!(
        found
            .iter()
            .all(|it| it.timestamp_ms - START_MS <= 2_102_000),
        "{found:?}"
    );
    assert!(
        found.iter().all(|it| it.detection.window_ms > 1_000_000),
        "{found:?}"
    );
}

#[tokio::test]
async fn the_ports_in_memory_keep_their_contracts() {
    testkit::contract::blocks(&MemoryShards::default()).await;
    testkit::contract::checkpoints(&MemoryShards::default()).await;
}
