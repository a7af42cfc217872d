//! The JSON of the read API and of the live feed.

use app::broadcast::Frame;
use axum::extract::ws::Utf8Bytes;
use codec::json::TickJson;
use domain::Tick;
use domain::analytics::{Anomaly, AnomalyReason, Averages, Candle, Interval};
use serde::Serialize;

/// A candle as the API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct CandleJson<'a> {
    token: &'a str,
    quote: &'a str,
    interval: Interval,
    /// Epoch milliseconds.
    start: i64,
    open: String,
    high: String,
    low: String,
    close: String,
    volume: String,
    vwap: Option<f64>,
    trades: u64,
    revision: u32,
}

impl<'a> CandleJson<'a> {
    pub(crate) fn of(candle: &'a Candle) -> Self {
        Self {
            token: candle.token.as_str(),
            quote: candle.quote.as_str(),
            interval: candle.interval,
            start: candle.start_ms,
            open: candle.open.to_string(),
            high: candle.high.to_string(),
            low: candle.low.to_string(),
            close: candle.close.to_string(),
            volume: candle.volume.to_string(),
            vwap: candle.vwap(),
            trades: candle.trades,
            revision: candle.revision,
        }
    }
}

/// One window's averages as the API shows them.
#[derive(Debug, Serialize)]
pub(crate) struct AveragesJson<'a> {
    token: &'a str,
    quote: &'a str,
    timestamp: i64,
    window: String,
    sma: Option<f64>,
    ema: Option<f64>,
    vwap: Option<f64>,
    ticks: u64,
}

impl<'a> AveragesJson<'a> {
    /// One row a window.
    pub(crate) fn rows(averages: &'a Averages) -> impl Iterator<Item = Self> {
        averages.windows.iter().map(|window| Self {
            token: averages.token.as_str(),
            quote: averages.quote.as_str(),
            timestamp: averages.timestamp_ms,
            window: window_name(window.window_ms),
            sma: window.sma,
            ema: window.ema,
            vwap: window.vwap,
            ticks: window.ticks,
        })
    }
}

/// An anomaly as the API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct AnomalyJson<'a> {
    token: &'a str,
    quote: &'a str,
    tick_id: String,
    timestamp: i64,
    price: String,
    score: f64,
    threshold: f64,
    window: String,
    reason: AnomalyReason,
    message: &'a str,
}

impl<'a> AnomalyJson<'a> {
    pub(crate) fn of(anomaly: &'a Anomaly) -> Self {
        Self {
            token: anomaly.token.as_str(),
            quote: anomaly.quote.as_str(),
            tick_id: anomaly.tick_id.to_string(),
            timestamp: anomaly.timestamp_ms,
            price: anomaly.price.to_string(),
            score: anomaly.score,
            threshold: anomaly.threshold,
            window: window_name(anomaly.window_ms),
            reason: anomaly.reason,
            message: &anomaly.message,
        }
    }
}

/// A length of time in its largest whole unit: `1m`, `5m`, `1h`, `250ms`.
fn window_name(window_ms: i64) -> String {
    match window_ms {
        ms if ms > 0 && ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms > 0 && ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms > 0 && ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// What a frame tells one reader.
pub(crate) struct Messages<'a> {
    pub(crate) ticks: Vec<&'a Tick>,
    pub(crate) candles: Vec<&'a Candle>,
    pub(crate) averages: Vec<&'a Averages>,
    pub(crate) anomalies: Vec<&'a Anomaly>,
    ticks_seen: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    Snapshot {
        ticks: Vec<TickJson<'a>>,
        missed: u64,
    },
    Ticks {
        ticks: Vec<TickJson<'a>>,
        counts: Counts,
    },
    Candles {
        candles: Vec<CandleJson<'a>>,
    },
    Averages {
        averages: Vec<AveragesJson<'a>>,
    },
    Anomalies {
        anomalies: Vec<AnomalyJson<'a>>,
    },
}

/// How many ticks stand behind the latest ones of a frame, over all tokens.
#[derive(Serialize)]
struct Counts {
    ticks: u64,
}

impl<'a> Messages<'a> {
    pub(crate) fn of(frame: &'a Frame) -> Self {
        Self {
            ticks: frame.ticks.iter().collect(),
            candles: frame.candles.iter().collect(),
            averages: frame.averages.iter().collect(),
            anomalies: frame.anomalies.iter().collect(),
            ticks_seen: frame.ticks_seen,
        }
    }

    /// The messages, none where there is nothing to tell.
    pub(crate) fn render(&self) -> Vec<Utf8Bytes> {
        let mut messages = Vec::new();
        if !self.ticks.is_empty() {
            let ticks = self.ticks.iter().map(|tick| TickJson(tick)).collect();
            messages.push(Message::Ticks {
                ticks,
                counts: Counts {
                    ticks: self.ticks_seen,
                },
            });
        }
        if !self.candles.is_empty() {
            let candles = self
                .candles
                .iter()
                .map(|candle| CandleJson::of(candle))
                .collect();
            messages.push(Message::Candles { candles });
        }
        if !self.averages.is_empty() {
            let averages = self
                .averages
                .iter()
                .flat_map(|averages| AveragesJson::rows(averages));
            messages.push(Message::Averages {
                averages: averages.collect(),
            });
        }
        if !self.anomalies.is_empty() {
            let anomalies = self
                .anomalies
                .iter()
                .map(|anomaly| AnomalyJson::of(anomaly))
                .collect();
            messages.push(Message::Anomalies { anomalies });
        }
        messages.iter().map(text).collect()
    }
}

/// The latest values, for a reader that is new or has missed frames.
pub(crate) fn snapshot<'a>(latest: impl Iterator<Item = &'a Tick>, missed: u64) -> Utf8Bytes {
    text(&Message::Snapshot {
        ticks: latest.map(TickJson).collect(),
        missed,
    })
}

fn text(message: &Message<'_>) -> Utf8Bytes {
    serde_json::to_string(message).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_short_names() {
        for (ms, name) in [
            (60_000, "1m"),
            (300_000, "5m"),
            (3_600_000, "1h"),
            (1_000, "1s"),
            (250, "250ms"),
            (0, "0ms"),
        ] {
            assert_eq!(window_name(ms), name);
        }
    }
}
