//! A series at one horizon: samples that are at least so far apart, their statistics and moves.

use serde::{Deserialize, Serialize};

use super::jump::{Jumps, Move};
use super::logarithm::log10;
use super::mean::Mean;
use super::onset::Onsets;
use super::statistic::{Observed, Sample};
use super::statistics::Statistics;

/// The range forgets over this many samples.
const RANGE_SPAN: f32 = 6_000.0;

/// Differences up to this share of the range are noise.
pub(super) const NOISE_SHARE: f32 = 0.01;

/// The usual interval is the mean of about this many samples; a silence counts with at most this multiple.
const INTERVAL_SPAN: f32 = 256.0;
const INTERVAL_GROWTH_MAX: f32 = 4.0;

const DAY_MS: f32 = 86_400_000.0;

/// A series at one horizon.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Horizon {
    samples: u32,
    last_ms: i64,
    last: f32,
    low: f32,
    high: f32,
    interval_ms: Mean,
    statistics: Statistics,
    onsets: Onsets,
    jumps: Jumps,
}

/// A value of the series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    pub(super) timestamp_ms: i64,
    pub(super) value: f32,
    /// How far it is from the value of the tick before.
    pub(super) step: f32,
}

/// What is usual anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Differences up to this size are noise.
    pub(super) noise_min: f32,
    /// Moves up to this share of the range are noise.
    pub(super) jump_noise_share: f32,
    /// A move is a jump if as large ones are expected at most so often in a day.
    pub(super) jumps_per_day: f32,
    /// The same for onsets of anomalies that the statistics show.
    pub(super) onsets_per_day: f32,
}

/// What a tick shows at a horizon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal {
    /// 1 is the strength of an anomaly.
    pub(super) strength: f32,
    pub(super) observed: Observed,
    pub(super) window_ms: f32,
}

impl Horizon {
    /// The first horizon: it also has a range for each time of the day.
    pub(super) fn first() -> Self {
        Self {
            statistics: Statistics::with_time_of_day(),
            ..Self::default()
        }
    }

    /// The value of the last sample.
    pub(super) fn last(&self) -> Option<f32> {
        (self.samples > 0).then_some(self.last)
    }

    /// Judges a value, and learns from it if the last sample is at least `period_ms` old. Returns a move that is too
    /// large, and what the statistics show.
    pub(super) fn observe(
        &mut self,
        tick: &Tick,
        period_ms: i64,
        limits: &Limits,
    ) -> [Option<Signal>; 2] {
        let (moved, elapsed_ms) = self.moved(tick, period_ms, limits);
        let shape = elapsed_ms.and_then(|elapsed_ms| {
            let sample = self.sample(tick, elapsed_ms, limits);
            self.judge(&sample, limits)
        });
        [moved, shape]
    }

    /// The same for moves alone.
    pub(super) fn observe_moves(
        &mut self,
        tick: &Tick,
        period_ms: i64,
        limits: &Limits,
    ) -> Option<Signal> {
        let (moved, elapsed_ms) = self.moved(tick, period_ms, limits);
        if let Some(elapsed_ms) = elapsed_ms {
            self.sample(tick, elapsed_ms, limits);
        }
        moved
    }

    /// A move that is too large; and the time since the last sample if the tick is one.
    #[inline]
    fn moved(
        &mut self,
        tick: &Tick,
        period_ms: i64,
        limits: &Limits,
    ) -> (Option<Signal>, Option<f32>) {
        if self.samples == 0 {
            (self.last_ms, self.last) = (tick.timestamp_ms, tick.value);
            (self.low, self.high) = (tick.value, tick.value);
        }
        let elapsed_ms = tick.timestamp_ms.saturating_sub(self.last_ms);
        let interval_ms = self.interval_ms.get().max(1.0);
        let elapsed = span_ms(elapsed_ms.max(0));
        let moved = Move {
            from: self.last,
            to: tick.value,
            step: tick.step,
            elapsed_ms: elapsed,
            interval_ms,
            noise: limits.noise_min + limits.jump_noise_share * (self.high - self.low),
        };
        let jump = self.jumps.judge(&moved, self.samples);
        let jump = jump.and_then(|(probability, observed)| {
            let expected_per_day = probability * DAY_MS / interval_ms;
            let strength = strength_of(expected_per_day, limits.jumps_per_day);
            (strength >= 1.0).then_some(Signal {
                strength,
                observed,
                window_ms: elapsed,
            })
        });
        if jump.is_some() {
            self.jumps.remember(&moved);
        }
        // Time that goes back starts again from there.
        let is_sample = self.samples == 0 || elapsed_ms >= period_ms || elapsed_ms < 0;
        if is_sample {
            self.samples = self.samples.saturating_add(1);
            self.jumps.learn(&moved, self.samples);
        }
        (jump, is_sample.then_some(elapsed))
    }

    /// Makes a tick the last sample.
    fn sample(&mut self, tick: &Tick, elapsed_ms: f32, limits: &Limits) -> Sample {
        #[expect(clippy::cast_precision_loss, reason = "its reciprocal is what counts")]
        let share = 1.0 / self.samples as f32;
        if self.samples > 1 {
            let intervals = self.samples - 1;
            #[expect(clippy::cast_precision_loss, reason = "its reciprocal is what counts")]
            let share = 1.0 / intervals as f32;
            let most = INTERVAL_GROWTH_MAX * self.interval_ms.get();
            let interval_ms = if intervals == 1 {
                elapsed_ms
            } else {
                elapsed_ms.min(most)
            };
            self.interval_ms.add(interval_ms, INTERVAL_SPAN, share);
        }
        let value = tick.value;
        let shrinking = 0.5 * (self.high - self.low) / RANGE_SPAN;
        let (low, high) = (self.low + shrinking, self.high - shrinking);
        let outside = (value - high).max(0.0) + (value - low).min(0.0);
        (self.low, self.high) = (low.min(value), high.max(value));
        let sample = Sample {
            timestamp_ms: tick.timestamp_ms,
            value,
            change: value - self.last,
            noise: limits.noise_min + NOISE_SHARE * (self.high - self.low),
            low: self.low,
            high: self.high,
            outside,
            share,
        };
        (self.last_ms, self.last) = (tick.timestamp_ms, value);
        sample
    }

    /// What the statistics show.
    fn judge(&mut self, sample: &Sample, limits: &Limits) -> Option<Signal> {
        let (evidence, most) = self.statistics.evidence(sample);
        let strength = self
            .onsets
            .strength(sample.timestamp_ms, evidence, limits.onsets_per_day);
        if strength <= 0.0 {
            return None;
        }
        let observed = self.statistics.observed(most, sample)?;
        Some(Signal {
            strength,
            observed,
            window_ms: observed.samples * self.interval_ms.get(),
        })
    }
}

/// The strength of what is expected so often in a day: 1 at the limit, and 1/2 more for each power of ten below it.
pub(super) fn strength_of(expected_per_day: f32, limit_per_day: f32) -> f32 {
    1.0 + 0.5 * log10(limit_per_day / expected_per_day.max(f32::MIN_POSITIVE))
}

#[expect(clippy::cast_precision_loss, reason = "a span of time")]
fn span_ms(ms: i64) -> f32 {
    ms as f32
}
