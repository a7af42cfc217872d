//! A series at one horizon: samples that are at least a period apart, and their statistics.

use serde::{Deserialize, Serialize};

use super::onset::Onsets;
use super::signal::{Signal, Tick, as_f32};
use super::statistic::Sample;
use super::statistics::Statistics;

/// The range forgets over this many samples.
const RANGE_SPAN: f32 = 6_000.0;

/// Differences up to this share of the range are noise.
pub(super) const NOISE_SHARE: f32 = 0.01;

/// A series at one horizon.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Horizon {
    samples: u32,
    last_ms: i64,
    last: f32,
    low: f32,
    high: f32,
    statistics: Statistics,
    onsets: Onsets,
}

/// The period of a horizon, and what is usual in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Samples are at least this far apart.
    pub(super) period_ms: i64,
    /// The usual time between samples.
    pub(super) interval_ms: f32,
    /// Differences up to this size are noise.
    pub(super) noise_min: f32,
    /// The statistics show an anomaly if onsets as strong are expected at most this often in a day.
    pub(super) onsets_per_day: f32,
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

    /// How many samples there were.
    pub(super) fn samples(&self) -> u32 {
        self.samples
    }

    /// Its range up to the last sample.
    pub(super) fn range(&self) -> f32 {
        self.high - self.low
    }

    /// The ends of the range.
    pub(super) fn ends(&self) -> (f32, f32) {
        (self.low, self.high)
    }

    /// What the statistics show if the tick is a sample: if the last one is at least a period old.
    pub(super) fn observe(&mut self, tick: &Tick, limits: &Limits) -> Option<Signal> {
        let elapsed_ms = tick.timestamp_ms.saturating_sub(self.last_ms);
        // If time goes back, the horizon continues from there.
        if self.samples > 0 && (0..limits.period_ms).contains(&elapsed_ms) {
            return None;
        }
        let sample = self.sample(tick, limits);
        self.judge(&sample, limits)
    }

    /// Makes a tick the last sample.
    fn sample(&mut self, tick: &Tick, limits: &Limits) -> Sample {
        if self.samples == 0 {
            (self.last, self.low, self.high) = (tick.value, tick.value, tick.value);
        }
        self.samples = self.samples.saturating_add(1);
        let share = 1.0 / as_f32(self.samples);
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
            window_ms: observed.samples * limits.interval_ms,
        })
    }
}
