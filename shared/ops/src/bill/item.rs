//! A line of a bill.

use serde::Serialize;

use super::prices::Price;

/// A part of the product that costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Deliveries, and the table of ticks.
    Webhook,
    /// Kinesis, Firehose and the archive.
    Stream,
    /// Candles, averages and anomalies.
    Analytics,
    /// The live feed: its queue, its function and its connections.
    Feed,
    /// Metrics, alarms and the dashboard.
    Monitoring,
}

impl Part {
    /// All parts, in the order of a bill.
    pub const ALL: [Self; 5] = [
        Self::Webhook,
        Self::Stream,
        Self::Analytics,
        Self::Feed,
        Self::Monitoring,
    ];

    /// Its heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook and ticks",
            Self::Stream => "stream and archive",
            Self::Analytics => "analytics",
            Self::Feed => "live feed",
            Self::Monitoring => "monitoring",
        }
    }
}

/// What a month's units of one thing cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// What it is for.
    pub part: Part,
    /// What it is.
    pub item: &'static str,
    /// How many units.
    pub quantity: f64,
    /// One unit.
    pub unit: String,
    /// USD for `per` units; what is beyond a large quantity may cost less.
    pub price_usd: f64,
    /// See `price_usd`.
    pub per: f64,
    /// What they cost, in USD.
    pub usd: f64,
}

impl Item {
    /// So many units of what has this price.
    pub(super) fn new(part: Part, item: &'static str, quantity: f64, price: &Price) -> Self {
        Self {
            part,
            item,
            quantity,
            unit: price.unit.clone(),
            price_usd: price.usd,
            per: price.per,
            usd: price.of(quantity),
        }
    }
}
