//! An in-memory live API: the topics of each connection, and the messages it received.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::ports::{LatestTicks, PortError, Posted, Push, Subscribers, Topic, Watcher};
use async_trait::async_trait;
use domain::{Tick, Token};

/// How a connection reacts to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// It receives them.
    #[default]
    Takes,
    /// It is closed.
    Gone,
    /// It is throttled this many times, and then receives them.
    Throttled(u32),
    /// The call fails.
    Fails,
    /// The call never ends.
    Hangs,
}

/// Connections in memory, with how each behaves.
#[derive(Default)]
pub struct Connections {
    topics: Mutex<BTreeMap<String, BTreeSet<Topic>>>,
    behaviour: Mutex<HashMap<String, Behaviour>>,
    messages: Mutex<Vec<(String, String)>>,
    latest: Mutex<Vec<Tick>>,
    down: AtomicBool,
    reads: AtomicUsize,
    posting: AtomicUsize,
    /// The most concurrent posts.
    posting_max: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure(operation: &'static str) -> PortError {
    PortError {
        operation,
        retryable: true,
        source: "a fault of the test".into(),
    }
}

impl Connections {
    /// Adds a connection that is subscribed to topics.
    pub fn watch(&self, connection: &str, topics: &[Topic]) {
        lock(&self.topics)
            .entry(connection.to_owned())
            .or_default()
            .extend(topics.iter().cloned());
    }

    /// Sets how a connection reacts to messages.
    pub fn behave(&self, connection: &str, behaviour: Behaviour) {
        lock(&self.behaviour).insert(connection.to_owned(), behaviour);
    }

    /// Makes reading and writing subscriptions fail, or work again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Sets the latest ticks that are stored.
    pub fn set_latest(&self, ticks: Vec<Tick>) {
        *lock(&self.latest) = ticks;
    }

    /// The messages that a connection received.
    #[must_use]
    pub fn messages(&self, connection: &str) -> Vec<String> {
        let messages = lock(&self.messages);
        let to = messages.iter().filter(|(to, _)| to == connection);
        to.map(|(_, message)| message.clone()).collect()
    }

    /// The topics of a connection; `None` if it is unknown.
    #[must_use]
    pub fn topics(&self, connection: &str) -> Option<Vec<Topic>> {
        let topics = lock(&self.topics);
        let found = topics.get(connection)?;
        Some(found.iter().cloned().collect())
    }

    /// How often the subscribers were read.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// The most concurrent posts.
    #[must_use]
    pub fn posting_max(&self) -> usize {
        self.posting_max.load(Ordering::Relaxed)
    }

    fn check(&self, operation: &'static str) -> Result<(), PortError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(failure(operation));
        }
        Ok(())
    }
}

#[async_trait]
impl Subscribers for Connections {
    async fn subscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError> {
        self.check("subscribe")?;
        self.watch(connection, topics);
        Ok(())
    }

    async fn unsubscribe(&self, connection: &str, topics: &[Topic]) -> Result<(), PortError> {
        self.check("unsubscribe")?;
        if let Some(held) = lock(&self.topics).get_mut(connection) {
            held.retain(|topic| !topics.contains(topic));
        }
        Ok(())
    }

    async fn forget(&self, connection: &str) -> Result<(), PortError> {
        self.check("forget")?;
        lock(&self.topics).remove(connection);
        Ok(())
    }

    async fn watchers(&self) -> Result<Vec<Watcher>, PortError> {
        self.check("read subscribers")?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let held = lock(&self.topics);
        let watching = held.iter().filter(|(_, topics)| !topics.is_empty());
        Ok(watching
            .map(|(connection, topics)| Watcher {
                connection: connection.clone(),
                topics: topics.clone(),
            })
            .collect())
    }
}

#[async_trait]
impl Push for Connections {
    async fn post(&self, connection: &str, message: &str) -> Result<Posted, PortError> {
        let now = self.posting.fetch_add(1, Ordering::Relaxed) + 1;
        self.posting_max.fetch_max(now, Ordering::Relaxed);
        let behaviour = lock(&self.behaviour)
            .get(connection)
            .copied()
            .unwrap_or_default();
        // A call takes some time, so others can run concurrently.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if behaviour == Behaviour::Hangs {
            std::future::pending::<()>().await;
        }
        self.posting.fetch_sub(1, Ordering::Relaxed);
        match behaviour {
            Behaviour::Gone => Ok(Posted::Gone),
            Behaviour::Throttled(times) if times > 0 => {
                self.behave(connection, Behaviour::Throttled(times - 1));
                Ok(Posted::Throttled)
            }
            Behaviour::Fails => Err(failure("post")),
            Behaviour::Takes | Behaviour::Throttled(_) | Behaviour::Hangs => {
                lock(&self.messages).push((connection.to_owned(), message.to_owned()));
                Ok(Posted::Sent)
            }
        }
    }
}

#[async_trait]
impl LatestTicks for Connections {
    async fn latest(&self, token: &Token) -> Result<Vec<Tick>, PortError> {
        self.check("read latest ticks")?;
        let latest = lock(&self.latest);
        let of_token = latest.iter().filter(|tick| tick.token == *token);
        Ok(of_token.cloned().collect())
    }
}
