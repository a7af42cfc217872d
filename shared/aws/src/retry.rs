//! Calls and waits until a deadline. Waits between attempts grow, with jitter, and never pass the
//! deadline; no call is begun after it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The longest first wait.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// The longest wait: a shard's limits are counted per second, so longer waits would only waste the
/// time until the deadline.
const WAIT_MAX: Duration = Duration::from_millis(160);
/// How late tokio's timers may be: they count whole milliseconds.
const TIMER: Duration = Duration::from_millis(1);

/// Awaits a call until `deadline`. `None` if it has not returned by then, and if the deadline has
/// passed already: the call is not begun then (`timeout_at` would poll it once, which sends it).
pub(crate) async fn within<F: Future>(deadline: Instant, call: F) -> Option<F::Output> {
    if Instant::now() >= deadline {
        return None;
    }
    timeout_at(deadline, call).await.ok()
}

/// The waits of one operation.
#[derive(Debug)]
pub(crate) struct Backoff {
    deadline: Instant,
    longest: Duration,
}

impl Backoff {
    /// Waits that end before `deadline`.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            longest: WAIT_FIRST,
        }
    }

    /// Waits before the next attempt. Returns whether there is one: `false` immediately if the wait
    /// would end after the deadline.
    pub(crate) async fn wait(&mut self) -> bool {
        let wait = jittered(self.longest);
        self.longest = (self.longest * 2).min(WAIT_MAX);
        let next_attempt = Instant::now() + wait;
        if next_attempt + TIMER >= self.deadline {
            return false;
        }
        tokio::time::sleep_until(next_attempt).await;
        true
    }
}

/// A random wait between half of `longest` and all of it. Half is fixed, so no retry follows at once;
/// half is random, so callers that were refused together do not retry together.
pub(crate) fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end_before_the_deadline() {
        // The waits are random: about one in 150 would end within the deadline's last millisecond.
        for _ in 0..2_000 {
            let start = Instant::now();
            let deadline = start + Duration::from_millis(400);
            let mut backoff = Backoff::until(deadline);
            let mut waits = Vec::new();
            let mut before = start;
            while backoff.wait().await {
                assert!(Instant::now() < deadline, "{waits:?}");
                waits.push(before.elapsed());
                before = Instant::now();
            }
            // Four full waits take 160 + 80 + 40 + 20 ms, so there are at most twice as many.
            assert!((4..=8).contains(&waits.len()), "{waits:?}");
            for (wait, longest_ms) in waits.iter().zip([20, 40, 80, 160, 160, 160, 160, 160]) {
                let longest = Duration::from_millis(longest_ms);
                assert!(
                    *wait + TIMER >= longest / 2 && *wait <= longest + TIMER,
                    "{waits:?}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_attempt_after_the_deadline() {
        let mut backoff = Backoff::until(Instant::now());
        let start = Instant::now();
        assert!(!backoff.wait().await);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_not_begun_after_the_deadline() {
        assert_eq!(
            within(Instant::now(), async { unreachable!() }).await,
            None::<()>
        );
        let deadline = Instant::now() + Duration::from_millis(1);
        assert_eq!(within(deadline, async { 7 }).await, Some(7));
        assert_eq!(within(deadline, std::future::pending::<()>()).await, None);
    }

    #[test]
    fn jitter_is_between_half_and_all_of_the_wait() {
        let longest = Duration::from_millis(100);
        let waits: Vec<Duration> = (0..1_000).map(|_| jittered(longest)).collect();
        assert!(
            waits
                .iter()
                .all(|wait| (longest / 2..=longest).contains(wait))
        );
        let mean_ms = waits.iter().sum::<Duration>().as_millis() / 1_000;
        assert!((70..80).contains(&mean_ms), "{mean_ms}");
    }
}
