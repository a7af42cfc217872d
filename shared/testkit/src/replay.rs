//! In-memory ports of the analysis with a snapshot and a replay, whose calls can fail before or after their effect.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use app::ports::{PortError, SequenceNumber};
use app::replay::{
    Blocks, Checkpoints, Head, Lineage, ReplayedRecords, ShardLog, Snapshot, StoredBlock,
};
use async_trait::async_trait;
use domain::analytics::{Anomaly, Candle, CandleBlock};
use domain::{Pair, Tick, Token};

/// The most records of one read.
const RECORDS_PER_READ_MAX: usize = 7;

const MS_PER_HOUR: i64 = 3_600_000;

/// The lineage of the only shard of a stream.
pub const ONLY_SHARD: Lineage = Lineage {
    parents: Vec::new(),
    hash_keys: 0..=u128::MAX,
};

/// A stream with its shards, and what the analysis keeps of them.
#[derive(Default)]
pub struct MemoryShards(Mutex<Held>);

#[derive(Default)]
struct Held {
    shards: BTreeMap<String, Log>,
    heads: BTreeMap<String, Head>,
    snapshots: BTreeMap<String, Vec<u8>>,
    blocks: BTreeMap<(Pair, i64), StoredBlock>,
    anomalies: BTreeMap<String, Anomaly>,
    /// Calls until one fails.
    calls_left: Option<u32>,
    /// Whether it fails after its effect.
    after_effect: bool,
    last_sequence: u64,
    /// Whether all calls fail.
    fails: bool,
}

struct Log {
    lineage: Lineage,
    records: Vec<(SequenceNumber, Vec<u8>)>,
}

enum Fault {
    None,
    Before,
    After,
}

impl MemoryShards {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a shard with its parents. The hash key of a token is its first byte.
    pub fn add_shard(&self, shard: &str, parents: &[&str], hash_keys: RangeInclusive<u128>) {
        let parents = parents.iter().map(|it| (*it).to_owned()).collect();
        let log = Log {
            lineage: Lineage { parents, hash_keys },
            records: Vec::new(),
        };
        self.held().shards.insert(shard.to_owned(), log);
    }

    /// Appends a tick to a shard.
    pub fn append(&self, shard: &str, tick: &Tick) -> SequenceNumber {
        let sequence = {
            let mut held = self.held();
            held.last_sequence += 1;
            SequenceNumber::from(held.last_sequence)
        };
        self.append_as(shard, sequence, tick);
        sequence
    }

    /// Appends a tick to a shard under a sequence number.
    pub fn append_as(&self, shard: &str, sequence: SequenceNumber, tick: &Tick) {
        let mut data = Vec::new();
        codec::json::write_json(tick, &mut data);
        if let Some(log) = self.held().shards.get_mut(shard) {
            log.records.push((sequence, data));
        }
    }

    /// Makes all calls fail, or none.
    pub fn fail_all(&self, fail: bool) {
        self.held().fails = fail;
    }

    /// Makes a later call fail: the one after `calls` others.
    pub fn fail_after(&self, calls: u32, after_effect: bool) {
        let mut held = self.held();
        held.calls_left = Some(calls);
        held.after_effect = after_effect;
    }

    /// Makes no call fail.
    pub fn heal(&self) {
        self.held().calls_left = None;
    }

    /// Loses the newest snapshots of a shard.
    pub fn lose_snapshots(&self, shard: &str, count: usize) {
        let mut held = self.held();
        let names = held.heads.get(shard).map(|head| head.snapshots.clone());
        for lost in names.unwrap_or_default().into_iter().take(count) {
            held.snapshots.remove(&lost.name);
        }
    }

    /// All candles that are stored.
    #[must_use]
    pub fn candles(&self) -> Vec<Candle> {
        let held = self.held();
        let blocks = held.blocks.values();
        blocks.flat_map(|it| it.block.candles().cloned()).collect()
    }

    /// How many anomalies are stored.
    #[must_use]
    pub fn anomalies(&self) -> usize {
        self.held().anomalies.len()
    }

    fn call(&self) -> Fault {
        let mut held = self.held();
        if held.fails {
            return Fault::Before;
        }
        match held.calls_left {
            Some(0) => {
                held.calls_left = None;
                if held.after_effect {
                    Fault::After
                } else {
                    Fault::Before
                }
            }
            Some(left) => {
                held.calls_left = Some(left - 1);
                Fault::None
            }
            None => Fault::None,
        }
    }

    fn run<T>(&self, effect: impl FnOnce(&mut Held) -> T) -> Result<T, PortError> {
        match self.call() {
            Fault::Before => Err(fault()),
            Fault::None => Ok(effect(&mut self.held())),
            Fault::After => {
                effect(&mut self.held());
                Err(fault())
            }
        }
    }
}

fn fault() -> PortError {
    PortError {
        operation: "a call of the test",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

#[async_trait]
impl Checkpoints for MemoryShards {
    async fn head(&self, shard: &str) -> Result<Option<Head>, PortError> {
        self.run(|held| held.heads.get(shard).cloned())
    }

    async fn advance(
        &self,
        shard: &str,
        base: Option<SequenceNumber>,
        to: SequenceNumber,
    ) -> Result<bool, PortError> {
        self.run(|held| {
            let stored = held.heads.get(shard).map(|head| head.last);
            if stored != base {
                return false;
            }
            held.heads.entry(shard.to_owned()).or_default().last = to;
            true
        })
    }

    async fn forget(&self, shard: &str, name: &str) -> Result<(), PortError> {
        self.run(|held| {
            if let Some(head) = held.heads.get_mut(shard) {
                head.snapshots.retain(|it| it.name != name);
            }
        })
    }

    async fn load(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.run(|held| held.snapshots.get(name).cloned())
    }

    async fn save(
        &self,
        shard: &str,
        position: SequenceNumber,
        bytes: Vec<u8>,
    ) -> Result<(), PortError> {
        self.run(|held| {
            let name = format!("{shard}/{}", position.padded());
            held.snapshots.insert(name.clone(), bytes);
            if let Some(head) = held.heads.get_mut(shard)
                && head
                    .snapshots
                    .first()
                    .is_none_or(|it| it.position <= position)
            {
                head.snapshots.retain(|it| it.name != name);
                head.snapshots.insert(0, Snapshot { position, name });
                head.snapshots.truncate(2);
            }
        })
    }
}

#[async_trait]
impl Blocks for MemoryShards {
    async fn newest(&self, pairs: &[Pair]) -> Result<Vec<Vec<StoredBlock>>, PortError> {
        self.run(|held| {
            let newest = |pair: &Pair| {
                let of_pair = (pair.clone(), i64::MIN)..=(pair.clone(), i64::MAX);
                let mut found: Vec<StoredBlock> = held
                    .blocks
                    .range(of_pair)
                    .rev()
                    .map(|(_, block)| block.clone())
                    .collect();
                if let Some(first) = found.first().map(|it| it.block.start_ms()) {
                    found.retain(|it| it.block.start_ms() > first - MS_PER_HOUR);
                }
                found
            };
            pairs.iter().map(newest).collect()
        })
    }

    async fn blocks(&self, keys: &[(Pair, i64)]) -> Result<Vec<Option<StoredBlock>>, PortError> {
        self.run(|held| {
            keys.iter()
                .map(|key| held.blocks.get(key).cloned())
                .collect()
        })
    }

    async fn put(&self, blocks: &[StoredBlock]) -> Vec<Result<(), PortError>> {
        let put = |stored: &StoredBlock| {
            self.run(|held| {
                let key = (stored.block.pair().clone(), stored.block.start_ms());
                let newer = held.blocks.get(&key);
                if newer.is_none_or(|it| it.position <= stored.position) {
                    held.blocks.insert(key, stored.clone());
                }
            })
        };
        blocks.iter().map(put).collect()
    }

    async fn put_anomalies(&self, anomalies: &[Anomaly]) -> Result<(), PortError> {
        self.run(|held| {
            for anomaly in anomalies {
                let key = format!(
                    "{}{}{}",
                    anomaly.timestamp_ms, anomaly.tick_id, anomaly.token
                );
                held.anomalies.insert(key, anomaly.clone());
            }
        })
    }
}

#[async_trait]
impl ShardLog for MemoryShards {
    async fn between(
        &self,
        shard: &str,
        after: SequenceNumber,
        before: Option<SequenceNumber>,
    ) -> Result<ReplayedRecords, PortError> {
        self.run(|held| {
            let log = held.shards.get(shard);
            let wanted = log.into_iter().flat_map(|log| &log.records);
            let mut records: Vec<_> = wanted
                .filter(|(sequence, _)| *sequence > after && before.is_none_or(|it| *sequence < it))
                .cloned()
                .collect();
            let complete = records.len() <= RECORDS_PER_READ_MAX;
            records.truncate(RECORDS_PER_READ_MAX);
            ReplayedRecords { records, complete }
        })
    }

    async fn shards(&self) -> Result<Vec<String>, PortError> {
        self.run(|held| held.shards.keys().cloned().collect())
    }

    async fn lineage(&self, shard: &str) -> Result<Lineage, PortError> {
        self.run(|held| {
            let log = held.shards.get(shard);
            log.map_or(ONLY_SHARD, |it| it.lineage.clone())
        })
    }

    fn hash_key(&self, token: &Token) -> u128 {
        token.as_str().bytes().next().map_or(0, u128::from)
    }
}

/// The candles of an interval that different ticks give, in the order of [`MemoryShards::candles`].
#[must_use]
pub fn expected_candles(ticks: &[Tick], interval: domain::analytics::Interval) -> Vec<Candle> {
    let mut blocks: BTreeMap<(Pair, i64), CandleBlock> = BTreeMap::new();
    for tick in ticks {
        let start_ms = CandleBlock::start_of(tick.timestamp_ms);
        let key = (Pair::of(tick), start_ms);
        let new = || CandleBlock::new(Pair::of(tick), interval, start_ms);
        blocks.entry(key).or_insert_with(new).add(tick, false);
    }
    blocks
        .values()
        .flat_map(|block| block.candles().cloned())
        .collect()
}
