//! The size of the steps from tick to tick against that of the past: volatility that lasts for a few dozen ticks only. The
//! samples of a fast series are too far apart to show it.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::mean::Mean;
use super::past::{Past, Tail};
use super::signal::{Signal, Tick, as_f32, span_ms, strength_of};
use super::statistic::Observed;

/// The mean of this many steps is compared with that of about 128 times as many.
const TICKS: f32 = 32.0;
const USUAL_SPAN: f32 = 128.0;

/// Smaller multiples are not judged, to save time. The first means only determine the usual one; nothing is judged before
/// `MEANS_MIN` of them.
const RATIO_MIN: f32 = 2.0;
const FIRST_MEANS: u32 = 4;
const MEANS_MIN: u32 = 12;

/// Smaller steps than a basis point are noise. Larger ones than this multiple of the usual one count as that: one jump is not
/// volatility.
const NOISE: f32 = 1e-4;
const STEP_MAX: f32 = 16.0;

/// The steps of a series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Steps {
    /// The ticks since the last mean: their number, since when, and the sum of their steps.
    ticks: f32,
    since_ms: i64,
    sum: f32,
    means: u32,
    usual: Mean,
    ratios: Past,
    is_large: bool,
}

impl Steps {
    /// Adds a tick. Returns a signal if the last steps are large and the ones before were not.
    pub(super) fn add(
        &mut self,
        tick: &Tick,
        ticks_per_day: f32,
        limit_per_day: f32,
    ) -> Option<Signal> {
        let usual = self.usual.get() + NOISE;
        let most = if self.means == 0 {
            f32::MAX
        } else {
            STEP_MAX * usual
        };
        self.sum += tick.step.abs().min(most);
        self.ticks += 1.0;
        if self.ticks < TICKS {
            return None;
        }
        let size = self.sum / TICKS;
        let ratio = size / usual;
        let strength = if ratio < RATIO_MIN || self.means < MEANS_MIN {
            0.0
        } else {
            let probability = self.ratios.tail_probability(ratio, Tail::OF_MOVES);
            strength_of(probability * ticks_per_day / TICKS, limit_per_day)
        };
        let begins = strength >= 1.0 && !self.is_large;
        self.is_large = strength >= 1.0;
        let signal = begins.then(|| Signal {
            strength,
            observed: Observed {
                kind: AnomalyKind::Volatility,
                direction: Direction::Up,
                quantity: Quantity::Change,
                expected: self.usual.get(),
                seen: size,
                samples: TICKS,
            },
            window_ms: span_ms(tick.timestamp_ms.saturating_sub(self.since_ms)),
        });
        self.means = self.means.saturating_add(1);
        let share = 1.0 / as_f32(self.means);
        self.usual.add(size, USUAL_SPAN, share);
        if self.means > FIRST_MEANS {
            self.ratios.add(ratio);
        }
        (self.ticks, self.sum, self.since_ms) = (0.0, 0.0, tick.timestamp_ms);
        signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of one in each second, and from a number of ticks on of another size. Returns when that was found.
    fn found(ticks: u16, size: f32) -> Vec<u16> {
        let mut steps = Steps::default();
        let found = (0..ticks + 60).filter(|n| {
            // The usual ones are of 0.1 to 0.4 %.
            let usual = 0.001 + 0.003 * f32::from(n % 7) / 6.0;
            let tick = Tick {
                timestamp_ms: i64::from(*n) * 1_000,
                value: 0.0,
                step: if *n < ticks { usual } else { size * usual },
            };
            let signal = steps.add(&tick, 86_400.0, 0.1);
            signal.is_some_and(|it| it.observed.kind == AnomalyKind::Volatility)
        });
        found.collect()
    }

    #[test]
    fn one_jump_is_not_a_time_of_large_steps() {
        let mut steps = Steps::default();
        for n in 0..6_000_u16 {
            let tick = Tick {
                timestamp_ms: i64::from(n) * 1_000,
                value: 0.0,
                step: if n == 5_000 { 1.0 } else { 0.001 },
            };
            assert!(steps.add(&tick, 86_400.0, 0.1).is_none(), "{n}");
        }
    }

    #[test]
    fn a_time_of_large_steps_is_reported_once() {
        let at = found(5_000, 10.0);
        assert!(matches!(at[..], [5_001..=5_063]), "{at:?}");
        assert!(found(5_000, 1.2).is_empty());
        assert!(found(200, 10.0).is_empty(), "nothing is known yet");
    }
}
