//! The analysis of a batch: what is missing is read, the batch is folded and committed, and what is due is stored.

use std::sync::Arc;

use domain::Pair;
use domain::analytics::{ALLOWED_LATENESS_MS, AnalysisConfig, Interval};
use futures_util::future::BoxFuture;

use super::memory::{Memory, Results};
use super::snapshot::{decode, encode};
use super::{Blocks, Checkpoints, Head, ReplayedRecords, ShardLog, Snapshot, StoredBlock};
use crate::analyse::AnalysisFeed;
use crate::ports::{Clock, PortError, SequenceNumber, StreamRecord};

/// How many generations of parents are searched for a state: a stream that is resharded again and again.
const GENERATIONS_MAX: usize = 8;

/// What is stored, and how often.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The candles that are stored; longer ones are merged from these when they are read.
    pub interval: Interval,
    /// How long after its end, and after its last tick, a block is stored, in milliseconds.
    pub delay_ms: i64,
    /// After how many records a snapshot is saved: a cold start reads so many again. 50,000 records of 350 bytes are
    /// read in 9 s at a shard's 2 MB a second.
    pub records_per_snapshot: usize,
    /// The most blocks that are stored with a batch: many end at the same time, and a new table takes 4,000 write
    /// units a second.
    pub blocks_per_batch_max: usize,
    /// The most bytes of states in memory: a state has about 17 KB, and up to 56 KB if its pair has quotes besides trades
    /// and several venues. Beyond it, the pairs with the least recent ticks continue after their stored candles when they
    /// have ticks again; their averages and their detector start from nothing.
    pub states_bytes_max: usize,
    /// The analysis itself.
    pub analysis: AnalysisConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Interval::OneMinute,
            // The allowed lateness, within which senders' retries come.
            delay_ms: ALLOWED_LATENESS_MS,
            records_per_snapshot: 50_000,
            blocks_per_batch_max: 500,
            states_bytes_max: 8_000 * 17_000,
            analysis: AnalysisConfig::default(),
        }
    }
}

/// What a process keeps of a shard between batches.
#[derive(Default)]
pub struct ShardMemory(Option<Memory>);

/// Counts of a batch, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Analysed {
    /// Late ticks within the allowed lateness.
    pub late: u64,
    /// Ticks beyond the allowed lateness.
    pub too_late: u64,
    /// Repeats.
    pub duplicates: u64,
    /// Pairs whose state or candles could not be read or stored.
    pub set_aside: u64,
    /// Records that were read from the stream again.
    pub replayed: u64,
}

/// The analysis of shards with a snapshot and a replay. See [`crate::replay`].
pub struct Replayable {
    /// Heads and snapshots.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The results.
    pub blocks: Arc<dyn Blocks>,
    /// The stream, for what must be read again.
    pub log: Arc<dyn ShardLog>,
    /// Live subscribers.
    pub feed: Arc<dyn AnalysisFeed>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is stored, and how often.
    pub settings: Settings,
}

/// What became of the blocks that were due.
struct StoredDue {
    /// Whether the memory holds others now.
    changed: bool,
    /// How many could not be stored, and never can be.
    set_aside: u64,
}

/// Another process has committed records of the shard since this one read its head.
#[derive(Debug, thiserror::Error)]
#[error(
    "another process has analysed shard {0} meanwhile: the batch is analysed again from what it left"
)]
struct Overtaken(String);

/// There is more to read again than one call can: what it read is in the snapshot.
#[derive(Debug, thiserror::Error)]
#[error(
    "shard {0} is still being read again: this call has read {1} records, and the next one continues"
)]
struct StillReplaying(String, u64);

impl Replayable {
    /// Analyses a batch of a shard, whose records are in order. A batch may be delivered again, whole or in part.
    ///
    /// # Errors
    /// [`PortError`] if the batch is not committed. It must be delivered again.
    pub async fn analyse(
        &self,
        kept: &mut ShardMemory,
        shard: &str,
        records: &[StreamRecord],
    ) -> Result<Analysed, PortError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(Analysed::default());
        };
        let head = self.checkpoints.head(shard).await?;
        let committed = head.as_ref().map_or(SequenceNumber::START, |it| it.last);
        let mut analysed = Analysed::default();
        if kept.0.is_none() {
            let restored = self.restored(shard, head.as_ref(), 0, &mut analysed);
            kept.0 = Some(restored.await?);
        }
        if let Some(memory) = &mut kept.0 {
            if memory.position < committed && memory.position < first.sequence {
                self.replay(memory, shard, Some(first.sequence), &mut analysed)
                    .await?;
            }
            self.prepare(memory, records).await?;
        }
        // Dropped when the commit fails: the next call begins with the snapshot, since this memory has the batch, but
        // its results are lost.
        let mut memory = kept.0.take().unwrap_or_else(Memory::new);
        let mut results = Results::default();
        self.fold(&mut memory, records, committed, &mut results);
        if last.sequence > committed {
            self.blocks.put_anomalies(&results.anomalies).await?;
            let base = head.map(|it| it.last);
            if !self.checkpoints.advance(shard, base, last.sequence).await? {
                return Err(PortError {
                    operation: "commit the analysis",
                    retryable: true,
                    source: Box::new(Overtaken(shard.to_owned())),
                });
            }
            (analysed.late, analysed.too_late, analysed.duplicates) =
                (results.late, results.too_late, results.duplicates);
            self.feed.publish(memory.update(results)).await;
        }
        analysed.set_aside += self.store_due(&mut memory).await.set_aside;
        let is_due = memory.records_unsaved >= self.settings.records_per_snapshot;
        if is_due || !memory.saved {
            self.save(shard, &mut memory).await?;
        }
        kept.0 = Some(memory);
        Ok(analysed)
    }

    /// Stores what is due in a shard without new records, and saves a snapshot, so that the records since the last one
    /// may expire from the stream.
    ///
    /// # Errors
    /// [`PortError`] if the shard's records cannot be read again, or the snapshot cannot be saved.
    pub async fn settle(&self, shard: &str) -> Result<Analysed, PortError> {
        let mut analysed = Analysed::default();
        let Some(head) = self.checkpoints.head(shard).await? else {
            return Ok(analysed);
        };
        let mut memory = self.restored(shard, Some(&head), 0, &mut analysed).await?;
        if memory.position < head.last {
            self.replay_to(&mut memory, shard, head.last, &mut analysed)
                .await?;
        }
        let stored = self.store_due(&mut memory).await;
        analysed.set_aside += stored.set_aside;
        if stored.changed || memory.records_unsaved > 0 {
            self.save(shard, &mut memory).await?;
        }
        Ok(analysed)
    }

    async fn prepare(
        &self,
        memory: &mut Memory,
        records: &[StreamRecord],
    ) -> Result<(), PortError> {
        let (interval, now_ms) = (self.settings.interval, self.clock.now_ms());
        let blocks = self.blocks.as_ref();
        memory.prepare(records, interval, now_ms, blocks).await
    }

    fn fold(
        &self,
        memory: &mut Memory,
        records: &[StreamRecord],
        committed: SequenceNumber,
        results: &mut Results,
    ) {
        let (interval, now_ms) = (self.settings.interval, self.clock.now_ms());
        let config = &self.settings.analysis;
        memory.fold(records, committed, interval, config, now_ms, results);
    }

    /// The newest memory that can be had of a shard: of its newest snapshot, or of its parents.
    fn restored<'a>(
        &'a self,
        shard: &'a str,
        head: Option<&'a Head>,
        generation: usize,
        analysed: &'a mut Analysed,
    ) -> BoxFuture<'a, Result<Memory, PortError>> {
        Box::pin(async move {
            for Snapshot { name, .. } in head.iter().flat_map(|it| &it.snapshots) {
                let Some(bytes) = self.checkpoints.load(name).await? else {
                    tracing::error!(shard, name, "a snapshot is missing; an older one is used");
                    self.checkpoints.forget(shard, name).await?;
                    continue;
                };
                match decode(&bytes) {
                    Ok((memory, unreadable)) => {
                        analysed.set_aside += unreadable.len() as u64;
                        return Ok(memory);
                    }
                    Err(error) => {
                        tracing::error!(shard, name, cause = %error, "a snapshot cannot be read; an older one is used");
                        self.checkpoints.forget(shard, name).await?;
                    }
                }
            }
            let mut memory = Memory::new();
            if generation >= GENERATIONS_MAX {
                return Ok(memory);
            }
            let lineage = self.log.lineage(shard).await?;
            for parent in lineage.parents {
                let head = self.checkpoints.head(&parent).await?;
                let mut of_parent = self
                    .restored(&parent, head.as_ref(), generation + 1, analysed)
                    .await?;
                if head.is_some() {
                    self.replay(&mut of_parent, &parent, None, analysed).await?;
                }
                while let Some((pair, held)) = of_parent.pairs.pop_lru() {
                    let hash_key = self.log.hash_key(&pair.token);
                    if lineage.hash_keys.contains(&hash_key) {
                        memory.pairs.put(pair, held);
                    }
                }
            }
            Ok(memory)
        })
    }

    /// Includes the records up to the next one of a batch, or up to the end of a closed shard.
    async fn replay(
        &self,
        memory: &mut Memory,
        shard: &str,
        before: Option<SequenceNumber>,
        analysed: &mut Analysed,
    ) -> Result<(), PortError> {
        let (start, mut replayed) = (memory.position, 0_u64);
        loop {
            let again = self.log.between(shard, memory.position, before).await?;
            replayed += again.records.len() as u64;
            let complete = again.complete;
            self.include_again(memory, again).await?;
            analysed.set_aside += self.store_due(memory).await.set_aside;
            if complete {
                analysed.replayed += replayed;
                return Ok(());
            }
            if replayed >= self.settings.records_per_snapshot as u64 * 2 && memory.position > start
            {
                // The next call continues from here.
                self.save(shard, memory).await?;
                return Err(PortError {
                    operation: "read the shard again",
                    retryable: true,
                    source: Box::new(StillReplaying(shard.to_owned(), replayed)),
                });
            }
        }
    }

    /// Includes the records up to one of them.
    async fn replay_to(
        &self,
        memory: &mut Memory,
        shard: &str,
        last: SequenceNumber,
        analysed: &mut Analysed,
    ) -> Result<(), PortError> {
        self.replay(memory, shard, Some(last.next()), analysed)
            .await
    }

    async fn include_again(
        &self,
        memory: &mut Memory,
        again: ReplayedRecords,
    ) -> Result<(), PortError> {
        let mut records = Vec::with_capacity(again.records.len());
        for (sequence, data) in again.records {
            // What is not a tick was quarantined with its batch.
            if let Ok(tick) = codec::json::from_json(&data) {
                records.push(StreamRecord { sequence, tick });
            }
        }
        let Some(last) = records.last().map(|it| it.sequence) else {
            return Ok(());
        };
        self.prepare(memory, &records).await?;
        self.fold(memory, &records, last, &mut Results::default());
        Ok(())
    }

    async fn save(&self, shard: &str, memory: &mut Memory) -> Result<(), PortError> {
        let bytes = encode(memory).map_err(|error| PortError {
            operation: "save a snapshot of the analysis",
            retryable: false,
            source: Box::new(error),
        })?;
        self.checkpoints.save(shard, memory.position, bytes).await?;
        memory.records_unsaved = 0;
        memory.saved = true;
        Ok(())
    }

    /// Stores the blocks that are due, and forgets what is stored. A block that cannot be stored now stays in memory.
    async fn store_due(&self, memory: &mut Memory) -> StoredDue {
        let due_before_ms = self.clock.now_ms() - self.settings.delay_ms;
        let (mut due, mut finished): (Vec<StoredBlock>, Vec<(Pair, i64)>) =
            (Vec::new(), Vec::new());
        for (pair, held) in &memory.pairs {
            for (start_ms, block) in &held.blocks {
                if block.block.end_ms().max(block.changed_ms) > due_before_ms {
                    continue;
                }
                if !block.dirty {
                    finished.push((pair.clone(), *start_ms));
                } else if due.len() < self.settings.blocks_per_batch_max {
                    due.push(StoredBlock {
                        block: block.block.clone(),
                        position: memory.position.max(block.stored_to),
                    });
                }
            }
        }
        let mut set_aside = 0;
        let changed = !(due.is_empty() && finished.is_empty());
        if !due.is_empty() {
            let outcomes = self.blocks.put(&due).await;
            for (stored, outcome) in due.into_iter().zip(outcomes) {
                let place = (stored.block.pair().clone(), stored.block.start_ms());
                match outcome {
                    Ok(()) => finished.push(place),
                    Err(error) if error.retryable => {
                        tracing::warn!(pair = %place.0, error = %error, cause = %error.source, "candles are stored later");
                    }
                    Err(error) => {
                        tracing::error!(pair = %place.0, error = %error, cause = %error.source, "candles of a pair \
                            cannot be stored and are set aside; the archive has their ticks");
                        set_aside += 1;
                        finished.push(place);
                    }
                }
            }
        }
        for (pair, start_ms) in finished {
            if let Some(held) = memory.pairs.peek_mut(&pair) {
                held.blocks.remove(&start_ms);
                held.stored_newest_ms = held.stored_newest_ms.max(Some(start_ms));
            }
        }
        let of_states = memory
            .pairs
            .iter()
            .map(|(_, held)| held.state.memory_bytes());
        let mut bytes: usize = of_states.sum();
        while bytes > self.settings.states_bytes_max {
            match memory.pairs.peek_lru() {
                Some((_, held)) if held.blocks.is_empty() => {
                    bytes -= held.state.memory_bytes();
                    drop(memory.pairs.pop_lru());
                }
                Some(_) | None => break,
            }
        }
        StoredDue { changed, set_aside }
    }
}
