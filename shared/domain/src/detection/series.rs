//! The detector of one series.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};
use super::assessment::{Assessment, Detection};
use super::cooldown::{Cooldown, Report};
use super::detection_config::{DetectionConfig, Scale};
use super::horizon::{Horizon, Limits, NOISE_SHARE};
use super::moves::{MoveLimits, Moves};
use super::price_fault;
use super::rhythm::{Pause, Rhythm};
use super::shares::Shares;
use super::signal::{Signal, Tick, span_ms, strength_of, stronger};
use super::statistic::Observed;
use super::steps::Steps;

/// The version of the stored state. It changes whenever the layout of anything in it does.
pub const DETECTOR_STATE_VERSION: u8 = 3;

/// How far apart the samples of each horizon are at least, in event time. In a slow series, each tick is a sample of the
/// first horizon.
const PERIODS_MS: [i64; 4] = [1_000, 10_000, 60_000, 600_000];

/// A horizon is used if its samples usually span at least this many ticks; with fewer, it would see what the one below sees.
const TICKS_PER_SAMPLE_MIN: f32 = 3.0;

/// Moves are judged within the period of each horizon, or the usual time of this many ticks if that is longer.
const TICKS_OF_MOVES: [f32; 4] = [0.0, 8.0, 32.0, 128.0];

/// Relative moves of less than 1/10,000 (one basis point) are noise; in numbers other than prices, only rounding errors are.
const NOISE_MIN_LOGARITHMIC: f32 = 1e-4;
const NOISE_MIN_LINEAR: f32 = 1e-12;

/// The strength of a value that the series cannot have.
const FAULT_STRENGTH: f32 = 4.0;

/// This many of them in a row are the new values.
const FAULTS_MAX: u8 = 3;

/// A number is not one of the series if it is further from the last than this many times the range, which is known after so
/// many samples. Learned, it would hide all that follows.
const RANGES_MAX: f64 = 1e6;
const RANGE_SAMPLES_MIN: u32 = 288;

/// Nor if it is further than this: the statistics have seven digits and 38 powers of ten.
const DISTANCE_MAX: f64 = 1e30;

/// Finds anomalies in a series, one value after the other: it looks at nothing that comes later, and its state is
/// bounded (less than 4 KB).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeriesDetector {
    version: DetectorVersion,
    /// The first value, which is subtracted from all others: small numbers keep their digits.
    origin: Option<f64>,
    rhythm: Rhythm,
    horizons: [Horizon; PERIODS_MS.len()],
    moves: [Moves; PERIODS_MS.len()],
    steps: Steps,
    faults: u8,
    cooldown: Cooldown,
}

impl Default for SeriesDetector {
    fn default() -> Self {
        let [_, second, third, fourth] = <[Horizon; PERIODS_MS.len()]>::default();
        let first = Horizon::first();
        Self {
            version: DetectorVersion,
            origin: None,
            rhythm: Rhythm::default(),
            horizons: [first, second, third, fourth],
            moves: Default::default(),
            steps: Steps::default(),
            faults: 0,
            cooldown: Cooldown::default(),
        }
    }
}

impl SeriesDetector {
    /// Judges a value and learns from it. Values come in the order of event time; if time goes back, the detector continues
    /// from there. A value that is not finite is ignored with a score of 0. A price that is not above 0 is reported, but not
    /// learned.
    pub fn observe(
        &mut self,
        timestamp_ms: i64,
        value: f64,
        config: &DetectionConfig,
    ) -> Assessment {
        if !value.is_finite() {
            return Assessment::NONE;
        }
        let position = match config.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.ln(),
        };
        if let Some((fault, origin)) = self.fault(position, config) {
            let mut assessment = self.assess(timestamp_ms, fault, origin, config);
            if let Some(detection) = &mut assessment.detection {
                detection.seen = value;
            }
            return assessment;
        }
        if !position.is_finite() {
            return Assessment::NONE;
        }
        let origin = *self.origin.get_or_insert(position);
        let value = narrowed(position - origin);
        let tick = Tick {
            timestamp_ms,
            value,
            step: value - self.rhythm.last(),
        };
        let per_day = Shares::limits(config, self.rhythm.hours());
        let mut strongest = self.rhythm(&tick, &per_day);
        let usual_gap_ms = self.rhythm.usual_gap_ms().unwrap_or_default();
        let is_used = |period_ms: i64| {
            period_ms == PERIODS_MS[0] || TICKS_PER_SAMPLE_MIN * usual_gap_ms <= span_ms(period_ms)
        };
        let used = PERIODS_MS.into_iter().filter(|it| is_used(*it)).count();
        #[expect(clippy::cast_precision_loss, reason = "at most 4")]
        let onsets_per_day = per_day.onsets / used as f32;
        let (noise_min, jump_noise_share) = match config.scale {
            Scale::Linear => (NOISE_MIN_LINEAR, NOISE_SHARE),
            // A jump widens the range, and must not hide the next.
            Scale::Logarithmic => (NOISE_MIN_LOGARITHMIC, 0.0),
        };
        let horizons = self.horizons.iter_mut().zip(PERIODS_MS);
        for (at, ((horizon, period_ms), ticks)) in horizons.zip(TICKS_OF_MOVES).enumerate() {
            let is_used = is_used(period_ms);
            if !is_used && config.scale == Scale::Linear {
                continue;
            }
            let move_limits = MoveLimits {
                period_ms: period_ms.max(whole_ms(ticks * usual_gap_ms)),
                noise: noise_min + jump_noise_share * horizon.range(),
                per_day: per_day.moves,
            };
            let (below, moves) = self.moves.split_at_mut(at);
            let moves = moves.first_mut();
            let jump = moves.and_then(|it| it.observe(&tick, &move_limits, below));
            let limits = Limits {
                period_ms,
                interval_ms: usual_gap_ms.max(span_ms(period_ms)),
                noise_min,
                onsets_per_day,
            };
            let shape = if is_used {
                horizon.observe(&tick, &limits)
            } else {
                None
            };
            // A jump is reported as a jump, even if it also changed the level.
            let signal = match (jump, shape) {
                (Some(jump), Some(shape)) => Some(Signal {
                    strength: jump.strength.max(shape.strength),
                    ..jump
                }),
                (jump, shape) => jump.or(shape),
            };
            strongest = stronger(strongest, signal);
        }
        match strongest {
            Some(signal) => self.assess(timestamp_ms, signal, origin, config),
            None => Assessment::NONE,
        }
    }

    /// Judges the silence that has lasted until `now_ms`, a time after that of the last value: a dead feed sends nothing that
    /// [`Self::observe`] could judge. It may be called at any time. A silence that it reported is not reported again when it
    /// ends.
    pub fn silence(&mut self, now_ms: i64, config: &DetectionConfig) -> Assessment {
        let (Some(origin), Some(silence)) = (self.origin, self.rhythm.silence(now_ms)) else {
            return Assessment::NONE;
        };
        let per_day = Shares::limits(config, self.rhythm.hours());
        let Some(signal) = unusual(silence, per_day.silences) else {
            return Assessment::NONE;
        };
        let assessment = self.assess(now_ms, signal, origin, config);
        if assessment.is_reported {
            self.rhythm.silence_was_reported();
        }
        assessment
    }

    /// A silence that the tick ends, a value that repeats, or a time of large steps.
    fn rhythm(&mut self, tick: &Tick, per_day: &Shares) -> Option<Signal> {
        let silence = self.rhythm.silence(tick.timestamp_ms);
        let silence = silence.and_then(|it| unusual(it, per_day.silences));
        let share = self.rhythm.share();
        let run = self
            .rhythm
            .add(tick.timestamp_ms, tick.value, share, per_day.runs);
        let run = run.and_then(|it| unusual(it, per_day.runs));
        let signal = stronger(silence, run);
        if per_day.steps <= 0.0 {
            return signal;
        }
        let ticks_per_day = self.rhythm.ticks_per_day();
        let steps = self.steps.add(tick, ticks_per_day, per_day.steps);
        stronger(signal, steps)
    }

    /// A value that the series cannot have, and the origin. It is not learned unless it persists: a series that is so far
    /// away is a new one.
    fn fault(&mut self, position: f64, config: &DetectionConfig) -> Option<(Signal, f64)> {
        let (origin, first) = (self.origin?, self.horizons.first()?);
        let earlier = first.last()?;
        let last = origin + f64::from(earlier);
        let (low, high) = first.ends();
        let kind = match config.scale {
            Scale::Linear => {
                let is_known = first.samples() >= RANGE_SAMPLES_MIN && first.range() > 0.0;
                let ranges = RANGES_MAX * f64::from(first.range());
                let most = if is_known { ranges } else { DISTANCE_MAX };
                let is_far = (position - last).abs() > most.min(DISTANCE_MAX);
                is_far.then_some(AnomalyKind::OutOfRange)
            }
            Scale::Logarithmic => price_fault::of(position, last),
        };
        self.faults = match kind {
            Some(_) => self.faults.saturating_add(1),
            None => 0,
        };
        let persists = self.faults >= FAULTS_MAX && position.is_finite();
        if persists && config.scale == Scale::Linear {
            *self = Self::default();
        }
        let kind = kind.filter(|_| !persists)?;
        let (direction, end) = if position > last {
            (Direction::Up, high)
        } else {
            (Direction::Down, low)
        };
        let observed = Observed {
            kind,
            direction,
            quantity: Quantity::Value,
            expected: match config.scale {
                Scale::Linear => end,
                Scale::Logarithmic => earlier,
            },
            seen: narrowed(position - origin),
            samples: 1.0,
        };
        let signal = Signal {
            strength: FAULT_STRENGTH,
            observed,
            window_ms: 0.0,
        };
        Some((signal, origin))
    }

    fn assess(
        &mut self,
        timestamp_ms: i64,
        signal: Signal,
        origin: f64,
        config: &DetectionConfig,
    ) -> Assessment {
        let Observed {
            kind,
            direction,
            quantity,
            expected,
            seen,
            ..
        } = signal.observed;
        let in_units = |number: f32| match (quantity, config.scale) {
            (Quantity::Value, Scale::Linear) => origin + f64::from(number),
            (Quantity::Value, Scale::Logarithmic) => (origin + f64::from(number)).exp(),
            (Quantity::Change, Scale::Logarithmic) => f64::from(number).exp_m1(),
            (Quantity::Change | Quantity::IntervalMs | Quantity::Ticks, _) => f64::from(number),
        };
        let strength = f64::from(signal.strength);
        let score = strength / (strength + 1.0);
        // A second jump is less of a surprise than the first, so its size counts as well.
        let size = match quantity {
            Quantity::Value => (seen - expected).abs(),
            Quantity::Change | Quantity::IntervalMs | Quantity::Ticks => f32::MAX,
        };
        let report = Report {
            timestamp_ms,
            kind,
            strength: signal.strength,
            size,
            direction,
        };
        let is_reported =
            score >= config.threshold && self.cooldown.admits(&report, config.cooldown_ms);
        Assessment {
            score,
            detection: Some(Detection {
                kind,
                direction,
                quantity,
                expected: in_units(expected),
                seen: in_units(seen),
                window_ms: whole_ms(signal.window_ms),
            }),
            is_reported,
        }
    }
}

/// A silence or a run, if it is rarer than the limit.
fn unusual(pause: Pause, limit_per_day: f32) -> Option<Signal> {
    let strength = strength_of(pause.per_day, limit_per_day);
    (strength >= 1.0).then_some(Signal {
        strength,
        observed: pause.observed,
        window_ms: pause.length_ms,
    })
}

/// Stored as [`DETECTOR_STATE_VERSION`]; any other number is rejected.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
struct DetectorVersion;

impl TryFrom<u8> for DetectorVersion {
    type Error = DetectorVersionError;
    fn try_from(version: u8) -> Result<Self, DetectorVersionError> {
        match version {
            DETECTOR_STATE_VERSION => Ok(Self),
            other => Err(DetectorVersionError(other)),
        }
    }
}

impl From<DetectorVersion> for u8 {
    fn from(_: DetectorVersion) -> Self {
        DETECTOR_STATE_VERSION
    }
}

/// A stored detector is of another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored detector has version {0}, but this release reads {DETECTOR_STATE_VERSION}")]
struct DetectorVersionError(u8);

#[expect(
    clippy::cast_possible_truncation,
    reason = "the statistics need seven digits"
)]
fn narrowed(number: f64) -> f32 {
    number as f32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a span of time; the cast saturates"
)]
fn whole_ms(ms: f32) -> i64 {
    ms.round() as i64
}
