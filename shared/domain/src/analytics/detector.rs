//! Finds prices that moved further than the pair's own volatility explains.
//!
//! It measures the log return since a reference price that is at least a second old, so thousands
//! of small trades a second are judged by their combined effect. It compares this with the standard
//! deviation of the returns so far, which is exponentially weighted. Each return is clipped at a
//! multiple of the expected deviation before it enters, so one jump does not mask the next. The
//! mean return is assumed to be 0, which it practically is over seconds.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// The smallest expected move between two samples: 1/10,000 (one basis point). Without it, any move
/// after a constant price would be infinitely unlikely.
const DEVIATION_MIN: f64 = 1e-4;

/// Returns are clipped at this multiple of the expected deviation before they enter it, and
/// inter-arrival times at this multiple of their mean. It is large enough to follow a market that
/// becomes active within a few samples.
const GROWTH_MAX: f64 = 4.0;

/// The settings of the detector; times in milliseconds of event time.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorConfig {
    /// The score at which a move becomes an anomaly, in multiples of the expected deviation.
    /// Returns have heavy tails, so it is far above the textbook value of 3.
    pub threshold: f64,
    /// How many samples are needed before any anomaly is reported.
    pub samples_min: u32,
    /// The minimum age of the price from which a move is measured.
    pub sample_ms: i64,
    /// The time after which a return weighs 1/e.
    pub memory_ms: i64,
    /// However slow the ticks, at least about this many samples count.
    pub memory_samples: u32,
    /// How long after an anomaly no other is reported, so one jump is reported once.
    pub cooldown_ms: i64,
    /// After a silence of `n` mean inter-arrival times, a price is expected to have moved √n times
    /// as far. `n` is limited to this number.
    pub silence_intervals_max: f64,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        Self {
            threshold: 10.0,
            samples_min: 30,
            sample_ms: 1_000,
            memory_ms: 600_000,
            memory_samples: 128,
            cooldown_ms: 60_000,
            silence_intervals_max: 900.0,
        }
    }
}

/// Why a price is an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyReason {
    /// The price moved further than its volatility explains.
    Jump,
    /// The same after a silence longer than [`DetectorConfig::silence_intervals_max`]: the feed
    /// came back at another price.
    JumpAfterSilence,
}

/// The detector's verdict on a price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How far the price moved, in multiples of the expected deviation; 0 for the first price.
    pub score: f64,
    /// The natural logarithm of the price divided by the reference price.
    pub log_return: f64,
    /// The time over which it moved, in milliseconds.
    pub window_ms: i64,
    /// Why it is an anomaly; `None` if it is not, or during warm-up and cooldown.
    pub reason: Option<AnomalyReason>,
}

impl Verdict {
    const ZERO: Self = Self {
        score: 0.0,
        log_return: 0.0,
        window_ms: 0,
        reason: None,
    };

    /// The move in words.
    pub(super) fn message(&self) -> String {
        let verb = if self.log_return < 0.0 {
            "fell"
        } else {
            "rose"
        };
        format!(
            "{verb} {:.1} % in {}, {:.0} times the expected move",
            self.log_return.exp_m1().abs() * 100.0,
            duration_text(self.window_ms),
            self.score
        )
    }
}

/// A duration in the unit that people would use for it.
fn duration_text(ms: i64) -> String {
    const MINUTE_S: f64 = 60.0;
    const HOUR_S: f64 = 3_600.0;
    const DAY_S: f64 = 86_400.0;
    const YEAR_S: f64 = 365.25 * DAY_S;
    let seconds = as_f64(ms) / 1_000.0;
    let units = [
        (YEAR_S, "years"),
        (DAY_S, "days"),
        (HOUR_S, "hours"),
        (MINUTE_S, "minutes"),
    ];
    match units.iter().find(|(length_s, _)| seconds >= 2.0 * length_s) {
        Some((length_s, unit)) => format!("{:.1} {unit}", seconds / length_s),
        None => format!("{seconds:.1} s"),
    }
}

/// The detector of one pair; its state is a few numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Detector {
    reference: Option<Reference>,
    /// How many samples went into the next two fields.
    samples: u32,
    /// The mean square of the returns from sample to sample, at the mean inter-arrival time.
    variance: f64,
    /// The mean inter-arrival time of samples, in milliseconds.
    inter_arrival_ms: f64,
    /// The event time until which no anomaly is reported.
    cooldown_until_ms: Option<i64>,
}

/// The price from which moves are measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reference {
    timestamp_ms: i64,
    log_price: f64,
}

impl Detector {
    /// Judges a price and learns from it. Prices must be in the order of event time. A price older
    /// than the reference, or a number that is not a valid price, is ignored with a score of 0.
    pub fn observe(&mut self, timestamp_ms: i64, price: f64, config: &DetectorConfig) -> Verdict {
        let log_price = price.ln();
        if !log_price.is_finite() {
            return Verdict::ZERO;
        }
        let reference = *self.reference.get_or_insert(Reference {
            timestamp_ms,
            log_price,
        });
        let window_ms = timestamp_ms.saturating_sub(reference.timestamp_ms);
        if window_ms < 0 {
            return Verdict::ZERO;
        }
        let log_return = log_price - reference.log_price;
        let intervals = self.elapsed_intervals(window_ms, config);
        let expected = self.variance.sqrt().max(DEVIATION_MIN) * intervals.sqrt();
        let score = log_return.abs() / expected;
        let reason = self.reason(timestamp_ms, score, intervals, config);
        if window_ms >= config.sample_ms.max(1) {
            self.learn(window_ms, log_return, config);
            self.reference = Some(Reference {
                timestamp_ms,
                log_price,
            });
        }
        Verdict {
            score,
            log_return,
            window_ms,
            reason,
        }
    }

    /// How many mean inter-arrival times the move took, between 1 and the limit. The minimum is 1
    /// because prices jump between bid and ask however short the time.
    fn elapsed_intervals(&self, window_ms: i64, config: &DetectorConfig) -> f64 {
        if self.samples == 0 {
            return 1.0;
        }
        let most = config.silence_intervals_max.max(1.0);
        (as_f64(window_ms) / self.inter_arrival_ms).clamp(1.0, most)
    }

    fn reason(
        &mut self,
        timestamp_ms: i64,
        score: f64,
        intervals: f64,
        config: &DetectorConfig,
    ) -> Option<AnomalyReason> {
        let cooling_down = self
            .cooldown_until_ms
            .is_some_and(|until| timestamp_ms < until);
        if score < config.threshold || self.samples < config.samples_min || cooling_down {
            return None;
        }
        self.cooldown_until_ms = Some(timestamp_ms.saturating_add(config.cooldown_ms));
        Some(if intervals < config.silence_intervals_max {
            AnomalyReason::Jump
        } else {
            AnomalyReason::JumpAfterSilence
        })
    }

    /// Updates the expectation with a finished sample.
    ///
    /// The first samples weigh equally. Later ones weigh by the time they took, but never so much
    /// that fewer than `memory_samples` count.
    fn learn(&mut self, window_ms: i64, log_return: f64, config: &DetectorConfig) {
        let window = as_f64(window_ms);
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            self.inter_arrival_ms = window;
        }
        let forgotten = -(-window / as_f64(config.memory_ms.max(1))).exp_m1();
        let weight = forgotten
            .min(1.0 / f64::from(config.memory_samples.max(1)))
            .max(1.0 / f64::from(self.samples));

        // A silence counts with its clipped length, and its return in proportion. The mean square
        // then refers to the mean inter-arrival time, however irregular the ticks are.
        let interval = window.min(GROWTH_MAX * self.inter_arrival_ms);
        let square_max = (GROWTH_MAX * self.variance.sqrt().max(DEVIATION_MIN)).powi(2);
        let square = (log_return.powi(2) * interval / window).min(square_max);
        self.inter_arrival_ms += weight * (interval - self.inter_arrival_ms);
        self.variance += weight * (square - self.variance);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "spans of time are far below 2^53 ms"
)]
fn as_f64(ms: i64) -> f64 {
    ms as f64
}
