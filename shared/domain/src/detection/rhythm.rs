//! Silence against the series' own rhythm, and values that repeat for longer than ever.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::past::Past;
use super::statistic::Observed;

/// The usual gap is the mean of about this many ticks; a gap counts with at most this multiple of the usual wait.
const GAP_SPAN: f32 = 256.0;
const GAP_GROWTH_MAX: f32 = 4.0;

/// No judgement before that many ticks, or changes of the value.
const TICKS_MIN: u32 = 64;

/// Shorter silences and runs, in usual gaps, are not judged.
const GAPS_MIN: f32 = 8.0;
const RUN_MIN: f32 = 8.0;

const DAY_MS: f32 = 86_400_000.0;

/// The rhythm of a series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rhythm {
    ticks: u32,
    last_ms: i64,
    usual_gap_ms: Mean,
    gap_squares: Mean,
    /// The gaps in usual waits.
    gaps: Past,
    silence_reported: bool,
    last: f32,
    run_ticks: u32,
    run_since_ms: i64,
    /// Its length: a tick that follows another in less than the usual gap counts as its share of it. A large order
    /// fills many small ones at one price and time, and no feed is stuck.
    run: f32,
    run_reported: bool,
    runs: Past,
    usual_run: Mean,
    changes: u32,
}

/// A silence or a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// How often as long ones are expected in a day.
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

    /// The silence that a tick ends, or that lasts until now, if it is long and was not reported.
    pub(super) fn silence(&self, timestamp_ms: i64) -> Option<Pause> {
        let gap_ms = span_ms(timestamp_ms.saturating_sub(self.last_ms));
        let usual_ms = self.usual_gap_ms.get();
        let gaps = gap_ms / usual_ms.max(1.0);
        if self.ticks < TICKS_MIN || gaps < GAPS_MIN || self.silence_reported {
            return None;
        }
        let per_day =
            self.gaps.tail_probability(gap_ms / self.usual_wait_ms()) * DAY_MS / usual_ms.max(1.0);
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

    /// Adds a tick. Returns the run of its value if that is long, and until it was rarer than the limit.
    pub(super) fn add(
        &mut self,
        timestamp_ms: i64,
        value: f32,
        runs_per_day: f32,
    ) -> Option<Pause> {
        let is_same = self.ticks > 0 && value.to_bits() == self.last.to_bits();
        let gaps = self.add_gap(timestamp_ms);
        if !is_same {
            self.end_run();
            (self.last, self.run_since_ms) = (value, timestamp_ms);
            return None;
        }
        self.run_ticks = self.run_ticks.saturating_add(1);
        self.run += gaps.min(1.0);
        if self.changes < TICKS_MIN || self.run < RUN_MIN || self.run_reported {
            return None;
        }
        let per_day = self.runs.tail_probability(self.run) * DAY_MS
            / (self.usual_gap_ms.get() * self.usual_run.get()).max(1.0);
        self.run_reported = per_day <= runs_per_day;
        let observed = Observed {
            kind: AnomalyKind::StuckFeed,
            direction: Direction::Down,
            quantity: Quantity::Ticks,
            expected: self.usual_run.get(),
            seen: ticks(self.run_ticks),
            samples: ticks(self.run_ticks),
        };
        Some(Pause {
            per_day,
            observed,
            length_ms: span_ms(timestamp_ms.saturating_sub(self.run_since_ms)),
        })
    }

    /// The gap that someone meets on average who comes at any time: of regular ticks, their gap; of bursts, about that
    /// between them.
    fn usual_wait_ms(&self) -> f32 {
        let usual_ms = self.usual_gap_ms.get().max(f32::MIN_POSITIVE);
        (self.gap_squares.get() / usual_ms).max(1.0)
    }

    /// The gap in front of a tick, in usual gaps. The first are only learned.
    fn add_gap(&mut self, timestamp_ms: i64) -> f32 {
        let mut gaps = 1.0;
        if self.ticks > 0 {
            let mut gap_ms = span_ms(timestamp_ms.saturating_sub(self.last_ms).max(0));
            if self.ticks >= TICKS_MIN {
                gaps = gap_ms / self.usual_gap_ms.get().max(1.0);
                let wait_ms = self.usual_wait_ms();
                self.gaps.add(gap_ms / wait_ms);
                gap_ms = gap_ms.min(GAP_GROWTH_MAX * wait_ms);
            }
            let share = 1.0 / ticks(self.ticks);
            self.usual_gap_ms.add(gap_ms, GAP_SPAN, share);
            self.gap_squares.add(gap_ms * gap_ms, GAP_SPAN, share);
        }
        self.silence_reported = false;
        self.last_ms = timestamp_ms;
        self.ticks = self.ticks.saturating_add(1);
        gaps
    }

    fn end_run(&mut self) {
        if self.run_ticks > 0 {
            let run = ticks(self.run_ticks);
            self.changes = self.changes.saturating_add(1);
            self.usual_run.add(run, GAP_SPAN, 1.0 / ticks(self.changes));
            self.runs.add(self.run);
        }
        (self.run_ticks, self.run) = (1, 1.0);
        self.run_reported = false;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a span of time")]
fn span_ms(ms: i64) -> f32 {
    ms as f32
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count whose size matters, not its last digit"
)]
fn ticks(count: u32) -> f32 {
    count as f32
}
