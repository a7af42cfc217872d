//! Since when ticks have been received without a pause.

/// After a longer time without a tick, watching starts again: this process was stopped, or the webhook was unavailable.
const PAUSE_MAX_MS: i64 = 30_000;

/// Ticks arrive steadily if no pause between them, of whichever feeds, is longer than this.
const STEADY_PAUSE_MAX_MS: i64 = 250;

/// How often silences are judged, at most: more often while ticks arrive steadily, as short ones are judged only then.
const JUDGED_EVERY_MS: i64 = 1_000;
const JUDGED_EVERY_IF_STEADY_MS: i64 = 200;

/// The time, by our clock, during which ticks would have been seen had there been any. Before it, we may not have been
/// listening, so a feed without ticks then need not have been silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Its start, milliseconds since the epoch (UTC).
    pub since_ms: i64,
    /// Since when ticks have arrived steadily until now; `now_ms` if they do not.
    pub steady_since_ms: i64,
    /// Its end: now.
    pub now_ms: i64,
}

/// Keeps the time that was watched without a pause, and says when silences are due to be judged. A process that was
/// suspended, or a webhook that was unavailable, does not make every feed silent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    watched: Option<Watched>,
    arrived_ms: Option<i64>,
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
                    steady_since_ms: now_ms,
                    now_ms,
                });
            }
        }
    }

    /// Notes that ticks of any feed have just arrived, by our clock. Where this is not noted, ticks do not arrive steadily.
    pub fn add_arrival(&mut self, now_ms: i64) {
        self.add(now_ms);
        let is_steady = self.is_steady();
        if let Some(watched) = &mut self.watched {
            if !is_steady {
                watched.steady_since_ms = watched.now_ms;
            }
            self.arrived_ms = Some(watched.now_ms);
        }
    }

    /// Whether the last ticks arrived recently.
    fn is_steady(&self) -> bool {
        let elapsed_ms = |it: Watched| Some(it.now_ms.saturating_sub(self.arrived_ms?));
        let elapsed_ms = self.watched.and_then(elapsed_ms);
        elapsed_ms.is_some_and(|ms| ms <= STEADY_PAUSE_MAX_MS)
    }

    /// What was watched, if silences are due to be judged again.
    pub fn due(&mut self) -> Option<Watched> {
        let mut watched = self.watched?;
        let every_ms = if self.is_steady() {
            JUDGED_EVERY_IF_STEADY_MS
        } else {
            watched.steady_since_ms = watched.now_ms;
            JUDGED_EVERY_MS
        };
        let is_due = |ms: i64| watched.now_ms.saturating_sub(ms) >= every_ms;
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
        let watched = |since_ms, now_ms| Watched {
            since_ms,
            steady_since_ms: now_ms,
            now_ms,
        };
        assert_eq!(watch.due(), Some(watched(1_000, 41_000)));
        watch.add(72_000);
        assert_eq!(watch.due(), Some(watched(72_000, 72_000)));
    }

    #[test]
    fn a_short_pause_interrupts_what_arrives_steadily() {
        let mut watch = Watch::default();
        let mut steady_ms = |now_ms, arrived| {
            if arrived {
                watch.add_arrival(now_ms);
            } else {
                watch.add(now_ms);
            }
            watch.due().map(|it| it.now_ms - it.steady_since_ms)
        };
        assert_eq!(steady_ms(1_000, true), Some(0));
        assert_eq!(steady_ms(1_200, true), Some(200));
        assert_eq!(steady_ms(1_400, false), Some(400));
        // 300 ms without ticks, which may be a pause of our own.
        assert_eq!(steady_ms(1_500, true), None);
        assert_eq!(steady_ms(1_700, true), Some(200));
        // We go on watching, but nothing arrives.
        assert_eq!(steady_ms(2_700, false), Some(0));
    }

    #[test]
    fn silences_are_due_once_a_second_and_more_often_while_ticks_arrive() {
        let mut watch = Watch::default();
        let due = [5_000, 5_500, 5_999, 6_000, 6_900, 7_500].map(|now_ms| {
            watch.add(now_ms);
            watch.due().is_some()
        });
        assert_eq!(due, [true, false, false, true, false, true]);
        let due = [7_600, 7_700, 7_800, 8_000, 8_100].map(|now_ms| {
            watch.add_arrival(now_ms);
            watch.due().is_some()
        });
        assert_eq!(due, [false, true, false, true, false]);
    }
}
