//! Moves that are larger than those in the past of the series, judged at each tick.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::past::{Past, Tail};
use super::statistic::Observed;

/// The expected move is the mean of about this many samples.
const EXPECTED_SPAN: f32 = 200.0;

/// A move counts as at most this multiple of the expected one, so that one jump does not hide the next.
const GROWTH_MAX: f32 = 4.0;

/// Moves below this multiple of the expected one are not judged, to save time.
pub(super) const RATIO_MIN: f32 = 4.0;

/// The first moves only make the expectation: compared with nothing, the second would be the largest ever seen.
const FIRST_SAMPLES: u32 = 16;

/// In a silence of `n` usual intervals, a price moves √n times as far, up to this `n`. A move after a longer silence is a
/// jump after silence.
const SILENCE_INTERVALS_MAX: f32 = 900.0;

/// A jump that keeps growing until the next sample is reported again once it is larger by this factor.
const LARGER: f32 = 1.5;

/// A jump that comes back within this many samples by at least half was a spike.
const SPIKE_SAMPLES: u8 = 12;

/// The moves of a horizon.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Jumps {
    expected: Mean,
    ratios: Past,
    /// The last jump: from where, to where, and how many samples ago.
    from: f32,
    to: f32,
    age_samples: u8,
}

/// A move since the horizon's last sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) from: f32,
    pub(super) to: f32,
    /// The part of it that the last tick made.
    pub(super) step: f32,
    /// How long it took, and the usual time between samples.
    pub(super) elapsed_ms: f32,
    pub(super) interval_ms: f32,
    /// Moves up to this size are noise.
    pub(super) noise: f32,
}

impl Move {
    /// How many usual intervals it took.
    fn intervals(&self) -> f32 {
        self.elapsed_ms / self.interval_ms
    }

    fn silence(&self) -> f32 {
        self.intervals().clamp(1.0, SILENCE_INTERVALS_MAX).sqrt()
    }

    fn ratio(&self, expected: f32) -> f32 {
        (self.to - self.from).abs() / ((expected + self.noise) * self.silence())
    }
}

impl Jumps {
    /// The usual size of a move.
    pub(super) fn expected(&self) -> f32 {
        self.expected.get()
    }

    /// How many times as large as expected a move is, and what it looks like; `None` if it is usual or already known.
    pub(super) fn judge(&self, moved: &Move, expected: f32) -> Option<(f32, Observed)> {
        let difference = moved.to - moved.from;
        let ratio = moved.ratio(expected);
        if ratio < RATIO_MIN || self.is_known(moved) {
            return None;
        }
        let is_back = self.age_samples > 0
            && (self.to - self.from) * difference < 0.0
            && (moved.to - self.from).abs() <= 0.5 * (self.to - self.from).abs();
        let kind = if is_back {
            AnomalyKind::Spike
        } else if moved.intervals() >= SILENCE_INTERVALS_MAX {
            AnomalyKind::JumpAfterSilence
        } else if moved.step.abs() < 0.5 * difference.abs() {
            AnomalyKind::Drift
        } else {
            AnomalyKind::Jump
        };
        let observed = Observed {
            kind,
            direction: Direction::of(difference),
            quantity: Quantity::Value,
            expected: moved.from,
            seen: moved.to,
            samples: moved.intervals(),
        };
        Some((ratio, observed))
    }

    /// The probability of a move of this multiple of the expected one.
    pub(super) fn tail_probability(&self, ratio: f32) -> f32 {
        self.ratios.tail_probability(ratio, Tail::OF_MOVES)
    }

    /// Remembers a jump, to know a spike when it comes back.
    pub(super) fn remember(&mut self, moved: &Move) {
        (self.from, self.to, self.age_samples) = (moved.from, moved.to, SPIKE_SAMPLES);
    }

    /// Adds the move from sample to sample. `share` is 1 divided by the number of moves so far, this one included.
    pub(super) fn learn(&mut self, moved: &Move, samples: u32, share: f32) {
        self.age_samples = self.age_samples.saturating_sub(1);
        if samples > FIRST_SAMPLES {
            self.ratios.add(moved.ratio(self.expected.get()));
        }
        let size = (moved.to - moved.from).abs() / moved.silence();
        let most = GROWTH_MAX * (self.expected.get() + moved.noise);
        self.expected.add(size.min(most), EXPECTED_SPAN, share);
    }

    /// Whether it is the last jump, still in progress.
    fn is_known(&self, moved: &Move) -> bool {
        let (known, difference) = (self.to - self.from, moved.to - moved.from);
        self.age_samples == SPIKE_SAMPLES
            && moved.from.to_bits() == self.from.to_bits()
            && known * difference > 0.0
            && difference.abs() < LARGER * known.abs()
    }
}
