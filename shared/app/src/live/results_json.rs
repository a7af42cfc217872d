//! Results of the analysis as JSON: the same fields in the read API, on the live feed and on the
//! broadcast queue.

use domain::SourceName;
use domain::analytics::{Anomaly, Averages, Candle, Interval};
use domain::detection::{AnomalyKind, Detection, Direction, Quantity};
use serde::Serialize;

/// A candle as the API shows it.
#[derive(Debug, Serialize)]
pub struct CandleJson<'a> {
    token: &'a str,
    quote: &'a str,
    interval: Interval,
    /// Epoch milliseconds.
    start: i64,
    open: String,
    high: String,
    low: String,
    close: String,
    /// `null` if no tick has a volume.
    volume: Option<String>,
    vwap: Option<f64>,
    trades: u64,
    revision: u32,
}

impl<'a> CandleJson<'a> {
    /// The candle's fields.
    #[must_use]
    pub fn of(candle: &'a Candle) -> Self {
        Self {
            token: candle.token.as_str(),
            quote: candle.quote.as_str(),
            interval: candle.interval,
            start: candle.start_ms,
            open: candle.open.to_string(),
            high: candle.high.to_string(),
            low: candle.low.to_string(),
            close: candle.close.to_string(),
            volume: candle.volume.map(|volume| volume.to_string()),
            vwap: candle.vwap(),
            trades: candle.tick_count,
            revision: candle.revision,
        }
    }
}

/// One window's averages as the API shows them.
#[derive(Debug, Serialize)]
pub struct AveragesJson<'a> {
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
    /// One row per window.
    pub fn rows(averages: &'a Averages) -> impl Iterator<Item = Self> {
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
pub struct AnomalyJson<'a> {
    token: &'a str,
    quote: &'a str,
    source: Option<&'a str>,
    tick_id: String,
    timestamp: i64,
    price: String,
    /// In [0, 1).
    score: f64,
    kind: AnomalyKind,
    direction: Direction,
    /// What `expected` and `seen` are.
    quantity: Quantity,
    expected: f64,
    seen: f64,
    window_ms: i64,
    message: String,
}

impl<'a> AnomalyJson<'a> {
    /// The anomaly's fields.
    #[must_use]
    pub fn of(anomaly: &'a Anomaly) -> Self {
        let Detection {
            kind,
            direction,
            quantity,
            expected,
            seen,
            window_ms,
        } = anomaly.detection;
        Self {
            token: anomaly.token.as_str(),
            quote: anomaly.quote.as_str(),
            source: anomaly.source.as_ref().map(SourceName::as_str),
            tick_id: anomaly.tick_id.to_string(),
            timestamp: anomaly.timestamp_ms,
            price: anomaly.price.to_string(),
            score: anomaly.score,
            kind,
            direction,
            quantity,
            expected,
            seen,
            window_ms,
            message: anomaly.message(),
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

#[cfg(test)]
mod tests {
    use domain::{Tick, Volume};
    use serde_json::{Value, json};
    use testkit::ticks::tick;

    use super::*;

    #[test]
    fn a_candle_without_volumes_has_none() {
        let shown = |volumes: &[Option<&str>]| {
            let mut parts = (1..).zip(volumes).map(|(n, volume)| {
                let tick = Tick {
                    volume: volume.map(|text| Volume::parse(text).unwrap()),
                    ..tick("BTC", n)
                };
                Candle::of(&tick, Interval::OneHour)
            });
            let mut candle = parts.next().unwrap();
            parts.for_each(|part| candle.merge(&part));
            let json = serde_json::to_value(CandleJson::of(&candle)).unwrap();
            (json["volume"].clone(), json["vwap"].is_null())
        };
        assert_eq!(shown(&[None]), (Value::Null, true));
        assert_eq!(shown(&[None, None]), (Value::Null, true));
        assert_eq!(shown(&[Some("0"), None]), (json!("0"), true));
        assert_eq!(
            shown(&[None, Some("1.50"), Some("2")]),
            (json!("3.5"), false)
        );
    }

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
