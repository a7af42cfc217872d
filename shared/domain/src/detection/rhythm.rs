//! Silence against the series' own rhythm, and values that repeat for longer than ever.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::past::Past;
use super::statistic::Observed;

/// The usual gap is the mean of about this many ticks; a gap counts with at most this multiple of it.
const GAP_SPAN: f32 = 256.0;
const GAP_GROWTH_MAX: f32 = 4.0;

/// No judgement before that many ticks, or changes of the value.
const TICKS_MIN: u32 = 64;

/// Shorter silences, in usual gaps, and shorter runs, in ticks, are not judged.
const GAPS_MIN: f32 = 8.0;
const RUN_MIN: f32 = 8.0;

const DAY_MS: f32 = 86_400_000.0;

/// The rhythm of a series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rhythm {
    ticks: u32,
    last_ms: i64,
    usual_gap_ms: Mean,
    gaps: Past,
    last: f32,
    run_ticks: u32,
    run_reported: bool,
    runs: Past,
    usual_run: Mean,
    changes: u32,
}

impl Rhythm {
    /// The mean time between ticks, in milliseconds; `None` before the second.
    pub(super) fn usual_gap_ms(&self) -> Option<f32> {
        (self.ticks > 1).then(|| self.usual_gap_ms.get())
    }

    /// The silence that a tick ends, if it is not usual: how often as long ones are expected in a day.
    pub(super) fn silence(&self, timestamp_ms: i64) -> Option<(f32, Observed)> {
        let gap_ms = span_ms(timestamp_ms.saturating_sub(self.last_ms));
        let usual_ms = self.usual_gap_ms.get();
        let gaps = gap_ms / usual_ms.max(1.0);
        if self.ticks < TICKS_MIN || gaps < GAPS_MIN {
            return None;
        }
        let per_day = self.gaps.tail_probability(compressed(gaps)) * DAY_MS / usual_ms.max(1.0);
        let observed = Observed {
            kind: AnomalyKind::Silence,
            direction: Direction::Up,
            quantity: Quantity::IntervalMs,
            expected: usual_ms,
            seen: gap_ms,
            samples: gaps,
        };
        Some((per_day, observed))
    }

    /// Adds a tick. If its value repeats for longer than usual: how often as long runs are expected in a day, once a
    /// run.
    pub(super) fn add(
        &mut self,
        timestamp_ms: i64,
        value: f32,
        runs_per_day: f32,
    ) -> Option<(f32, Observed)> {
        let is_same = self.ticks > 0 && value.to_bits() == self.last.to_bits();
        self.add_gap(timestamp_ms);
        if !is_same {
            self.end_run();
            self.last = value;
            return None;
        }
        self.run_ticks = self.run_ticks.saturating_add(1);
        let run = ticks(self.run_ticks);
        if self.changes < TICKS_MIN || run < RUN_MIN || self.run_reported {
            return None;
        }
        let per_day = self.runs.tail_probability(compressed(run)) * DAY_MS
            / (self.usual_gap_ms.get() * self.usual_run.get()).max(1.0);
        self.run_reported = per_day <= runs_per_day;
        let observed = Observed {
            kind: AnomalyKind::StuckFeed,
            direction: Direction::Down,
            quantity: Quantity::Ticks,
            expected: self.usual_run.get(),
            seen: run,
            samples: run,
        };
        Some((per_day, observed))
    }

    fn add_gap(&mut self, timestamp_ms: i64) {
        if self.ticks > 0 {
            let gap_ms = span_ms(timestamp_ms.saturating_sub(self.last_ms).max(0));
            let usual_ms = self.usual_gap_ms.get();
            let most = if self.ticks == 1 {
                gap_ms
            } else {
                GAP_GROWTH_MAX * usual_ms.max(1.0)
            };
            self.usual_gap_ms
                .add(gap_ms.min(most), GAP_SPAN, 1.0 / ticks(self.ticks));
            if self.ticks > 1 {
                self.gaps.add(compressed(gap_ms / usual_ms.max(1.0)));
            }
        }
        self.last_ms = timestamp_ms;
        self.ticks = self.ticks.saturating_add(1);
    }

    fn end_run(&mut self) {
        if self.run_ticks > 0 {
            let run = ticks(self.run_ticks);
            self.changes = self.changes.saturating_add(1);
            self.usual_run.add(run, GAP_SPAN, 1.0 / ticks(self.changes));
            self.runs.add(compressed(run));
        }
        self.run_ticks = 1;
        self.run_reported = false;
    }
}

/// Gaps and runs spread wider than the counters of a [`Past`]: their square roots do not.
fn compressed(measure: f32) -> f32 {
    measure.max(0.0).sqrt()
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
