//! An open-loop schedule: request `i` is due at `start + i / rate`, regardless of the others, and
//! its latency is measured from that moment. So a stall of the server affects every request that
//! was due meanwhile, not only the one that happened to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The significant digits of the histograms: latencies are accurate to 0.1 %.
const HISTOGRAM_DIGITS: u8 = 3;

/// The largest latency in the histograms: an hour, in microseconds. Requests end long before.
const LATENCY_US_MAX: u64 = 3_600 * 1_000_000;

/// After this many requests without a pause, other tasks on this thread get a turn.
const REQUESTS_BETWEEN_YIELDS: u32 = 32;

/// The kind of error of a request that was due but not sent.
pub const NOT_SENT: &str = "not_sent_too_many_in_flight";

/// The kind of error of a request with rejected ticks.
pub const REJECTED: &str = "rejected_ticks";

/// Which requests are due when.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Requests per second, at least 1.
    pub rate: u32,
    /// The number of requests.
    pub requests: u64,
    /// The most pending requests; further ones that are due are errors.
    pub in_flight_max: usize,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It succeeded.
    Answered {
        /// New ticks.
        stored: u64,
        /// Ticks that were already stored.
        duplicate: u64,
        /// Entries that are not prices.
        ignored: u64,
        /// Malformed entries.
        rejected: u64,
    },
    /// It failed with this kind of error.
    Failed(String),
}

/// The outcomes of the requests.
#[derive(Debug)]
pub struct Tally {
    /// Requests handed to the client.
    pub sent: u64,
    /// Successful requests.
    pub answered: u64,
    /// Failures by kind, including requests that were not sent.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// New ticks.
    pub stored: u64,
    /// Ticks that were already stored.
    pub duplicate: u64,
    /// Entries that are not prices.
    pub ignored: u64,
    /// Malformed entries.
    pub rejected: u64,
    /// From due time to end, in microseconds, of every request sent, including failures.
    pub latency_us: Histogram<u64>,
    /// From due time to the call of the client, in microseconds: our own lateness.
    pub lateness_us: Histogram<u64>,
    /// From the first due time to the last end.
    pub elapsed: Duration,
}

impl Schedule {
    /// When request `index` is due, after the start.
    #[must_use]
    pub fn due(&self, index: u64) -> Duration {
        let nanos = u128::from(index) * 1_000_000_000 / u128::from(self.rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Sends every request when it is due, and waits until all have ended. `send` builds request
    /// `index` at that moment; its future must end by itself. Ends early, with the results so far,
    /// when `stop` is cancelled. `progress` is called with the number of requests due so far.
    ///
    /// # Errors
    /// None in practice: the histograms' fixed bounds are valid.
    pub async fn run<F>(
        &self,
        stop: &CancellationToken,
        mut send: impl FnMut(u64, Instant) -> F,
        progress: impl Fn(u64),
    ) -> anyhow::Result<Tally>
    where
        F: Future<Output = End> + Send + 'static,
    {
        let mut tally = Tally::new()?;
        let mut in_flight: JoinSet<(Instant, Instant, End)> = JoinSet::new();
        let mut since_yield = 0;
        let start = Instant::now();
        for index in 0..self.requests {
            let due = start + self.due(index);
            let mut now = Instant::now();
            if now < due {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = stop.cancelled() => break,
                }
                now = Instant::now();
                since_yield = 0;
            } else {
                since_yield += 1;
                if since_yield % REQUESTS_BETWEEN_YIELDS == 0 {
                    tokio::task::yield_now().await;
                    if stop.is_cancelled() {
                        break;
                    }
                }
            }
            while let Some(done) = in_flight.try_join_next() {
                tally.count(start, done);
            }
            progress(index + 1);
            if in_flight.len() >= self.in_flight_max {
                tally.fail(NOT_SENT);
                continue;
            }
            tally.sent += 1;
            tally.lateness_us.saturating_record(micros(now - due));
            let request = send(index, due);
            in_flight.spawn(async move {
                let end = request.await;
                (due, Instant::now(), end)
            });
        }
        while let Some(done) = in_flight.join_next().await {
            tally.count(start, done);
        }
        Ok(tally)
    }
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, HISTOGRAM_DIGITS)?;
        Ok(Self {
            sent: 0,
            answered: 0,
            errors_by_kind: BTreeMap::new(),
            stored: 0,
            duplicate: 0,
            ignored: 0,
            rejected: 0,
            latency_us: histogram.clone(),
            lateness_us: histogram,
            elapsed: Duration::ZERO,
        })
    }

    /// Requests that failed or were not sent.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors_by_kind.values().sum()
    }

    fn fail(&mut self, kind: &str) {
        match self.errors_by_kind.get_mut(kind) {
            Some(count) => *count += 1,
            None => {
                self.errors_by_kind.insert(kind.to_owned(), 1);
            }
        }
    }

    fn count(
        &mut self,
        start: Instant,
        done: Result<(Instant, Instant, End), tokio::task::JoinError>,
    ) {
        let Ok((due, ended, end)) = done else {
            self.fail("panicked");
            return;
        };
        self.elapsed = self.elapsed.max(ended - start);
        self.latency_us.saturating_record(micros(ended - due));
        match end {
            End::Answered {
                stored,
                duplicate,
                ignored,
                rejected,
            } => {
                if rejected > 0 {
                    self.fail(REJECTED);
                } else {
                    self.answered += 1;
                }
                self.stored += stored;
                self.duplicate += duplicate;
                self.ignored += ignored;
                self.rejected += rejected;
            }
            End::Failed(kind) => self.fail(&kind),
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERED: End = End::Answered {
        stored: 1,
        duplicate: 0,
        ignored: 0,
        rejected: 0,
    };

    fn schedule(rate: u32, requests: u64) -> Schedule {
        Schedule {
            rate,
            requests,
            in_flight_max: 1_000,
        }
    }

    #[test]
    fn due_times_do_not_drift() {
        for (rate, index, due_ns) in [
            (4_000, 1, 250_000),
            (3, 1, 333_333_333),
            (3, 3, 1_000_000_000),
            (3, 3_000_000, 1_000_000_000_000_000),
            (1, 0, 0),
        ] {
            assert_eq!(
                schedule(rate, 1).due(index),
                Duration::from_nanos(due_ns),
                "{rate} {index}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_affects_every_request_due_meanwhile() {
        // 100 requests, one every 10 ms; the server does not respond from 200 ms to 700 ms.
        let start = Instant::now();
        let stall_ends = start + Duration::from_millis(700);
        let send = |_, due: Instant| async move {
            if (200..700).contains(&(due - start).as_millis()) {
                tokio::time::sleep_until(stall_ends).await;
            }
            ANSWERED
        };
        let tally = schedule(100, 100)
            .run(&CancellationToken::new(), send, |_| {})
            .await
            .unwrap();
        assert_eq!(
            (tally.sent, tally.answered, tally.errors(), tally.stored),
            (100, 100, 0, 100)
        );
        // 50 requests waited, from 500 ms down to 10 ms; a closed loop would have measured one
        // wait.
        assert_eq!(tally.latency_us.count_between(9_000, 501_000), 50);
        let max_ms = tally.latency_us.max() / 1_000;
        assert!((500..=501).contains(&max_ms), "{max_ms}");
        let p75_ms = tally.latency_us.value_at_quantile(0.75) / 1_000;
        assert!((240..=260).contains(&p75_ms), "{p75_ms}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_the_bound_are_errors_and_not_sent() {
        let bounded = Schedule {
            rate: 1_000,
            requests: 50,
            in_flight_max: 10,
        };
        let send = |_, _| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            ANSWERED
        };
        let tally = bounded
            .run(&CancellationToken::new(), send, |_| {})
            .await
            .unwrap();
        assert_eq!((tally.sent, tally.answered, tally.errors()), (10, 10, 40));
        assert_eq!(tally.errors_by_kind.get(NOT_SENT), Some(&40));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_by_kind_and_their_latency_too() {
        let send = |index, _| async move {
            match index % 4 {
                0 => End::Failed("503".to_owned()),
                1 => End::Answered {
                    stored: 2,
                    duplicate: 1,
                    ignored: 1,
                    rejected: 1,
                },
                _ => ANSWERED,
            }
        };
        let tally = schedule(100, 8)
            .run(&CancellationToken::new(), send, |_| {})
            .await
            .unwrap();
        assert_eq!((tally.sent, tally.answered, tally.errors()), (8, 4, 4));
        assert_eq!(tally.errors_by_kind.get("503"), Some(&2));
        assert_eq!(tally.errors_by_kind.get(REJECTED), Some(&2));
        assert_eq!(
            (tally.stored, tally.duplicate, tally.ignored, tally.rejected),
            (8, 2, 2, 2)
        );
        assert_eq!(tally.latency_us.len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_schedule_and_waits_for_what_was_sent() {
        let stop = CancellationToken::new();
        let send = |index, _| {
            if index == 4 {
                stop.cancel();
            }
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                ANSWERED
            }
        };
        let tally = schedule(10, 1_000).run(&stop, send, |_| {}).await.unwrap();
        assert_eq!((tally.sent, tally.answered, tally.errors()), (5, 5, 0));
    }
}
