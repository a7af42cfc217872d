//! Runs the consumers: one that panics or ends is started again, and everybody can see which of them fail.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a consumer that ended waits before its first restart; each further failure doubles it.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The longest time between restarts.
const RESTART_WITHIN: Duration = Duration::from_secs(60);

/// The state of one consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConsumerState {
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// Its last failure, until it has succeeded since.
    pub(crate) failing: Option<String>,
}

/// The states of all consumers, by name.
#[derive(Debug, Default)]
pub(crate) struct ConsumerStates(Mutex<BTreeMap<String, ConsumerState>>);

impl ConsumerStates {
    /// All of them, by name.
    pub(crate) fn all(&self) -> BTreeMap<String, ConsumerState> {
        self.with(|states| states.clone())
    }

    /// The names of those that fail.
    pub(crate) fn failing(&self) -> Vec<String> {
        self.with(|states| {
            let failing = states.iter().filter(|(_, state)| state.failing.is_some());
            failing.map(|(name, _)| name.clone()).collect()
        })
    }

    fn with<R>(&self, work: impl FnOnce(&mut BTreeMap<String, ConsumerState>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// With which a consumer says how it is doing.
#[derive(Clone)]
pub(crate) struct Progress {
    name: Arc<str>,
    states: Arc<ConsumerStates>,
}

impl Progress {
    /// It did what it should.
    pub(crate) fn succeeded(&self) {
        self.change(|state| state.failing = None);
    }

    /// It failed, and tries again.
    pub(crate) fn failed(&self, error: &dyn Display) {
        self.change(|state| state.failing = Some(error.to_string()));
    }

    fn change(&self, change: impl FnOnce(&mut ConsumerState)) {
        self.states.with(|states| {
            change(states.entry(self.name.as_ref().to_owned()).or_default());
        });
    }
}

/// Starts consumers and watches them.
pub(crate) struct Supervisor {
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) states: Arc<ConsumerStates>,
}

impl Supervisor {
    /// Runs a consumer until the process stops. `start` makes its task, each time that it is started.
    pub(crate) fn run<F, T>(&self, name: &str, start: F)
    where
        F: Fn(Progress) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.run_with(name, start, RESTART_AFTER);
    }

    /// As [`Supervisor::run`], with restarts at once.
    #[cfg(test)]
    pub(crate) fn run_without_pauses<F, T>(&self, name: &str, start: F)
    where
        F: Fn(Progress) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.run_with(name, start, Duration::ZERO);
    }

    fn run_with<F, T>(&self, name: &str, start: F, first_pause: Duration)
    where
        F: Fn(Progress) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let progress = Progress {
            name: name.into(),
            states: Arc::clone(&self.states),
        };
        progress.succeeded();
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            let mut pause = first_pause;
            loop {
                let ended = tokio::spawn(start(progress.clone())).await;
                let why = match ended {
                    Ok(()) if stopping.is_cancelled() => return,
                    Ok(()) => "it ended".to_owned(),
                    Err(panicked) => panicked.to_string(),
                };
                let name = progress.name.as_ref();
                tracing::error!(
                    consumer = name,
                    why,
                    "a consumer ended, and is started again"
                );
                let mut succeeded_before = false;
                progress.change(|state| {
                    succeeded_before = state.failing.is_none();
                    state.restarts += 1;
                    state.failing = Some(why);
                });
                if succeeded_before {
                    pause = first_pause;
                }
                let waited = stopping.run_until_cancelled(tokio::time::sleep(pause));
                if waited.await.is_none() {
                    return;
                }
                pause = (pause * 2).min(RESTART_WITHIN);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn supervisor() -> Supervisor {
        Supervisor {
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            states: Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_panics_or_ends_is_seen_and_started_again() {
        let supervisor = supervisor();
        let starts = Arc::new(AtomicU32::new(0));
        let stopping = supervisor.stopping.clone();
        supervisor.run("frail", {
            let (starts, stopping) = (Arc::clone(&starts), stopping.clone());
            move |progress| {
                let (start, stopping) = (starts.fetch_add(1, Ordering::Relaxed), stopping.clone());
                async move {
                    match start {
                        0 => panic!("a defect"),
                        1 => {}
                        _ => {
                            tokio::time::sleep(Duration::from_secs(10)).await;
                            progress.succeeded();
                            stopping.cancelled().await;
                        }
                    }
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let state = supervisor.states.all()["frail"].clone();
        assert_eq!(state.restarts, 1);
        assert!(state.failing.unwrap().contains("a defect"));
        // After a second, and after two more.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
        assert_eq!(
            supervisor.states.failing(),
            ["frail"],
            "it has not succeeded yet"
        );
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(supervisor.states.failing(), [] as [&str; 0]);
        assert_eq!(supervisor.states.all()["frail"].restarts, 2);
        stopping.cancel();
        supervisor.tasks.close();
        supervisor.tasks.wait().await;
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_become_rarer_and_end_with_the_process() {
        let supervisor = supervisor();
        let starts = Arc::new(AtomicU32::new(0));
        supervisor.run("broken", {
            let starts = Arc::clone(&starts);
            move |_| {
                starts.fetch_add(1, Ordering::Relaxed);
                async { panic!("always") }
            }
        });
        tokio::time::sleep(Duration::from_secs(64)).await;
        // At 0, 1, 3, 7, 15, 31 and 63 seconds.
        assert_eq!(starts.load(Ordering::Relaxed), 7);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert!(starts.load(Ordering::Relaxed) >= 60);
        supervisor.stopping.cancel();
        supervisor.tasks.close();
        supervisor.tasks.wait().await;
    }
}
