//! Updates go to the connections of the live API that subscribe to them.
//!
//! Best effort by design, since the next batch has newer values. So a batch is only retried if the
//! subscribers cannot be read, and no connection waits for another. While nobody watches, a batch is
//! dropped without being read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Tick, Token};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

use super::conflated_updates::{ConflatedUpdates, Update};
use super::messages::{messages, snapshot};
use crate::ports::{LatestTicks, PortError, Posted, Push, Subscribers, Topic, Watcher};

/// The largest message in bytes: API Gateway's limit (128 KiB).
pub const MESSAGE_BYTES_MAX: usize = 128 * 1_024;

/// Connections that are sent to at once.
const POSTS_AT_ONCE: usize = 64;

/// How long one message to one connection may take.
const POST_WITHIN: Duration = Duration::from_secs(2);

/// How long a batch may take; connections that were not reached by then get the next one. The
/// function's own timeout must be longer.
pub const DELIVER_WITHIN: Duration = Duration::from_secs(15);

/// How often a message is retried after the service throttled it.
const THROTTLED_RETRIES_MAX: u32 = 3;

/// The longest wait before the first retry; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(50);

/// How long the subscribers are not read again after there were none. Somebody who connects meanwhile
/// gets the updates after that.
pub const NOBODY_WATCHES_FOR: Duration = Duration::from_secs(1);

/// Tokens whose latest ticks are read at once.
const READS_AT_ONCE: usize = 16;

/// Sends updates to connections.
pub struct Fanout {
    /// The subscriptions.
    pub subscribers: Arc<dyn Subscribers>,
    /// Sends to connections.
    pub push: Arc<dyn Push>,
    /// The latest values, for a new subscriber.
    pub latest: Arc<dyn LatestTicks>,
    /// Until when nobody watches.
    deserted_until: Mutex<Option<Instant>>,
}

/// The outcome of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Connections that subscribe to something in it.
    pub connections: u64,
    /// Messages sent.
    pub sent: u64,
    /// Connections that no longer exist, and were removed.
    pub gone: u64,
    /// Messages lost because the service throttled them.
    pub throttled: u64,
    /// Messages lost for another reason.
    pub failed: u64,
    /// Connections that did not get everything before the time was up.
    pub late: u64,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    gone: AtomicU64,
    throttled: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How a message to a connection ended.
enum Sent {
    Done,
    Gone,
    Throttled,
    Failed,
    Late,
}

impl Fanout {
    /// Sends to these subscribers.
    #[must_use]
    pub fn new(
        subscribers: Arc<dyn Subscribers>,
        push: Arc<dyn Push>,
        latest: Arc<dyn LatestTicks>,
    ) -> Self {
        Self {
            subscribers,
            push,
            latest,
            deserted_until: Mutex::default(),
        }
    }

    /// Sends the updates that `read` returns to everyone who subscribes to something in them. Each
    /// connection gets one message, or as few as the size limit allows. While nobody watches, `read` is
    /// not called, and the subscribers are read at most once in [`NOBODY_WATCHES_FOR`].
    ///
    /// # Errors
    /// [`PortError`] if the subscribers cannot be read: nothing was sent.
    pub async fn publish(
        &self,
        read: impl FnOnce() -> ConflatedUpdates + Send,
    ) -> Result<DeliveryReport, PortError> {
        let watchers = self.watchers().await?;
        if watchers.is_empty() {
            return Ok(DeliveryReport::default());
        }
        let updates = read().into_updates();
        if updates.is_empty() {
            return Ok(DeliveryReport::default());
        }
        let groups = groups(watchers, &updates);
        let deadline = Instant::now() + DELIVER_WITHIN;
        let counters = Counters::default();
        let connections = groups.values().map(|group| group.len() as u64).sum();
        // A group's messages are only created when they are sent, so few are in memory at once.
        let posts = groups.into_iter().flat_map(|(topics, connections)| {
            let wanted = |update: &&Update| topics.wants(&update.token);
            let wanted: Vec<&Update> = updates.iter().filter(wanted).collect();
            let messages: Arc<[String]> = messages(&wanted, MESSAGE_BYTES_MAX).into();
            let with_messages = move |connection| (connection, Arc::clone(&messages));
            connections.into_iter().map(with_messages)
        });
        stream::iter(posts)
            .for_each_concurrent(POSTS_AT_ONCE, |(connection, messages)| {
                let counters = &counters;
                async move {
                    self.post_all(&connection, &messages, deadline, counters)
                        .await;
                }
            })
            .await;
        let read = |counter: AtomicU64| counter.into_inner();
        Ok(DeliveryReport {
            connections,
            sent: read(counters.sent),
            gone: read(counters.gone),
            throttled: read(counters.throttled),
            failed: read(counters.failed),
            late: read(counters.late),
        })
    }

    async fn watchers(&self) -> Result<Vec<Watcher>, PortError> {
        let now = Instant::now();
        if lock(&self.deserted_until).is_some_and(|until| now < until) {
            return Ok(Vec::new());
        }
        let watchers = self.subscribers.watchers().await?;
        *lock(&self.deserted_until) = watchers.is_empty().then(|| now + NOBODY_WATCHES_FOR);
        Ok(watchers)
    }

    async fn post_all(
        &self,
        connection: &str,
        messages: &[String],
        deadline: Instant,
        counters: &Counters,
    ) {
        for message in messages {
            match self.post(connection, message, deadline).await {
                Sent::Done => count(&counters.sent),
                Sent::Throttled => count(&counters.throttled),
                Sent::Gone => {
                    count(&counters.gone);
                    return self.forget(connection).await;
                }
                // The following messages would time out as well; other connections take precedence.
                Sent::Failed => return count(&counters.failed),
                Sent::Late => return count(&counters.late),
            }
        }
    }

    /// Sends one message; a throttled one is retried after a while.
    async fn post(&self, connection: &str, message: &str, deadline: Instant) -> Sent {
        for retry in 0..=THROTTLED_RETRIES_MAX {
            if Instant::now() >= deadline {
                return Sent::Late;
            }
            let until = deadline.min(Instant::now() + POST_WITHIN);
            match timeout_at(until, self.push.post(connection, message)).await {
                Ok(Ok(Posted::Sent)) => return Sent::Done,
                Ok(Ok(Posted::Gone)) => return Sent::Gone,
                Ok(Ok(Posted::Throttled)) if retry < THROTTLED_RETRIES_MAX => {
                    let wake = Instant::now() + jittered(BACKOFF * 2_u32.pow(retry));
                    tokio::time::sleep_until(wake.min(deadline)).await;
                }
                Ok(Ok(Posted::Throttled)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(connection, error = %error, cause = %error.source, "a message was not sent to a connection");
                    return Sent::Failed;
                }
                Err(_) => {
                    tracing::warn!(connection, "a connection did not accept a message in time");
                    return Sent::Failed;
                }
            }
        }
        Sent::Throttled
    }

    async fn forget(&self, connection: &str) {
        if let Err(error) = self.subscribers.forget(connection).await {
            // It expires, or is removed with the next batch.
            tracing::warn!(connection, error = %error, cause = %error.source, "a connection that is gone was not removed");
        }
    }

    /// Sends the latest ticks of tokens to a connection that has just subscribed; those of all
    /// tokens come as they change.
    ///
    /// # Errors
    /// [`PortError`] if the latest ticks cannot be read.
    pub async fn snapshot(&self, connection: &str, tokens: &[Token]) -> Result<(), PortError> {
        let reads = tokens.iter().map(|token| self.latest.latest(token));
        let mut ticks: Vec<Tick> = Vec::new();
        let mut found = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some(latest) = found.next().await {
            ticks.extend(latest?);
        }
        let messages = snapshot(ticks.iter(), 0, MESSAGE_BYTES_MAX);
        self.send(connection, &messages).await;
        Ok(())
    }

    /// Sends messages to one connection. A message that it does not accept is logged and lost; a
    /// connection that is gone is removed.
    pub async fn send(&self, connection: &str, messages: &[String]) {
        let (deadline, counters) = (Instant::now() + DELIVER_WITHIN, Counters::default());
        self.post_all(connection, messages, deadline, &counters)
            .await;
        let throttled = counters.throttled.into_inner();
        if throttled > 0 {
            tracing::warn!(
                connection,
                throttled,
                "messages to a connection were throttled and are lost"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections, grouped by their topics among these updates: a group gets the same messages.
fn groups(watchers: Vec<Watcher>, updates: &[Update]) -> BTreeMap<Wanted, Vec<String>> {
    let tokens: BTreeSet<&Token> = updates.iter().map(|update| &update.token).collect();
    let mut groups: BTreeMap<Wanted, Vec<String>> = BTreeMap::new();
    for Watcher { connection, topics } in watchers {
        let wanted = Wanted::of(topics, &tokens);
        if wanted.all || !wanted.tokens.is_empty() {
            groups.entry(wanted).or_default().push(connection);
        }
    }
    groups
}

/// The topics of a connection among those of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    all: bool,
    tokens: BTreeSet<Token>,
}

impl Wanted {
    fn of(topics: BTreeSet<Topic>, tokens: &BTreeSet<&Token>) -> Self {
        if topics.contains(&Topic::All) {
            return Self {
                all: true,
                tokens: BTreeSet::new(),
            };
        }
        let token = |topic| match topic {
            Topic::Token(token) => tokens.contains(&token).then_some(token),
            Topic::All => None,
        };
        Self {
            all: false,
            tokens: topics.into_iter().filter_map(token).collect(),
        }
    }

    fn wants(&self, token: &Token) -> bool {
        self.all || self.tokens.contains(token)
    }
}

/// A random wait between half of `longest` and `longest`, so connections that were throttled together
/// are not retried together.
fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(0.5 + 0.5 * fastrand::f64())
}
