//! The updates since the last message: only the latest of each pair, candle and average.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use domain::analytics::{Anomaly, Averages, Candle, Latest};
use domain::{Pair, Tick, Token};
use serde::Serialize;

use super::results_json::{AnomalyJson, AveragesJson, CandleJson};

/// The kind of an update; a message holds updates of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Prices.
    Ticks,
    /// Current candles.
    Candles,
    /// Current averages.
    Averages,
    /// Anomalies found.
    Anomalies,
}

impl Kind {
    /// Every kind, in the order in which messages are sent.
    pub const ALL: [Self; 4] = [Self::Ticks, Self::Candles, Self::Averages, Self::Anomalies];

    /// The name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Candles => "candles",
            Self::Averages => "averages",
            Self::Anomalies => "anomalies",
        }
    }
}

/// One JSON object of a message. It replaces an earlier update of the same kind and identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The kind.
    pub kind: Kind,
    /// The token that it is about.
    pub token: Token,
    /// The identity: an update replaces another one with the same identity.
    pub identity: String,
    /// The order: the update with the higher rank is the later one.
    pub rank: (i64, u64),
    /// How many ticks it represents; 0 unless it is of [`Kind::Ticks`].
    pub tick_count: u64,
    /// One JSON object.
    pub json: String,
}

impl Update {
    /// A result of the analysis.
    #[must_use]
    pub fn of_result(
        kind: Kind,
        token: Token,
        identity: String,
        rank: (i64, u64),
        json: String,
    ) -> Self {
        Self {
            kind,
            token,
            identity,
            rank,
            tick_count: 0,
            json,
        }
    }

    /// One update for the trades, and one for the quotes.
    pub(super) fn of_candle(candle: &Candle) -> impl Iterator<Item = Self> {
        let Candle { token, quote, .. } = candle;
        CandleJson::rows(candle).map(move |row| {
            let identity = format!(
                "{token}/{quote}/{}/{}/{:013}",
                row.series(),
                candle.interval.as_str(),
                candle.start_ms
            );
            let rank = (i64::from(candle.revision), candle.tick_count());
            Self::of_result(Kind::Candles, token.clone(), identity, rank, json(&row))
        })
    }

    /// One update for each window.
    pub(super) fn of_averages(averages: &Averages) -> impl Iterator<Item = Self> {
        let Averages { token, quote, .. } = averages;
        let rows = AveragesJson::rows(averages).zip(&averages.windows);
        rows.map(move |(row, window)| {
            let identity = format!("{token}/{quote}/{}/{}", averages.kind, window.window_ms);
            let rank = (averages.timestamp_ms, window.ticks);
            Self::of_result(Kind::Averages, token.clone(), identity, rank, json(&row))
        })
    }

    pub(super) fn of_anomaly(anomaly: &Anomaly) -> Self {
        let Anomaly { token, quote, .. } = anomaly;
        let time = anomaly.timestamp_ms;
        let identity = format!("{time:013}/{token}/{quote}/{}", anomaly.tick_id);
        let json = json(&AnomalyJson::of(anomaly));
        Self::of_result(
            Kind::Anomalies,
            anomaly.token.clone(),
            identity,
            (0, 0),
            json,
        )
    }
}

/// Results hold numbers, text and options only, which always have a JSON form.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Updates by identity. They may be added in any order and repeatedly: the value with the latest time
/// remains.
#[derive(Debug, Default)]
pub struct ConflatedUpdates {
    ticks: HashMap<Pair, (Tick, u64)>,
    results: HashMap<(Kind, String), Update>,
}

impl ConflatedUpdates {
    /// Adds a tick; of a pair's ticks the latest by event time remains, with their number.
    pub fn add_tick(&mut self, tick: &Tick) {
        match self.ticks.entry(Pair::of(tick)) {
            Entry::Vacant(place) => {
                place.insert((tick.clone(), 1));
            }
            Entry::Occupied(mut held) => {
                let (latest, count) = held.get_mut();
                *count += 1;
                if Latest::of(latest) < Latest::of(tick) {
                    latest.clone_from(tick);
                }
            }
        }
    }

    /// Adds a result of the analysis; of one identity the one with the highest rank remains.
    pub fn add(&mut self, update: Update) {
        let key = (update.kind, update.identity.clone());
        let later = |held: &Update| held.rank <= update.rank;
        if self.results.get(&key).is_none_or(later) {
            self.results.insert(key, update);
        }
    }

    /// Whether there is nothing new.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ticks.is_empty() && self.results.is_empty()
    }

    /// All updates, sorted by kind, token and identity.
    #[must_use]
    pub fn into_updates(self) -> Vec<Update> {
        let mut ticks: Vec<_> = self.ticks.into_iter().collect();
        ticks.sort_by(|(one, _), (other, _)| one.cmp(other));
        let ticks = ticks.into_iter().map(|(pair, (tick, tick_count))| Update {
            kind: Kind::Ticks,
            token: pair.token,
            identity: String::new(),
            rank: (0, 0),
            tick_count,
            json: tick_json(&tick),
        });
        let mut results: Vec<_> = self.results.into_iter().collect();
        results.sort_by(|(one, _), (other, _)| one.cmp(other));
        ticks
            .chain(results.into_iter().map(|(_, update)| update))
            .collect()
    }
}

/// A tick as its one JSON object.
pub(super) fn tick_json(tick: &Tick) -> String {
    let mut bytes = Vec::new();
    codec::json::write_json(tick, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use testkit::anomalies::jump_at;
    use testkit::ticks::tick;

    use super::*;

    #[test]
    fn an_anomaly_is_one_of_its_pair() {
        let of = |token: &str| Anomaly {
            token: tick(token, 7).token,
            ..jump_at(&tick("BTC", 7))
        };
        let mut updates = ConflatedUpdates::default();
        for token in ["A", "B", "A"] {
            updates.add(Update::of_anomaly(&of(token)));
        }
        let tokens: Vec<_> = updates
            .into_updates()
            .into_iter()
            .map(|it| it.token)
            .collect();
        assert_eq!(tokens, ["A", "B"].map(|token| tick(token, 7).token));
    }
}
