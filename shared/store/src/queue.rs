//! Queues of ticks: for broadcast, and for what the stream refused.

use app::ports::{PortError, Refused, TickQueue};
use async_trait::async_trait;
use domain::Tick;

use crate::block::{self, EncodedTicks};
use crate::embedded::Embedded;
use crate::error::StorageError;
use crate::spaces::number_of;

/// A queue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueName {
    /// Every stored tick, for those who watch live.
    Broadcast,
    /// Ticks that the stream refused.
    Redrive,
}

impl QueueName {
    fn index(self) -> usize {
        match self {
            Self::Broadcast => 0,
            Self::Redrive => 1,
        }
    }
}

/// One of the queues.
#[derive(Clone)]
pub struct Queue {
    store: Embedded,
    name: QueueName,
}

/// Ticks at the front of a queue; they stay there until [`Queue::done`].
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The ticks.
    pub ticks: Vec<Tick>,
    /// The place of the last one.
    pub last: u64,
}

impl Embedded {
    /// A queue.
    #[must_use]
    pub fn queue(&self, name: QueueName) -> Queue {
        Queue {
            store: self.clone(),
            name,
        }
    }
}

impl Queue {
    /// Ticks that wait.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let index = self.name.index();
        self.store.inner.look(|state| {
            let at = |counts: &[u64; 2]| counts.get(index).copied().unwrap_or_default();
            at(&state.queued) - at(&state.taken)
        })
    }

    /// The place of the last tick.
    #[must_use]
    pub fn tail(&self) -> u64 {
        let index = self.name.index();
        self.store
            .inner
            .look(|state| state.queued.get(index).copied().unwrap_or_default())
    }

    /// The ticks at the front: whole blocks, until at least `limit` ticks or the queue's end.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn front(&self, limit: usize) -> Result<Taken, StorageError> {
        if self.depth() == 0 {
            return Ok(Taken::default());
        }
        let index = self.name.index();
        self.store
            .read(move |inner| {
                // What was taken off is skipped by its place: tombstones need not be walked.
                let taken = inner.look(|state| state.taken.get(index).copied().unwrap_or_default());
                let mut found = Taken {
                    ticks: Vec::new(),
                    last: taken,
                };
                let Some(space) = inner.spaces.queues.get(index) else {
                    return Ok(found);
                };
                for guard in space.range((taken + 1).to_be_bytes()..) {
                    let (key, value) = guard.into_inner()?;
                    let ticks = block::read(&value)?;
                    found.last = number_of(&key)? + (ticks.len() as u64).saturating_sub(1);
                    found.ticks.extend(ticks);
                    if found.ticks.len() >= limit {
                        break;
                    }
                }
                Ok(found)
            })
            .await
    }

    /// Takes the ticks up to `last` off the queue, and puts `back` at its end.
    ///
    /// # Errors
    /// [`StorageError`]; the ticks then stay at the front.
    pub async fn done(&self, last: u64, back: Vec<Tick>) -> Result<(), StorageError> {
        let index = self.name.index();
        let back = EncodedTicks::of(&back);
        self.store
            .commit(move |commit| {
                let Some(taken) = commit.state.taken.get(index).copied() else {
                    return Ok(());
                };
                let Some(space) = commit.spaces().queues.get(index) else {
                    return Ok(());
                };
                let range = (taken + 1).to_be_bytes()..=last.to_be_bytes();
                let keys: Result<Vec<_>, _> = space.range(range).map(fjall::Guard::key).collect();
                for key in keys? {
                    commit.remove(space, &key);
                }
                if let Some(taken) = commit.state.taken.get_mut(index) {
                    *taken = (*taken).max(last);
                }
                if let Some(block) = commit.queue_block(index) {
                    block.push(&back);
                }
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl TickQueue for Queue {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        let index = self.name.index();
        let encoded = EncodedTicks::of(ticks);
        self.store
            .commit(move |commit| {
                if let Some(block) = commit.queue_block(index) {
                    block.push(&encoded);
                }
                Ok(Vec::new())
            })
            .await
            .map_err(|error| error.at("queue ticks"))
    }
}
