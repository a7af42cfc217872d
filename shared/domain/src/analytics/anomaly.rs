//! An anomaly: how the series of a venue departs from its past, and the tick that shows it.

use serde::{Deserialize, Serialize};

use crate::detection::Detection;
use crate::{Pair, Price, SourceName, Tick, TickId, Token};

/// A tick at which the prices of a venue depart from their past, or from those of the other venues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What is priced (the base).
    pub token: Token,
    /// The currency of the price.
    pub quote: Token,
    /// The venue: the origin of the prices. `None` of an anomaly that release 1.0 found.
    pub source: Option<SourceName>,
    /// The tick; of a silence that lasts, the last one before it.
    pub tick_id: TickId,
    /// Its event time; of a silence that lasts, our clock when it was found.
    pub timestamp_ms: i64,
    /// The price of the tick.
    pub price: Price,
    /// How anomalous it is, in [0, 1).
    pub score: f64,
    /// What was expected, and what was seen.
    pub detection: Detection,
    /// Whether people are notified: it is the first of its kind and pair within the cooldown.
    pub notifies: bool,
}

impl Anomaly {
    pub(super) fn of(tick: &Tick, score: f64, detection: Detection, notifies: bool) -> Self {
        Self {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
            source: Some(tick.source.clone()),
            tick_id: tick.tick_id,
            timestamp_ms: tick.timestamp_ms,
            price: tick.price,
            score,
            detection,
            notifies,
        }
    }

    /// The pair that it belongs to.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            token: self.token.clone(),
            quote: self.quote.clone(),
        }
    }

    /// It as a sentence without its subject, such as `rose 5.1 % in 1.2 s, from 1.17 to 1.23`.
    #[must_use]
    pub fn message(&self) -> String {
        self.detection.message()
    }
}
