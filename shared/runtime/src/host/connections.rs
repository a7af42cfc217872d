//! The open connections, and which of them ends if there are too many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All open connections. If another one comes while the limit is reached, the one that has waited
/// longest for its caller ends: one that never sends a request cannot shut out those that do.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    turns: u64,
    /// Connections without a request that is being handled, by the turn in which they began to wait.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// One open connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    turn: Mutex<Option<u64>>,
    replaced: Arc<Notify>,
}

impl Connections {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: Mutex::default(),
        })
    }

    /// Admits a connection, in place of another one if need be; `None` if all others have requests
    /// in progress.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Connection> {
        let replaced = Arc::new(Notify::new());
        let turn = {
            let mut open = self.open();
            if open.count >= self.max {
                let (_, longest) = open.waiting.pop_first()?;
                longest.notify_one();
            }
            open.count += 1;
            open.wait(&replaced)
        };
        Some(Connection {
            connections: Arc::clone(self),
            turn: Mutex::new(Some(turn)),
            replaced,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn wait(&mut self, replaced: &Arc<Notify>) -> u64 {
        self.turns += 1;
        self.waiting.insert(self.turns, Arc::clone(replaced));
        self.turns
    }
}

impl Connection {
    /// A request is being handled, or the connection is a handler's own: it is not replaced.
    pub(super) fn begin(&self) {
        let turn = self.turn().take();
        if let Some(turn) = turn {
            self.connections.open().waiting.remove(&turn);
        }
    }

    /// The request was handled: from now on, the connection waits for its caller.
    pub(super) fn wait(&self) {
        let turn = self.connections.open().wait(&self.replaced);
        *self.turn() = Some(turn);
    }

    /// Returns once another connection is admitted in its place.
    pub(super) async fn replaced(&self) {
        self.replaced.notified().await;
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.begin();
        self.connections.open().count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_waited_longest_is_replaced() {
        let all = Connections::new(2);
        let first = all.admit().unwrap();
        let second = all.admit().unwrap();
        first.begin();
        first.wait();
        let third = all.admit().unwrap();
        second.replaced().await;
        // The limit holds for those that stay: the second has yet to end.
        drop(second);
        assert_eq!(all.open().count, 2);
        first.begin();
        third.begin();
        assert!(all.admit().is_none(), "all others have requests");
        drop(first);
        assert!(all.admit().is_some());
        drop(third);
        assert_eq!(all.open().count, 0);
        assert!(all.open().waiting.is_empty());
    }
}
