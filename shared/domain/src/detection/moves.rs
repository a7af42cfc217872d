//! How far a series moves within a period, judged at each tick.

use serde::{Deserialize, Serialize};

use super::jump::{Jumps, Move, RATIO_MIN};
use super::mean::Mean;
use super::signal::{DAY_MS, Signal, Tick, as_f32, span_ms, strength_of};
use super::statistic::Observed;

/// The usual interval is the mean over about this many samples; a silence counts as at most this multiple of it.
const INTERVAL_SPAN: f32 = 256.0;
const INTERVAL_GROWTH_MAX: f32 = 4.0;

/// Moves are ranked in their own past once there are this many.
const SAMPLES_MIN: u32 = 32;

/// With fewer, but at least this many, only the usual size of a move is known. How often one is several times as large is
/// then taken from a t distribution with four degrees of freedom, as sums of returns have thinner tails than returns: the
/// probability of a multiple m of its mean size is about 5 / m^4.
const FEW_SAMPLES_MIN: u32 = 4;
const FEW_FACTOR: f32 = 5.0;
const FEW_POWER: i32 = 4;

/// The moves of a series within a period.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Moves {
    samples: u32,
    last_ms: i64,
    last: f32,
    interval_ms: Mean,
    jumps: Jumps,
}

/// What counts as a move.
#[derive(Debug, Clone, Copy)]
pub(super) struct MoveLimits {
    /// It is measured from the last sample, which is replaced once it is this old.
    pub(super) period_ms: i64,
    /// Moves up to this size are noise.
    pub(super) noise: f32,
    /// A move is an anomaly if ones as large are expected at most this often in a day.
    pub(super) per_day: f32,
}

impl Moves {
    /// Judges the move to a tick, and learns from it if the last sample is at least a period old. `below` are the moves
    /// within shorter periods, from the shortest.
    #[inline]
    pub(super) fn observe(
        &mut self,
        tick: &Tick,
        limits: &MoveLimits,
        below: &[Self],
    ) -> Option<Signal> {
        if self.samples == 0 {
            (self.last_ms, self.last) = (tick.timestamp_ms, tick.value);
        }
        let elapsed_ms = tick.timestamp_ms.saturating_sub(self.last_ms);
        let moved = Move {
            from: self.last,
            to: tick.value,
            step: tick.step,
            elapsed_ms: span_ms(elapsed_ms.max(0)),
            interval_ms: self.interval_ms.get().max(1.0),
            noise: limits.noise,
        };
        // Most moves are small, and a silence makes them no larger: that needs no root and no division.
        let small = RATIO_MIN * (self.jumps.expected() + limits.noise);
        let is_small = (moved.to - moved.from).abs() < small;
        let signal = if is_small {
            None
        } else {
            self.judge(moved, limits, below)
        };
        // If time goes back, the moves continue from there.
        if self.samples == 0 || elapsed_ms >= limits.period_ms || elapsed_ms < 0 {
            self.learn(&moved);
            (self.last_ms, self.last) = (tick.timestamp_ms, tick.value);
        }
        signal
    }

    fn judge(&mut self, moved: Move, limits: &MoveLimits, below: &[Self]) -> Option<Signal> {
        let (probability, moved, observed) = if self.samples >= SAMPLES_MIN {
            let (ratio, observed) = self.jumps.judge(&moved, self.jumps.expected())?;
            (self.jumps.tail_probability(ratio), moved, observed)
        } else {
            self.judge_few(moved, limits, below)?
        };
        let expected_per_day = probability * DAY_MS / moved.interval_ms;
        let strength = strength_of(expected_per_day, limits.per_day);
        (strength >= 1.0).then(|| {
            self.jumps.remember(&moved);
            Signal {
                strength,
                observed,
                window_ms: moved.elapsed_ms,
            }
        })
    }

    /// Judges a move of which there are few samples.
    fn judge_few(
        &self,
        moved: Move,
        limits: &MoveLimits,
        below: &[Self],
    ) -> Option<(f32, Move, Observed)> {
        if self.samples < FEW_SAMPLES_MIN || below.is_empty() {
            return None;
        }
        let interval_ms = span_ms(limits.period_ms);
        let moved = Move {
            interval_ms,
            ..moved
        };
        let expected = self.expected(interval_ms, below);
        let (ratio, observed) = self.jumps.judge(&moved, expected)?;
        Some((FEW_FACTOR * ratio.powi(-FEW_POWER), moved, observed))
    }

    /// The usual size of a move. A few samples may all be from a quiet time, so the size of the moves below counts as some
    /// more samples, times the square root of the ratio of their periods, as in a random walk.
    fn expected(&self, interval_ms: f32, below: &[Self]) -> f32 {
        let own = self.jumps.expected();
        match below.split_last() {
            Some((shorter, rest)) if self.samples < SAMPLES_MIN => {
                let shorter_ms = shorter.interval_ms.get().max(1.0);
                let growth = (interval_ms / shorter_ms).max(1.0).sqrt();
                let grown = growth * shorter.expected(shorter_ms, rest);
                let (samples, more) = (as_f32(self.samples), as_f32(SAMPLES_MIN));
                (samples * own + more * grown) / (samples + more)
            }
            _ => own,
        }
    }

    fn learn(&mut self, moved: &Move) {
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            return;
        }
        let share = 1.0 / as_f32(self.samples - 1);
        self.jumps.learn(moved, self.samples, share);
        let most = INTERVAL_GROWTH_MAX * self.interval_ms.get();
        let interval_ms = if self.samples == 2 {
            moved.elapsed_ms
        } else {
            moved.elapsed_ms.min(most)
        };
        self.interval_ms.add(interval_ms, INTERVAL_SPAN, share);
    }
}
