//! The state shared by the writer and the readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;

use crate::drainable_entries::Released;
use crate::keyspaces::Keyspaces;
use crate::pairs::Pairs;
use crate::state::State;

/// What the writer and the readers share.
pub(crate) struct SharedState {
    pub(crate) spaces: Keyspaces,
    pub(crate) pairs: Pairs,
    pub(crate) pairs_max: u32,
    pub(crate) released: Released,
    state: RwLock<State>,
    commits: watch::Sender<u64>,
    resumed: AtomicU64,
}

impl SharedState {
    pub(crate) fn new(spaces: Keyspaces, pairs: Pairs, pairs_max: u32, state: State) -> Self {
        let (commits, _) = watch::channel(0);
        Self {
            spaces,
            pairs,
            pairs_max,
            released: Released::up_to(state.outbox_entries),
            state: RwLock::new(state),
            commits,
            resumed: AtomicU64::new(0),
        }
    }

    /// The number of commits; it changes whenever something new is readable.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// The state after the last commit.
    pub(crate) fn state(&self) -> State {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts a pair whose analytics state could not be read.
    pub(crate) fn count_resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many pairs' analytics states could not be read since the start.
    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Reads the state after the last commit.
    pub(crate) fn with_state<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.commits.send_modify(|commits| *commits += 1);
    }
}
