//! Waiting between two tries: longer each time, jittered, and never past a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// The longest first wait.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// The longest wait: a shard's limits are counted by the second, so that longer ones would only
/// spend the deadline.
const WAIT_MAX: Duration = Duration::from_millis(160);
/// What tokio's timers may be late by: they count whole milliseconds.
const TIMER: Duration = Duration::from_millis(1);

/// The waits of one piece of work.
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

    /// Waits before the next try. Answers whether there is a next try: at once `false` where the
    /// wait would end after the deadline.
    pub(crate) async fn wait(&mut self) -> bool {
        let wait = jittered(self.longest);
        self.longest = (self.longest * 2).min(WAIT_MAX);
        let next_try = Instant::now() + wait;
        if next_try + TIMER >= self.deadline {
            return false;
        }
        tokio::time::sleep_until(next_try).await;
        true
    }
}

/// A wait of half of `longest` to all of it. Half is fixed, so that no try follows at once, and half
/// is drawn, so that those who were refused together do not come back together.
pub(crate) fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end_before_the_deadline() {
        // The waits are drawn: one draw in some 150 would end within the deadline's last millisecond.
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
            // At least 160 + 80 + 40 + 20 ms are spent by four full waits, at most twice as many tries.
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
    async fn after_the_deadline_there_is_no_try() {
        let mut backoff = Backoff::until(Instant::now());
        let start = Instant::now();
        assert!(!backoff.wait().await);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[test]
    fn jitter_is_spread() {
        let second = || jittered(Duration::from_secs(1)).as_secs_f64();
        let waits: Vec<f64> = (0..1_000).map(|_| second()).collect();
        assert!(waits.iter().all(|wait| (0.5..=1.0).contains(wait)));
        let mean = waits.iter().sum::<f64>() / 1_000.0;
        assert!((0.7..0.8).contains(&mean), "{mean}");
    }
}
