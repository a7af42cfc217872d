//! Limits how many items are processed a second, and stops waiting if the user wants to stop.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;

/// Whether the user wants to stop.
pub type Stopped<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// The user wanted to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WasStopped;

/// How often a wait looks whether it is to stop.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(100);

/// The most items that are processed at once: those of a second, and at most `most`.
#[must_use]
pub fn at_once(per_second_max: u32, most: usize) -> usize {
    let of_a_second = usize::try_from(per_second_max).unwrap_or(usize::MAX);
    of_a_second.min(most).max(1)
}

/// Waits for the turn of what comes after `done` items.
///
/// # Errors
/// [`WasStopped`], also if there is nothing to wait for.
pub async fn wait_for_turn(
    started: Instant,
    done: u64,
    per_second_max: u32,
    stopped: Stopped<'_>,
) -> Result<(), WasStopped> {
    let due = Duration::from_secs_f64(done as f64 / f64::from(per_second_max.max(1)));
    let due = started + due;
    loop {
        if stopped() {
            return Err(WasStopped);
        }
        let now = Instant::now();
        if now >= due {
            return Ok(());
        }
        tokio::time::sleep_until(due.min(now + STOP_LOOK_EVERY)).await;
    }
}

/// The next item of a stream, which may take minutes; `None` at its end.
///
/// # Errors
/// [`WasStopped`], also if there is an item.
pub async fn next_or_stopped<S>(
    items: &mut S,
    stopped: Stopped<'_>,
) -> Result<Option<S::Item>, WasStopped>
where
    S: Stream + Unpin,
{
    loop {
        if stopped() {
            return Err(WasStopped);
        }
        if let Ok(next) = tokio::time::timeout(STOP_LOOK_EVERY, items.next()).await {
            return Ok(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::stream;

    use super::*;

    /// Wants to stop when it is asked for the third time.
    fn at_the_third_look() -> impl Fn() -> bool + Send + Sync {
        let looks = AtomicU32::new(0);
        move || looks.fetch_add(1, Ordering::Relaxed) >= 2
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_comes_at_its_time() {
        let started = Instant::now();
        for (done, due_ms) in [(0, 0), (5, 500), (20, 2_000), (3, 2_000)] {
            let turn = wait_for_turn(started, done, 10, &|| false).await;
            assert_eq!((turn, started.elapsed().as_millis()), (Ok(()), due_ms));
        }
        assert_eq!(
            [at_once(3, 10), at_once(30, 10), at_once(0, 10)],
            [3, 10, 1]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_every_wait() {
        let turn = wait_for_turn(Instant::now(), 1_000, 1, &at_the_third_look()).await;
        assert_eq!(turn, Err(WasStopped));
        let mut never = stream::pending::<u8>();
        let next = next_or_stopped(&mut never, &at_the_third_look()).await;
        assert_eq!(next, Err(WasStopped));
        let mut items = stream::iter([1]);
        assert_eq!(next_or_stopped(&mut items, &|| false).await, Ok(Some(1)));
        assert_eq!(next_or_stopped(&mut items, &|| false).await, Ok(None));
    }
}
