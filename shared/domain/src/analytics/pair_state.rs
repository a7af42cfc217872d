//! The state of one pair, and the effects of a tick on it.

use serde::{Deserialize, Serialize};

use super::anomaly::Anomaly;
use super::averages::{Averages, SeriesWindows};
use super::candle::{Candle, CandleSeries};
use super::config::AnalysisConfig;
use super::interval::Interval;
use super::lateness::{self, Timeliness};
use super::ohlcv::Ohlcv;
use super::pair_detector::PairDetector;
use super::series_kind::SeriesKind;
use super::watched::Watched;
use crate::{Pair, Price, Tick, TickOrder, Token};

/// The version of the stored state. It must change when the layout of anything in [`PairState`]
/// changes: a state of another version is then replaced (see [`PairState::resumed`]), not misread.
pub const STATE_VERSION: u8 = 6;

/// The state that the analysis keeps for a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairState {
    version: Version,
    pub(super) token: Token,
    pub(super) quote: Token,
    /// The newest effective time (see [`Tick::effective_ms`]).
    pub(super) newest_ms: Option<i64>,
    /// The newest tick.
    latest: Option<Latest>,
    /// The candles that have not ended at `newest_ms`, by interval and start: mostly one of each
    /// interval, and more if a sender's clock is ahead.
    pub(super) open: Vec<Candle>,
    /// Of the trades, if there were any.
    trades: Option<Box<SeriesWindows>>,
    /// Of the quotes, if there were any.
    quotes: Option<Box<SeriesWindows>>,
    detector: PairDetector,
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
    /// The anomaly, if the tick is one. Only ticks that are in the order of their venue are judged.
    pub anomaly: Option<Anomaly>,
}

/// The newest tick of a pair by effective time, and among several at the same time, the last by
/// [`TickOrder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Latest {
    /// Its effective time, milliseconds since the epoch (UTC).
    pub effective_ms: i64,
    /// Its place among the ticks of the pair.
    pub order: TickOrder,
    /// Its price.
    pub price: Price,
}

impl Latest {
    /// The tick, as a candidate for the newest.
    #[must_use]
    pub fn of(tick: &Tick) -> Self {
        Self {
            effective_ms: tick.effective_ms(),
            order: tick.order(),
            price: tick.price,
        }
    }
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
            latest: None,
            open: Vec::new(),
            trades: None,
            quotes: None,
            detector: PairDetector::default(),
        }
    }

    /// Applies a tick to the state and returns the effects. The tick must belong to this pair, and must not have been
    /// applied before.
    pub fn apply(&mut self, tick: &Tick, config: &AnalysisConfig) -> Effects {
        debug_assert!(
            tick.token == self.token && tick.quote == self.quote,
            "a tick of {}/{} was applied to the state of {}/{}",
            tick.token,
            tick.quote,
            self.token,
            self.quote
        );
        let effective_ms = tick.effective_ms();
        let timeliness = Timeliness::of(effective_ms, self.newest_ms, config.allowed_lateness_ms);
        let mut effects = Effects::of(timeliness);
        if tick.quality.is_some() {
            return effects;
        }
        let newest_ms = self
            .newest_ms
            .map_or(effective_ms, |ms| ms.max(effective_ms));
        self.newest_ms = Some(newest_ms);
        self.latest = self.latest.max(Some(Latest::of(tick)));
        self.add_to_candles(tick, &mut effects);
        self.close_candles(newest_ms, &mut effects);
        let price = tick.price.to_f64();
        let (windows, volume) = match SeriesKind::of(tick) {
            SeriesKind::Trades => (&mut self.trades, tick.volume.map(|it| it.to_f64())),
            SeriesKind::Quotes => (&mut self.quotes, None),
        };
        let windows = windows.get_or_insert_with(|| Box::new(SeriesWindows::new()));
        windows.add(tick, effective_ms, price, volume);
        let detector = &mut self.detector;
        effects.anomaly = detector.observe(tick, effective_ms, price, &config.detection);
        effects
    }

    /// The venues of the pair that have fallen silent: a dead feed sends nothing that [`Self::apply`] could judge. It may
    /// be called at any time; a silence is reported once.
    pub fn silences(&mut self, watched: Watched, config: &AnalysisConfig) -> Vec<Anomaly> {
        let pair = (&self.token, &self.quote);
        self.detector.silences(pair, watched, &config.detection)
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let kinds = usize::from(self.trades.is_some()) + usize::from(self.quotes.is_some());
        let candle = size_of::<Candle>() + size_of::<CandleSeries>();
        size_of::<Self>()
            + kinds * SeriesWindows::BYTES
            + self.open.capacity() * candle
            + self.detector.heap_bytes()
    }

    fn add_to_candles(&mut self, tick: &Tick, effects: &mut Effects) {
        let values = Ohlcv::of(tick);
        for interval in Interval::ALL {
            let start_ms = interval.start_of(tick.timestamp_ms);
            match self.position(interval, start_ms) {
                Ok(at) => {
                    if let Some(candle) = self.open.get_mut(at) {
                        candle.add(tick, &values);
                    }
                }
                Err(at) => {
                    let candle = Candle::begun(tick, interval, &values);
                    if self.newest_ms.is_some_and(|ms| candle.end_ms() <= ms) {
                        effects.corrections.push(candle);
                    } else {
                        self.open.insert(at, candle);
                    }
                }
            }
        }
    }

    /// Closes the candles that have ended at a time.
    fn close_candles(&mut self, newest_ms: i64, effects: &mut Effects) {
        let has_ended = |candle: &mut Candle| candle.end_ms() <= newest_ms;
        effects.closed.extend(self.open.extract_if(.., has_ended));
    }

    /// The position of an open candle, or where it belongs.
    fn position(&self, interval: Interval, start_ms: i64) -> Result<usize, usize> {
        self.open
            .binary_search_by_key(&(interval, start_ms), |it| (it.interval, it.start_ms))
    }

    /// A state that continues after candles that were stored, in place of one that cannot be read:
    /// `candles` are the pair's newest of each interval. Averages and the detector start from nothing.
    ///
    /// Candles do not tell when their ticks were received. So the newest effective time is that of the
    /// newest event, which may be up to [`crate::FUTURE_TOLERANCE_MS`] ahead of our clock: until our
    /// clock reaches it, ticks count as late.
    #[must_use]
    pub fn resumed(pair: &Pair, candles: Vec<Candle>) -> Self {
        let mut state = Self::new(pair.token.clone(), pair.quote.clone());
        for (order, price) in candles.iter().filter_map(Candle::last) {
            let latest = Latest {
                effective_ms: order.timestamp_ms,
                order,
                price,
            };
            state.latest = state.latest.max(Some(latest));
        }
        state.newest_ms = state.latest.map(|latest| latest.effective_ms);
        for candle in candles {
            if state.newest_ms.is_none_or(|ms| candle.end_ms() > ms)
                && let Err(at) = state.position(candle.interval, candle.start_ms)
            {
                state.open.insert(at, candle);
            }
        }
        state
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

    /// The newest effective time minus the allowed lateness; `None` before the first tick. It never
    /// passes our clock.
    #[must_use]
    pub fn watermark_ms(&self, config: &AnalysisConfig) -> Option<i64> {
        let newest_ms = self.newest_ms?;
        Some(lateness::watermark_ms(
            newest_ms,
            config.allowed_lateness_ms,
        ))
    }

    /// The newest tick; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Latest> {
        self.latest
    }

    /// The moving averages of the trades and of the quotes, each as of the newest of them.
    pub fn averages(&self) -> impl Iterator<Item = Averages> {
        let pair = || Pair {
            token: self.token.clone(),
            quote: self.quote.clone(),
        };
        let of_kinds = [
            (SeriesKind::Trades, &self.trades),
            (SeriesKind::Quotes, &self.quotes),
        ];
        let of_kinds = of_kinds.into_iter();
        of_kinds.filter_map(move |(kind, it)| Some(it.as_deref()?.averages(kind, pair())))
    }

    /// The candles that have not ended yet, the shortest interval first.
    pub fn open_candles(&self) -> impl Iterator<Item = &Candle> {
        self.open.iter()
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
#[error("the stored analytics state has version {0}, but this release reads {STATE_VERSION}")]
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
