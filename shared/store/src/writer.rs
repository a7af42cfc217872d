//! The only writing thread: it collects the waiting jobs into one commit, makes it durable with one sync,
//! and then reports the results.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;

use domain::Pair;
use domain::Tick;
use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::sync::{mpsc, oneshot};

use crate::error::StorageError;
use crate::keys::stream_block::Block;
use crate::keys::stream_block::SHARDS;
use crate::keys::tick::TickKey;
use crate::keys::{self, meta};
use crate::keyspaces::Keyspaces;
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

/// A commit that is being collected. A job first reads and checks, and then writes: after its first write
/// it cannot fail, so it does not affect the other jobs of the commit.
pub(crate) struct Commit<'a> {
    pub(crate) inner: &'a SharedState,
    /// The state after the commit.
    pub(crate) state: State,
    batch: OwnedWriteBatch,
    bytes: usize,
    /// Ticks stored by this commit, which are not readable yet.
    pub(crate) fresh: HashSet<TickKey>,
    /// Ids of arrival-stamped ticks stored by this commit.
    pub(crate) fresh_arrival_stamped: HashSet<[u8; 16]>,
    /// Outbox entries removed by this commit.
    removed_entries: HashSet<u64>,
    new_pairs: HashMap<Pair, u32>,
    new_pairs_in_order: Vec<Pair>,
    latest: Vec<(u32, Arc<Tick>)>,
    stream_blocks: [Block; SHARDS as usize],
}

impl<'a> Commit<'a> {
    fn new(inner: &'a SharedState, db: &Database, state: State) -> Self {
        Self {
            inner,
            state,
            batch: db.batch().durability(Some(PersistMode::SyncData)),
            bytes: 0,
            fresh: HashSet::new(),
            fresh_arrival_stamped: HashSet::new(),
            removed_entries: HashSet::new(),
            new_pairs: HashMap::new(),
            new_pairs_in_order: Vec::new(),
            latest: Vec::new(),
            stream_blocks: Default::default(),
        }
    }

    pub(crate) fn spaces(&self) -> &'a Keyspaces {
        &self.inner.spaces
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
        streamed: &HashSet<TickKey>,
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

    /// The number of a pair. A new pair gets the next one, or `None` if the limit is reached.
    pub(crate) fn pair(&mut self, pair: &Pair) -> Result<Option<u32>, StorageError> {
        let known = self.inner.pairs.find(pair);
        if let Some(number) = known.or_else(|| self.new_pairs.get(pair).copied()) {
            return Ok(Some(number));
        }
        let number = self.state.pairs;
        if number >= self.inner.pairs_max {
            return Ok(None);
        }
        let value = keys::pair::encode(pair)?;
        self.insert(&self.inner.spaces.pairs, &number.to_be_bytes(), value);
        self.state.pairs += 1;
        self.new_pairs.insert(pair.clone(), number);
        self.new_pairs_in_order.push(pair.clone());
        Ok(Some(number))
    }

    /// Makes a tick its pair's latest once the commit is durable.
    pub(crate) fn renew_latest(&mut self, number: u32, tick: Arc<Tick>) {
        self.latest.push((number, tick));
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
        let state = keys::encode("state", &self.state)?;
        self.insert(&self.inner.spaces.meta, meta::STATE.as_bytes(), state);
        Ok(())
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
            let done = work(commit);
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
            let worked = work(commit);
            if let Err(error) = &worked {
                tracing::error!(error = %error, "a job of the storage writer failed");
            }
            Box::new(move |durable| done(durable.and(worked)))
        });
        self.jobs.send(job).await.map_err(|_| StorageError::Closed)
    }
}

fn write_all(inner: &SharedState, db: &Database, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut commit = Commit::new(inner, db, inner.state());
        let mut answers = vec![first(&mut commit)];
        while answers.len() < JOBS_PER_COMMIT_MAX && commit.bytes < BYTES_PER_COMMIT_MAX {
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
    commit.seal()?;
    commit.batch.commit()?;
    if let Err(error) = inner.spaces.rotate_full() {
        tracing::error!(error = %error, "memory cannot be flushed; the journal has it");
    }
    for pair in commit.new_pairs_in_order {
        inner.pairs.add(pair);
    }
    for (number, tick) in commit.latest {
        inner.pairs.renew(number, &tick);
    }
    inner.publish(commit.state);
    Ok(())
}
