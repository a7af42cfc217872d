//! Candles, moving averages and anomalies of one pair, from its ticks in event time.
//!
//! A pair is a token and a quote: prices in different quotes cannot be averaged. Its state is
//! bounded (about 14 KB in memory, 10 KB stored), and only [`PairState::apply`] changes it.
//!
//! **Order and repetition.** A tick whose id is among the pair's last 512 changes nothing. Candles
//! and averages depend on the set of ticks, not on their order. A tick newer than all before it
//! closes the candles that ended before it. A tick older than an open candle yields one-tick
//! fragments of the candles it belongs to. The store merges them into the stored candles and
//! reissues these with the next revision, however late the tick is: lateness is counted, and
//! nothing is dropped. A reader may consider a candle final once the pair's watermark (the newest
//! event time minus the allowed lateness) has passed its end.
//!
//! **The caller's duty.** Store the state, the closed candles and the merged corrections of a step
//! together or not at all. Then repeating a step from the stored state gives the same result.
//! Within a step, store closed candles before merging corrections.

mod averages;
mod candle;
mod detector;
mod interval;
mod recent_ids;
#[cfg(test)]
mod tests;
mod total_volume;

use serde::{Deserialize, Serialize};

pub use averages::{Averages, WINDOWS_MS, WindowAverages};
pub use candle::Candle;
pub use detector::{AnomalyReason, Detector, DetectorConfig, Verdict};
pub use interval::{Interval, IntervalError};
pub use total_volume::{TotalVolume, TotalVolumeError};

use crate::{Price, Tick, TickId, Token};
use averages::Window;
use recent_ids::RecentIds;

/// The version of the stored state. It must change when the layout of anything in [`PairState`]
/// changes: a state of another version is then refused instead of misread.
pub const STATE_VERSION: u8 = 1;

/// How late a tick may be before it counts as too late: one minute.
pub const ALLOWED_LATENESS_MS: i64 = 60_000;

/// The settings of the analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisConfig {
    /// How far behind the newest event time a tick may be, in milliseconds, before it counts as
    /// too late.
    pub allowed_lateness_ms: i64,
    /// The settings of the detector.
    pub detector: DetectorConfig,
}

impl Default for AnalysisConfig {
    fn default() -> Self {
        Self {
            allowed_lateness_ms: ALLOWED_LATENESS_MS,
            detector: DetectorConfig::default(),
        }
    }
}

/// The state that the analysis keeps for a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairState {
    version: Version,
    token: Token,
    quote: Token,
    newest_ms: Option<i64>,
    recent_ids: RecentIds,
    /// The newest candle of each interval; either all are present or none.
    open: [Option<Candle>; Interval::ALL.len()],
    windows: [Window; WINDOWS_MS.len()],
    detector: Detector,
}

/// The effects of a tick.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Effects {
    /// The tick's position in event time.
    pub outcome: Outcome,
    /// Candles that the tick closed, the shortest interval first. They replace their stored
    /// versions.
    pub closed: Vec<Candle>,
    /// One-tick parts of older candles, to be merged into the stored ones, whose revision then
    /// grows by one.
    pub corrections: Vec<Candle>,
    /// The anomaly, if the tick's price is one. Only ticks in order are judged.
    pub anomaly: Option<Anomaly>,
}

/// A tick's position in event time, relative to the ticks before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As new as the newest seen, or newer.
    InOrder,
    /// Older than the newest, within the allowed lateness.
    Late,
    /// Older than the watermark. It still counts in candles.
    TooLate,
    /// Its id is among the last 512; nothing changed.
    Duplicate,
}

/// A price that moved further than the pair's volatility explains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the price.
    pub quote: Token,
    /// The tick.
    pub tick_id: TickId,
    /// Its event time.
    pub timestamp_ms: i64,
    /// Its price.
    pub price: Price,
    /// How far the price moved, in multiples of the expected deviation.
    pub score: f64,
    /// The score at which a move becomes an anomaly.
    pub threshold: f64,
    /// The time over which the price moved, in milliseconds.
    pub window_ms: i64,
    /// Why it is one.
    pub reason: AnomalyReason,
    /// A description for people, such as `rose 5.1 % in 1.2 s, 14 times the expected move`.
    pub message: String,
}

/// The newest tick of a pair: among several at the same time, the one with the greatest id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The tick.
    pub tick_id: TickId,
    /// Its event time.
    pub timestamp_ms: i64,
    /// Its price.
    pub price: Price,
}

impl PairState {
    /// The state of a pair without ticks.
    #[must_use]
    pub fn new(token: Token, quote: Token) -> Self {
        Self {
            version: Version,
            token,
            quote,
            newest_ms: None,
            recent_ids: RecentIds::default(),
            open: [const { None }; Interval::ALL.len()],
            windows: WINDOWS_MS.map(Window::new),
            detector: Detector::default(),
        }
    }

    /// Applies a tick to the state and returns the effects. The tick must belong to this pair.
    pub fn apply(&mut self, tick: &Tick, config: &AnalysisConfig) -> Effects {
        debug_assert!(
            tick.token == self.token && tick.quote == self.quote,
            "a tick of {}/{} was applied to the state of {}/{}",
            tick.token,
            tick.quote,
            self.token,
            self.quote
        );
        if !self.recent_ids.insert(&tick.tick_id) {
            return Effects::of(Outcome::Duplicate);
        }
        let mut effects = Effects::of(self.outcome(tick.timestamp_ms, config));
        self.newest_ms = self.newest_ms.max(Some(tick.timestamp_ms));
        self.add_to_candles(tick, &mut effects);
        let price = tick.price.to_f64();
        let volume = tick.volume.map(|volume| volume.to_f64());
        for window in &mut self.windows {
            window.add(tick.timestamp_ms, price, volume);
        }
        if effects.outcome == Outcome::InOrder {
            let verdict = self
                .detector
                .observe(tick.timestamp_ms, price, &config.detector);
            effects.anomaly = Anomaly::of(tick, verdict, &config.detector);
        }
        effects
    }

    fn outcome(&self, timestamp_ms: i64, config: &AnalysisConfig) -> Outcome {
        match (self.newest_ms, self.watermark_ms(config)) {
            (Some(newest_ms), _) if timestamp_ms >= newest_ms => Outcome::InOrder,
            (_, Some(watermark_ms)) if timestamp_ms >= watermark_ms => Outcome::Late,
            (Some(_), _) => Outcome::TooLate,
            (None, _) => Outcome::InOrder,
        }
    }

    fn add_to_candles(&mut self, tick: &Tick, effects: &mut Effects) {
        for (open, interval) in self.open.iter_mut().zip(Interval::ALL) {
            let Some(candle) = open else {
                *open = Some(Candle::of(tick, interval));
                continue;
            };
            if tick.timestamp_ms < candle.start_ms {
                effects.corrections.push(Candle::of(tick, interval));
            } else if tick.timestamp_ms < candle.end_ms() {
                candle.add(tick);
            } else {
                let closed = std::mem::replace(candle, Candle::of(tick, interval));
                effects.closed.push(closed);
            }
        }
    }

    /// What is priced (the base).
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The currency of the prices.
    #[must_use]
    pub fn quote(&self) -> &Token {
        &self.quote
    }

    /// The newest event time minus the allowed lateness; `None` before the first tick.
    #[must_use]
    pub fn watermark_ms(&self, config: &AnalysisConfig) -> Option<i64> {
        let lateness_ms = config.allowed_lateness_ms.max(0);
        Some(self.newest_ms?.saturating_sub(lateness_ms))
    }

    /// The newest tick; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Latest> {
        let candle = self.open_candles().next()?;
        Some(Latest {
            tick_id: candle.last_id,
            timestamp_ms: candle.last_ms,
            price: candle.close,
        })
    }

    /// The moving averages as of the newest tick.
    #[must_use]
    pub fn averages(&self) -> Averages {
        Averages {
            token: self.token.clone(),
            quote: self.quote.clone(),
            timestamp_ms: self.newest_ms.unwrap_or_default(),
            windows: self.windows.each_ref().map(Window::averages),
        }
    }

    /// The newest candle of each interval, the shortest first; none before the first tick.
    pub fn open_candles(&self) -> impl Iterator<Item = &Candle> {
        self.open.iter().flatten()
    }
}

impl Effects {
    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            closed: Vec::new(),
            corrections: Vec::new(),
            anomaly: None,
        }
    }
}

impl Anomaly {
    fn of(tick: &Tick, verdict: Verdict, config: &DetectorConfig) -> Option<Self> {
        let reason = verdict.reason?;
        Some(Self {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
            tick_id: tick.tick_id,
            timestamp_ms: tick.timestamp_ms,
            price: tick.price,
            score: verdict.score,
            threshold: config.threshold,
            window_ms: verdict.window_ms,
            reason,
            message: verdict.message(),
        })
    }
}

/// Stored as [`STATE_VERSION`]; any other number is refused.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
struct Version;

/// A stored state is of another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stored analytics state has version {0}, not {STATE_VERSION}: drop it and rebuild it from \
     the stream"
)]
struct VersionError(u8);

impl TryFrom<u8> for Version {
    type Error = VersionError;
    fn try_from(version: u8) -> Result<Self, VersionError> {
        match version {
            STATE_VERSION => Ok(Self),
            other => Err(VersionError(other)),
        }
    }
}

impl From<Version> for u8 {
    fn from(_: Version) -> Self {
        STATE_VERSION
    }
}
