//! The only writing thread: it collects the waiting jobs into one commit, makes it durable with one sync,
//! and then reports the results.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

use domain::Pair;
use domain::Tick;
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::sync::{mpsc, oneshot};

use crate::day_index::{DayIndex, DaysAdded};
use crate::error::StorageError;
use crate::keys::day::Day;
use crate::keys::event_day::{Kind, event_key, rows_key};
use crate::keys::pair::PairRow;
use crate::keys::stream_block::Block;
use crate::keys::stream_block::SHARDS;
use crate::keys::tick::Identity;
use crate::keys::{self, meta};
use crate::keyspaces::Keyspaces;
use crate::pairs::WarmPair;
use crate::shared_state::SharedState;
use crate::state::State;

/// The most queued jobs; further callers wait.
const JOBS_WAITING_MAX: usize = 4_096;

/// The most jobs in one commit, which limits the time that a caller waits.
const JOBS_PER_COMMIT_MAX: usize = 1_024;

/// The most bytes in one commit.
const BYTES_PER_COMMIT_MAX: usize = 8 * 1_024 * 1_024;

type Answer = Box<dyn FnOnce(Result<(), StorageError>) + Send>;
type Job = Box<dyn FnOnce(&mut Commit<'_>) -> Answer + Send>;

/// A pair in a commit that is being collected.
pub(crate) struct PairInCommit {
    pair: Pair,
    /// Its state after the commit; the last key may be one of a tick that was not stored in the end.
    pub(crate) state: WarmPair,
    /// Whether it has no row yet.
    is_new: bool,
    /// Whether its row changes.
    is_changed: bool,
}

/// A commit that is being collected. A job first reads and checks, and then writes: after its first write
/// it cannot fail, so it does not affect the other jobs of the commit.
pub(crate) struct Commit<'a> {
    pub(crate) inner: &'a SharedState,
    /// The state after the commit.
    pub(crate) state: State,
    batch: OwnedWriteBatch,
    bytes: usize,
    /// Whether a job panicked. It may have written a part, so nothing of the commit is stored.
    panicked: bool,
    /// Ticks stored by this commit, which are not readable yet.
    pub(crate) fresh: HashSet<Identity>,
    /// Ids of arrival-stamped ticks stored by this commit.
    pub(crate) fresh_arrival_stamped: HashSet<[u8; 16]>,
    /// Outbox entries removed by this commit.
    removed_entries: HashSet<u64>,
    /// The pairs that this commit has looked up, and the index of each.
    pub(crate) pairs: Vec<PairInCommit>,
    pairs_by_name: HashMap<Pair, usize>,
    /// Pairs that this commit removes.
    removed_pairs: HashSet<Pair>,
    /// Pairs added, less pairs removed.
    live_pairs_change: i64,
    tick_days: DaysAdded,
    candle_days: DaysAdded,
    stream_blocks: [Block; SHARDS as usize],
}

impl<'a> Commit<'a> {
    fn new(inner: &'a SharedState, db: &Database, state: State) -> Self {
        Self {
            inner,
            state,
            batch: db.batch().durability(Some(PersistMode::SyncData)),
            bytes: 0,
            panicked: false,
            fresh: HashSet::new(),
            fresh_arrival_stamped: HashSet::new(),
            removed_entries: HashSet::new(),
            pairs: Vec::new(),
            pairs_by_name: HashMap::new(),
            removed_pairs: HashSet::new(),
            live_pairs_change: 0,
            tick_days: DaysAdded::default(),
            candle_days: DaysAdded::default(),
            stream_blocks: Default::default(),
        }
    }

    pub(crate) fn spaces(&self) -> &'a Keyspaces {
        &self.inner.spaces
    }

    /// Runs a job's work. A panic is an error, so that a defect that one delivery meets does not end all writing: a
    /// job changes nothing but the commit, which is dropped then.
    fn run<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(self)));
        worked.unwrap_or_else(|_| {
            self.panicked = true;
            Err(StorageError::Panicked)
        })
    }

    pub(crate) fn insert(&mut self, space: &Keyspace, key: &[u8], value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.batch.insert(space, key, value);
    }

    pub(crate) fn remove(&mut self, space: &Keyspace, key: &[u8]) {
        self.bytes += key.len();
        self.batch.remove(space, key);
    }

    /// Removes an outbox entry; returns whether it still existed.
    pub(crate) fn remove_outbox_entry(&mut self, number: u64) -> Result<bool, StorageError> {
        let key = number.to_be_bytes();
        if self.removed_entries.contains(&number) || !self.spaces().outbox.contains_key(key)? {
            return Ok(false);
        }
        self.removed_entries.insert(number);
        self.remove(&self.inner.spaces.outbox, &key);
        Ok(true)
    }

    /// Marks ticks in an outbox entry as appended to the stream.
    pub(crate) fn mark_streamed(
        &mut self,
        number: u64,
        streamed: &HashSet<Identity>,
    ) -> Result<(), StorageError> {
        if let Some(mut entry) = self.spaces().outbox_entry(number)? {
            entry.mark_streamed(streamed);
            self.insert(
                &self.inner.spaces.outbox,
                &number.to_be_bytes(),
                entry.encode(),
            );
        }
        Ok(())
    }

    /// The index of a pair in the commit, and its number. A new pair gets the next number.
    pub(crate) fn pair(&mut self, pair: &Pair) -> Result<(usize, u32), StorageError> {
        if let Some(index) = self.pairs_by_name.get(pair)
            && let Some(found) = self.pairs.get(*index)
        {
            return Ok((*index, found.state.row.number));
        }
        // A pair that this commit removes is a new one.
        let found = if self.removed_pairs.contains(pair) {
            None
        } else {
            self.inner.pair(pair)?
        };
        let is_new = found.is_none();
        let state = match found {
            Some(found) => found,
            None => {
                let number = self.state.pairs;
                let used_up = || StorageError::corrupt("pair", "all numbers are used up");
                self.state.pairs = number.checked_add(1).ok_or_else(used_up)?;
                WarmPair::new(PairRow {
                    number,
                    first_day: Day::MAX,
                    last_day: 0,
                })
            }
        };
        let (index, number) = (self.pairs.len(), state.row.number);
        self.pairs_by_name.insert(pair.clone(), index);
        self.pairs.push(PairInCommit {
            pair: pair.clone(),
            state,
            is_new,
            is_changed: false,
        });
        Ok((index, number))
    }

    /// Takes a tick that the commit stores into account for its pair and its day.
    pub(crate) fn add_tick(&mut self, pair: usize, day: Day, tick: &Arc<Tick>) {
        *self.tick_days.rows.entry(day).or_default() += 1;
        self.add_event_day(Kind::Ticks, day, keys::day::of(tick.timestamp_ms));
        let Some(pair) = self.pairs.get_mut(pair) else {
            return;
        };
        pair.state.renew(tick);
        let row = &mut pair.state.row;
        pair.is_changed |= day < row.first_day || day > row.last_day;
        row.first_day = row.first_day.min(day);
        row.last_day = row.last_day.max(day);
    }

    /// Records that a day has rows of an event day.
    pub(crate) fn add_event_day(&mut self, kind: Kind, day: Day, event_day: Day) {
        let (index, added) = match kind {
            Kind::Ticks => (&self.inner.tick_days, &mut self.tick_days),
            Kind::Candles => (&self.inner.candle_days, &mut self.candle_days),
        };
        if !index.has(day, event_day) {
            added.events.insert((day, event_day));
        }
    }

    /// Removes a pair whose ticks have expired, with the analysis' states; returns whether it did: not if
    /// the pair has newer ticks by now.
    pub(crate) fn remove_pair(
        &mut self,
        pair: &Pair,
        first_day: Day,
    ) -> Result<bool, StorageError> {
        let key = keys::pair::key(pair);
        let Some(bytes) = self.spaces().pairs.get(&key)? else {
            return Ok(false);
        };
        let row = keys::pair::decode(&bytes)?;
        if row.last_day >= first_day
            || self.pairs_by_name.contains_key(pair)
            || !self.removed_pairs.insert(pair.clone())
        {
            return Ok(false);
        }
        self.remove_states(row.number);
        self.live_pairs_change -= 1;
        Ok(true)
    }

    fn remove_states(&mut self, number: u32) {
        for shard in 0..SHARDS {
            let state = keys::analysis_state::key(shard, number);
            self.remove(&self.inner.spaces.states, &state);
        }
    }

    pub(crate) fn stream_block(&mut self, shard: u8) -> Option<&mut Block> {
        self.stream_blocks.get_mut(usize::from(shard))
    }

    /// Puts the blocks and the state into the batch.
    fn seal(&mut self) -> Result<(), StorageError> {
        let mut stream_blocks = std::mem::take(&mut self.stream_blocks);
        let spaces = self.spaces();
        let mut ends = self.state.end_offsets;
        for ((block, end), space) in stream_blocks.iter_mut().zip(&mut ends).zip(&spaces.stream) {
            if block.ticks() > 0 {
                let first = *end + 1;
                *end += block.ticks();
                self.insert(space, &first.to_be_bytes(), block.take());
            }
        }
        self.state.end_offsets = ends;
        self.seal_pairs()?;
        let tick_days = std::mem::take(&mut self.tick_days);
        let candle_days = std::mem::take(&mut self.candle_days);
        self.seal_days(&self.inner.tick_days, &tick_days);
        self.seal_days(&self.inner.candle_days, &candle_days);
        (self.tick_days, self.candle_days) = (tick_days, candle_days);
        let state = keys::encode("state", &self.state)?;
        self.insert(&self.inner.spaces.meta, meta::STATE.as_bytes(), state);
        Ok(())
    }
}

impl Commit<'_> {
    /// Puts the rows of new pairs, and of pairs that got ticks on another day, into the batch.
    fn seal_pairs(&mut self) -> Result<(), StorageError> {
        let pairs = std::mem::take(&mut self.pairs);
        for pair in pairs.iter().filter(|pair| pair.is_changed) {
            let key = keys::pair::key(&pair.pair);
            let is_removed = self.removed_pairs.contains(&pair.pair);
            if pair.is_new
                && !is_removed
                && let Some(expired) = self.spaces().pairs.get(&key)?
            {
                // It expired, and retention has not removed it yet.
                self.remove_states(keys::pair::decode(&expired)?.number);
            } else {
                self.live_pairs_change += i64::from(pair.is_new);
            }
            let value = keys::pair::encode(&pair.state.row)?;
            self.insert(&self.inner.spaces.pairs, &key, value);
        }
        for pair in std::mem::take(&mut self.removed_pairs) {
            let index = self.pairs_by_name.get(&pair);
            let again = index.and_then(|index| pairs.get(*index));
            if !again.is_some_and(|again| again.is_changed) {
                self.remove(&self.inner.spaces.pairs, &keys::pair::key(&pair));
                self.removed_pairs.insert(pair);
            }
        }
        self.pairs = pairs;
        if self.live_pairs_change != 0 {
            let live = self.live_pairs().to_be_bytes().to_vec();
            self.insert(&self.inner.spaces.meta, meta::PAIRS_LIVE.as_bytes(), live);
        }
        Ok(())
    }

    /// How many pairs have ticks after the commit.
    fn live_pairs(&self) -> u64 {
        let live = self.inner.pairs.live();
        live.saturating_add_signed(self.live_pairs_change)
    }

    fn seal_days(&mut self, index: &DayIndex, added: &DaysAdded) {
        let days = &self.inner.spaces.days;
        for (day, event_day) in &added.events {
            self.insert(days, &event_key(index.kind(), *day, *event_day), Vec::new());
        }
        for (day, rows) in &added.rows {
            let rows = index.rows(*day) + rows;
            let key = rows_key(index.kind(), *day);
            self.insert(days, &key, rows.to_be_bytes().to_vec());
        }
    }
}

/// Sends jobs to the writing thread.
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread, which ends once the writer is dropped and all jobs are done.
    pub(crate) fn start(
        inner: Arc<SharedState>,
        db: Database,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, waiting) = mpsc::channel(JOBS_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || write_all(&inner, &db, waiting))?;
        Ok((Self { jobs }, thread))
    }

    /// Runs a job in the next commit and returns once it is durable.
    pub(crate) async fn submit<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Commit<'_>) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, StorageError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |commit| {
            let done = commit.run(work);
            // The caller may no longer be waiting for the result.
            Box::new(move |durable| drop(reply.send(durable.and(done))))
        });
        self.jobs
            .send(job)
            .await
            .map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

impl Writer {
    /// Runs a job in one of the next commits without waiting for it; `done` gets the outcome. A failure
    /// is logged.
    pub(crate) async fn enqueue(
        &self,
        work: impl FnOnce(&mut Commit<'_>) -> Result<(), StorageError> + Send + 'static,
        done: impl FnOnce(Result<(), StorageError>) + Send + 'static,
    ) -> Result<(), StorageError> {
        let job: Job = Box::new(move |commit| {
            let worked = commit.run(work);
            if let Err(error) = &worked {
                tracing::error!(error = %error, "a job of the storage writer failed");
            }
            Box::new(move |durable| done(durable.and(worked)))
        });
        self.jobs.send(job).await.map_err(|_| StorageError::Closed)
    }
}

/// Says that the store has failed if the writing thread panics: it must be opened again.
struct FailedIfPanicking<'a>(&'a SharedState);

impl Drop for FailedIfPanicking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_failed();
        }
    }
}

fn write_all(inner: &SharedState, db: &Database, mut waiting: mpsc::Receiver<Job>) {
    let _watched = FailedIfPanicking(inner);
    while let Some(first) = waiting.blocking_recv() {
        let mut commit = Commit::new(inner, db, inner.state());
        let mut answers = vec![first(&mut commit)];
        while answers.len() < JOBS_PER_COMMIT_MAX
            && commit.bytes < BYTES_PER_COMMIT_MAX
            && !commit.panicked
        {
            let Ok(job) = waiting.try_recv() else { break };
            answers.push(job(&mut commit));
        }
        let durable = finish(inner, commit);
        if let Err(error) = &durable {
            tracing::error!(error = %error, "a commit failed; its callers get the error");
        }
        for answer in answers {
            answer(durable.clone());
        }
    }
}

/// Makes a commit durable, and then visible to readers of the state.
fn finish(inner: &SharedState, mut commit: Commit<'_>) -> Result<(), StorageError> {
    if commit.panicked {
        return Err(StorageError::Panicked);
    }
    commit.seal()?;
    let live_pairs = commit.live_pairs();
    // The engine accepts no writes after a failed one: part of that may be on disk.
    commit.batch.commit().inspect_err(|_| inner.set_failed())?;
    if let Err(error) = inner.spaces.rotate_full() {
        tracing::error!(error = %error, "memory cannot be flushed; the journal has it");
    }
    inner.tick_days.add(&commit.tick_days);
    inner.candle_days.add(&commit.candle_days);
    inner.pairs.set_live(live_pairs);
    for pair in &commit.removed_pairs {
        inner.pairs.forget(pair);
    }
    for PairInCommit { pair, state, .. } in commit.pairs {
        // A pair of a delivery that failed has no row.
        if state.row.first_day <= state.row.last_day {
            inner.pairs.keep(pair, state);
        }
    }
    inner.publish(commit.state);
    Ok(())
}

#[cfg(test)]
mod tests;
