//! Finds prices that moved further than the pair's own volatility explains.
//!
//! What it measures: the log return since a reference price taken at least a second before, so
//! that thousands of small trades a second are judged by where they lead and not one by one. What
//! it expects: the deviation of the returns so far, an exponentially weighted one in which each
//! return is cut at a multiple of what was expected, so that a jump does not blind it to the next.
//! The mean return is taken as 0, which over seconds it is.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// How little a price may be expected to move between two samples: 1/10,000 (one basis point).
/// A price that stood still would otherwise make any move infinitely unlikely.
const DEVIATION_MIN: f64 = 1e-4;

/// Returns are cut at this multiple of the expected deviation before they enter it, and spacings
/// at this multiple of the usual one: large enough to follow a market that wakes up within a few
/// samples.
const GROWTH_MAX: f64 = 4.0;

/// The settings of the detector; times in milliseconds of event time.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorRules {
    /// From which score on a move is an anomaly: how many times the expected deviation. Returns
    /// have heavy tails, so it is far above the 3 of the textbook.
    pub threshold: f64,
    /// How many samples must be seen before anything is an anomaly.
    pub samples_min: u32,
    /// The least age of the price that a move is measured from.
    pub sample_ms: i64,
    /// How fast old returns are forgotten: after this time a return weighs 1/e.
    pub memory_ms: i64,
    /// However slow the ticks, at least about this many samples are remembered.
    pub memory_samples: u32,
    /// How long after an anomaly nothing else is one, so that one jump is told once.
    pub cooldown_ms: i64,
    /// After a silence of `n` usual spacings a price may have moved √n times as far; no more than
    /// this many spacings excuse a move.
    pub silent_spacings_max: f64,
}

impl Default for DetectorRules {
    fn default() -> Self {
        Self {
            threshold: 10.0,
            samples_min: 30,
            sample_ms: 1_000,
            memory_ms: 600_000,
            memory_samples: 128,
            cooldown_ms: 60_000,
            silent_spacings_max: 900.0,
        }
    }
}

/// Why a price is an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyReason {
    /// The price moved further than its volatility explains.
    Jump,
    /// The same across a silence so long that its length excused nothing more: the feed came back
    /// at another price.
    JumpAfterSilence,
}

/// What the detector thinks of a price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// How far the price moved, in multiples of what was expected; 0 for the first.
    pub score: f64,
    /// The natural logarithm of the price over the one that it is measured from.
    pub log_return: f64,
    /// The time over which it moved, in milliseconds.
    pub window_ms: i64,
    /// Why it is an anomaly; `None` where it is none, or must not be told (warming up, cooling
    /// down).
    pub reason: Option<AnomalyReason>,
}

impl Verdict {
    const NOTHING: Self = Self {
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
            span(self.window_ms),
            self.score
        )
    }
}

/// A span of time in the unit that people would say it in.
fn span(ms: i64) -> String {
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

/// The detector of one pair: a few numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Detector {
    reference: Option<Reference>,
    /// How many samples went into the two below.
    samples: u32,
    /// The mean square of the returns from sample to sample at the usual spacing.
    variance: f64,
    /// The mean time between samples in milliseconds.
    spacing_ms: f64,
    /// Until when in event time no anomaly is told.
    quiet_until_ms: Option<i64>,
}

/// The price that moves are measured from.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reference {
    timestamp_ms: i64,
    log_price: f64,
}

impl Detector {
    /// Judges a price and learns from it. Prices come in the order of event time; one older than
    /// the reference, and a number that is no price, is passed over with a score of 0.
    pub fn observe(&mut self, timestamp_ms: i64, price: f64, rules: &DetectorRules) -> Verdict {
        let log_price = price.ln();
        if !log_price.is_finite() {
            return Verdict::NOTHING;
        }
        let reference = *self.reference.get_or_insert(Reference {
            timestamp_ms,
            log_price,
        });
        let window_ms = timestamp_ms.saturating_sub(reference.timestamp_ms);
        if window_ms < 0 {
            return Verdict::NOTHING;
        }
        let log_return = log_price - reference.log_price;
        let spacings = self.spacings(window_ms, rules);
        let expected = self.variance.sqrt().max(DEVIATION_MIN) * spacings.sqrt();
        let score = log_return.abs() / expected;
        let reason = self.reason(timestamp_ms, score, spacings, rules);
        if window_ms >= rules.sample_ms.max(1) {
            self.learn(window_ms, log_return, rules);
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

    /// How many usual spacings the move took, between 1 and the limit. The floor is 1 because
    /// prices jump between bid and ask however short the time.
    fn spacings(&self, window_ms: i64, rules: &DetectorRules) -> f64 {
        if self.samples == 0 {
            return 1.0;
        }
        let most = rules.silent_spacings_max.max(1.0);
        (as_f64(window_ms) / self.spacing_ms).clamp(1.0, most)
    }

    fn reason(
        &mut self,
        timestamp_ms: i64,
        score: f64,
        spacings: f64,
        rules: &DetectorRules,
    ) -> Option<AnomalyReason> {
        let cooling = self
            .quiet_until_ms
            .is_some_and(|until| timestamp_ms < until);
        if score < rules.threshold || self.samples < rules.samples_min || cooling {
            return None;
        }
        self.quiet_until_ms = Some(timestamp_ms.saturating_add(rules.cooldown_ms));
        Some(if spacings < rules.silent_spacings_max {
            AnomalyReason::Jump
        } else {
            AnomalyReason::JumpAfterSilence
        })
    }

    /// Takes a finished sample into the expectation.
    ///
    /// The first samples weigh equally; later ones by the time they took, but never so much that
    /// fewer than `memory_samples` count.
    fn learn(&mut self, window_ms: i64, log_return: f64, rules: &DetectorRules) {
        let window = as_f64(window_ms);
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            self.spacing_ms = window;
        }
        let forgotten = -(-window / as_f64(rules.memory_ms.max(1))).exp_m1();
        let weight = forgotten
            .min(1.0 / f64::from(rules.memory_samples.max(1)))
            .max(1.0 / f64::from(self.samples));

        // A silence counts as its shortened length, and the return over it in proportion: the mean
        // square then belongs to the mean spacing, however uneven the spacings are.
        let spacing = window.min(GROWTH_MAX * self.spacing_ms);
        let square_max = (GROWTH_MAX * self.variance.sqrt().max(DEVIATION_MIN)).powi(2);
        let square = (log_return.powi(2) * spacing / window).min(square_max);
        self.spacing_ms += weight * (spacing - self.spacing_ms);
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
