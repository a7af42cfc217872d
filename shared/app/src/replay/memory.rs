//! What the analysis of a shard holds in memory, and how a record changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::analytics::{
    Added, AnalysisConfig, Anomaly, Averages, Candle, CandleBlock, Interval, PairState, Timeliness,
    Watch,
};
use domain::{Pair, Tick};
use lru::LruCache;

use super::{Blocks, StoredBlock};
use crate::analyse::AnalysisUpdate;
use crate::ports::{PortError, SequenceNumber, StreamRecord};

/// The analysis of one shard as of a position in it.
pub(super) struct Memory {
    /// The last record that it includes.
    pub(super) position: SequenceNumber,
    pub(super) pairs: LruCache<Pair, PairMemory>,
    /// How many records it has included since its last snapshot.
    pub(super) records_unsaved: usize,
    /// Whether there is a snapshot of it, so that a cold start need not begin with the oldest record.
    pub(super) saved: bool,
    /// By the arrival of ticks at the webhook. After a restart, it begins with the records that are read again.
    pub(super) watch: Watch,
}

/// The analysis of one pair.
pub(super) struct PairMemory {
    pub(super) state: PairState,
    /// The blocks that are not stored completely, and those that were read for late ticks, by their start.
    pub(super) blocks: BTreeMap<i64, HeldBlock>,
    /// The start of the newest block that may be stored; those that start later are not.
    pub(super) stored_newest_ms: Option<i64>,
}

/// A block in memory.
pub(super) struct HeldBlock {
    pub(super) block: CandleBlock,
    /// The records up to this one are in the stored block, and so in this one.
    pub(super) stored_to: SequenceNumber,
    /// Whether these records are in the pair's state, too, which was resumed after this block.
    pub(super) in_state: bool,
    /// Whether it has ticks that the stored one may lack.
    pub(super) dirty: bool,
    /// When it last changed, by our clock, epoch milliseconds.
    pub(super) changed_ms: i64,
}

/// Results of records that were not committed before.
#[derive(Default)]
pub(super) struct Results {
    pub(super) anomalies: Vec<Anomaly>,
    closed: Vec<Candle>,
    changed: HashMap<Pair, ChangedCandles>,
    reissued: BTreeSet<(Pair, i64)>,
    pub(super) late: u64,
    pub(super) too_late: u64,
    pub(super) duplicates: u64,
}

/// The starts of the candles of a pair that changed, by interval. One may be there twice.
#[derive(Default)]
struct ChangedCandles([Vec<i64>; Interval::ALL.len()]);

impl ChangedCandles {
    fn add(&mut self, timestamp_ms: i64) {
        for (starts_ms, interval) in self.0.iter_mut().zip(Interval::ALL) {
            let start_ms = interval.start_of(timestamp_ms);
            // Most ticks are in the candle of the tick before.
            if starts_ms.last() != Some(&start_ms) {
                starts_ms.push(start_ms);
            }
        }
    }

    fn contains(&self, candle: &Candle) -> bool {
        let mut of_intervals = self.0.iter().zip(Interval::ALL);
        let starts_ms = of_intervals.find(|(_, interval)| *interval == candle.interval);
        starts_ms.is_some_and(|(starts_ms, _)| starts_ms.contains(&candle.start_ms))
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            position: SequenceNumber::START,
            pairs: LruCache::unbounded(),
            records_unsaved: 0,
            saved: false,
            watch: Watch::default(),
        }
    }

    /// Reads what the records need and the memory lacks: the stored candles of pairs that it does not know, and the
    /// blocks of late ticks.
    pub(super) async fn prepare(
        &mut self,
        records: &[StreamRecord],
        interval: Interval,
        now_ms: i64,
        blocks: &dyn Blocks,
    ) -> Result<(), PortError> {
        let mut unknown = HashSet::new();
        let mut missing = BTreeSet::new();
        for record in records {
            self.note_missing(record, &mut unknown, &mut missing);
        }
        if !unknown.is_empty() {
            let pairs: Vec<Pair> = unknown.drain().collect();
            let found = blocks.newest(&pairs).await?;
            for (pair, stored) in pairs.into_iter().zip(found) {
                let newest_ms = stored.first().map(|it| it.block.start_ms());
                let blocks = stored.into_iter().map(|it| HeldBlock::stored(it, now_ms));
                let blocks = blocks.map(|held| (held.block.start_ms(), held)).collect();
                let resumed = PairMemory::resumed(&pair, blocks, newest_ms);
                self.pairs.put(pair, resumed);
            }
            for record in records {
                self.note_missing(record, &mut unknown, &mut missing);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<(Pair, i64)> = missing.into_iter().collect();
        let found = blocks.blocks(&missing).await?;
        for ((pair, start_ms), stored) in missing.into_iter().zip(found) {
            let held = match stored {
                Some(stored) => HeldBlock::stored(stored, now_ms),
                None => HeldBlock::empty(pair.clone(), interval, start_ms),
            };
            if let Some(of_pair) = self.pairs.peek_mut(&pair) {
                of_pair.blocks.insert(start_ms, held);
            }
        }
        Ok(())
    }

    /// Notes the pair of a record if the memory does not have it, or the record's block if that is stored and not here.
    fn note_missing(
        &self,
        record: &StreamRecord,
        unknown: &mut HashSet<Pair>,
        missing: &mut BTreeSet<(Pair, i64)>,
    ) {
        let pair = Pair::of(&record.tick);
        let Some(held) = self.pairs.peek(&pair) else {
            unknown.insert(pair);
            return;
        };
        let start_ms = CandleBlock::start_of(record.tick.timestamp_ms);
        if record.sequence > self.position
            && !held.blocks.contains_key(&start_ms)
            && held.stored_newest_ms.is_some_and(|ms| start_ms <= ms)
        {
            missing.insert((pair, start_ms));
        }
    }

    /// Includes the records after the position, in order. Those after `committed` have results.
    pub(super) fn fold(
        &mut self,
        records: &[StreamRecord],
        committed: SequenceNumber,
        interval: Interval,
        config: &AnalysisConfig,
        now_ms: i64,
        results: &mut Results,
    ) {
        for record in records {
            if record.sequence <= self.position {
                continue;
            }
            self.position = record.sequence;
            self.records_unsaved += 1;
            self.watch.add(record.tick.ingested_at_ms);
            let pair = Pair::of(&record.tick);
            if let Some(of_pair) = self.pairs.get_mut(&pair) {
                let results = (record.sequence > committed).then_some(&mut *results);
                of_pair.include(&pair, record, interval, config, now_ms, results);
            }
        }
        if let Some(watched) = self.watch.due() {
            for (_, held) in &mut self.pairs {
                let found = held.state.silences(watched, config);
                if self.position > committed {
                    results.anomalies.extend(found);
                }
            }
        }
    }

    /// What subscribers get.
    pub(super) fn update(&self, results: Results) -> AnalysisUpdate {
        let mut update = AnalysisUpdate {
            candles: results.closed,
            averages: Vec::new(),
            anomalies: results.anomalies,
        };
        for (pair, changed) in &results.changed {
            if let Some(held) = self.pairs.peek(pair) {
                let open = held.state.open_candles();
                update
                    .candles
                    .extend(open.filter(|candle| changed.contains(candle)).cloned());
                update.averages.extend(held.state.averages());
            }
        }
        let by_pair = |one: &Averages, other: &Averages| {
            let place = |it: &'_ Averages| (it.token.clone(), it.quote.clone(), it.kind);
            place(one).cmp(&place(other))
        };
        update.averages.sort_by(by_pair);
        for (pair, start_ms) in results.reissued {
            let block_ms = CandleBlock::start_of(start_ms);
            let held = self
                .pairs
                .peek(&pair)
                .and_then(|it| it.blocks.get(&block_ms));
            update
                .candles
                .extend(held.and_then(|it| it.block.candle(start_ms)).cloned());
        }
        update
    }
}

impl PairMemory {
    /// The analysis of a pair without a state, after its blocks. Averages and the detector start from nothing.
    pub(super) fn resumed(
        pair: &Pair,
        mut blocks: BTreeMap<i64, HeldBlock>,
        stored_newest_ms: Option<i64>,
    ) -> Self {
        let mut newest: BTreeMap<Interval, Candle> = BTreeMap::new();
        for held in blocks.values_mut() {
            held.in_state = true;
            for candle in held.block.candles() {
                for interval in Interval::ALL {
                    if interval >= candle.interval {
                        continue_candle(&mut newest, candle, interval);
                    }
                }
            }
        }
        Self {
            state: PairState::resumed(pair, newest.into_values().collect()),
            blocks,
            stored_newest_ms,
        }
    }

    fn include(
        &mut self,
        pair: &Pair,
        record: &StreamRecord,
        interval: Interval,
        config: &AnalysisConfig,
        now_ms: i64,
        results: Option<&mut Results>,
    ) {
        let tick = &record.tick;
        let start_ms = CandleBlock::start_of(tick.timestamp_ms);
        let held = self
            .blocks
            .entry(start_ms)
            .or_insert_with(|| HeldBlock::empty(pair.clone(), interval, start_ms));
        let is_stored = record.sequence <= held.stored_to;
        if !is_stored && held.block.has(tick) {
            if let Some(results) = results {
                results.duplicates += 1;
            }
            return;
        }
        if is_stored && held.in_state {
            return;
        }
        let interval = held.block.interval();
        let effects = self.state.apply(tick, config);
        let of_interval = |it: &&Candle| it.interval == interval;
        let reissues = effects.corrections.iter().any(|it| of_interval(&it));
        if !is_stored && tick.quality.is_none() {
            let added = held.block.add(tick, reissues);
            held.dirty |= added == Added::New;
            held.changed_ms = now_ms;
        }
        let Some(results) = results else {
            return;
        };
        results.count(effects.timeliness);
        results.changed(pair, tick);
        results.closed.extend(effects.closed);
        results.anomalies.extend(effects.anomaly);
        if reissues {
            results
                .reissued
                .insert((pair.clone(), interval.start_of(tick.timestamp_ms)));
        }
    }
}

/// Adds the candle to that of a longer interval, or begins a newer one.
fn continue_candle(newest: &mut BTreeMap<Interval, Candle>, candle: &Candle, interval: Interval) {
    let part = Candle {
        interval,
        start_ms: interval.start_of(candle.start_ms),
        ..candle.clone()
    };
    match newest.get_mut(&interval) {
        Some(held) if held.start_ms > part.start_ms => {}
        Some(held) if held.start_ms == part.start_ms => held.merge(&part),
        Some(_) | None => {
            newest.insert(interval, part);
        }
    }
}

impl HeldBlock {
    fn empty(pair: Pair, interval: Interval, start_ms: i64) -> Self {
        Self {
            block: CandleBlock::new(pair, interval, start_ms),
            stored_to: SequenceNumber::START,
            in_state: false,
            dirty: false,
            changed_ms: i64::MIN,
        }
    }

    fn stored(stored: StoredBlock, now_ms: i64) -> Self {
        Self {
            block: stored.block,
            stored_to: stored.position,
            in_state: false,
            dirty: false,
            changed_ms: now_ms,
        }
    }
}

impl Results {
    fn count(&mut self, timeliness: Timeliness) {
        match timeliness {
            Timeliness::InOrder => {}
            Timeliness::Late => self.late += 1,
            Timeliness::TooLate => self.too_late += 1,
        }
    }

    fn changed(&mut self, pair: &Pair, tick: &Tick) {
        let changed = self.changed.entry(pair.clone()).or_default();
        changed.add(tick.timestamp_ms);
    }
}
