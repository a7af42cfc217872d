//! The state of one pair, and the effects of a tick on it.

use serde::{Deserialize, Serialize};

use super::averages::{Averages, WINDOWS_MS, Window};
use super::recent_ids::RecentIds;
use super::{AnalysisConfig, Anomaly, Candle, Detector, Interval, Timeliness};
use crate::{Price, Tick, TickId, Token};

/// The version of the stored state. It must change when the layout of anything in [`PairState`]
/// changes: a state of another version is then refused instead of misread.
pub const STATE_VERSION: u8 = 1;

/// The state that the analysis keeps for a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairState {
    version: Version,
    pub(super) token: Token,
    pub(super) quote: Token,
    pub(super) newest_ms: Option<i64>,
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
    pub timeliness: Timeliness,
    /// Candles that the tick closed, the shortest interval first. They replace their stored
    /// versions.
    pub closed: Vec<Candle>,
    /// One-tick parts of older candles, to be merged into the stored ones, whose revision then
    /// grows by one.
    pub corrections: Vec<Candle>,
    /// The anomaly, if the tick's price is one. Only ticks in order are judged.
    pub anomaly: Option<Anomaly>,
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
            return Effects::of(Timeliness::Duplicate);
        }
        let mut effects = Effects::of(self.timeliness(tick.timestamp_ms, config));
        self.newest_ms = self.newest_ms.max(Some(tick.timestamp_ms));
        self.add_to_candles(tick, &mut effects);
        let price = tick.price.to_f64();
        let volume = tick.volume.map(|volume| volume.to_f64());
        for window in &mut self.windows {
            window.add(tick.timestamp_ms, price, volume);
        }
        if effects.timeliness == Timeliness::InOrder {
            let verdict = self
                .detector
                .observe(tick.timestamp_ms, price, &config.detector);
            effects.anomaly = Anomaly::of(tick, verdict, &config.detector);
        }
        effects
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
    pub(super) fn of(timeliness: Timeliness) -> Self {
        Self {
            timeliness,
            closed: Vec::new(),
            corrections: Vec::new(),
            anomaly: None,
        }
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
