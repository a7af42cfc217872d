//! Sends one delivery with retries, until it is stored or given up.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, PostError, Webhook};

/// The longest wait before the second attempt; it doubles from there.
const DELAY_MS_FIRST: u64 = 200;

/// The longest wait between two attempts, even if the server asks for more.
const DELAY_MS_MAX: u64 = 5_000;

/// Why a delivery was given up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Undelivered {
    /// A retry cannot help.
    #[error("{0}")]
    Refused(PostError),
    /// Every attempt failed.
    #[error("{attempts} attempts failed; the last error: {last}")]
    GaveUp {
        /// How often it was sent.
        attempts: u32,
        /// How the last attempt failed.
        last: PostError,
    },
    /// The user stopped the command.
    #[error("stopped while a delivery was waiting for its next attempt")]
    Stopped,
}

/// Sends `body` up to `attempts_max` times, with growing random waits in between, and calls
/// `notice` before each retry. Retries are safe: the server derives tick ids from the ticks.
///
/// # Errors
/// [`Undelivered`], with the reason.
pub async fn deliver(
    webhook: &Webhook,
    body: Bytes,
    attempts_max: u32,
    mut rng: StdRng,
    stop: &CancellationToken,
    notice: impl Fn(&PostError, Duration),
) -> Result<Answer, Undelivered> {
    let mut attempts = 1;
    loop {
        let error = match webhook.post(body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.is_retryable() {
            return Err(Undelivered::Refused(error));
        }
        if attempts >= attempts_max {
            return Err(Undelivered::GaveUp {
                attempts,
                last: error,
            });
        }
        let delay = delay(attempts, error.retry_after(), &mut rng);
        notice(&error, delay);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return Err(Undelivered::Stopped),
        }
        attempts += 1;
    }
}

/// A random wait up to a bound that doubles with each attempt, so many clients do not retry at the
/// same moment; at least what the server asks for, within the limit.
fn delay(attempts: u32, retry_after: Option<Duration>, rng: &mut StdRng) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let bound_ms = (DELAY_MS_FIRST << doublings).min(DELAY_MS_MAX);
    let jittered = Duration::from_millis(rng.random_range(bound_ms / 2..=bound_ms));
    let asked = retry_after
        .unwrap_or_default()
        .min(Duration::from_millis(DELAY_MS_MAX));
    jittered.max(asked)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut rng = StdRng::seed_from_u64(1);
        for (attempts, low_ms, high_ms) in [
            (1, 100, 200),
            (2, 200, 400),
            (4, 800, 1_600),
            (6, 2_500, 5_000),
            (u32::MAX, 2_500, 5_000),
        ] {
            let waits: Vec<_> = (0..100).map(|_| delay(attempts, None, &mut rng)).collect();
            assert!(
                waits
                    .iter()
                    .all(|w| (low_ms..=high_ms).contains(&w.as_millis())),
                "{attempts}"
            );
            assert!(
                waits.iter().any(|w| *w != waits[0]),
                "attempt {attempts} has no jitter"
            );
        }
    }

    #[test]
    fn the_server_may_ask_for_longer_within_the_limit() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(
            delay(1, Some(Duration::from_secs(3)), &mut rng),
            Duration::from_secs(3)
        );
        assert_eq!(
            delay(1, Some(Duration::from_secs(3_600)), &mut rng),
            Duration::from_millis(DELAY_MS_MAX)
        );
    }
}
