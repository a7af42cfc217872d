//! Since when ticks have been received without a pause.

/// After a longer time without a tick, watching starts again: this process was stopped, or the webhook was unavailable.
const PAUSE_MAX_MS: i64 = 30_000;

/// How often silences are judged, at most.
const JUDGED_EVERY_MS: i64 = 1_000;

/// The time, by our clock, during which ticks would have been seen had there been any. Before it, we may not have been
/// listening, so a feed without ticks then need not have been silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Its start, milliseconds since the epoch (UTC).
    pub since_ms: i64,
    /// Its end: now.
    pub now_ms: i64,
}

/// Keeps the time that was watched without a pause, and says when silences are due to be judged. A process that was
/// suspended, or a webhook that was unavailable, does not make every feed silent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    watched: Option<Watched>,
    judged_ms: Option<i64>,
}

impl Watch {
    /// Notes that we watched at a moment by our clock. Moments may come in any order.
    pub fn add(&mut self, now_ms: i64) {
        match &mut self.watched {
            Some(watched) if now_ms <= watched.now_ms.saturating_add(PAUSE_MAX_MS) => {
                watched.now_ms = watched.now_ms.max(now_ms);
            }
            Some(_) | None => {
                self.watched = Some(Watched {
                    since_ms: now_ms,
                    now_ms,
                });
            }
        }
    }

    /// What was watched, if a second has passed since it was last returned.
    pub fn due(&mut self) -> Option<Watched> {
        let watched = self.watched?;
        let is_due = |ms: i64| watched.now_ms.saturating_sub(ms) >= JUDGED_EVERY_MS;
        if !self.judged_ms.is_none_or(is_due) {
            return None;
        }
        self.judged_ms = Some(watched.now_ms);
        Some(watched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_not_watched() {
        let mut watch = Watch::default();
        assert_eq!(watch.due(), None);
        for now_ms in [1_000, 21_000, 41_000, 40_000] {
            watch.add(now_ms);
        }
        let (since_ms, now_ms) = (1_000, 41_000);
        assert_eq!(watch.due(), Some(Watched { since_ms, now_ms }));
        watch.add(72_000);
        let (since_ms, now_ms) = (72_000, 72_000);
        assert_eq!(watch.due(), Some(Watched { since_ms, now_ms }));
    }

    #[test]
    fn silences_are_due_once_a_second() {
        let mut watch = Watch::default();
        let due = [5_000, 5_500, 5_999, 6_000, 6_900, 7_500].map(|now_ms| {
            watch.add(now_ms);
            watch.due().is_some()
        });
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
