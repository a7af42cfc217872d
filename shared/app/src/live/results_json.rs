//! Results of the analysis as JSON: the same fields in the read API, on the live feed and on the
//! broadcast queue.

use domain::SourceName;
use domain::analytics::{Anomaly, Averages, Candle, Interval, SeriesKind};
use domain::detection::{AnomalyKind, Detection, Direction, Quantity};
use serde::Serialize;

/// The trades or the quotes of a candle as the API shows them.
#[derive(Debug, Serialize)]
pub struct CandleJson<'a> {
    token: &'a str,
    quote: &'a str,
    series: SeriesKind,
    /// The venue; all venues if it is omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    interval: Interval,
    /// Epoch milliseconds.
    start: i64,
    #[serde(flatten)]
    values: ValuesJson,
    revision: u32,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ValuesJson {
    Trades {
        open: String,
        high: String,
        low: String,
        close: String,
        /// `null` if no trade has a volume.
        volume: Option<String>,
        vwap: Option<f64>,
        trades: u64,
    },
    Quotes {
        last: String,
        high: String,
        low: String,
        ticks: u64,
    },
}

impl<'a> CandleJson<'a> {
    /// The trades or the quotes of all venues, or of one; `None` if the candle has none.
    #[must_use]
    pub fn of(candle: &'a Candle, series: SeriesKind, source: Option<&'a str>) -> Option<Self> {
        let values = match source {
            Some(source) => candle.of_venue(series, source),
            None => candle.of_kind(series),
        }?;
        let [open, high, low, close] =
            [values.open, values.high, values.low, values.close].map(|price| price.to_string());
        let values = match series {
            SeriesKind::Trades => ValuesJson::Trades {
                open,
                high,
                low,
                close,
                volume: values.volume.map(|volume| volume.to_string()),
                vwap: values.vwap(),
                trades: values.tick_count,
            },
            SeriesKind::Quotes => ValuesJson::Quotes {
                last: close,
                high,
                low,
                ticks: values.tick_count,
            },
        };
        Some(Self {
            token: candle.token.as_str(),
            quote: candle.quote.as_str(),
            series,
            source,
            interval: candle.interval,
            start: candle.start_ms,
            values,
            revision: candle.revision,
        })
    }

    /// The trades and the quotes of all venues, as far as there are any.
    pub fn rows(candle: &'a Candle) -> impl Iterator<Item = Self> {
        let kinds = SeriesKind::ALL.into_iter();
        kinds.filter_map(move |series| Self::of(candle, series, None))
    }

    /// Trades or quotes.
    #[must_use]
    pub fn series(&self) -> SeriesKind {
        self.series
    }
}

/// One window's averages as the API shows them.
#[derive(Debug, Serialize)]
pub struct AveragesJson<'a> {
    token: &'a str,
    quote: &'a str,
    series: SeriesKind,
    timestamp: i64,
    window: String,
    sma: Option<f64>,
    twap: Option<f64>,
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
            series: averages.kind,
            timestamp: averages.timestamp_ms,
            window: window_name(window.window_ms),
            sma: window.sma,
            twap: window.twap,
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
    use domain::{Method, Tick, Volume};
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
            let row = CandleJson::of(&candle, SeriesKind::Trades, None);
            let json = serde_json::to_value(row.unwrap()).unwrap();
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
    fn trades_and_quotes_are_rows_of_their_own() {
        let quote = Tick {
            method: Method::Oracle,
            source: SourceName::new("pyth").unwrap(),
            ..tick("BTC", 2)
        };
        let mut candle = Candle::of(&tick("BTC", 1), Interval::OneHour);
        candle.merge(&Candle::of(&quote, Interval::OneHour));
        let rows: Vec<_> = CandleJson::rows(&candle).collect();
        let rows = serde_json::to_value(rows).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 2);
        assert_eq!(
            (&rows[0]["series"], &rows[0]["trades"], &rows[0]["close"]),
            (&json!("trades"), &json!(1), &json!("10.01"))
        );
        let expected = json!({
            "token": "BTC", "quote": "USD", "series": "quotes", "interval": "1h", "start": candle.start_ms,
            "last": "10.02", "high": "10.02", "low": "10.02", "ticks": 1, "revision": 0
        });
        assert_eq!(rows[1], expected);
        let of_pyth = CandleJson::of(&candle, SeriesKind::Quotes, Some("pyth"));
        assert_eq!(serde_json::to_value(of_pyth).unwrap()["source"], "pyth");
        assert!(CandleJson::of(&candle, SeriesKind::Trades, Some("pyth")).is_none());
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
