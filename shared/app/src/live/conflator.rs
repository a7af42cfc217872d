//! Conflation inside one process: every update goes in, and the latest of each comes out a few times
//! a second.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::Tick;

use super::conflated_updates::{ConflatedUpdates, Update};
use crate::analyse::{AnalysisFeed, AnalysisUpdate};
use crate::ports::{PortError, Refused, TickQueue};

/// Collects updates between two flushes. However fast ticks come in, it holds no more than the
/// latest of each pair, candle and average; while nobody reads, it holds nothing.
#[derive(Default)]
pub struct Conflator {
    batch: Mutex<ConflatedUpdates>,
    readers: AtomicUsize,
}

/// A reader of the feed, counted until it is dropped.
pub struct Reader<'a>(&'a Conflator);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Conflator {
    /// Registers a reader. Updates are collected from then on.
    pub fn reader(&self) -> Reader<'_> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader(self)
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// Takes out the updates since the last flush.
    pub fn flush(&self) -> ConflatedUpdates {
        std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, fill: impl FnOnce(&mut ConflatedUpdates)) {
        if self.readers() > 0 {
            fill(&mut self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Replaces a queue, since conflating a tick is faster than queueing it.
#[async_trait]
impl TickQueue for Conflator {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        self.add(|batch| {
            for tick in ticks {
                batch.add_tick(tick);
            }
        });
        Ok(Vec::new())
    }
}

#[async_trait]
impl AnalysisFeed for Conflator {
    async fn publish(&self, update: AnalysisUpdate) {
        self.add(|batch| {
            let AnalysisUpdate {
                candles,
                averages,
                anomalies,
            } = &update;
            candles
                .iter()
                .flat_map(Update::of_candle)
                .for_each(|update| batch.add(update));
            averages.iter().for_each(|averages| {
                Update::of_averages(averages).for_each(|update| batch.add(update));
            });
            anomalies
                .iter()
                .map(Update::of_anomaly)
                .for_each(|update| batch.add(update));
        });
    }
}

#[cfg(test)]
mod tests {
    use domain::analytics::{Candle, Interval};
    use testkit::ticks::tick;

    use super::*;
    use crate::live::Kind;

    #[tokio::test]
    async fn nothing_is_collected_while_nobody_reads() {
        let conflator = Conflator::default();
        conflator.send(&[&tick("A", 1)]).await.unwrap();
        assert!(conflator.flush().is_empty());
        let reader = conflator.reader();
        conflator.send(&[&tick("A", 2)]).await.unwrap();
        assert!(!conflator.flush().is_empty());
        assert!(conflator.flush().is_empty(), "a flush takes everything out");
        drop(reader);
        conflator.send(&[&tick("A", 3)]).await.unwrap();
        assert!(conflator.flush().is_empty());
    }

    #[tokio::test]
    async fn the_latest_of_each_pair_and_candle_remains() {
        let conflator = Conflator::default();
        let _reader = conflator.reader();
        let (first, second, other) = (tick("A", 1), tick("A", 2), tick("B", 1));
        conflator.send(&[&second, &other, &first]).await.unwrap();
        let candles = [&first, &second].map(|tick| Candle::of(tick, Interval::OneHour));
        for candles in [vec![candles[0].clone()], candles.to_vec()] {
            let update = AnalysisUpdate {
                candles,
                ..AnalysisUpdate::default()
            };
            conflator.publish(update).await;
        }
        let updates = conflator.flush().into_updates();
        let seen: Vec<_> = updates
            .iter()
            .map(|update| (update.kind, update.token.as_str(), update.tick_count))
            .collect();
        assert_eq!(
            seen,
            [
                (Kind::Ticks, "A", 2),
                (Kind::Ticks, "B", 1),
                (Kind::Candles, "A", 0)
            ]
        );
        assert!(updates[0].json.contains(&second.tick_id.to_string()));
    }
}
