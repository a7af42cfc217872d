//! Silences against the rhythm of the series, and values that repeat for longer than ever.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::past::{Past, Tail};
use super::signal::{DAY_MS, as_f32, span_ms};
use super::statistic::Observed;

/// The usual gap is the mean over about this many ticks; a gap counts as at most this multiple of the usual wait.
const GAP_SPAN: f32 = 256.0;
const GAP_GROWTH_MAX: f32 = 4.0;

/// The number of ticks in a day is taken from the mean gap over about this many. By the usual gap, a long silence after a
/// burst of trades would look as if it were to be expected several times a day.
const RATE_SPAN: f32 = 4_096.0;

/// The first ticks only determine the usual gap. Nothing is judged before `TICKS_MIN` ticks, or changes of the value.
const FIRST_TICKS: u32 = 64;
const TICKS_MIN: u32 = 128;

/// Nor of silences before a minute has been seen: a feed and its receiver that have just started often pause.
const SEEN_MIN_MS: i64 = 60_000;

/// Shorter silences and runs, in usual gaps, are not judged.
const GAPS_MIN: f32 = 8.0;
const RUN_MIN: f32 = 8.0;

/// In a run, a tick counts in full if it follows the one before after at least this share of the usual gap.
const WHOLE_TICK_GAP: f32 = 1.0 / 8.0;

const HOURS_PER_MS: f32 = 1.0 / 3_600_000.0;

/// The rhythm of a series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rhythm {
    ticks: u32,
    first_ms: i64,
    last_ms: i64,
    usual_gap_ms: Mean,
    mean_gap_ms: Mean,
    gap_squares: Mean,
    /// The gaps in usual waits.
    gaps: Past,
    silence_reported: bool,
    last: f32,
    run_ticks: u32,
    run_since_ms: i64,
    /// Its length, in ticks that count in full: a large order fills many small ones at one price and time, and that is not
    /// a stuck feed.
    run: f32,
    run_reported: bool,
    runs: Past,
    usual_run: Mean,
    changes: u32,
}

/// A silence or a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// How often ones as long are expected in a day.
    pub(super) per_day: f32,
    pub(super) observed: Observed,
    pub(super) length_ms: f32,
}

impl Rhythm {
    /// The last value; 0 before the first.
    pub(super) fn last(&self) -> f32 {
        self.last
    }

    /// The mean time between ticks, in milliseconds; `None` before the second.
    pub(super) fn usual_gap_ms(&self) -> Option<f32> {
        (self.ticks > 1).then(|| self.usual_gap_ms.get())
    }

    /// How many hours of the series have been seen.
    pub(super) fn hours(&self) -> f32 {
        span_ms(self.last_ms.saturating_sub(self.first_ms)) * HOURS_PER_MS
    }

    /// The silence that a tick ends, or that lasts until now, if it is long and was not reported.
    pub(super) fn silence(&self, timestamp_ms: i64) -> Option<Pause> {
        let gap_ms = span_ms(timestamp_ms.saturating_sub(self.last_ms));
        let usual_ms = self.usual_gap_ms.get();
        let gaps = gap_ms / usual_ms.max(1.0);
        let is_known =
            self.ticks >= TICKS_MIN && self.last_ms.saturating_sub(self.first_ms) >= SEEN_MIN_MS;
        if !is_known || gaps < GAPS_MIN || self.silence_reported {
            return None;
        }
        let waits = gap_ms / self.usual_wait_ms();
        let per_day = self.gaps.tail_probability(waits, Tail::OF_WAITS) * self.ticks_per_day();
        let observed = Observed {
            kind: AnomalyKind::Silence,
            direction: Direction::Up,
            quantity: Quantity::IntervalMs,
            expected: usual_ms,
            seen: gap_ms,
            samples: gaps,
        };
        Some(Pause {
            per_day,
            observed,
            length_ms: gap_ms,
        })
    }

    /// Silences are reported once.
    pub(super) fn silence_was_reported(&mut self) {
        self.silence_reported = true;
    }

    /// Adds a tick; `share` is [`Self::share`]. Returns the run of its value if that is long, until it has once been rarer
    /// than the limit.
    pub(super) fn add(
        &mut self,
        timestamp_ms: i64,
        value: f32,
        share: f32,
        limit_per_day: f32,
    ) -> Option<Pause> {
        let is_same = self.ticks > 0 && value.to_bits() == self.last.to_bits();
        let gaps = self.add_gap(timestamp_ms, share);
        if !is_same {
            self.end_run();
            (self.last, self.run_since_ms) = (value, timestamp_ms);
            return None;
        }
        self.run_ticks = self.run_ticks.saturating_add(1);
        self.run += (gaps / WHOLE_TICK_GAP).min(1.0);
        if self.changes < TICKS_MIN || self.run < RUN_MIN || self.run_reported {
            return None;
        }
        let runs_per_day = self.ticks_per_day() / self.usual_run.get().max(1.0);
        let per_day = self.runs.tail_probability(self.run, Tail::OF_WAITS) * runs_per_day;
        self.run_reported = per_day <= limit_per_day;
        let observed = Observed {
            kind: AnomalyKind::StuckFeed,
            direction: Direction::Down,
            quantity: Quantity::Ticks,
            expected: self.usual_run.get(),
            seen: as_f32(self.run_ticks),
            samples: as_f32(self.run_ticks),
        };
        Some(Pause {
            per_day,
            observed,
            length_ms: span_ms(timestamp_ms.saturating_sub(self.run_since_ms)),
        })
    }

    /// 1 divided by the number of gaps up to the next tick.
    pub(super) fn share(&self) -> f32 {
        1.0 / as_f32(self.ticks.max(1))
    }

    pub(super) fn ticks_per_day(&self) -> f32 {
        DAY_MS / self.mean_gap_ms.get().max(1.0)
    }

    /// The mean gap at a random time: of regular ticks, their gap; of bursts, about the time between them.
    fn usual_wait_ms(&self) -> f32 {
        let usual_ms = self.usual_gap_ms.get().max(f32::MIN_POSITIVE);
        (self.gap_squares.get() / usual_ms).max(1.0)
    }

    /// The gap before a tick, in usual gaps. The first ones are only learned.
    fn add_gap(&mut self, timestamp_ms: i64, share: f32) -> f32 {
        let mut gaps = 1.0;
        if self.ticks == 0 || timestamp_ms < self.first_ms {
            self.first_ms = timestamp_ms;
        }
        if self.ticks > 0 {
            let mut gap_ms = span_ms(timestamp_ms.saturating_sub(self.last_ms).max(0));
            if self.ticks >= FIRST_TICKS {
                gaps = gap_ms / self.usual_gap_ms.get().max(1.0);
                let wait_ms = self.usual_wait_ms();
                self.gaps.add(gap_ms / wait_ms);
                gap_ms = gap_ms.min(GAP_GROWTH_MAX * wait_ms);
            }
            self.usual_gap_ms.add(gap_ms, GAP_SPAN, share);
            self.mean_gap_ms.add(gap_ms, RATE_SPAN, share);
            self.gap_squares.add(gap_ms * gap_ms, GAP_SPAN, share);
        }
        self.silence_reported = false;
        self.last_ms = timestamp_ms;
        self.ticks = self.ticks.saturating_add(1);
        gaps
    }

    fn end_run(&mut self) {
        if self.run_ticks > 0 {
            let run = as_f32(self.run_ticks);
            self.changes = self.changes.saturating_add(1);
            self.usual_run
                .add(run, GAP_SPAN, 1.0 / as_f32(self.changes));
            self.runs.add(self.run);
        }
        (self.run_ticks, self.run) = (1, 1.0);
        self.run_reported = false;
    }
}
