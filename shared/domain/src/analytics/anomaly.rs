//! An anomaly: a price that moved further than the pair's volatility explains.

use serde::{Deserialize, Serialize};

use super::detector::{AnomalyReason, DetectorConfig, Verdict};
use crate::{Price, Tick, TickId, Token};

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

impl Anomaly {
    pub(super) fn of(tick: &Tick, verdict: Verdict, config: &DetectorConfig) -> Option<Self> {
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
