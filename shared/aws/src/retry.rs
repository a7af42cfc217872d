//! Waiting between two tries: longer each time, jittered, and never past a deadline.

use std::hash::{BuildHasher, RandomState};
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
    longest.mul_f64(0.5 + 0.5 * unit())
}

/// A number from 0 to 1 that differs from call to call and from process to process.
fn unit() -> f64 {
    f64::from(hashed_u32()) / f64::from(u32::MAX)
}

/// The standard library seeds its hash maps anew each time: enough for jitter, and without a
/// random generator of our own.
fn hashed_u32() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
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
        let drawn: Vec<f64> = (0..1_000).map(|_| unit()).collect();
        assert!(drawn.iter().all(|unit| (0.0..=1.0).contains(unit)));
        let mean = drawn.iter().sum::<f64>() / 1_000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
