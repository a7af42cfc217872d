//! Digests of malformed entries, for operators: counts by source and reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use domain::Reason;

use crate::ports::{Clock, Notifier, PortError, Quarantine, Quarantined};

/// The shortest time between two digests of one instance, in milliseconds. Without it, one
/// malformed entry in twenty would mean hundreds of messages a second.
pub const DIGEST_EVERY_MS: i64 = 60_000;

/// How many sources a digest lists; the entries of further sources are counted together.
const SOURCES_MAX: usize = 50;

/// The label for further sources.
const OTHER_SOURCES: &str = "(other sources)";

/// How long a delivery may wait for a digest to be sent; the counts of an unsent digest go into the
/// next.
const NOTIFY_TIMEOUT: Duration = Duration::from_millis(500);

/// A quarantine that counts its entries, and sends a digest at most once a minute.
///
/// The first entry is reported at once. Entries within a minute of a digest are reported with the
/// first entry after that minute. So the last counts of an idle instance may never be reported; the
/// quarantine has the entries, and the metrics have the counts.
pub struct DigestingQuarantine {
    inner: Arc<dyn Quarantine>,
    notifier: Arc<dyn Notifier>,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
}

/// What was not reported yet.
#[derive(Debug, Default)]
struct Pending {
    counts: BTreeMap<(String, Reason), u64>,
    /// When the oldest of them arrived.
    since_ms: Option<i64>,
    /// When sending a digest was last attempted.
    attempted_ms: Option<i64>,
}

/// The counts of one digest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Digest {
    counts: BTreeMap<(String, Reason), u64>,
    since_ms: i64,
}

impl DigestingQuarantine {
    /// Counts the entries that `inner` keeps, and reports them to `notifier`.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Quarantine>,
        notifier: Arc<dyn Notifier>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let pending = Mutex::default();
        Self {
            inner,
            notifier,
            clock,
            pending,
        }
    }

    /// Counts entries, and takes the counts if a digest is due.
    fn count(&self, entries: &[Quarantined], now_ms: i64) -> Option<Digest> {
        // After a panic elsewhere, at most one entry is missing from the counts.
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            pending.add(&entry.source, entry.entry.reason, 1);
        }
        pending.since_ms.get_or_insert(now_ms);
        let due = pending
            .attempted_ms
            .is_none_or(|attempted_ms| now_ms.saturating_sub(attempted_ms) >= DIGEST_EVERY_MS);
        due.then(|| {
            pending.attempted_ms = Some(now_ms);
            Digest {
                counts: std::mem::take(&mut pending.counts),
                since_ms: pending.since_ms.take().unwrap_or(now_ms),
            }
        })
    }

    /// Returns the counts of an unsent digest, for the next one.
    fn put_back(&self, digest: Digest) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for ((source, reason), count) in digest.counts {
            pending.add(&source, reason, count);
        }
        pending.since_ms = Some(digest.since_ms);
    }
}

impl Pending {
    fn add(&mut self, source: &str, reason: Reason, count: u64) {
        let known = self.counts.keys().any(|(known, _)| known == source);
        let room = known || self.counts.len() < SOURCES_MAX;
        let source = if room { source } else { OTHER_SOURCES };
        *self.counts.entry((source.to_owned(), reason)).or_default() += count;
    }
}

#[async_trait]
impl Quarantine for DigestingQuarantine {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        self.inner.keep(entries).await?;
        if entries.is_empty() {
            return Ok(());
        }
        let Some(digest) = self.count(entries, self.clock.now_ms()) else {
            return Ok(());
        };
        let (subject, text) = (digest.subject(), digest.text());
        let notified = tokio::time::timeout(NOTIFY_TIMEOUT, self.notifier.notify(&subject, &text));
        match notified.await {
            Ok(Ok(())) => {}
            // The entries are stored; a failed digest must not fail the delivery.
            Ok(Err(error)) => {
                tracing::warn!(error = %error, cause = ?error.source, "a digest of malformed \
                    entries was not sent; its counts go into the next digest");
                self.put_back(digest);
            }
            Err(_) => {
                tracing::warn!(
                    "a digest of malformed entries was not sent in time; its counts go into the \
                     next digest"
                );
                self.put_back(digest);
            }
        }
        Ok(())
    }
}

impl Digest {
    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    fn subject(&self) -> String {
        match self.total() {
            1 => "tickstream: 1 malformed entry".to_owned(),
            total => format!("tickstream: {total} malformed entries"),
        }
    }

    fn text(&self) -> String {
        let since = DateTime::from_timestamp_millis(self.since_ms).unwrap_or_default();
        let mut text = format!(
            "{} since {} could not be accepted as ticks:\n\n",
            self.total(),
            since.format("%Y-%m-%dT%H:%M:%SZ")
        );
        for ((source, reason), count) in &self.counts {
            // A source's name may come from a URL, so special characters are escaped.
            let source = source.escape_debug();
            // Writing to a String cannot fail.
            _ = writeln!(
                text,
                "{count:>8}  {source}  {reason} ({:?})",
                reason.severity()
            );
        }
        text.push_str(
            "\nThe entries are in the quarantine (prefix `quarantine/` of the archive bucket), \
             each with the reason. Once repaired, they can safely be delivered again.\nFurther \
             entries are reported in the next digest, at least a minute after this one.\n",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

    use domain::Malformed;

    use super::*;

    #[derive(Default)]
    struct Fakes {
        now_ms: AtomicI64,
        kept: AtomicUsize,
        notifications: Mutex<Vec<(String, String)>>,
        down: AtomicBool,
        silent: AtomicBool,
    }

    impl Clock for Fakes {
        fn now_ms(&self) -> i64 {
            self.now_ms.load(Ordering::Relaxed)
        }
    }

    #[async_trait]
    impl Quarantine for Fakes {
        async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
            self.kept.fetch_add(entries.len(), Ordering::Relaxed);
            Ok(())
        }
    }

    #[async_trait]
    impl Notifier for Fakes {
        async fn notify(&self, subject: &str, text: &str) -> Result<(), PortError> {
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if self.down.load(Ordering::Relaxed) {
                return Err(PortError {
                    operation: "notify",
                    retryable: true,
                    source: "down".into(),
                });
            }
            let notification = (subject.to_owned(), text.to_owned());
            self.notifications.lock().unwrap().push(notification);
            Ok(())
        }
    }

    struct Scene {
        fakes: Arc<Fakes>,
        quarantine: DigestingQuarantine,
    }

    impl Scene {
        fn new() -> Self {
            let fakes = Arc::new(Fakes::default());
            let quarantine = DigestingQuarantine::new(
                Arc::clone(&fakes) as _,
                Arc::clone(&fakes) as _,
                Arc::clone(&fakes) as _,
            );
            Self { fakes, quarantine }
        }

        async fn keep(&self, at_ms: i64, source: &str, reason: Reason, count: usize) {
            self.fakes.now_ms.store(at_ms, Ordering::Relaxed);
            let entry = Quarantined {
                received_at_ms: at_ms,
                source: source.to_owned(),
                entry: Malformed::new(0, reason, "no", b"{}"),
            };
            self.quarantine.keep(&vec![entry; count]).await.unwrap();
        }

        fn subjects(&self) -> Vec<String> {
            let notifications = self.fakes.notifications.lock().unwrap();
            notifications
                .iter()
                .map(|(subject, _)| subject.clone())
                .collect()
        }
    }

    #[tokio::test]
    async fn a_minute_has_one_digest_and_every_entry_is_counted() {
        let scene = Scene::new();
        scene.keep(0, "helius", Reason::InvalidPrice, 1).await;
        scene.keep(10, "helius", Reason::InvalidPrice, 5).await;
        scene.keep(59_999, "pyth", Reason::MissingField, 2).await;
        assert_eq!(scene.subjects(), ["tickstream: 1 malformed entry"]);
        scene.keep(60_000, "helius", Reason::WrongType, 1).await;
        assert_eq!(scene.subjects()[1..], ["tickstream: 8 malformed entries"]);
        let text = scene.fakes.notifications.lock().unwrap()[1].1.clone();
        assert!(text.contains("8 since 1970-01-01T00:00:00Z"), "{text}");
        for line in [
            "5  helius  invalid_price (Error)",
            "1  helius  wrong_type (Error)",
            "2  pyth  missing_field (Error)",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(scene.fakes.kept.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn the_longest_subject_fits_into_a_notification() {
        let key = ("x".repeat(10_000), Reason::InvalidPrice);
        let digest = Digest {
            since_ms: 0,
            counts: BTreeMap::from([(key, u64::MAX)]),
        };
        let subject = digest.subject();
        assert!(subject.len() < 100 && subject.is_ascii(), "{subject}");
        assert!(!subject.contains(['\r', '\n']), "{subject}");
    }

    #[tokio::test]
    async fn the_counts_of_a_failed_digest_go_into_the_next() {
        let scene = Scene::new();
        scene.fakes.down.store(true, Ordering::Relaxed);
        scene.keep(0, "helius", Reason::InvalidPrice, 3).await;
        scene.fakes.down.store(false, Ordering::Relaxed);
        scene.keep(1_000, "helius", Reason::InvalidPrice, 1).await;
        assert!(
            scene.subjects().is_empty(),
            "a failure is not retried at once"
        );
        scene.keep(60_000, "helius", Reason::InvalidPrice, 1).await;
        assert_eq!(scene.subjects(), ["tickstream: 5 malformed entries"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_notifier_does_not_delay_deliveries() {
        let scene = Scene::new();
        scene.fakes.silent.store(true, Ordering::Relaxed);
        let before = tokio::time::Instant::now();
        scene.keep(0, "helius", Reason::InvalidPrice, 1).await;
        assert_eq!(before.elapsed(), NOTIFY_TIMEOUT);
    }

    #[tokio::test]
    async fn invented_source_names_do_not_exhaust_memory() {
        let scene = Scene::new();
        scene.keep(0, "first", Reason::UnknownSource, 1).await;
        for n in 0..1_000 {
            let source = format!("made-up\n{n}");
            scene.keep(1, &source, Reason::UnknownSource, 1).await;
        }
        scene.keep(60_001, "last", Reason::UnknownSource, 1).await;
        let text = scene.fakes.notifications.lock().unwrap()[1].1.clone();
        assert!(text.contains("1001 since"), "{text}");
        assert!(
            text.contains("(other sources)") && text.contains("made-up\\n1 "),
            "{text}"
        );
        assert!(text.lines().count() < SOURCES_MAX + 10, "{text}");
    }
}
