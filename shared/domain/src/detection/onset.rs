//! Turns the evidence of samples into onsets of anomalies: each only once, and as strong as it is unusual for the series.

use serde::{Deserialize, Serialize};

use super::logarithm::log10;
use super::mean::Mean;

/// The largest evidence of this many samples is one maximum (a day of five-minute samples). Evidence is judged
/// against the series' usual maximum, the mean of the last ten.
const BLOCK_SAMPLES: u16 = 288;
const BLOCKS_SPAN: f32 = 10.0;

/// A mean of few maxima may be too low: the mean of n counts as if it were larger by 1/n of this share.
const DOUBT: f32 = 0.1;

/// Evidence is an onset if it exceeds what is left of the last peak by an eighth.
const ONSET_RATIO: f32 = 1.125;
const PEAK_SPAN: f32 = 1_000.0;

/// Earlier onsets are counted by height, in eight counters per unit, and forgotten over 60 days.
const HEIGHTS: usize = 16;
const HEIGHTS_PER_UNIT: f32 = 8.0;
const MEMORY_HOURS: f32 = 60.0 * 24.0;
const HOUR_MS: i64 = 3_600_000;

/// Less than a quarter of an hour says nothing about a day.
const DAYS_MIN: f32 = 0.01;

/// Each tenfold of earlier onsets as high takes this much from the evidence.
const REPETITION_WEIGHT: f32 = 0.3;

/// The onsets of a horizon.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Onsets {
    peak: f32,
    block_max: f32,
    block_samples: u16,
    usual_max: Mean,
    blocks: u16,
    earlier: [f32; HEIGHTS],
    /// The days in which they occurred, forgotten in the same way.
    days: f32,
    forgotten_ms: i64,
}

impl Onsets {
    /// The strength of an onset: 1 is about the usual maximum. It is 0 if the evidence is not an onset, or if the usual
    /// maximum is not known yet.
    ///
    /// Evidence that was reached more than `per_day_max` times a day is weakened by the square root of the ratio. What was
    /// never reached counts as half an onset in the days seen so far.
    pub(super) fn strength(&mut self, timestamp_ms: i64, evidence: f32, per_day_max: f32) -> f32 {
        self.peak *= 1.0 - 1.0 / PEAK_SPAN;
        let is_onset = evidence > ONSET_RATIO * self.peak;
        self.peak = self.peak.max(evidence);
        let usual_max = self.usual_max.get();
        self.add_to_block(evidence);
        self.forget(timestamp_ms);
        if !is_onset {
            return 0.0;
        }
        let height = height_of(evidence);
        let as_high: f32 = self.earlier.iter().skip(height).sum();
        if let Some(count) = self.earlier.get_mut(height) {
            *count += 1.0;
        }
        if usual_max <= 0.0 {
            return 0.0;
        }
        let left = evidence - REPETITION_WEIGHT * log10(1.0 + as_high);
        let per_day = (as_high + 0.5) / self.days.max(DAYS_MIN);
        let rare_enough = (per_day_max / per_day).min(1.0).sqrt();
        let doubt = 1.0 + DOUBT / f32::from(self.blocks.max(1));
        (left / (usual_max * doubt)).max(0.0) * rare_enough
    }

    fn add_to_block(&mut self, evidence: f32) {
        self.block_max = self.block_max.max(evidence);
        self.block_samples += 1;
        if self.block_samples >= BLOCK_SAMPLES {
            self.blocks = self.blocks.saturating_add(1);
            let share = 1.0 / f32::from(self.blocks);
            self.usual_max.add(self.block_max, BLOCKS_SPAN, share);
            self.block_max = 0.0;
            self.block_samples = 0;
        }
    }

    fn forget(&mut self, timestamp_ms: i64) {
        let elapsed_ms = timestamp_ms.saturating_sub(self.forgotten_ms);
        // Once an hour: it is cheaper, and a second's share would be lost in the rounding.
        if (0..HOUR_MS).contains(&elapsed_ms) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a span of time")]
        let hours = elapsed_ms as f32 / 3_600_000.0;
        let kept = 1.0 - (hours / MEMORY_HOURS).clamp(0.0, 1.0);
        for count in &mut self.earlier {
            *count *= kept;
        }
        if self.forgotten_ms > 0 {
            self.days = kept * self.days + (hours / 24.0).max(0.0);
        }
        self.forgotten_ms = timestamp_ms;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "evidence is finite and at least 0"
)]
fn height_of(evidence: f32) -> usize {
    ((evidence * HEIGHTS_PER_UNIT) as usize).min(HEIGHTS - 1)
}
