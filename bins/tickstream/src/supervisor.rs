//! Runs the consumers. One that fails, panics or ends by itself is restarted, and counts as down until it has
//! done some work again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::bisect::panic_text;
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a consumer waits before its first restart. The time doubles with each failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest wait before a restart, and so the longest time by which a consumer is late once the cause is gone.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// After this time without a failure, the wait begins with the shortest again.
const STEADY_AFTER: Duration = Duration::from_secs(30);

/// Why a consumer failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Starts consumers and watches them. Clones share the consumers.
#[derive(Clone, Default)]
pub struct Supervisor {
    consumers: Arc<Mutex<Vec<Progress>>>,
    tasks: TaskTracker,
}

/// How a consumer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) name: String,
    /// How often it was restarted since the start of the process.
    pub(crate) restarts: u64,
    /// Since when it has been down, in epoch milliseconds; `None` if it is up.
    pub(crate) down_since_ms: Option<i64>,
}

/// Where a consumer reports its progress.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<Health>>);

impl Progress {
    fn new(name: String) -> Self {
        Self(Arc::new(Mutex::new(Health {
            name,
            restarts: 0,
            down_since_ms: None,
        })))
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        let Self(health) = self;
        health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The consumer has done some work, or has found that there is none: it is up.
    pub fn made(&self) {
        let mut health = self.health();
        if health.down_since_ms.take().is_some() {
            tracing::info!(consumer = health.name, "a consumer is up again");
        }
    }

    /// Whether the consumer has failed and made no progress since.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.health().down_since_ms.is_some()
    }

    fn failed(&self) {
        let mut health = self.health();
        health
            .down_since_ms
            .get_or_insert_with(runtime::clock::now_ms);
    }
}

impl Supervisor {
    /// Starts a consumer, and restarts it until it ends after `stopping` is cancelled. It must report its
    /// [`Progress`]. If it is down when `stopping` is cancelled, it is started for the last time, to finish its work.
    pub fn spawn<F, R>(&self, name: impl Into<String>, stopping: &CancellationToken, consumer: F)
    where
        F: Fn(Progress, CancellationToken) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let progress = Progress::new(name.into());
        self.consumers().push(progress.clone());
        self.tasks.spawn(run(progress, stopping.clone(), consumer));
    }

    /// Waits until all consumers have ended.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// All consumers, in the order in which they were started.
    pub(crate) fn health(&self) -> Vec<Health> {
        let consumers = self.consumers();
        consumers.iter().map(|it| it.health().clone()).collect()
    }

    /// The names of consumers that are down.
    pub(crate) fn down(&self) -> Vec<String> {
        let mut health = self.health();
        health.retain(|it| it.down_since_ms.is_some());
        health.into_iter().map(|it| it.name).collect()
    }

    fn consumers(&self) -> MutexGuard<'_, Vec<Progress>> {
        self.consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<F, R>(progress: Progress, stopping: CancellationToken, consumer: F)
where
    F: Fn(Progress, CancellationToken) -> R,
    R: Future<Output = Result<(), Failure>>,
{
    let name = progress.health().name.clone();
    let mut backoff = BACKOFF_MIN;
    loop {
        let (started, is_last) = (Instant::now(), stopping.is_cancelled());
        let running = async { consumer(progress.clone(), stopping.clone()).await };
        let cause = match AssertUnwindSafe(running).catch_unwind().await {
            Ok(Ok(())) if stopping.is_cancelled() => return,
            Ok(Ok(())) => "it ended by itself".to_owned(),
            Ok(Err(error)) => runtime::causes::joined(error.as_ref()),
            Err(payload) => format!("panic: {}", panic_text(payload.as_ref())),
        };
        progress.failed();
        if is_last {
            tracing::error!(
                consumer = name,
                cause,
                "a consumer failed at the end; the next start continues where it stopped"
            );
            return;
        }
        if started.elapsed() >= STEADY_AFTER {
            backoff = BACKOFF_MIN;
        }
        tracing::error!(consumer = name, cause, restart_in = ?backoff, "a consumer failed; it is restarted, and continues where it stopped");
        stopping
            .run_until_cancelled(tokio::time::sleep(backoff))
            .await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
        progress.health().restarts += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Runs a consumer that fails three times, in another way each time, and then works.
    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_fails_is_restarted_later_each_time_and_is_down_until_it_works() {
        let supervisor = Supervisor::default();
        let (stopping, starts) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&starts);
        supervisor.spawn("fragile", &stopping, move |progress, stopping| {
            let start = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                match start {
                    0 => panic!("a panic of the test"),
                    1 => Err("an error of the test".into()),
                    2 => Ok(()),
                    _ => {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        progress.made();
                        stopping.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        supervisor.spawn(
            "steady",
            &stopping,
            async |progress: Progress, stopping: CancellationToken| {
                progress.made();
                stopping.cancelled().await;
                Ok(())
            },
        );
        let restarts = |after_ms| {
            let supervisor = supervisor.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                let [fragile, steady] = supervisor.health().try_into().unwrap();
                assert_eq!((steady.restarts, steady.down_since_ms), (0, None));
                (fragile.restarts, fragile.down_since_ms.is_some())
            }
        };
        assert_eq!(restarts(50).await, (0, true));
        assert_eq!(supervisor.down(), ["fragile"]);
        // After 100, 300 and 700 ms.
        assert_eq!(restarts(100).await, (1, true));
        assert_eq!(restarts(200).await, (2, true));
        assert_eq!(restarts(1_000).await, (3, true), "it has not worked yet");
        assert_eq!(restarts(1_000).await, (3, false));
        assert_eq!(supervisor.down(), [""; 0]);
        stopping.cancel();
        supervisor.ended().await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_is_down_gets_a_last_start_at_the_end() {
        let supervisor = Supervisor::default();
        let (stopping, starts) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&starts);
        supervisor.spawn("broken", &stopping, move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Err("an error of the test".into()) }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        stopping.cancel();
        supervisor.ended().await;
        assert_eq!(starts.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_keeps_failing_is_tried_at_least_every_ten_seconds() {
        let supervisor = Supervisor::default();
        let stopping = CancellationToken::new();
        supervisor.spawn("broken", &stopping, |_, _| async {
            Err("an error of the test".into())
        });
        let restarts = || supervisor.health().first().map_or(0, |it| it.restarts);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let after_a_minute = restarts();
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(restarts() - after_a_minute, 10);
        stopping.cancel();
        supervisor.ended().await;
    }
}
