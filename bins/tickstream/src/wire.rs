//! The JSON of the read API and of the live feed.

use app::broadcast::Frame;
use app::feed::{AnomalyJson, AveragesJson, CandleJson};
use axum::extract::ws::Utf8Bytes;
use codec::json::TickJson;
use domain::Tick;
use domain::analytics::{Anomaly, Averages, Candle};
use serde::Serialize;

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
