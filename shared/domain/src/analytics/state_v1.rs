//! States and candles of version 1, as release 1.0 stored them.

use serde::Deserialize;

use super::candle::Candle;
use super::candle_v2::CandleV2;
use super::interval::Interval;
use super::pair_state::{Latest, PairState};
use super::total_volume::TotalVolume;
use crate::{Pair, Price, TickId, TickOrder, Token};

/// The version.
const VERSION: u8 = 1;

/// A candle of version 1: it had no sequences and no members, and a volume of 0 in place of none.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Candle`")]
pub struct CandleV1 {
    pub token: Token,
    pub quote: Token,
    pub interval: Interval,
    pub start_ms: i64,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: TotalVolume,
    pub quote_volume: f64,
    pub tick_count: u64,
    pub first_ms: i64,
    pub first_id: TickId,
    pub last_ms: i64,
    pub last_id: TickId,
    pub revision: u32,
}

impl From<CandleV1> for Candle {
    fn from(before: CandleV1) -> Self {
        let order = |timestamp_ms, tick_id| TickOrder {
            timestamp_ms,
            sequence: None,
            tick_id,
        };
        Self::from(CandleV2 {
            token: before.token,
            quote: before.quote,
            interval: before.interval,
            start_ms: before.start_ms,
            open: before.open,
            high: before.high,
            low: before.low,
            close: before.close,
            // It cannot tell ticks without volumes from ticks whose volumes are 0, which are rare.
            volume: Some(before.volume).filter(|volume| *volume != TotalVolume::default()),
            quote_volume: before.quote_volume,
            tick_count: before.tick_count,
            first: order(before.first_ms, before.first_id),
            last: order(before.last_ms, before.last_id),
            revision: before.revision,
            members: Vec::new(),
        })
    }
}

/// A pair's state of version 1.
#[derive(Debug, Clone, Deserialize)]
pub struct PairStateV1 {
    version: u8,
    token: Token,
    quote: Token,
    newest_ms: Option<i64>,
    /// The ids of the last 512 ticks, which are no longer needed.
    _recent_ids: Vec<[u8; 8]>,
    open: [Option<CandleV1>; Interval::ALL.len()],
    _windows: [WindowV1; 3],
    _detector: DetectorV1,
}

/// A window of version 1, which is not continued: it had no closes of bars.
#[derive(Debug, Clone, Deserialize)]
struct WindowV1 {
    _window_ms: i64,
    _newest_ms: Option<i64>,
    _decayed_prices: f64,
    _decayed_ticks: f64,
    _buckets: Vec<(u8, (u64, f64, f64, f64))>,
}

/// The detector of version 1, which is not continued.
#[derive(Debug, Clone, Deserialize)]
struct DetectorV1 {
    _reference: Option<(i64, f64)>,
    _samples: u32,
    _variance: f64,
    _inter_arrival_ms: f64,
    _cooldown_until_ms: Option<i64>,
}

/// The state is not of version 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored analytics state has version {0}, which this release cannot read")]
pub struct StateVersionError(u8);

impl TryFrom<PairStateV1> for PairState {
    type Error = StateVersionError;

    fn try_from(before: PairStateV1) -> Result<Self, StateVersionError> {
        let PairStateV1 {
            version: VERSION,
            token,
            quote,
            newest_ms,
            _recent_ids: _,
            open,
            _windows: _,
            _detector: _,
        } = before
        else {
            return Err(StateVersionError(before.version));
        };
        let candles = open.into_iter().flatten().map(Candle::from);
        let mut state = Self::resumed(&Pair { token, quote }, candles.collect());
        state.newest_ms = newest_ms.max(state.latest().map(|latest: Latest| latest.effective_ms));
        Ok(state)
    }
}
